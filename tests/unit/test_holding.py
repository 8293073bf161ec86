"""What is held though nobody parses it."""

from __future__ import annotations

import pytest

from deployer.core import holding
from deployer.core.model import LeftOut, Live, Plan, Tree
from tests.unit.test_plan import DAG, tree

TAXI, FARES, HELP = "dags/lasse/taxi.py", "dags/lasse/fares.py", "dags/lasse/help.py"
FILES = {TAXI: f"{DAG}from lasse.help import f\n", FARES: DAG, HELP: "1"}
LINK = LeftOut("dags/lasse/link.py", "it is a symbolic link")


def test_what_can_t_be_published_is_told_of_once() -> None:
    plan = Plan(left_out=(LINK,))
    before = Tree("a" * 40, {}, left_out=(LINK,))
    assert holding.unpublishable(None, plan) == {LINK.path: LINK.reason}
    assert holding.unpublishable(tree(FILES), plan) == {LINK.path: LINK.reason}
    assert holding.unpublishable(before, plan) == {}


def test_what_can_t_be_published_for_another_reason_is_told_of_again() -> None:
    before = Tree("a" * 40, {}, left_out=(LeftOut(LINK.path, "its name is too long"),))
    assert holding.unpublishable(before, Plan(left_out=(LINK,))) == {LINK.path: LINK.reason}


def test_what_can_t_be_published_is_told_of_again_with_other_contents() -> None:
    first, second = (LeftOut(LINK.path, LINK.reason, blob) for blob in ("1", "2"))
    before = Tree("a" * 40, {}, left_out=(first,))
    assert holding.unpublishable(before, Plan(left_out=(second,))) == {LINK.path: LINK.reason}


def test_a_file_is_condemned_by_path_and_contents() -> None:
    tip = tree(FILES)
    blob = tip.files[TAXI].blob
    known = {
        (TAXI, blob): "it died",
        (FARES, "another"): "it died",
        ("dags/lasse/gone.py", blob): "it died",
    }
    assert holding.condemned(tip, known) == {TAXI: "it died"}


@pytest.mark.parametrize(
    ("now", "parsed", "held"),
    [
        (FILES, (), {TAXI}),
        (FILES, (TAXI,), set()),  # it is asked about once more
        ({**FILES, TAXI: DAG}, (), set()),  # another text
        ({FARES: DAG}, (), set()),  # deleted
    ],
)
def test_a_held_file_stays_held_until_something_could_have_mended_it(
    now: dict[str, str], parsed: tuple[str, ...], held: set[str]
) -> None:
    live = Live("a" * 40, (TAXI,))
    assert holding.carried(live, tree(FILES), Plan(dag_files=parsed), tree(now)) == held


def test_a_held_module_is_judged_anew_with_a_file_that_needs_it() -> None:
    live, same = Live("a" * 40, (HELP,)), tree(FILES)
    assert holding.carried(live, same, Plan(dag_files=(FARES,)), same) == {HELP}
    assert holding.carried(live, same, Plan(dag_files=(TAXI,)), same) == set()


def test_nothing_is_carried_over_from_what_is_not_known() -> None:
    assert holding.carried(None, None, Plan(), tree(FILES)) == set()
    assert holding.carried(Live("a" * 40, (TAXI,)), None, Plan(), tree(FILES)) == set()
