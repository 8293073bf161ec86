"""What is held though nobody parses it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import pytest

from deployer.core.model import LeftOut, Live, Outcome, ParseError, Plan, State, Tree
from deployer.core.planning import held as holding
from deployer.core.planning.plan import plan
from deployer.errors import UnknownCommit
from tests.fakes.world import World
from tests.unit.test_plan import DAG, tree

TAXI, FARES, HELP = "dags/lasse/taxi.py", "dags/lasse/fares.py", "dags/lasse/help.py"
TOP = "dags/top.py"
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


def left_out(files: dict[str, str], *paths: str) -> Tree:
    return replace(tree(files), left_out=tuple(LeftOut(path, "it is a link") for path in paths))


def test_what_is_live_stays_where_the_tip_can_t_be_published() -> None:
    tip = left_out({FARES: DAG}, TAXI)
    assert holding.stays_live(tip, {TAXI, FARES, HELP}) == {TAXI}
    stands = holding.with_what_stays(tree(FILES), tip, FILES)
    assert stands.files == tree({TAXI: FILES[TAXI], FARES: DAG}).files


def test_what_is_live_in_a_folder_stays_where_a_link_or_submodule_took_its_place() -> None:
    assert holding.stays_live(
        left_out({FARES: DAG}, "dags/lasse/sql"), {"dags/lasse/sql/a.sql"}
    ) == {"dags/lasse/sql/a.sql"}


def test_what_is_live_stays_where_the_whole_folder_is_left_out() -> None:
    live = {TAXI, "dags/lasse2/x.py", "include/a.sql"}
    assert holding.stays_live(left_out({}, "dags/lasse/", "include/"), live) == {
        TAXI,
        "include/a.sql",
    }


def test_a_live_file_makes_room_for_a_folder_of_its_name() -> None:
    assert holding.stays_live(left_out({f"{TAXI}/main.py": DAG}, TAXI), {TAXI}) == set()


def test_an_ignore_file_that_can_t_be_published_leaves_its_live_text_in_force() -> None:
    ignore = "dags/lasse/.airflowignore"
    old = replace(tree({**FILES, ignore: "taxi.py"}), ignores={ignore: "taxi.py"})
    assert holding.with_what_stays(old, left_out(FILES, ignore), old.files).ignores == {
        ignore: "taxi.py"
    }


@pytest.mark.parametrize("path", ["requirements.txt", "requirements.txt/a.txt"])
def test_requirements_that_can_t_be_read_keep_what_is_installed(path: str) -> None:
    tip = left_out(FILES, path)
    done = plan(tree(FILES), tip, installed="pandas", refusals={}, services=("scheduler",))
    assert done.recreate == ()
    assert done.refused == f"{path} can't be read: it is a link"


def test_a_live_file_stays_through_the_pushes_of_others_while_its_tip_is_left_out() -> None:
    world = World()
    world.announced(TAXI)
    world.reconciler.reconcile()
    blob = world.releases.whole[world.releases.swaps[-1] or ""][TAXI].blob
    for changes in ({TAXI: None}, {FARES: DAG}):
        before = world.repository.tip
        sha = world.repository.push(changes)
        world.repository.left_out[sha] = (LeftOut(TAXI, "the link leads to nothing"),)
        world.deliver(sha, before)
        world.reconciler.reconcile()
        assert world.releases.whole[sha][TAXI].blob == blob


def pushed(world: World, changes: dict[str, str | None], *left_out: str) -> str:
    """Push `changes`, with links in the place of `left_out`; return the commit."""
    before = world.repository.tip
    sha = world.repository.push(changes)
    world.repository.left_out[sha] = tuple(LeftOut(path, "it is a link") for path in left_out)
    world.deliver(sha, before)
    world.reconciler.reconcile()
    return sha


def test_a_file_that_stayed_live_through_pushes_is_told_of_when_it_is_deleted() -> None:
    world = World()
    world.announced(TAXI)
    world.reconciler.reconcile()
    pushed(world, {TAXI: None}, TAXI)
    pushed(world, {FARES: DAG}, TAXI)
    sha = pushed(world, {"dags/lasse/more.py": DAG})
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: more")
    assert [v.path for v in world.judging(sha).verdicts if v.outcome is Outcome.DELETED] == [TAXI]


def test_a_folder_that_is_left_out_as_a_whole_stays_live_until_it_is_mended() -> None:
    world = World()
    world.announced(TAXI, FARES)
    world.reconciler.reconcile()
    sha = pushed(world, {TAXI: None, FARES: None}, "dags/lasse/")
    assert world.said(sha)["airflow/lasse"] == ("failure", "dags/lasse/ is held: it is a link")
    other = pushed(world, {"dags/maria/weather.py": DAG}, "dags/lasse/")
    assert world.said(other)["airflow/maria"] == ("success", "1 DAG: weather")
    assert {TAXI, FARES} <= world.releases.whole[other].keys()
    mended = pushed(world, {TAXI: f"{DAG}# 2"})
    assert world.said(mended)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert {v.path: v.outcome for v in world.judging(mended).verdicts} == {
        TAXI: Outcome.PARSED,
        FARES: Outcome.DELETED,
    }


def test_a_live_file_that_comes_to_claim_anothers_id_by_what_it_needs_is_left_out() -> None:
    world = World()
    world.breaks(TAXI)
    world.examiner.finds(TAXI, error=ParseError("ImportError", "no help"))
    world.examiner.finds(FARES, dag_ids=("x",))
    world.releases.contents[FARES] = ("x",)
    pushed(world, {TAXI: FILES[TAXI], FARES: DAG})
    world.examiner.finds(TAXI, dag_ids=("x",))
    world.releases.contents[TAXI] = ("x",)
    sha = pushed(world, {HELP: "f = 1"})
    assert TAXI not in world.releases.whole[sha]
    assert world.said(sha)["airflow/lasse"] == (
        "failure",
        f"taxi.py is held: dag_id 'x' is already used by {FARES}: choose another",
    )
    world.examiner.finds(FARES, dag_ids=("fares",))
    world.releases.contents[FARES] = ("fares",)
    let_go = pushed(world, {FARES: f"{DAG}# 2"})
    assert TAXI in world.releases.whole[let_go]
    assert world.said(let_go)["airflow/lasse"] == ("success", "2 DAGs: fares, x")


def test_what_makes_a_file_harmful_that_stays_in_the_place_of_something_else_is_held() -> None:
    world = World()
    shared = "include/shared.py"
    pushed(world, {TAXI: f"{DAG}from include.shared import x\n", shared: "x = 1"})
    pushed(world, {TAXI: None}, TAXI)
    world.examiner.finds(TAXI, harm="never ends")
    sha = pushed(world, {shared: "x = 2"}, TAXI)
    assert shared in world.releases.published[-1][2]
    assert world.said(sha)["airflow/deploy"][0] == "failure"


class Killed(BaseException):
    """The worker was killed."""


@pytest.mark.parametrize("dies_in", [None, "releases.publish", "feed.ask"])
def test_what_stays_is_known_though_it_is_not_known_what_is_live(
    monkeypatch: pytest.MonkeyPatch, dies_in: str | None
) -> None:
    world = World()
    world.announced(TAXI, FARES)
    world.reconciler.reconcile()
    if dies_in is None:
        held = pushed(world, {TAXI: None, FARES: None}, "dags/lasse/")
        world.request()
    else:
        part, method = dies_in.split(".")

        def die(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(getattr(world, part), method, die)
            with pytest.raises(Killed):
                pushed(world, {TAXI: None, FARES: None}, "dags/lasse/")
        world.reconciler = world.worker()
        assert world.repository.tip
        held = world.repository.tip
    world.reconciler.reconcile()
    assert world.journal.live()
    assert {v.path: v.outcome for v in world.judging(held).verdicts} == {
        "dags/lasse/": Outcome.HELD,
        TAXI: Outcome.PARSED,
        FARES: Outcome.PARSED,
    }
    mended = pushed(world, {TAXI: f"{DAG}# 2"})
    assert {v.path: v.outcome for v in world.judging(mended).verdicts} == {
        TAXI: Outcome.PARSED,
        FARES: Outcome.DELETED,
    }


def test_a_file_without_its_dag_that_is_held_beside_what_needs_it_has_one_verdict() -> None:
    world = World()
    world.announced(TAXI, FARES)
    world.reconciler.reconcile()
    world.examiner.finds(FARES, harm="never ends")
    sha = pushed(world, {TAXI: "x = 1", FARES: f"{DAG}from lasse.taxi import x\n"})
    assert {v.path: v.outcome for v in world.judging(sha).verdicts} == {
        TAXI: Outcome.HELD,
        FARES: Outcome.HELD,
    }


def test_for_the_sake_of_a_file_that_was_never_live_no_helper_is_held() -> None:
    world = World()
    world.examiner.finds(TAXI, harm="never ends")
    pushed(world, {TAXI: FILES[TAXI], HELP: "f = 1"})
    sha = pushed(world, {HELP: "f = 2"})
    assert world.releases.published[-1][2] == {TAXI}
    assert world.said(sha)["airflow/lasse"] == ("failure", "taxi.py is held: never ends")


def test_an_ignore_file_that_stayed_live_through_pushes_hides_what_it_hid() -> None:
    ignore, draft = "dags/lasse/.airflowignore", "dags/lasse/draft.py"
    world = World()
    pushed(world, {ignore: "draft.py", draft: DAG, TAXI: DAG})
    pushed(world, {ignore: None}, ignore)
    asked = pushed(world, {FARES: DAG}, ignore), pushed(world, {draft: f"{DAG}# 2"}, ignore)
    assert [v.path for sha in asked for v in world.judging(sha).verdicts] == [FARES]


def test_a_hidden_file_that_would_hurt_is_left_out_once_nothing_hides_it() -> None:
    ignore = "dags/lasse/.airflowignore"
    world = World()
    world.examiner.finds(TAXI, harm="never ends")
    pushed(world, {ignore: "taxi.py", TAXI: FILES[TAXI], HELP: "1"})
    sha = pushed(world, {ignore: None, HELP: "2"})
    assert world.said(sha)["airflow/lasse"] == ("failure", "taxi.py is held: never ends")
    assert world.releases.published[-1][2] == {TAXI}
    assert TAXI not in world.releases.whole[sha]
    later = pushed(world, {FARES: DAG})
    assert TAXI not in world.releases.whole[later]
    world.request()
    world.reconciler.reconcile()
    assert TAXI not in world.releases.whole[world.releases.swaps[-1] or ""]
    hidden = pushed(world, {ignore: "taxi.py"})
    assert TAXI in world.releases.whole[hidden]
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    mended = pushed(world, {ignore: None})
    assert world.said(mended)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_hidden_file_that_would_hurt_stays_where_others_import_it() -> None:
    ignore = "dags/lasse/.airflowignore"
    world = World()
    world.examiner.finds(TAXI, harm="never ends")
    using = f"{DAG}from lasse.taxi import f\n"
    pushed(world, {ignore: "taxi.py", TAXI: DAG, FARES: using})
    sha = pushed(world, {ignore: None})
    assert TAXI in world.releases.whole[sha]


def test_what_stays_of_two_commits_is_that_of_each() -> None:
    world = World()
    world.announced(TAXI, FARES)
    world.reconciler.reconcile()
    pushed(world, {TAXI: None}, TAXI)
    newer = pushed(world, {FARES: f"{DAG}# 2"}, TAXI)
    last = pushed(world, {FARES: None}, TAXI, FARES)
    live = world.journal.live()
    assert live is not None
    assert [place for place, _ in live.stays] == [FARES, TAXI]
    assert dict(live.stays)[FARES] == newer
    assert world.releases.whole[last].keys() >= {TAXI, FARES}


def test_of_what_never_went_live_nothing_stays_in_the_place_of_a_link() -> None:
    world = World()
    world.examiner.finds(FARES, dag_ids=("x",))
    world.releases.contents[FARES] = ("x",)
    pushed(world, {FARES: DAG})
    world.examiner.finds(TAXI, dag_ids=("x",))
    pushed(world, {TAXI: DAG})
    world.examiner.finds(TOP, dag_ids=("x",))
    world.releases.contents[TOP] = ("x",)
    sha = pushed(world, {TAXI: None, FARES: None, TOP: DAG}, TAXI)
    assert world.said(sha)["airflow/lasse"] == ("failure", "taxi.py is held: it is a link")
    assert TOP in world.releases.whole[sha]
    assert {v.path: v.outcome for v in world.judging(sha).verdicts} == {
        FARES: Outcome.DELETED,
        TAXI: Outcome.HELD,
        TOP: Outcome.PARSED,
    }
    live = world.journal.live()
    assert live is not None
    assert live.stays == ()


def test_what_stays_of_a_held_file_is_judged_as_it_is_live() -> None:
    world = World()
    shared = "include/shared.py"
    pushed(world, {TAXI: FILES[TAXI], HELP: "from include.shared import x\n", shared: "x = 1"})
    world.examiner.finds(TAXI, harm="never ends")
    pushed(world, {HELP: "1"})
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    sha = pushed(world, {HELP: None}, HELP)
    assert {v.path: v.outcome for v in world.judging(sha).verdicts} == {
        HELP: Outcome.HELD,
        TAXI: Outcome.PARSED,
    }
    later = pushed(world, {shared: "x = 2"}, HELP)
    assert [v.path for v in world.judging(later).verdicts] == [TAXI]


def test_what_stays_of_a_held_file_is_taken_as_it_was_pushed_where_git_has_lost_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        raise UnknownCommit(f"the mirror does not hold {', '.join(ids)}")

    world = World()
    pushed(world, dict(FILES))
    world.examiner.finds(TAXI, harm="never ends")
    pushed(world, {HELP: "2"})
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    monkeypatch.setattr(world.repository, "blobs", lost)
    sha = pushed(world, {HELP: None}, HELP)
    assert world.judging(sha).state is State.BROKEN
    assert world.said(sha)["airflow/lasse"] == ("failure", "help.py is held: it is a link")
