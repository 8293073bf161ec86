"""Which files Airflow's `.airflowignore` hides from it.

Follows airflow 3.3.2, `_shared/module_loading/file_discovery.py`, with the default
syntax (glob): a pattern with a slash before its end is matched against the path
relative to the ignore file's directory, any other one against the bare name; rules
of deeper files come after those of higher ones, and the last match decides; an
ignored directory is not entered, so nothing below it can be un-ignored. Hidden
directories and `__pycache__` are no exception there: Airflow looks into them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

NAME = ".airflowignore"

_MOST_WILDCARDS = 2
"""In a name, or `**` in a pattern. Each multiplies the time of a match that fails by the name's
length: of 250 characters two took 0.3 ms, three 3, four 400, in Airflow as here."""
_TWO_COUNT = 40
"""As so many patterns does one count that has two of them."""
_LONGEST_LINE = 512
"""Characters, as many as a path may have. Airflow looks for a comment behind each blank of a line,
to the line's end: 100,000 blanks took it 24 s, at each look into the directory."""
MOST_PATTERNS = 200
"""Each is tried on each file: as many as this cost Airflow seconds for the largest folder."""
_MOST_BYTES = 50_000
_BOM = "\ufeff"
"""At the beginning of a text, as Windows writes it: the first pattern would hide nothing."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern; `relative_to` is None where it is matched against the bare name."""

    pattern: GitIgnoreSpecPattern
    relative_to: str | None
    dir_only: bool


class Ignores:
    """The ignore files of one tree, each compiled once, each directory judged once."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the text of each ignore file, by its path; none may be `unreadable`.

        Raises:
            ValueError, re.error: a pattern is invalid.
        """
        self._own = {
            path.removesuffix(f"/{NAME}"): _compile(text, path.removesuffix(f"/{NAME}"))
            for path, text in texts.items()
        }
        # None: the directory, or one above it, is ignored.
        self._in_force: dict[str, tuple[_Rule, ...] | None] = {}

    def hides(self, path: str) -> bool:
        """Tell whether Airflow passes over the file `path` of the tree."""
        directory, _, name = path.rpartition("/")
        if directory not in self._in_force:
            self._judge(directory)
        rules = self._in_force[directory]
        return rules is None or name == NAME or _matched(path, rules, is_dir=False)

    def _judge(self, directory: str) -> None:
        """Note the rules in force in `directory` and above, those of higher ones first."""
        known = self._in_force
        inherited: tuple[_Rule, ...] | None = ()
        # A loop, since a path may be deeper than Python's stack.
        for here in accumulate(directory.split("/"), "{}/{}".format):
            if here not in known:
                if inherited is None or _matched(here, inherited, is_dir=True):
                    known[here] = None
                else:
                    known[here] = inherited + self._own.get(here, ())
            inherited = known[here]


def unreadable(content: bytes) -> str | None:
    """Return why no `.airflowignore` may hold `content`, in one sentence, None if it may.

    One that Airflow can't read ends its dag-processor for everybody, and again after
    each restart while it stays in the tree.
    """
    if len(content) > _MOST_BYTES:
        return f"more than {_MOST_BYTES:,} bytes would keep Airflow busy: ignore folders, not files"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        return f"byte {exc.start + 1} is not UTF-8, which would stop Airflow for everybody"
    for number, line in enumerate(_lines(text), 1):
        if len(line) > _LONGEST_LINE:
            return f"line {number}: more than {_LONGEST_LINE} characters, too long for a path"
    found = patterns(text)
    return too_many(weight(text)) or next(filter(None, (_amiss(*one) for one in found)), None)


def weight(text: str) -> int:
    """Return as how many patterns those of a text count."""
    return sum(_TWO_COUNT if _wildcards(p) == _MOST_WILDCARDS else 1 for _, p in patterns(text))


def too_many(counted: int) -> str | None:
    """Return what is wrong with so many patterns in a folder, None if nothing is."""
    if counted <= MOST_PATTERNS:
        return None
    return (
        f"more than {MOST_PATTERNS} patterns in a folder would keep Airflow busy (one with two"
        f" wildcards in a name counts as {_TWO_COUNT}): ignore folders, not files"
    )


def _wildcards(pattern: str) -> int:
    """Return how many are in the name that has the most, or how often `**` is in the pattern."""
    names = (name.count("*") for name in pattern.split("/") if name != "**")
    return max(pattern.split("/").count("**"), *names, 0)


def _amiss(number: int, pattern: str) -> str | None:
    """Return what is wrong with the pattern of a line, None if nothing is."""
    if pattern[0] == _BOM and len(pattern) > 1:
        return (
            f"line {number}: Airflow takes the BOM before {pattern[1:41]!r} for a part of it: "
            "save the file as UTF-8 without BOM"
        )
    if _wildcards(pattern) > _MOST_WILDCARDS:
        return (
            f"line {number}: more than {_MOST_WILDCARDS} wildcards in one name "
            "could keep Airflow busy for hours"
        )
    try:
        _rule(pattern, "")
    except (ValueError, re.error, OverflowError, RecursionError):
        return (
            f"line {number}: {pattern[:40]!r} is not a valid pattern, "
            "which would stop Airflow for everybody"
        )
    return None


def _lines(text: str) -> list[str]:
    # Airflow reads in text mode: universal newlines.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def patterns(text: str) -> list[tuple[int, str]]:
    """Return the lines that Airflow takes for patterns, each with its number from 1."""
    stripped = ((n, re.sub(r"\s*#.*", "", line)) for n, line in enumerate(_lines(text), 1))
    return [(number, pattern) for number, pattern in stripped if pattern]


def _compile(text: str, directory: str) -> tuple[_Rule, ...]:
    rules = (_rule(pattern, directory) for _, pattern in patterns(text))
    return tuple(rule for rule in rules if rule is not None)


def _rule(pattern: str, directory: str) -> _Rule | None:
    """Compile one pattern; None if it matches nothing."""
    if pattern.strip() == "/":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `[[:alpha:]]` is only odd
        # Airflow uses its deprecated alias, GitWildMatchPattern.
        compiled = GitIgnoreSpecPattern(pattern)
    if compiled.include is None:
        return None
    bare = pattern.lstrip("!").rstrip()
    anchored = pattern.startswith("/") or "/" in pattern.rstrip("/")
    return _Rule(compiled, directory if anchored else None, dir_only=bare.endswith("/"))


def _matched(path: str, rules: tuple[_Rule, ...], *, is_dir: bool) -> bool:
    ignored = False
    for rule in rules:
        if rule.dir_only and not is_dir:
            continue
        seen = (
            path.rpartition("/")[2]
            if rule.relative_to is None
            else path.removeprefix(f"{rule.relative_to}/")
        )
        if rule.pattern.match_file(f"{seen}/" if is_dir else seen) is not None:
            ignored = bool(rule.pattern.include)
    return ignored
