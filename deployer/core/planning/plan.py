"""Decide what one deployment must do to the running stack.

Pure: no clock, disk or network. `deployer.deployment.run` gathers both trees, calls
`plan`, then applies what it says; a test compares two values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from deployer.core.dependencies import affected
from deployer.core.model import DAGS, Duplicate, Plan, Refusal, Tree
from deployer.core.planning.packages import decide
from deployer.core.tree.ignores import Ignores
from deployer.errors import OperatorError

ROUNDS = 10
"""After which all that is held is judged anew: a push can ask for as many as it has files."""


def plan(
    live: Tree | None,
    tip: Tree,
    *,
    installed: str | None,
    refusals: Mapping[str, Refusal],
    services: tuple[str, ...],
    expected: str | None = None,
    held: Collection[str] = (),
    duplicates: Collection[Duplicate] = (),
    pending: Collection[str] = (),
    judged: Collection[str] = (),
) -> Plan:
    """Return what brings `live` to `tip`.

    Args:
        live: the tree *known to be live*. None: that is not known (first deploy, or the
            last one died half-way), so everything is redone.
        tip: the tree to be made live.
        installed: text of the `requirements.txt` that runs now. None: not known, so the
            tip's is resolved and the services recreated.
        refusals: why requirements were refused before, by fingerprint; these are not tried
            again, the packages stay as they are. One for a file's sake lapses when the file,
            or what it imports, moves, whatever the tip requires.
        services: what to recreate when packages move, in this order.
        expected: text of what the class ran on when `live` went live. If the tip's is
            refused, this is what has to run.
        held: what of `live` is not live as it is there.
        duplicates: by which claims some of that is held.
        pending: what is to be judged though it did not move: nobody has judged it, nor will but
            for this deployment, or somebody asks who put it back.
        judged: DAG files that have a verdict; where `live` is not known, those that are no more
            are taken for deleted.

    The tip is published even if no file moved: `current` names the commit that is live.

    Raises:
        OperatorError: packages must move and `services` is empty.
    """
    files_of = partial(
        _dag_files, live, tip, held=held, duplicates=duplicates, pending=pending, judged=judged
    )
    dag_files, deleted = files_of(packages_move=False)
    moved = {*dag_files, *deleted} if live else set()
    standing = {
        key: why
        for key, why in refusals.items()
        if why.path is None or (why.path in tip.files and why.path not in moved)
    }
    packages = decide(installed, tip, standing, expected=expected)
    if packages.move:
        dag_files, deleted = files_of(packages_move=True)
    if packages.move and not services:
        raise OperatorError("packages must move and no service is named; set RECREATE_SERVICES")
    return Plan(
        dag_files=dag_files,
        deleted=deleted,
        requirements=packages.diff,
        recreate=services if packages.move else (),
        refused=packages.refused,
        lapsed=tuple(sorted(refusals.keys() - standing.keys())),
        left_out=tip.left_out,
        installs=packages.text,
    )


# --- files -----------------------------------------------------------------


def _dag_files(
    live: Tree | None,
    tip: Tree,
    *,
    packages_move: bool,
    held: Collection[str],
    duplicates: Collection[Duplicate],
    pending: Collection[str],
    judged: Collection[str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the DAG files to parse again, and those that were live and are no more."""
    now = Discovery(tip)
    if live is None:
        found = {path for path in tip.files if now.finds(path)}
        return tuple(sorted(found)), tuple(sorted(frozenset(judged) - found))

    moved = affected.differing(live.files, tip.files) | (live.files.keys() - tip.files.keys())
    # What stood in the place of something else was told of as that, and may be the same as then.
    was_out, is_out = ({one.path for one in tree.left_out} for tree in (live, tip))
    moved |= tip.files.keys() & was_out - is_out
    stirred = affected.stirred(tip.files, moved.union(pending))
    if packages_move:
        stirred |= affected.on_packages(tip.files)
    # A module that is held is let go for all who need it, or for none; who claims an id, as soon
    # as whoever has it may have given it up. Which may stir others that are held, and so on.
    waits = affected.Held(live.files, tip.files, held)
    for rounds in range(1, ROUNDS + 1):
        again = waits.woken(stirred) | {
            one.path for one in duplicates if one.other in stirred or not now.finds(one.other)
        }
        if rounds == ROUNDS:
            again = {*held, *(one.path for one in duplicates)}
        if again <= stirred:
            break
        stirred |= affected.stirred(tip.files, again)
    # Where nothing stirred, only another ignore file can make a difference.
    suspects = stirred if live.ignores == tip.ignores else stirred | tip.files.keys()
    before = Discovery(live)
    dag_files, deleted = [], []
    for path in sorted(suspects):
        was, is_now = before.finds(path), now.finds(path)
        if is_now and (path in stirred or not was):
            dag_files.append(path)
        if was and not is_now and (path in tip.files or path not in is_out):
            deleted.append(path)
    return tuple(dag_files), tuple(deleted)


class Discovery:
    """What Airflow's search for DAG files finds in a tree."""

    def __init__(self, tree: Tree) -> None:
        self._files = tree.files
        self._ignores = Ignores(tree.ignores)

    def finds(self, path: str) -> bool:
        file = self._files.get(path)
        return (
            file is not None
            and file.facts.may_hold_dag
            and path.startswith(DAGS)
            and not self._ignores.hides(path)
        )


def in_words(the_plan: Plan, why: str | None, drift: str | None, *notes: str) -> str:
    """Return what a plan comes to, in a few words."""
    parts = (
        f"{len(the_plan.dag_files)} to parse",
        f"{len(the_plan.deleted)} gone" if the_plan.deleted else None,
        f"recreate {', '.join(the_plan.recreate)}" if the_plan.recreate else None,
        why,
        f"packages kept: {the_plan.refused}" if the_plan.refused else None,
        drift,
        *notes,
    )
    return ", ".join(filter(None, parts))
