"""Packages that Airflow's containers install themselves, at each start, from proven pins.

    <directory>/1, 2, …   requirements.in: the class's text; requirements.txt: what it came to,
                          and proven.txt once more, so that another hand in it is noticed
    <directory>/current, next, previous   links to them (deployer.edges.packages.slots)

The image's entrypoint runs `pip install ${_PIP_ADDITIONAL_REQUIREMENTS}` in every container,
without Airflow's constraints, and a container whose pip fails restarts for ever. So it is
given exact versions that uv found beside Airflow's own pins, and it did just this once
before, in a throwaway container.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from docker.models.containers import Container

from deployer.core.requirements.blame import CommandEnd
from deployer.core.stack import FILES, PACKAGES, PIP_AT_START
from deployer.edges.compose.proving import CHECKS, Prover
from deployer.edges.disk import airflow_files
from deployer.edges.packages.installer_output import added, blaming, pins, reason_of_pip
from deployer.edges.packages.slots import LinkSlots, Slot
from deployer.errors import ServicesError

_TEXT, _PINS, _PROVEN = "requirements.in", "requirements.txt", "proven.txt"


def at_start(directory: str) -> str:
    """Return what pip is told at each start, for the set of packages in that directory.

    As in docker-compose.plain.yaml. The pins are all that is added, so nothing is looked up.
    """
    told = "--disable-pip-version-check --no-deps --requirement"
    return f"{told} {PACKAGES}/{directory}/{_PINS}"


@dataclass(eq=False)
class PlainWay:
    """Implements `Way`.

    Attributes:
        prover: of the project whose throwaway containers are tidied.
        directory: CHECKOUT_DIR/packages.
        image: what Airflow's containers run.
    """

    prover: Prover
    directory: Path
    image: str

    def __post_init__(self) -> None:
        self.slots = LinkSlots(self.directory)

    def packages(self, slot: Slot) -> tuple[str, str]:
        return self.image, at_start(slot)

    def ensure_current(self) -> None:
        """Let `current` lead to no packages at all unless it leads somewhere.

        Without it no container starts, since its pip finds no file.

        Raises:
            DiskError
        """
        if self.slots.target(Slot.CURRENT) is None:
            self.slots.point(Slot.CURRENT, self._write("", ""))

    def installed(self, containers: Sequence[Container]) -> str | None:
        current = self.slots.healthy()
        if current is None and self.slots.target(Slot.PREVIOUS) is None:
            raise ServicesError(
                f"{self.directory / Slot.CURRENT} leads nowhere: restart the worker, which makes an"
                " empty one"
            )
        if current is None or not all(map(self.on_current, containers)):
            return None
        try:
            pins, proven = (current / _PINS).read_text(), current / _PROVEN
            # A list made by hand, as the first one is, has no proof.
            by_hand = proven.exists() and proven.read_text() != pins
            return pins if by_hand else (current / _TEXT).read_text()
        except FileNotFoundError:
            return None

    def on_current(self, container: Container) -> bool:
        # Made, not started: one that is started again keeps what it had installed before.
        made_at = datetime.fromisoformat(container.attrs["Created"]).timestamp()
        return container.status == "running" and made_at > self.slots.moved_at(Slot.CURRENT)

    def resolve(self, text: str) -> tuple[str, ...]:
        return added(self.prover.resolve(self.image, text))

    def build(self, text: str) -> tuple[str, ...]:
        """See `Way`; dying in here leaves a directory without a name, which `tidy` removes."""
        prover, bounds = self.prover, self.prover.bounds
        prover.check_room()
        said = prover.resolve(self.image, text)
        self.slots.remove_unnamed()
        made = self._write(text, pins(text, said))
        # A container starts on it as Airflow's will, and what it has then is checked.
        ended = prover.run(
            self.image,
            ["bash", *prover.verifying(self.image)],
            within_s=bounds.build_s,
            network=bounds.index_network,
            entrypoint=None,  # the image's own installs them
            environment={PIP_AT_START: at_start(made.name), "PYTHONPATH": FILES},
            volumes={self.directory.absolute(): PACKAGES, airflow_files(): FILES},
        )
        if ended.end is not CommandEnd.EXITED or ended.status not in {0, *CHECKS}:
            raise prover.failure(self.image, ended, blaming(text, reason_of_pip(ended.text)))
        new = prover.checked(ended)
        self.slots.point(Slot.NEXT, made)
        return new

    def tidy(self) -> None:
        self.prover.tidy()
        self.slots.remove_unnamed()

    def _write(self, text: str, exact: str) -> Path:
        """Make the next numbered directory, readable for Airflow's user whatever the umask is."""
        with self.slots.writing():
            made = self.slots.unused()
            self.directory.chmod(0o755)
            made.mkdir()
            made.chmod(0o755)
            for name, content in ((_TEXT, text), (_PINS, exact), (_PROVEN, exact)):
                (made / name).write_text(content)
                (made / name).chmod(0o644)
        return made
