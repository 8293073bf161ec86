"""What is asked of a class's packages in throwaway containers, and whose fault a no is.

Whose fault it is tells `deployer.core.requirements.blame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from docker import DockerClient

from deployer.core.requirements.blame import End, Ended, Place, Task, blame, too_much
from deployer.core.requirements.meaning import safe_requirements
from deployer.core.stack import FILES
from deployer.edges.compose.engine import asking
from deployer.edges.compose.ways.throwaway import Limits, run_throwaway
from deployer.edges.packages.installer_output import added, last_line, refusal
from deployer.edges.packages.slots import check_room
from deployer.errors import RequirementsRefused, ServicesError

_TEXT = "tmp/class-requirements.txt"  # below `/`, in a container of our own
_PLACE = Place("a container", "Docker's network and DNS")
_RESOLVE = f"""
uv pip install --no-progress --color never --dry-run "apache-airflow==${{AIRFLOW_VERSION}}" \
    --constraint "${{HOME}}/constraints.txt" --requirement /{_TEXT}
"""
_PROBE = """
uv pip install --no-progress --no-cache --dry-run --no-deps --target /tmp/probe \
    "apache-airflow==${AIRFLOW_VERSION}"
"""
_LIST = "uv pip list --quiet --format freeze | LC_ALL=C sort"
# Without the index: Airflow's own pins are all there, and uv is still the one that says so.
_VERIFY = f"""
airflow version || exit 41
uv pip check || exit 42
uv pip install --offline --dry-run "apache-airflow==${{AIRFLOW_VERSION}}" \
    --constraint "${{HOME}}/constraints.txt" || exit 43
mapfile -t new < <(LC_ALL=C comm -13 <(printf '%s\\n' "$@" | LC_ALL=C sort) <({_LIST}))
[ ${{#new[@]}} = 0 ] || printf ' + %s\\n' "${{new[@]}}"
python {FILES}/import_check.py "${{new[@]%%==*}}" || exit 44
"""
CHECKS = {
    41: "Airflow's start",
    42: "uv pip check",
    43: "the check of Airflow's own pins",
    44: "import",
}
"""What fails, by the exit status of the command of `verify_command`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What proving one text may take.

    Attributes:
        resolve_s: for telling whether it resolves.
        build_s: for downloading, building and installing it.
        check_s: for the checks afterwards.
        probe_s: for seeing that the package index answers, before an author is blamed.
        limits: of each container.
        needs_bytes: free disk without which nothing is built.
        index_network: the network on which the package index is reached.
    """

    resolve_s: float = 120.0
    build_s: float = 900.0
    check_s: float = 120.0
    probe_s: float = 60.0
    limits: Limits = field(default_factory=Limits)
    needs_bytes: int = 3 << 30
    index_network: str = "bridge"


class Prover:
    """Asks throwaway containers of one project."""

    def __init__(self, client: DockerClient, *, project: str, bounds: Bounds) -> None:
        self.client = client
        self.project = project
        self.bounds = bounds
        self.run = partial(run_throwaway, client, project=project, limits=bounds.limits)
        self._own: dict[str, tuple[str, ...]] = {}

    def check_room(self) -> None:
        """See that Docker has room for a build, where its data is on this machine.

        Raises:
            DiskError: with both figures.
            ServicesError
        """
        with asking("tell where it keeps its data"):
            directory = Path(self.client.info()["DockerRootDir"])
        free_some = "`docker image prune`, `docker builder prune` "
        check_room(directory, self.bounds.needs_bytes, free_some)

    def resolve(self, image: str, text: str) -> str:
        """Return what uv says it would install.

        Raises:
            RequirementsRefused, ServicesError
        """
        ended = self.run(
            image,
            ["-c", _RESOLVE],
            entrypoint=["bash"],
            within_s=self.bounds.resolve_s,
            network=self.bounds.index_network,
            files={_TEXT: safe_requirements(text).encode()},
        )
        if not ended.well:
            task = self._task("resolve beside Airflow's own pins", self.bounds.resolve_s)
            raise self._blame(image, ended, task, refusal(text, ended.text))
        return ended.text

    def own(self, image: str) -> tuple[str, ...]:
        """Return the distributions of an image without the class's, as `name==version`.

        Raises:
            ServicesError
        """
        with asking(f"look for the image {image}"):
            # Its tag may be moved to another while the deployer runs.
            number = self.client.images.get(image).id or image
        if number not in self._own:
            within_s = self.bounds.check_s
            ended = self.run(number, ["-c", _LIST], entrypoint=["bash"], within_s=within_s)
            if ended.end is not End.EXITED or ended.status:
                raise ServicesError(f"uv can't list what {image} holds: {last_line(ended.text)}")
            self._own[number] = tuple(ended.text.split())
        return self._own[number]

    def failure(
        self, image: str, ended: Ended, because: RequirementsRefused
    ) -> RequirementsRefused | ServicesError:
        """Return whose fault it is that packages could not be installed.

        Raises:
            DiskError: it may be the disk's.
        """
        self.check_room()
        return self._blame(image, ended, self._task("install", self.bounds.build_s), because)

    def checked(self, ended: Ended) -> tuple[str, ...]:
        """Return what the command of `verify_command` told, which are the packages it checked.

        Raises:
            RequirementsRefused: a check fails.
            ServicesError: it never came to the checks.
        """
        if ended.end is not End.EXITED:
            raise too_much(ended, self._task("pass the checks", self.bounds.check_s))
        if check := CHECKS.get(ended.status):
            raise RequirementsRefused(f"installs, but {check} fails: {last_line(ended.text)}")
        if ended.status:
            raise ServicesError(
                f"the checks of the new packages ended with status {ended.status}: "
                f"{last_line(ended.text)}"
            )
        return added(ended.text)

    def _task(self, words: str, within_s: float) -> Task:
        return Task(words, within_s, self.bounds.limits.memory_mb)

    def _blame(
        self, image: str, tried: Ended, task: Task, because: RequirementsRefused
    ) -> RequirementsRefused | ServicesError:
        """Ask the index, and return whose fault it is that `tried` failed."""
        probe = self.run(
            image,
            ["-c", _PROBE],
            entrypoint=["bash"],
            within_s=self.bounds.probe_s,
            network=self.bounds.index_network,
        )
        silence = None if probe.well else last_line(probe.text)
        return blame(tried, task, because, silence=silence, place=_PLACE)


def verify_command(own: Sequence[str]) -> list[str]:
    """Return the arguments of bash that check the packages which are not among `own`.

    It prints ` + name==version` for each of them, as uv does.
    """
    return ["-c", _VERIFY, "verify", *own]
