"""Draw pushes to a class whose texts decide (`texts_decide`)."""

from __future__ import annotations

import random
from collections.abc import Mapping

from deployer.core.model import REQUIREMENTS
from tests.reliability.texts_decide import (
    COMMON_IDS,
    DAG_FILES,
    HELPERS,
    IGNORES,
    OWN_QUERY,
    PACKAGES,
    PICKY,
    QUERY,
    SHARED,
    STUDENTS,
    TOP,
    Kind,
    kind_of,
    link,
    needs_of,
    written,
)


class Draw:
    """Draws pushes; each seed has some kinds of trouble and not others."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._packages = dice.random() < 0.35
        claim = dice.choice(list(COMMON_IDS))
        odd = [Kind.BROKEN, Kind.HARM, Kind.EMPTY, claim, *(PICKY if self._packages else ())]
        self._dag_kinds = [Kind.FINE] * 4 + dice.sample(odd, dice.choice((1, 2, 3)))
        bad = dice.choice(([Kind.HARM], [Kind.BROKEN], [Kind.HARM, Kind.BROKEN]))
        self._module_kinds = [Kind.FINE, Kind.FINE, *bad]
        self._more = dice.random() < 0.4  # data, ignore files, a DAG file in no folder
        self._others = dice.random() < 0.3  # helpers are imported across folders
        self._need = dice.choice((0.3, 0.5, 0.8))
        self._versions = dice.choice((2, 50))
        self._claims = claim if dice.random() < 0.25 else None  # it comes, goes, and is handed over
        if self._claims:
            self._dag_kinds = [Kind.FINE, claim, claim, dice.choice(odd)]
            self._need = 0.15
        self._links = dice.choice((0, 0, 0.2))
        self._folders = dice.choice((0, 0, 0.2))  # are renamed, or removed

    def push(self, files: Mapping[str, str]) -> dict[str, str | None]:
        """Return changes of files that lie there so, None: it is removed."""
        changes = self._changes(files)
        return {path: text for path, text in changes.items() if files.get(path) != text}

    def _changes(self, files: Mapping[str, str]) -> dict[str, str | None]:
        dice = self._dice
        if dice.random() < self._folders:
            return self._of_a_folder(files)
        having = [p for p in DAG_FILES if p in files and kind_of(files[p]) is self._claims]
        if having and dice.random() < 0.4:
            return self._of_an_id(files, dice.choice(having), dice.choice(DAG_FILES))
        who = dice.choice(STUDENTS)
        mine = [path for path in DAG_FILES + HELPERS if path.startswith(f"dags/{who}/")]
        pool = [*mine, *mine, *SHARED]
        if self._more:
            pool += [TOP, f"dags/{who}/{IGNORES}", f"dags/{who}/{OWN_QUERY}", QUERY]
        changes: dict[str, str | None] = {}
        for path in sorted(set(dice.sample(pool, dice.choice((1, 1, 1, 2, 3))))):
            gone = path in files and dice.random() < 0.12
            changes[path] = None if gone else self._text(path, who, files)
        if self._packages and dice.random() < 0.4:
            alone = dice.random() < 0.5
            changes = {**({} if alone else changes), REQUIREMENTS: dice.choice(PACKAGES)}
        return changes

    def _of_a_folder(self, files: Mapping[str, str]) -> dict[str, str | None]:
        """Return what renames a student's folder, or removes it."""
        dice = self._dice
        who, to = dice.sample(STUDENTS, 2)
        old, new = f"dags/{who}/", f"dags/{to}/"
        mine = {path: text for path, text in files.items() if path.startswith(old)}
        changes: dict[str, str | None] = dict.fromkeys(mine)
        if dice.random() < 0.7 and not any(path.startswith(new) for path in files):
            renamed = (f"from {who}.", f"from {to}.") if dice.random() < 0.7 else ("", "")
            for path, text in mine.items():
                changes[path.replace(old, new)] = text.replace(*renamed)
        return changes

    def _of_an_id(self, files: Mapping[str, str], path: str, to: str) -> dict[str, str | None]:
        """Return what gives the common `dag_id` of a file up, or hands it over to another one."""
        dice = self._dice
        changes: dict[str, str | None] = {path: None}
        if dice.random() < 0.7:
            kind = dice.choice((Kind.FINE, Kind.FINE, Kind.EMPTY, Kind.BROKEN, Kind.HARM))
            changes[path] = _of_kind(files[path], kind)
        if dice.random() < 0.7:
            changes[to] = files[path]
        return changes

    def _text(self, path: str, who: str, files: Mapping[str, str]) -> str:
        dice = self._dice
        if dice.random() < self._links:
            alike = next(sort for sort in (DAG_FILES, HELPERS, SHARED, (path,)) if path in sort)
            if targets := [one for one in alike if one != path and one in files]:
                return link(dice.choice(targets))
        kind = dice.choice(self._dag_kinds if path in DAG_FILES else self._module_kinds)
        needs = [one for one in self._importable(path, who) if dice.random() < self._need]
        return written(path, kind, dice.randint(1, self._versions), needs)

    def _importable(self, path: str, who: str) -> list[str]:
        data = [QUERY, *([f"dags/{who}/{OWN_QUERY}"] if path.startswith(f"dags/{who}/") else [])]
        data = data if self._more else []
        if path in DAG_FILES:
            helpers = HELPERS if self._others else (f"dags/{who}/help.py",)
            return [*helpers, *SHARED, *data]
        if path in HELPERS:
            return [*SHARED, *data]
        return [*(one for one in SHARED if one > path), *data]


def _of_kind(text: str, kind: Kind) -> str:
    """Return a text with its kind put in the place of its own."""
    return text.replace(f"# {kind_of(text)} ", f"# {kind} ")


def told(changes: Mapping[str, str | None]) -> str:
    """Return a push in words."""
    words = []
    for path, text in changes.items():
        if text is None:
            words.append(f"{path} removed")
        else:
            needs = " and ".join(sorted(needs_of(path, text)))
            words.append(f"{path} {text.splitlines()[0]!r}{needs and f' needs {needs}'}")
    return "; ".join(words)
