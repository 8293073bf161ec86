"""A rollback makes an earlier commit live, keeps it there, and says so of what it replaced."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deployer.core.model import Deployment, Freeze, Live, State, Trigger
from deployer.core.planning.rollback import earlier
from deployer.errors import GitError
from tests.fakes.world import World

TAXI, WEATHER = "dags/lasse/taxi.py", "dags/maria/weather.py"
IMPORTS = "# airflow dag\nfrom include import h\n"
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
A, B, C = "a" * 40, "b" * 40, "c" * 40


class Killed(BaseException):
    """The process dies: no handler of the deployer's runs."""


def die(*_: object, **__: object) -> None:
    raise Killed


# --- what to go back to ----------------------------------------------------


def history(*ended: tuple[str, State]) -> list[Deployment]:
    """Return deployments, newest first, given oldest first."""
    made = [
        Deployment(number, sha, None, "r", Trigger.WEBHOOK, state, NOW)
        for number, (sha, state) in enumerate(ended, 1)
    ]
    return made[::-1]


GOOD, BAD = State.SUCCEEDED, State.BROKEN


def test_the_last_good_one_before_what_is_live_is_taken() -> None:
    assert earlier(history((A, GOOD), (B, BAD), (C, BAD)), C, None) == A
    assert earlier(history((A, GOOD), (B, GOOD), (C, State.FAILED)), B, None) == A
    assert earlier(history((A, GOOD)), A, None) is None


def test_a_second_rollback_goes_further_back() -> None:
    assert earlier(history((A, GOOD), (B, GOOD), (C, BAD), (B, GOOD)), B, None) == A


def test_the_newest_good_one_is_taken_if_it_is_not_known_what_is_live() -> None:
    assert earlier(history((A, GOOD), (B, GOOD), (C, State.ERROR)), None, None) == B


def test_a_commit_that_is_asked_for_must_have_been_live() -> None:
    past = history((A, BAD), (B, State.FAILED), (C, GOOD))
    assert earlier(past, C, A[:7]) == A
    assert earlier(past, C, B) is None


def test_the_words_of_a_rollback() -> None:
    assert Freeze("", "lasse", NOW, sha=A).words == "rolled back to aaaaaaa"
    assert Freeze("exam", "lasse", NOW, sha=A).words == "rolled back to aaaaaaa: exam"


# --- turns -----------------------------------------------------------------


@pytest.fixture
def world() -> World:
    world = World()
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    return world


def two_more(world: World) -> tuple[str, list[str]]:
    """Deploy twice more; return what was live before, and the two commits."""
    before = world.journal.live()
    assert before is not None
    shas = []
    for path in (TAXI, WEATHER):
        shas.append(world.announced(path))
        world.reconciler.reconcile()
    return before.sha, shas


def rest(world: World) -> None:
    for _ in range(9):
        if world.reconciler.reconcile() is None:
            return
    raise AssertionError("the worker never rests")


def test_a_rollback_makes_the_earlier_commit_live_and_the_poll_leaves_it(world: World) -> None:
    good, shas = two_more(world)
    request = world.roll_back(good)
    assert world.reconciler.take_in()
    rest(world)
    rest(world)
    assert world.journal.live() == Live(good)
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert (answer.sha, answer.trigger, answer.state) == (good, Trigger.ROLLBACK, GOOD)
    assert answer.plan.dag_files == (TAXI, WEATHER)
    for sha in shas:
        said = world.said(sha)["airflow/deploy"]
        assert said == ("error", f"rolled back to {good[:7]}: exam")
    assert world.said(good)["airflow/deploy"][0] == "success"


def test_what_is_older_than_the_commit_that_is_gone_back_to_keeps_its_verdict(
    world: World,
) -> None:
    oldest, (older, newer) = two_more(world)
    told = world.said(oldest)
    world.roll_back(older)
    rest(world)
    assert world.said(oldest) == told
    assert world.said(newer)["airflow/deploy"] == ("error", f"rolled back to {older[:7]}: exam")


def test_what_has_broken_meanwhile_is_told_of_the_commit_that_is_gone_back_to(
    world: World,
) -> None:
    good, _ = two_more(world)
    assert world.said(good)["airflow/deploy"][0] == "success"
    world.breaks(TAXI)
    world.roll_back(good)
    rest(world)
    assert world.said(good)["airflow/lasse"][0] == "failure"


def test_a_rollback_that_fails_is_told_of_when_it_has_succeeded(world: World) -> None:
    good, shas = two_more(world)
    told = [world.said(sha) for sha in shas]
    world.releases.full = True
    world.roll_back(good)
    world.clock.sleep(world.reconciler.reconcile() or 0)
    assert [world.said(sha) for sha in shas] == told
    world.releases.full = False
    rest(world)
    newest, *_ = (made for made in world.journal.deployments(limit=9) if made.sha == good)
    assert (newest.trigger, newest.state) == (Trigger.ROLLBACK, GOOD)
    assert {world.said(sha)["airflow/deploy"][0] for sha in shas} == {"error"}


def test_each_folder_that_is_live_no_longer_says_so(world: World) -> None:
    good, shas = two_more(world)
    world.roll_back(good)
    rest(world)
    assert world.said(shas[0])["airflow/lasse"] == ("error", f"rolled back to {good[:7]}: exam")


def test_what_is_pushed_after_a_rollback_waits(world: World) -> None:
    good, _ = two_more(world)
    world.roll_back(good)
    rest(world)
    sha = world.announced(TAXI)
    rest(world)
    assert world.said(sha)["airflow/deploy"] == (
        "pending",
        f"frozen: rolled back to {good[:7]}: exam",
    )
    assert world.journal.live() == Live(good)


def test_unfreezing_after_a_rollback_deploys_the_tip_and_answers_all_anew(world: World) -> None:
    good, shas = two_more(world)
    world.roll_back(good)
    rest(world)
    world.unfreeze()
    rest(world)
    assert world.journal.live() == Live(shas[1])
    assert [world.said(sha)["airflow/deploy"][0] for sha in shas] == ["success", "success"]
    assert world.said(shas[0])["airflow/lasse"][0] == "success"
    assert world.journal.unfinished() == ()
    assert world.journal.deployments(limit=1)[0].trigger is not Trigger.ROLLBACK


def test_a_rollback_to_what_waits_for_the_unfreeze_is_a_rollback_of_its_own(world: World) -> None:
    oldest, (older, _) = two_more(world)
    world.roll_back(oldest)
    rest(world)
    world.clock.sleep(60)
    world.roll_back(older)
    asked_at = world.clock.now()
    rest(world)
    made = world.judging(older)
    assert (made.trigger, made.queued_at >= asked_at) == (Trigger.ROLLBACK, True)
    assert [row.sha for row in world.journal.unfinished()].count(older) == 0


def test_what_a_forced_push_removed_before_keeps_its_verdict_in_a_rollback(world: World) -> None:
    good, shas = two_more(world)
    told = [world.said(sha) for sha in shas]
    instead = world.repository.push({WEATHER: "# airflow dag, another one\n"}, onto=good)
    world.deliver(instead, shas[-1], forced=True)
    rest(world)
    world.roll_back(good)
    rest(world)
    assert [world.said(sha) for sha in shas] == told
    assert world.said(instead)["airflow/deploy"][0] == "error"


def test_a_rollback_that_was_lifted_before_its_turn_is_answered_so(world: World) -> None:
    good, (_, live) = two_more(world)
    request = world.roll_back(good)
    world.unfreeze()
    rest(world)
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert (answer.sha, answer.state) == (good, State.FAILED)
    assert answer.reason == (
        "something else was asked for before it was rolled back; ask once more"
    )
    assert world.journal.live() == Live(live)


def with_a_helper(world: World) -> None:
    world.deliver(world.repository.push({TAXI: IMPORTS, "include/h.py": "1"}))
    world.reconciler.reconcile()


@pytest.mark.parametrize("text", ["2", None])
def test_who_broke_a_file_of_others_is_told_so_after_the_unfreeze_too(
    world: World, text: str | None
) -> None:
    with_a_helper(world)
    with_file = world.repository.push({TAXI: None})
    world.deliver(with_file)
    world.reconciler.reconcile()
    needed = world.repository.push({TAXI: IMPORTS})
    world.deliver(needed, with_file)
    world.reconciler.reconcile()
    world.breaks(TAXI)
    sha = world.repository.push({"include/h.py": text})
    world.deliver(sha, needed)
    world.reconciler.reconcile()
    said = world.said(sha)
    assert said["airflow/deploy"][1].startswith("breaks lasse/taxi.py:2 ")
    world.roll_back(with_file)
    rest(world)
    world.unfreeze()
    rest(world)
    assert world.said(sha) == said


def test_who_deleted_what_a_broken_file_needs_is_told_so_after_the_unfreeze_too(
    world: World,
) -> None:
    with_a_helper(world)
    world.breaks(TAXI)
    broken = world.repository.push({"include/h.py": None})
    world.deliver(broken, world.repository.tip)
    world.reconciler.reconcile()
    mended = world.repository.push({"include/h.py": "1"})
    world.deliver(mended, broken)
    world.reconciler.reconcile()
    sha = world.repository.push({"include/h.py": None, "dags/lasse/fares.py": IMPORTS})
    world.deliver(sha, mended)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "failure"
    world.roll_back(broken)
    rest(world)
    world.unfreeze()
    rest(world)
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_the_packages_go_back_where_they_differ(world: World) -> None:
    before = world.repository.tip
    good = world.repository.push({"requirements.txt": "pandas==1\n"})
    world.deliver(good, before)
    world.reconciler.reconcile()
    newer = world.repository.push({"requirements.txt": "pandas==2\n"})
    world.deliver(newer, good)
    world.reconciler.reconcile()
    assert world.services.installed() == "pandas==2\n"
    world.roll_back(good)
    rest(world)
    assert world.services.installed() == "pandas==1\n"
    assert world.state(good) is GOOD


def test_a_rollback_to_what_is_live_changes_nothing_and_is_answered(world: World) -> None:
    live = world.repository.tip
    assert live is not None
    request = world.roll_back(live)
    rest(world)
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert (answer.state, answer.verdicts) == (GOOD, ())
    assert world.journal.live() == Live(live)


@pytest.mark.parametrize("dies", [False, True])
def test_what_waited_in_the_freeze_is_newer_than_a_rollback_that_overtook_it(
    world: World, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    good, _ = two_more(world)
    world.freeze()
    waits = world.announced(TAXI)
    rest(world)
    world.roll_back(good)
    rest(world)
    world.breaks(TAXI)
    world.unfreeze()
    if dies:
        with monkeypatch.context() as patch:
            patch.setattr(world.journal, "end", die)
            with pytest.raises(Killed):
                world.reconciler.reconcile()
        world.reconciler = world.worker()
    rest(world)
    newest, *_ = world.journal.deployments(limit=9)
    assert (newest.sha, newest.state) == (waits, State.BROKEN)
    standing = world.journal.standing()
    assert (standing.deployment, [v.path for v in standing.red]) == (newest.id, [TAXI])
    assert world.journal.unfinished() == ()
    assert world.said(waits)["airflow/lasse"][0] == "failure"


def test_what_waited_in_the_freeze_is_newer_though_the_worker_was_started_anew(
    world: World,
) -> None:
    good, _ = two_more(world)
    world.freeze()
    waits, since = world.announced(TAXI), world.clock.now()
    rest(world)
    world.roll_back(good)
    rest(world)
    back = world.judging(good).id
    world.clock.sleep(60)
    world.unfreeze()
    world.reconciler = world.worker()
    rest(world)
    assert world.judging(waits).id > back
    assert world.judging(waits).queued_at == since


def test_who_changes_a_helper_after_a_rollback_did_not_break_what_was_broken_before(
    world: World,
) -> None:
    world.repository.push({"include/h.py": "x = 1\n"})
    world.repository.push({TAXI: f"{IMPORTS}# good\n"})
    rest(world)
    live = world.journal.live()
    assert live is not None
    world.breaks(TAXI)
    world.repository.push({TAXI: f"{IMPORTS}# broken\n"})
    rest(world)
    world.freeze()
    world.announced(WEATHER)
    rest(world)
    world.releases.contents.pop(TAXI)
    world.roll_back(live.sha)
    rest(world)
    world.breaks(TAXI)
    world.unfreeze()
    rest(world)
    before = world.repository.tip
    hers = world.repository.push({"include/h.py": "x = 2\n"})
    world.deliver(hers, before)
    rest(world)
    assert world.said(hers)["airflow/deploy"][0] == "success"


def test_a_rollback_does_not_need_git(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good, _ = two_more(world)
    world.roll_back(good)

    def no_route() -> str:
        raise GitError("no route")

    monkeypatch.setattr(world.repository, "fetch", no_route)
    world.reconciler.reconcile()
    assert world.journal.live() == Live(good)
    assert world.clock.elapsed_s < 1


def test_a_rollback_goes_before_slow_files(world: World) -> None:
    good, _ = two_more(world)
    world.feed.slow = {TAXI: 60}
    slow = world.announced(TAXI)

    def back() -> None:
        world.roll_back(good)
        world.reconciler.take_in()

    world.feed.while_waiting = [back]
    began = world.clock.elapsed_s
    world.reconciler.reconcile()
    world.feed.slow = {}
    world.reconciler.reconcile()
    assert world.journal.live() == Live(good)
    assert world.clock.elapsed_s - began < 5
    rest(world)
    assert world.state(slow) is not GOOD


def test_a_freeze_after_a_rollback_leaves_it_live(world: World) -> None:
    good, shas = two_more(world)
    world.roll_back(good)
    rest(world)
    world.freeze("repairs")
    world.reconciler = world.worker()
    rest(world)
    assert world.journal.live() == Live(good)
    assert world.said(shas[1])["airflow/deploy"][1] == f"rolled back to {good[:7]}: exam"


def test_a_second_rollback_in_place_of_the_first_is_the_one_that_goes_live(world: World) -> None:
    good, shas = two_more(world)
    first, second = world.roll_back(shas[0]), world.roll_back(good)
    rest(world)
    assert world.journal.live() == Live(good)
    answers = [world.journal.answer_to(request) for request in (first, second)]
    assert [answer and answer.state for answer in answers] == [State.FAILED, GOOD]


def test_a_rollback_that_was_taken_back_before_it_began_is_refused(world: World) -> None:
    good, shas = two_more(world)
    request = world.roll_back(good)
    world.unfreeze()
    rest(world)
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert answer.state is State.FAILED
    assert world.journal.live() == Live(shas[1])
    assert answer not in world.journal.deployments()


@pytest.mark.parametrize(
    ("part", "method"),
    [
        ("repository", "tree"),
        ("releases", "publish"),
        ("journal", "queue"),
        ("journal", "attach"),
        ("journal", "start"),
        ("journal", "set_live"),
        ("journal", "end"),
        ("journal", "owe"),
        ("journal", "wait_for"),
    ],
)
def test_a_worker_that_dies_in_a_rollback_is_redone_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    good, shas = two_more(world)
    request = world.roll_back(good)
    with monkeypatch.context() as patch:
        patch.setattr(getattr(world, part), method, die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.reconciler = world.worker()
    rest(world)
    assert world.journal.live() == Live(good)
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert answer.state is GOOD
    for sha in shas:
        assert world.said(sha)["airflow/deploy"] == ("error", f"rolled back to {good[:7]}: exam")
    assert [row.sha for row in world.journal.unfinished()] != []
    world.unfreeze()
    rest(world)
    assert world.journal.live() == Live(shas[1])
    assert world.journal.unfinished() == ()


def test_who_did_not_break_a_file_first_does_not_answer_for_it_after_a_rollback() -> None:
    world = World()
    world.repository.push({"include/h.py": "x = 1\n", TAXI: IMPORTS})
    world.reconciler.reconcile()
    good = world.repository.tip
    assert good
    world.breaks(TAXI)
    breaking = world.announced("include/h.py")
    world.reconciler.reconcile()
    later = world.announced("include/h.py")
    world.reconciler.reconcile()
    assert [world.said(sha)["airflow/deploy"][0] for sha in (breaking, later)] == [
        "failure",
        "success",
    ]
    world.releases.contents[TAXI] = ("taxi",)
    world.roll_back(good)
    world.reconciler.reconcile()
    world.breaks(TAXI)
    world.unfreeze()
    world.reconciler.reconcile()
    assert world.said(later)["airflow/deploy"][0] == "success"


def test_who_brought_what_a_link_leads_to_has_broken_no_file_after_a_rollback() -> None:
    world = World()
    world.repository.links[TAXI] = "include/shared.py"
    before = world.announced(WEATHER)
    world.reconciler.reconcile()
    world.breaks(TAXI)
    sha = world.announced("include/shared.py")
    world.reconciler.reconcile()
    told = world.said(sha)["airflow/deploy"][0]
    world.roll_back(before)
    world.reconciler.reconcile()
    world.unfreeze()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == told == "success"
