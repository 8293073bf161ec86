"""Draw pushes to a class whose texts decide (`texts_decide`)."""

from __future__ import annotations

import random
from collections.abc import Mapping

from deployer.core.model import REQUIREMENTS
from tests.reliability.texts_decide import (
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
    needs_of,
    written,
)


class Draw:
    """Draws pushes; each seed has some kinds of trouble and not others."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._packages = dice.random() < 0.35
        odd = [Kind.BROKEN, Kind.HARM, Kind.EMPTY, Kind.CLAIM, *(PICKY if self._packages else ())]
        self._dag_kinds = [Kind.FINE] * 4 + dice.sample(odd, dice.choice((1, 2, 3)))
        bad = dice.choice(([Kind.HARM], [Kind.BROKEN], [Kind.HARM, Kind.BROKEN]))
        self._module_kinds = [Kind.FINE, Kind.FINE, *bad]
        self._more = dice.random() < 0.4  # data, ignore files, a DAG file in no folder
        self._others = dice.random() < 0.3  # helpers are imported across folders
        self._need = dice.choice((0.3, 0.5, 0.8))
        self._versions = dice.choice((2, 50))

    def push(self, files: Mapping[str, str]) -> dict[str, str | None]:
        """Return changes of files that lie there so, None: it is removed."""
        dice = self._dice
        who = dice.choice(STUDENTS)
        mine = [path for path in DAG_FILES + HELPERS if path.startswith(f"dags/{who}/")]
        pool = [*mine, *mine, *SHARED]
        if self._more:
            pool += [TOP, f"dags/{who}/{IGNORES}", f"dags/{who}/{OWN_QUERY}", QUERY]
        changes: dict[str, str | None] = {}
        for path in sorted(set(dice.sample(pool, dice.choice((1, 1, 1, 2, 3))))):
            gone = path in files and dice.random() < 0.12
            changes[path] = None if gone else self._text(path, who)
        if self._packages and dice.random() < 0.4:
            alone = dice.random() < 0.5
            changes = {**({} if alone else changes), REQUIREMENTS: dice.choice(PACKAGES)}
        return {path: text for path, text in changes.items() if files.get(path) != text}

    def _text(self, path: str, who: str) -> str:
        dice = self._dice
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
