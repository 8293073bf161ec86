"""What is asked of a class's packages in throwaway containers, and whose fault a no is.

Whose fault it is tells `deployer.core.requirements.blame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from docker import DockerClient

from deployer.core.requirements.blame import End, Ended, Place, Task, blame, too_much
from deployer.edges.compose.engine import asking
from deployer.edges.compose.throwaway import Limits, run_throwaway
from deployer.edges.packages.installer_output import last_line, refusal
from deployer.errors import RequirementsRefused, ServicesError

_TEXT = "/tmp/class-requirements.txt"  # noqa: S108  # in a container of our own
_PLACE = Place("a container", "Docker's network and DNS")
_AUTHORS = 1
_INDEX_AWAY = 3
_ASK_INDEX = """
reaches_index() {
    uv pip install --no-progress --no-cache --dry-run --no-deps --target /tmp/probe \
        "apache-airflow==${AIRFLOW_VERSION}" >/tmp/probe.said 2>&1 \
        || { tail -n 1 /tmp/probe.said; return 1; }
}
"""
_RESOLVE = f"""{_ASK_INDEX}
uv pip install --no-progress --color never --dry-run "apache-airflow==${{AIRFLOW_VERSION}}" \
    --constraint "${{HOME}}/constraints.txt" --requirement {_TEXT} && exit 0
reaches_index && exit {_AUTHORS}
exit {_INDEX_AWAY}
"""
_PROBE = f"{_ASK_INDEX}\nreaches_index"
_LIST = "uv pip list --quiet --format freeze | LC_ALL=C sort"
# Without the index: Airflow's own pins are all there, and uv is still the one that says so.
_VERIFY = f"""
airflow version || exit 41
uv pip check || exit 42
uv pip install --offline --dry-run "apache-airflow==${{AIRFLOW_VERSION}}" \
    --constraint "${{HOME}}/constraints.txt" || exit 43
mapfile -t new < <(LC_ALL=C comm -13 <(printf '%s\\n' "$@" | LC_ALL=C sort) <({_LIST}))
[ ${{#new[@]}} = 0 ] || printf ' + %s\\n' "${{new[@]}}"
python /opt/deployer/airflow/import_check.py "${{new[@]%%==*}}" || exit 44
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
        self._client = client
        self._project = project
        self._bounds = bounds
        self._own: dict[str, tuple[str, ...]] = {}

    def resolve(self, image: str, text: str, safe: str) -> str:
        """Return what uv says it would install; `safe` is the text as uv is given it.

        Raises:
            RequirementsRefused, ServicesError
        """
        task = Task(
            "resolve beside Airflow's own pins",
            self._bounds.resolve_s,
            self._bounds.limits.memory_mb,
        )
        ended = self._run(image, _RESOLVE, within_s=task.within_s, files={_TEXT: safe})
        if ended.well:
            return ended.text
        because = refusal(text, ended.text)
        if ended.end is not End.EXITED:
            raise self.blame(image, ended, task, because)
        silence = None if ended.status == _AUTHORS else last_line(ended.text)
        raise blame(ended, task, because, silence=silence, place=_PLACE)

    def own(self, image: str) -> tuple[str, ...]:
        """Return the distributions of an image without the class's, as `name==version`.

        Raises:
            ServicesError
        """
        with asking(f"look for the image {image}"):
            # Its tag may be moved to another while the deployer runs.
            number = self._client.images.get(image).id or image
        if number not in self._own:
            ended = self._run(number, _LIST, within_s=self._bounds.check_s, network="none")
            if ended.end is not End.EXITED or ended.status:
                raise ServicesError(f"uv can't list what {image} holds: {last_line(ended.text)}")
            self._own[number] = tuple(ended.text.split())
        return self._own[number]

    def blame(
        self, image: str, tried: Ended, task: Task, because: RequirementsRefused
    ) -> RequirementsRefused | ServicesError:
        """Ask the index, and return whose fault it is that `tried` failed."""
        probe = self._run(image, _PROBE, within_s=self._bounds.probe_s)
        silence = None if probe.well else last_line(probe.text)
        return blame(tried, task, because, silence=silence, place=_PLACE)

    def raise_for_checks(self, ended: Ended) -> None:
        """Raise what the end of `verify_command` means.

        Raises:
            RequirementsRefused: a check fails.
            ServicesError: it never came to the checks.
        """
        if ended.end is not End.EXITED:
            limits = self._bounds.limits
            raise too_much(ended, Task("pass the checks", self._bounds.check_s, limits.memory_mb))
        if check := CHECKS.get(ended.status):
            raise RequirementsRefused(f"installs, but {check} fails: {last_line(ended.text)}")
        if ended.status:
            raise ServicesError(
                f"the checks of the new packages ended with status {ended.status}: "
                f"{last_line(ended.text)}"
            )

    def _run(
        self,
        image: str,
        script: str,
        *,
        within_s: float,
        network: str | None = None,
        files: dict[str, str] | None = None,
    ) -> Ended:
        return run_throwaway(
            self._client,
            image,
            ["-c", script],
            entrypoint=["bash"],
            project=self._project,
            within_s=within_s,
            limits=self._bounds.limits,
            network=network or self._bounds.index_network,
            files=files,
        )


def verify_command(own: Sequence[str]) -> list[str]:
    """Return the arguments of bash that check the packages which are not among `own`.

    It prints ` + name==version` for each of them, as uv does.
    """
    return ["-c", _VERIFY, "verify", *own]
