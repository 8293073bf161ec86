"""A push twice as large takes about twice as long, whatever is in it: others wait meanwhile."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from deployer.core.dependencies import affected
from deployer.core.model import (
    Authored,
    Duplicate,
    Ending,
    Examined,
    File,
    History,
    Outcome,
    ParseError,
    State,
    Tree,
    Verdict,
)
from deployer.core.planning import held as rules
from deployer.core.planning.plan import ROUNDS, plan
from deployer.core.reporting.commit_status import Commit, final
from deployer.core.reporting.ownership import notes
from deployer.core.tree.facts import facts
from deployer.deployment.holding import Holding
from tests.fakes.journal import FakeJournal

if TYPE_CHECKING:
    from _typeshed import TraceFunction

SIZE = 40
DAG = "from airflow.sdk import DAG\n"


def bytecodes(work: Callable[[], object]) -> int:
    """Return how many of Python's instructions `work` takes: the same in each run."""
    count = 0

    def traced(frame: FrameType, event: str, _: object) -> TraceFunction:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return traced

    before = sys.gettrace()
    if here := inspect.currentframe():  # else Python 3.12 tells of none the first time
        here.f_trace_opcodes = True
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def growth(work_of: Callable[[int], Callable[[], object]]) -> float:
    """Return how many times as many instructions the work of twice the size takes.

    A small one goes first: Python 3.13 counts what runs for the first time in part.
    """
    _, once, twice = (bytecodes(work_of(size)) for size in (2, SIZE, 2 * SIZE))
    return twice / once


def tree(texts: dict[str, str], version: int = 0) -> Tree:
    files = {
        path: File(f"{text}{version}", facts(path, text.encode())) for path, text in texts.items()
    }
    return Tree(str(version) * 40, files)


# -- pushes

Push = Callable[[int], dict[str, str]]


def alike(size: int) -> dict[str, str]:
    """DAG files of one folder, a module for each, which imports the next; data that all read."""
    texts = {f"dags/mal/d{n}.py": f"{DAG}import mal.m{n}\nx = '*.sql'\n" for n in range(size)}
    texts |= {f"dags/mal/m{n}.py": f"from mal import m{n + 1}\n" for n in range(size)}
    return texts | {f"dags/mal/q{n}.sql": "select 1" for n in range(size)}


def everybody(size: int) -> dict[str, str]:
    """Folders of one file each, and one file that names and imports all of them."""
    names = [f"s{n}" for n in range(size)]
    all_of_them = f"{DAG}import {', '.join(names)}\nx = {names}\n"
    return {f"dags/{name}/x.py": DAG for name in names} | {"dags/mal/d.py": all_of_them}


def chain(size: int) -> dict[str, str]:
    """DAG files of as many folders, each of which names the next."""
    return {f"dags/s{n}/d{n}.py": f"{DAG}x = 's{n + 1}/d{n + 1}.py'\n" for n in range(size)}


def deep(size: int) -> dict[str, str]:
    """Modules of one folder, as deep as a path may be, and a DAG file for each."""
    texts = {f"dags/mal/{'a/' * 150}m{n}.py": "" for n in range(size)}
    return texts | {f"dags/mal/d{n}.py": f"{DAG}import a.m{n}\n" for n in range(size)}


def apart(size: int) -> dict[str, str]:
    """DAG files that have nothing to do with each other."""
    return {f"dags/s{n}/d.py": DAG for n in range(size)}


# -- what is done with them


def harm(before: Tree, after: Tree) -> object:
    harmful = [path for path, file in after.files.items() if file.facts.may_hold_dag]
    return affected.modules(before, after, harmful, held=(), published=before.files)


def wake(before: Tree, after: Tree) -> object:
    return affected.Held(before.files, after.files, list(before.files)).woken(set(after.files))


def stir(_: Tree, after: Tree) -> object:
    return affected.stirred(after.files, set(after.files))


def lay_out(_: Tree, after: Tree) -> object:
    return affected.parse_inputs(after.files, ["dags/s0/d0.py"])


def plan_what_waits_for_each_other(before: Tree, after: Tree) -> object:
    """Each that is held waits for the id of the one before it; the first one moves."""
    paths = sorted(before.files)
    tip = Tree(after.sha, {**before.files, paths[0]: after.files[paths[0]]})
    claims = [Duplicate(path, path, other) for other, path in pairwise(paths)]
    return plan(before, tip, installed="", refusals={}, services=(), held=paths, duplicates=claims)


def claim(_: Tree, after: Tree) -> object:
    """Each file claims what the next one gives up, but for the last."""
    paths = sorted(after.files)
    claimed = dict(zip(paths, [*paths[1:], paths[-1]], strict=True))
    examined = [Examined(path, dag_ids=(claimed[path],)) for path in paths]
    return rules.duplicates(examined, {path: frozenset({path}) for path in paths})


def tell(_: Tree, after: Tree) -> object:
    commit = Commit("1" * 40, after.files.keys(), reaches=frozenset(after.files))
    verdicts = [Verdict(path, Outcome.HELD, error=ParseError("Held", "x")) for path in after.files]
    claims = [Duplicate(path, path, path) for path in after.files]
    ending = Ending(
        commit.sha,
        State.BROKEN,
        verdicts=tuple(verdicts),
        duplicates=tuple(claims),
        broke=tuple(after.files),
    )
    return final(commit, ending)


def whose(before: Tree, after: Tree) -> object:
    paths = tuple(sorted(after.files))
    past = History(before.sha, paths, (Authored("anna@example.org", paths),) * 2)
    return notes(past, pusher="mallory", roster="", new_roster="")


@pytest.mark.parametrize("push", [alike, everybody, chain, deep, apart])
@pytest.mark.parametrize(
    "work", [harm, wake, stir, lay_out, plan_what_waits_for_each_other, claim, tell, whose]
)
def test_work_grows_as_the_push_does(push: Push, work: Callable[[Tree, Tree], object]) -> None:
    assert growth(lambda size: partial(work, tree(push(size)), tree(push(size), 1))) < 3


# -- what waits for what was not examined in time


def ladder(size: int) -> dict[str, str]:
    """DAG files of one folder, each needs a module and the module of the one before."""
    own = [f"from mal import m{n}, m{n + 1}\n" for n in range(size)]
    files = {f"dags/mal/d{n}.py": f"{DAG}{text}" for n, text in enumerate(own)}
    return files | {f"dags/mal/m{n}.py": "" for n in range(size)} | {"dags/mal/apart.py": DAG}


def waiting(size: int) -> Holding:
    """Return what waits where all but the first has been examined, and each module moved."""
    before, after = tree(ladder(size)), tree(ladder(size), 1)
    first, *others = (path for path in after.files if after.files[path].facts.may_hold_dag)
    holding = Holding(FakeJournal())
    holding.take([Examined(path) for path in others], after)
    holding.unexamined = frozenset({first})
    holding.hold_modules(before, before, after, ())
    return holding


def test_who_needs_what_waits_waits_too_and_nobody_else() -> None:
    assert waiting(ROUNDS // 2).unexamined == {f"dags/mal/d{n}.py" for n in range(ROUNDS // 2)}


def test_where_very_many_would_wait_for_each_other_all_do() -> None:
    holding = waiting(3 * ROUNDS)
    assert "dags/mal/apart.py" in holding.unexamined
    assert len(holding.unexamined) == 3 * ROUNDS + 1
    assert len(holding.modules) == 3 * ROUNDS


def test_what_waits_is_found_in_time_that_grows_as_the_push_does() -> None:
    assert growth(lambda size: partial(waiting, size)) < 3
