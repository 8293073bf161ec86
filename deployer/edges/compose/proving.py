"""What is asked of a class's packages, each in a container for one command; whose fault a no is.

What runs in such a container was written by students (a package's setup script, its import). So
there is nothing in it to find, it can't take the machine down, and none outlives its time: dying
in the middle leaves one that `Prover.tidy` finds by its label. Whose fault a no is, tells
`deployer.core.requirements.blame`.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig
from requests.exceptions import ConnectionError as NoAnswer
from requests.exceptions import ReadTimeout

from deployer.core.requirements.blame import (
    CommandEnd,
    Ended,
    Place,
    Task,
    blame,
    ended_in_time,
    too_much,
)
from deployer.core.requirements.meaning import safe_requirements
from deployer.core.stack import FILES, PIP_AT_START
from deployer.edges.compose.engine import ENGINE_ERRORS, asking
from deployer.edges.packages.installer_output import added, last_line, refusal
from deployer.edges.packages.slots import check_room
from deployer.errors import RequirementsRefused, ServicesError

PROJECT_LABEL = "class-deployer.project"
"""On each throwaway container. Never on an image: the class's containers would inherit it."""
_LOG = LogConfig(type="json-file", config={"max-size": "8m"})  # a loop of prints fills no disk
_LAST_LINES = 5000
_PROCESSES = 512  # in one container
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
# It prints ` + name==version` for each package that is not among its arguments, as uv does.
# A container that is started again lets the entrypoint install once more, with what is there.
_VERIFY = f"""
[ -z "${{{PIP_AT_START}}}" ] || pip install ${{{PIP_AT_START}}} >/dev/null || exit 45
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
    45: "another start",
}
"""What fails, by the exit status of `_VERIFY`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What proving one text may take.

    Attributes:
        resolve_s: for telling whether it resolves.
        build_s: for downloading, building and installing it.
        check_s: for the checks afterwards.
        probe_s: for seeing that the package index answers, before an author is blamed.
        memory_mb: of each container, those of a build too.
        cpus: of each container.
        needs_bytes: free disk without which nothing is built.
        index_network: the network on which the package index is reached.
    """

    resolve_s: float = 120.0
    build_s: float = 900.0
    check_s: float = 120.0
    probe_s: float = 60.0
    memory_mb: int = 2048
    cpus: float = 1.0
    needs_bytes: int = 3 << 30
    index_network: str = "bridge"

    @property
    def memory_bytes(self) -> int:
        return self.memory_mb << 20


class Prover:
    """Asks throwaway containers of one project."""

    def __init__(self, client: DockerClient, *, project: str, bounds: Bounds) -> None:
        self.client = client
        self.project = project
        self.bounds = bounds
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
            within_s=self.bounds.resolve_s,
            network=self.bounds.index_network,
            files={_TEXT: safe_requirements(text).encode()},
        )
        if not ended.well:
            task = self._task("resolve beside Airflow's own pins", self.bounds.resolve_s)
            raise self._blame(image, ended, task, refusal(text, ended.text))
        return ended.text

    def verifying(self, image: str) -> list[str]:
        """Return the arguments of bash that check what is there beside the image's own packages.

        Raises:
            ServicesError
        """
        return ["-c", _VERIFY, "verify", *self._own_of(image)]

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
        """Return what `verifying` told, which are the packages it checked.

        Raises:
            RequirementsRefused: a check fails.
            ServicesError: it never came to the checks.
        """
        if ended.end is not CommandEnd.EXITED:
            raise too_much(ended, self._task("pass the checks", self.bounds.check_s))
        if check := CHECKS.get(ended.status):
            raise RequirementsRefused(f"installs, but {check} fails: {last_line(ended.text)}")
        if ended.status:
            raise ServicesError(
                f"the checks of the new packages ended with status {ended.status}: "
                f"{last_line(ended.text)}"
            )
        return added(ended.text)

    def run(
        self,
        image: str,
        command: Sequence[str],
        *,
        within_s: float,
        network: str = "none",
        entrypoint: str | None = "bash",
        environment: Mapping[str, str] | None = None,
        volumes: Mapping[Path, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Ended:
        """Run `command` in a new container of `image`; kill it when the time is over.

        `network` is `none`, or a network's name: `bridge` reaches the package index and none of
        the class's containers. `entrypoint` None is the image's own, `environment` comes on
        top of it, and there is no other. `volumes` tells where directories of this machine are
        mounted, read-only; `files` are put in by their path below `/`.

        Raises:
            ServicesError: the engine failed; the command did not.
        """
        with asking(f"run a throwaway container of {image}"):
            container = self.client.containers.create(
                image,
                list(command),
                entrypoint=[entrypoint] if entrypoint else None,
                environment=dict(environment or {}),
                volumes={str(d): {"bind": at, "mode": "ro"} for d, at in (volumes or {}).items()},
                network_mode=network,
                labels={PROJECT_LABEL: self.project},
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                mem_limit=self.bounds.memory_bytes,
                memswap_limit=self.bounds.memory_bytes,  # no swap on top
                nano_cpus=int(self.bounds.cpus * 1e9),
                pids_limit=_PROCESSES,
                log_config=_LOG,
            )
            try:
                if files:
                    container.put_archive("/", archive(files))
                container.start()
                return _ended(container, within_s)
            finally:
                with suppress(*ENGINE_ERRORS):  # the label is left, and so it is found
                    container.remove(force=True, v=True)

    def tidy(self) -> None:
        """Remove what a process that died left behind.

        Raises:
            ServicesError
        """
        with asking("remove old throwaway containers"):
            for container in self.client.containers.list(
                all=True, filters={"label": f"{PROJECT_LABEL}={self.project}"}, ignore_removed=True
            ):
                remove_container(container)

    def _own_of(self, image: str) -> tuple[str, ...]:
        """Return the distributions of an image without the class's, as `name==version`."""
        with asking(f"look for the image {image}"):
            # Its tag may be moved to another while the deployer runs.
            number = self.client.images.get(image).id or image
        if number not in self._own:
            ended = self.run(number, ["-c", _LIST], within_s=self.bounds.check_s)
            if not ended.well:
                raise ServicesError(f"uv can't list what {image} holds: {last_line(ended.text)}")
            self._own[number] = tuple(ended.text.split())
        return self._own[number]

    def _task(self, words: str, within_s: float) -> Task:
        return Task(words, within_s, self.bounds.memory_mb)

    def _blame(
        self, image: str, tried: Ended, task: Task, because: RequirementsRefused
    ) -> RequirementsRefused | ServicesError:
        """Ask the index, and return whose fault it is that `tried` failed."""
        probe = self.run(
            image,
            ["-c", _PROBE],
            within_s=self.bounds.probe_s,
            network=self.bounds.index_network,
        )
        silence = None if probe.well else last_line(probe.text)
        return blame(tried, task, because, silence=silence, place=_PLACE)


def remove_container(container: Container) -> None:
    """Remove a container, if it is still there."""
    with suppress(NotFound):
        container.remove(force=True, v=True)


def _ended(container: Container, within_s: float) -> Ended:
    """Wait for its end, kill it when the time is over, and return how it ended."""
    in_time = True
    try:
        container.wait(timeout=within_s)
    except (ReadTimeout, NoAnswer):  # which of them: docker-py and its adapters differ
        container.reload()  # an engine that is gone is noticed here
        in_time = container.status != "running"
    if not in_time:
        with suppress(APIError):  # it ended this moment
            container.kill()
        container.wait()
    container.reload()
    state = container.attrs["State"]
    status = int(state["ExitCode"])
    text = container.logs(tail=_LAST_LINES).decode(errors="replace")
    if not in_time:
        return Ended(CommandEnd.OUT_OF_TIME, status, text)
    return ended_in_time(status, text, told=bool(state["OOMKilled"]))


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return them as files of root's that all may read, with the same bytes each time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
