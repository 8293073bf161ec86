"""What uv is given of a push, and what is made of what it says.

A class's `requirements.txt` is checked before uv sees it: options, local paths and `${NAME}`
(which uv would replace by its environment) are refused, whatever Python it is installed into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from deployer.errors import RequirementsRefused
from deployer.masking import masked

_HASH = re.compile(r"\s+--hash[ =]\S+")
_COMMENT = re.compile(r"(^|\s)#.*$")
_EXCEPTION = re.compile(r"(?!File$)[A-Za-z_][\w.]*(: |$)")  # uv breaks long `File "…"` lines
# What a requirement or a package asks of another, and the constraint on that (uv 0.9, 0.13).
_CONSTRAINED = re.compile(r"\b(?P<name>\w[\w.-]*)(?P<asked>\S* and )(?P<pin>(?P=name)==[^\s,]+)")
# ` + name==version`, ` + name==version (from URL)`, or in a dry run ` + name @ URL` (uv 0.13).
_ADDED = re.compile(r"^ \+ ([^=\s]+)(?:==(\S+))?(?: (?:\(from (\S+)\)|@ (\S+)))?$", re.MULTILINE)


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
    """Turn what uv `said` about `text` into one sentence, and the line it is about.

    The only constraints that uv is given are Airflow's pins: its author never wrote those.
    """
    reason = reason_of(said)
    wanted = [Requirement(_HASH.sub("", line)) for _, line in _logical_lines(text)]
    written = {f"{canonicalize_name(one.name)}{one.specifier}" for one in wanted}

    def whose(found: re.Match[str]) -> str:
        return found[0] if found["pin"] in written else f"{found[0]} (Airflow's own pin)"

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


def pins(text: str, said: str) -> str:
    """Return the lines that make pip install just what uv `said`, each from where uv had it.

    uv masks the password of a URL that it prints, so those of `text` are taken from there.
    """
    given = dict(_urls(text))
    return "".join(
        f"{name} @ {given.get(canonicalize_name(name)) or origin or url}\n"
        if origin or url
        else f"{name}=={version}\n"
        for name, version, origin, url in _ADDED.findall(said)
    )


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


def _urls(text: str) -> Iterator[tuple[str, str]]:
    """Yield the URL of each package that `text`, a safe one, has from one for this machine."""
    for _, line in _logical_lines(text):
        wanted = Requirement(_HASH.sub("", line))
        if wanted.url and (wanted.marker is None or wanted.marker.evaluate()):
            yield canonicalize_name(wanted.name), wanted.url


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
