"""What must hold when the dust has settled, whoever died and whenever."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.core.model import REQUIREMENTS, folder_of
from deployer.edges.journal import SqlJournal
from deployer.errors import DeployerError

if TYPE_CHECKING:
    from tests.reliability.killing.world import World

DEPLOY = "airflow/deploy"
OWN = re.compile(r"env|timeout|git|python[0-9.]*")
"""Programs that a worker at rest may have: git that reads objects, the isolated parser."""


def broken(world: World) -> list[str]:
    """Return invariants that do not hold, in words; empty: all of them do.

    The cheap ones first, and no more than one kind: this is asked until all is well. Statuses last
    as well: some may have been posted meanwhile.
    """
    for kind in (_statuses, _tree, _left, _journal, _statuses):
        if wrong := list(kind(world)):
            return wrong
    return []


def _statuses(world: World) -> Iterator[str]:
    """Each context of each announced commit: one final, of its colour, the last word."""
    yield from world.watch.violations
    for expected in world.announced:
        said: dict[str, list[tuple[str, str | None]]] = {}
        for status in world.hub.statuses(expected.sha):
            said.setdefault(status.context, []).append((status.state, status.description))
        if strange := said.keys() - expected.states.keys():
            yield f"{expected.sha[:7]} has contexts of nothing that it changes: {sorted(strange)}"
        for context, states in expected.states.items():
            words = said.get(context, [("nothing", None)])
            finals = {word for word in words if word[0] != "pending"}
            if len(finals) != 1 or words[-1] not in finals or words[-1][0] not in states:
                yield f"{expected.sha[:7]} {context} is to be {sorted(states)} once, was {words}"
            elif words[-1][0] == "success" and context != DEPLOY:
                yield from _unproven(world, expected.texts, context)


def _unproven(world: World, texts: Mapping[str, str | None], context: str) -> Iterator[str]:
    """No green without a parse of what is live."""
    for path in texts:
        text = world.live.get(path)  # a covered commit's file may have changed since
        if f"airflow/{folder_of(path)}" != context or text is None or "airflow" not in text:
            continue
        if (path, text) not in world.dag_processor.read:
            yield f"{context} is green and nobody has parsed {path}: {text!r}"


def _tree(world: World) -> Iterator[str]:
    """The live tree is the tip's, but for what is held."""
    root = world.checkout / "current"
    found = {
        str(path.relative_to(root)): path.read_text()
        for path in (root.rglob("*") if root.exists() else ())
        if path.is_file() and not path.name.startswith(".")
    }
    for path in found.keys() | world.live.keys():
        if found.get(path) != world.live.get(path):
            yield f"{path} is live as {found.get(path)!r}, not as {world.live.get(path)!r}"
    if not world.live.get(REQUIREMENTS, "").count("unheard-of"):
        packages = world.live.get(REQUIREMENTS, "")
        if world.services.now != packages:
            yield f"the packages are those of {world.services.now!r}, not of {packages!r}"
    if set(world.airflow.now.values()) != {128}:
        yield f"pools have {world.airflow.now}"


def _journal(world: World) -> Iterator[str]:
    """Consistent, nothing pending, one live."""
    if not world.journal_url:
        yield from _file(world.state / "deployer.db")
    try:
        with closing(SqlJournal.open(world.settings.journal_url, migrate=False)) as journal:
            live = journal.live()
            checks = {
                "announced, and nobody looked": journal.unseen(),
                "not ended": [(row.id, str(row.state)) for row in journal.unfinished()],
                "statuses are owed": journal.pulse().owed,
                "a rollout is said to be at work": journal.drained() != {},
                "known to be live": live
                if live is None or live.sha != world.repo.tip() or live.pending
                else (),
            }
    except DeployerError as exc:
        yield str(exc)
    else:
        if live is None:
            yield "nothing is known to be live"
        yield from (f"{what}: {found}" for what, found in checks.items() if found)


def _file(database: Path) -> Iterator[str]:
    if not database.exists():
        yield "there is no journal"
        return
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as opened:
        for check in ("integrity_check", "foreign_key_check"):
            rows = opened.execute(f"PRAGMA {check}").fetchall()
            if rows not in ([], [("ok",)]):
                yield f"{check}: {rows}"


def _left(world: World) -> Iterator[str]:
    """No process, lock or temporary file that nobody needs."""
    mine = set(world.pids.values())
    for pid in world.forks.children():
        if pid not in mine:
            yield f"left behind: {_command(pid)}"
    for place, patterns in {
        world.checkout: ("*.new", "releases/.tmp-*", "releases/.*.new", "feed/*.new", ".*.new"),
        world.checkout / "mirror.git": ("**/*.lock", "objects/**/tmp_*", "objects/**/.tmp*"),
        world.checkout.joinpath("."): ("mirror.git.old", "mirror.git.new"),
        world.state: ("*.new",),
        world.folder / "tmp": ("*",),
    }.items():
        for pattern in patterns:
            for path in place.glob(pattern):
                if not _is_of(path, world.pids.get("worker", 0)):
                    yield f"left behind: {path.relative_to(world.folder)}"
    releases = world.checkout / "releases"
    whole = [p.name for p in releases.glob("*") if re.match(r"[0-9a-f]{40}", p.name)]
    if len(whole) > world.most_releases:
        yield f"{len(whole)} releases are kept"


def _is_of(path: Path, worker: int) -> bool:
    """Tell whether it is the home of the parser of the worker that lives."""
    return path.name.startswith(f"preflight-{worker}.")


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"process {pid}, gone by now"
    return f"process {pid}: {' '.join(words)[:200]}"
