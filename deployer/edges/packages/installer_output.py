"""What is made of what uv says, and pip as Airflow's entrypoint runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter

from packaging.markers import Marker
from packaging.utils import canonicalize_name, canonicalize_version

from deployer.core.requirements.meaning import Package, parse
from deployer.errors import RequirementsRefused
from deployer.masking import masked

_EXCEPTION = re.compile(r"(?!File$)[A-Za-z_][\w.]*(: |$)")  # uv breaks long `File "…"` lines
# What a requirement or a package asks of another, and the constraint on that (uv 0.9, 0.13).
# From a word's beginning, and of a name's length: a student chose it.
_CONSTRAINED = re.compile(r"(?<!\S)(?P<name>\w[\w.-]{0,99})\S* and (?P=name)==(?P<version>[^\s,]+)")
# ` + name==version`, ` + name==version (from URL)`, or in a dry run ` + name @ URL` (uv 0.13).
_ADDED = re.compile(r"^ \+ ([^=\s]+)(?:==(\S+))?(?: (?:\(from (\S+)\)|@ (\S+)))?$", re.MULTILINE)
# pip 23 to 26: what a package's own build printed, between these two lines.
_BUILD = re.compile(r"\[\d+ lines? of output\]\n(.*?)\n\s*\[end of output\]", re.DOTALL)

# The last of them is pip's way without the package `wheel`, before 23.1.
_AT_WORK = re.compile(r"(?:Collecting|Building wheel for|Running setup\.py install for) ([^\s:]+)")


def refusal(text: str, said: str) -> RequirementsRefused:
    """Turn what uv `said` about `text` into one sentence, and the line it is about.

    The only constraints that uv is given are Airflow's pins: its author never wrote those.
    """
    reason = reason_of(said)
    written = {(one.name, one.specifiers) for one in parse(text).packages}

    def whose(found: re.Match[str]) -> str:
        pin = (canonicalize_name(found["name"]), (f"=={canonicalize_version(found['version'])}",))
        return found[0] if pin in written else f"{found[0]} (Airflow's own pin)"

    return RequirementsRefused(_CONSTRAINED.sub(whose, reason), line=_line_of(text, reason))


def blaming(text: str, reason: str) -> RequirementsRefused:
    """Return the refusal of `text` for this reason, with the line whose package it names."""
    return RequirementsRefused(reason, line=_line_of(text, reason))


def reason_of(said: str) -> str:
    """Return the sentence in uv's complaint that says why, without its conclusion.

    uv prints `error: …` and then what caused it, each as `cause: …` (0.13), or as a tree
    whose last leaf is the reason (`╰─▶ …`, before that). Where a package's own build failed,
    the reason is what that build printed.
    """
    what, _, printed = said.partition("[stdout]" if "[stdout]" in said else "[stderr]")
    errors = re.split(r"^ *hint:", printed.rpartition("[stderr]")[2], flags=re.MULTILINE)[0]
    flat = " ".join(what.split())
    sentences = re.split(r"(?:\bcause:|╰─▶|├─▶)\s*", flat)
    if failed := re.search(r"Failed to .*?`[^`]+`", flat) if printed else None:
        return f"{failed[0]}: {said_by_build(errors)}"
    reason = sentences[1] if len(sentences) > 1 else flat
    reason = re.split(r",? we can conclude that|\s+hint:|\s\^", reason, maxsplit=1)[0]
    return (
        reason.removeprefix("error: ").removeprefix("Because ").strip(" .,") or "uv gave no reason"
    )


def said_by_build(printed: str) -> str:
    """Return the line of what a package's build printed that says why it failed.

    That of the exception if there is a trace, else the first that calls itself an error, else
    the first.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    traces = [at for at, line in enumerate(lines) if line.startswith("Traceback ")]
    if traces:
        lines = [line for line in lines[traces[-1] :] if _EXCEPTION.match(line)] or lines
    else:
        lines = [line for line in lines if line.startswith("error:")] or lines
    return lines[0] if lines else "its build printed nothing"


def reason_of_pip(said: str) -> str:
    """Return the sentence in pip's complaint that says why."""
    if printed := _BUILD.search(said):
        at_work = _AT_WORK.findall(said[: printed.start()])
        whose = f"Failed to build {at_work[-1]}: " if at_work else "Failed to build: "
        return whose + said_by_build(printed[1])
    errors = re.findall(r"^ERROR: (.+)$", said, flags=re.MULTILINE)
    return errors[-1] if errors else last_line(said)


def last_line(text: str) -> str:
    """Return the last line that is not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def added(said: str) -> tuple[str, ...]:
    """Return the distributions that uv installed or would install, as `name==version`.

    One that a dry run would have from a URL is `name @ URL`, its credentials masked: its
    version is not known yet.
    """
    return tuple(
        f"{name}=={version}" if version else f"{name} @ {masked(url)}"
        for name, version, _, url in _ADDED.findall(said)
    )


def listed(new: Sequence[str]) -> str:
    return ", ".join(new) if new else "nothing that Airflow does not bring already"


def pins(text: str, said: str) -> str:
    """Return the lines that make pip install just what uv `said`, each from where uv had it.

    uv masks the password of a URL that it prints, so those of `text` are taken from there.
    """
    given = {one.name: one.url for one in parse(text).packages if one.url and _is_for_here(one)}
    return "".join(
        f"{name} @ {given.get(canonicalize_name(name)) or origin or url}\n"
        if origin or url
        else f"{name}=={version}\n"
        for name, version, origin, url in _ADDED.findall(said)
    )


def _is_for_here(package: Package) -> bool:
    return package.marker is None or Marker(package.marker).evaluate()


def _line_of(text: str, reason: str) -> int | None:
    """Return the first line whose package the reason names, those "you require" first."""
    packages = sorted(parse(text).packages, key=attrgetter("line"))
    parts = (reason.partition("you require")[2], reason)
    named = (
        {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", part)}
        for part in parts
    )
    return next((one.line for names in named for one in packages if one.name in names), None)
