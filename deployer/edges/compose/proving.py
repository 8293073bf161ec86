"""What is asked of a class's packages in throwaway containers, and whose fault a no is.

uv's exit status alone does not tell. With uv 0.13, 1 is a text that can't be solved, a package
whose build fails or a wrong hash, and 2 an index out of reach, but a line that uv can't read
as well; with 0.9, some networks that fail are 1 (both tried). So a failure is the author's
just if the same uv, in the same container, gets Airflow itself out of the index right after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from docker import DockerClient

from deployer.edges.compose.throwaway import End, Ended, Limits, run_throwaway
from deployer.edges.uv_text import last_line, refusal
from deployer.errors import RequirementsRefused, ServicesError

_TEXT = "/tmp/class-requirements.txt"  # noqa: S108  # in a container of our own
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
        within_s = self._bounds.resolve_s
        ended = self._run(image, _RESOLVE, within_s=within_s, files={_TEXT: safe})
        match ended.end, ended.status:
            case End.EXITED, 0:
                return ended.text
            case End.EXITED, _ if ended.status != _AUTHORS:
                raise ServicesError(_unreachable(last_line(ended.text)))
            case End.EXITED, _:
                raise refusal(text, ended.text)
        # A resolver that searches for ever is the author's to mend, one that waits is not.
        self.blame_index_first(image)
        raise self.too_much(ended, "resolve beside Airflow's own pins", within_s)

    def own(self, image: str) -> tuple[str, ...]:
        """Return the distributions of an image without the class's, as `name==version`.

        Raises:
            ServicesError
        """
        if image not in self._own:
            ended = self._run(image, _LIST, within_s=self._bounds.check_s, network="none")
            if ended.end is not End.EXITED or ended.status:
                raise ServicesError(f"uv can't list what {image} holds: {last_line(ended.text)}")
            self._own[image] = tuple(ended.text.split())
        return self._own[image]

    def blame_index_first(self, image: str) -> None:
        """Return if the index answers.

        Raises:
            ServicesError: it does not, so nothing is said about a class's text.
        """
        ended = self._run(image, _PROBE, within_s=self._bounds.probe_s)
        if ended.end is not End.EXITED or ended.status:
            raise ServicesError(_unreachable(last_line(ended.text)))

    def too_much(self, ended: Ended, what: str, within_s: float) -> RequirementsRefused:
        """Return the refusal of packages that took more than they may."""
        if ended.end is End.OUT_OF_MEMORY:
            return RequirementsRefused(
                f"needs more than {self._bounds.limits.memory_mb} MiB of memory to {what}"
            )
        return RequirementsRefused(f"did not {what} within {within_s:g} s")

    def raise_for_checks(self, ended: Ended) -> None:
        """Raise what the end of `verify_command` means.

        Raises:
            RequirementsRefused: a check fails.
            ServicesError: it never came to the checks.
        """
        if ended.end is not End.EXITED:
            raise self.too_much(ended, "pass the checks", self._bounds.check_s)
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


def _unreachable(why: str) -> str:
    return (
        "the package index does not answer from a container, so nothing can be said about "
        f"requirements.txt: see Docker's network and DNS ({why})"
    )
