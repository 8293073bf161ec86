"""uv, as the embedded Airflow uses it: command lines in, one clear reason out.

`requirements.txt` comes with a push, and uv runs on the operator's machine. So that a push
can neither run code there nor read the operator's files: only wheels are installed (no
setup script ever runs), options and local paths are refused before uv sees the text, so is
`${NAME}`, which uv would replace by the operator's environment, and that environment is cut
down to what uv needs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from deployer.edges.local_settings import INHERITED
from deployer.errors import RequirementsRefused, ServicesError

UNSOLVABLE = 1
"""uv's exit status where the requirements are to blame; 2 is any other trouble."""
_HASH = re.compile(r"\s+--hash[ =]\S+")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a finished uv said: its exit status and both streams as one text."""

    status: int
    text: str


def run_uv(args: Sequence[str], *, within_s: float, cwd: Path) -> Answer:
    """Run uv, which comes with the deployer's `demo` extra.

    Raises:
        ServicesError: it did not finish within `within_s`, or is not installed.
    """
    return run([sys.executable, "-m", "uv", "--no-progress", *args], within_s=within_s, cwd=cwd)


def run(
    argv: Sequence[str], *, within_s: float, cwd: Path, env: Mapping[str, str] | None = None
) -> Answer:
    """Run a program to its end, and kill it with all its children when the time is over.

    Raises:
        ServicesError: it did not finish within `within_s`, or can't be started.
    """
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env or uv_environment(os.environ)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as exc:
        raise ServicesError(f"{argv[0]} can't be started: {exc}") from exc
    try:
        text, _ = child.communicate(timeout=within_s)
    except subprocess.TimeoutExpired as exc:
        raise ServicesError(f"{_name(argv)} did not finish within {within_s:g} s") from exc
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    return Answer(child.returncode, text)


def uv_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return what uv may see: no secret of the deployer's, but the operator's `UV_…`."""
    return {
        name: value
        for name, value in outer.items()
        if name in INHERITED or name.startswith(("UV_", "XDG_"))
    }


def install_args(
    python: Path, requirements: Path, pins: Path, *, dry_run: bool = False
) -> tuple[str, ...]:
    """Return the arguments that install wheels alone and leave Airflow's own pins as they are."""
    return (
        *("pip", "install", "--python", str(python)),
        *("--only-binary", ":all:", "--constraint", str(pins)),
        *(("--dry-run",) if dry_run else ()),
        *("--requirement", str(requirements)),
    )


def safe_requirements(text: str) -> str:
    """Return `text` as uv is given it: one requirement a line, only packages of the index.

    uv reads what was checked here and nothing else, so it cannot understand a line otherwise.

    Raises:
        RequirementsRefused: with the line and what is wrong with it.
    """
    return "".join(f"{_checked(number, line)}\n" for number, line in _logical_lines(text))


def _checked(number: int, line: str) -> str:
    if "${" in line:
        raise RequirementsRefused("environment variables are not allowed here", line=number)
    if line.startswith("-"):
        option = re.split(r"[\s=]", line, maxsplit=1)[0]
        raise RequirementsRefused(f"option {option} is not allowed, only packages", line=number)
    try:
        requirement = Requirement(_HASH.sub("", line))
    except InvalidRequirement:
        raise RequirementsRefused(f"not a requirement: {line}", line=number) from None
    if requirement.url and not requirement.url.lower().startswith("https://"):
        raise RequirementsRefused(
            f"{requirement.name} must come from the package index or over https", line=number
        )
    return line


def refusal(text: str, said: str) -> RequirementsRefused:
    """Turn what uv `said` about `text` into one sentence, and the line it is about."""
    reason = reason_of(said)
    return RequirementsRefused(reason, line=_line_of(text, reason))


def reason_of(said: str) -> str:
    """Return the sentence in uv's complaint that says why, without its conclusion.

    uv prints `error: …` and then what caused it, each as `cause: …` (0.13), or as a tree
    whose last leaf is the reason (`╰─▶ …`, before that).
    """
    flat = " ".join(said.split())
    sentences = re.split(r"(?:\bcause:|╰─▶|├─▶)\s*", flat)
    reason = sentences[1] if len(sentences) > 1 else flat
    reason = re.split(r",? we can conclude that|\s+hint:", reason, maxsplit=1)[0]
    return (
        reason.removeprefix("error: ").removeprefix("Because ").strip(" .,") or "uv gave no reason"
    )


def added(said: str) -> tuple[str, ...]:
    """Return the distributions that uv installed or would install, as `name==version`."""
    return tuple(re.findall(r"^ \+ (\S+==\S+)", said, flags=re.MULTILINE))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each requirement's first line, and it without comment or break."""
    pending, first = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        first = first or number
        line = pending + _COMMENT.sub("", raw)
        if raw.endswith("\\") and line.endswith("\\"):
            pending = line[:-1]
            continue
        if line.strip():
            yield first, line.strip()
        pending, first = "", 0
    if pending.strip():
        yield first, pending.strip()


def _line_of(text: str, reason: str) -> int | None:
    """Return the first line whose package the reason names, those "you require" first."""
    lines = [(number, canonicalize_name(Requirement(_HASH.sub("", line)).name))
             for number, line in _logical_lines(text)]  # fmt: skip
    named = re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", reason.partition("you require")[2])
    for words in (named, re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", reason)):
        blamed = {canonicalize_name(word) for word in words}
        for number, name in lines:
            if name in blamed:
                return number
    return None


def _name(argv: Sequence[str]) -> str:
    return " ".join(Path(part).name for part in argv[:5])
