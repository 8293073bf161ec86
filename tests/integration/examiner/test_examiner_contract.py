"""What every examiner promises: the fake, the embedded parser, the container's."""

from __future__ import annotations

import pytest

from deployer.core.model import Examined, Tree
from deployer.errors import PreflightError
from tests.fakes.examiner import FakeExaminer
from tests.integration.examiner.world import (
    NEW,
    PATIENT,
    SHA,
    FakeSubject,
    RealSubject,
    Subject,
    all_of,
    until,
)

TREE = Tree(SHA, {})
SLOW, QUICK = "dags/s/slow.py", "dags/q/quick.py"
LONG_S = 60.0


@pytest.fixture(
    params=[
        "fake",
        pytest.param("local", marks=pytest.mark.airflow),
        pytest.param("container", marks=pytest.mark.docker),
    ]
)
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Subject:
    if request.param == "fake":
        return FakeSubject()
    real = request.getfixturevalue(request.param)
    monkeypatch.setattr(real.examiner, "_limits", PATIENT)
    return RealSubject(real)


def test_there_is_one_result_a_path_in_the_order_asked_for(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.broken("dags/b/two.py")
    subject.harmful("dags/c/three.py")
    subject.empty("dags/d/four.py")
    paths = ["dags/d/four.py", "dags/b/two.py", "dags/a/one.py", "dags/c/three.py"]

    four, two, one, three = subject.examiner.examine(Tree(SHA, {}), paths)

    assert one == Examined("dags/a/one.py", ("one",))
    assert two.error is not None
    assert (two.error.type, two.error.line, two.dag_ids, two.harm) == ("NameError", 2, (), None)
    assert (three.harm, three.error) == ("ends its parser with os._exit(3)", None)
    assert four == Examined("dags/d/four.py")


def test_nothing_asked_is_nothing_answered(subject: Subject) -> None:
    assert subject.examiner.examine(Tree(SHA, {}), ()) == ()


def test_the_same_files_can_be_examined_again(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.harmful("dags/c/three.py")
    paths = ("dags/a/one.py", "dags/c/three.py")

    first = subject.examiner.examine(Tree(SHA, {}), paths)

    assert subject.examiner.examine(Tree(SHA, {}), paths) == first


def test_what_was_built_can_import_what_runs_now_cannot(subject: Subject) -> None:
    subject.good_with_what_was_built("dags/a/one.py", "one")
    paths = ("dags/a/one.py",)

    (now,) = subject.examiner.examine(Tree(SHA, {}), paths)
    (built,) = subject.examiner.examine(Tree(SHA, {}), paths, on_built=True)

    assert now.error is not None
    assert (now.error.message, now.error.line) == (f"No module named '{NEW}'", 1)
    assert built == Examined("dags/a/one.py", ("one",))
    assert subject.examiner.examine(Tree(SHA, {}), paths) == (now,)


def test_a_parser_that_does_not_work_says_nothing_about_files() -> None:
    examiner = FakeExaminer()
    examiner.down = "no Airflow"

    with pytest.raises(PreflightError):
        examiner.examine(Tree(SHA, {}), ["dags/a/one.py"])


# --- an examination that goes on by itself


def test_what_was_begun_finds_the_same_as_a_wait_for_all(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.harmful("dags/c/three.py")
    paths = ("dags/a/one.py", "dags/c/three.py")

    examination = subject.examiner.begin(TREE, paths)
    found = all_of(examination)
    examination.end()

    assert tuple(found[path] for path in paths) == subject.examiner.examine(TREE, paths)
    assert len(found) == len(paths)


def test_nothing_begun_is_done_at_once(subject: Subject) -> None:
    examination = subject.examiner.begin(TREE, ())

    assert (examination.done, examination.results) == (True, {})
    assert examination.wait(LONG_S)


def test_what_is_known_can_be_seen_while_the_rest_goes_on(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    subject.good(QUICK, "quick")

    examination = subject.examiner.begin(TREE, (SLOW, QUICK))
    until(examination, lambda: QUICK in examination.results)

    assert not examination.done
    assert examination.results == {QUICK: Examined(QUICK, ("quick",))}
    subject.go_on()
    assert all_of(examination)[SLOW] == Examined(SLOW, ("slow",))
    examination.end()


def test_what_is_begun_later_waits_for_nobody(subject: Subject) -> None:
    slow = [f"dags/s/slow{n}.py" for n in range(5)]
    for n, path in enumerate(slow):
        subject.slow(path, f"slow{n}")
    subject.good(QUICK, "quick")

    before = subject.examiner.begin(TREE, slow)
    found = subject.examiner.examine(TREE, (QUICK,))

    assert found == (Examined(QUICK, ("quick",)),)
    assert (before.done, before.results) == (False, {})
    subject.go_on()
    assert {path: one.dag_ids for path, one in all_of(before).items()} == {
        path: (f"slow{n}",) for n, path in enumerate(slow)
    }
    before.end()


def test_a_wait_ends_with_its_time(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    examination = subject.examiner.begin(TREE, (SLOW,))

    assert not examination.wait(0.01)
    examination.end()


def test_a_nudge_ends_the_wait_that_comes_after_it_but_once(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    subject.good(QUICK, "quick")
    quick, slow = subject.examiner.begin(TREE, (QUICK,)), subject.examiner.begin(TREE, (SLOW,))
    all_of(quick)

    subject.examiner.nudge()

    assert quick.wait(LONG_S), "it has what it waits for"
    assert not slow.wait(LONG_S), "so the nudge is for this one"
    subject.go_on()
    assert slow.wait(LONG_S)
    for examination in (quick, slow):
        examination.end()


def test_a_nudge_is_not_used_up_by_who_heeds_none(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    subject.good(QUICK, "quick")
    slow = subject.examiner.begin(TREE, (SLOW,))

    subject.examiner.nudge()
    subject.examiner.examine(TREE, (QUICK,))

    assert not slow.wait(LONG_S)
    slow.end()


def test_what_was_ended_keeps_what_it_found_and_waits_for_nothing(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    subject.good(QUICK, "quick")
    examination = subject.examiner.begin(TREE, (SLOW, QUICK))
    until(examination, lambda: QUICK in examination.results)

    examination.end()
    examination.end()

    assert (examination.done, list(examination.results)) == (False, [QUICK])
    with pytest.raises(PreflightError, match="given up"):
        examination.wait(LONG_S)


def test_what_is_done_stays_done_when_it_is_ended(subject: Subject) -> None:
    subject.good(QUICK, "quick")
    examination = subject.examiner.begin(TREE, (QUICK,))
    found = all_of(examination)

    examination.end()

    assert (examination.done, examination.results) == (True, found)
    assert examination.wait(LONG_S)


def test_closing_gives_up_what_is_under_way(subject: Subject) -> None:
    subject.slow(SLOW, "slow")
    examination = subject.examiner.begin(TREE, (SLOW,))

    subject.examiner.close()

    with pytest.raises(PreflightError, match="given up"):
        examination.wait(LONG_S)


# --- the fake's own time


def test_a_slow_file_takes_the_clocks_time_and_what_happens_meanwhile_happens() -> None:
    examiner = FakeExaminer()
    examiner.slow = {SLOW: 14.0}
    examiner.meanwhile[5.0] = examiner.nudge
    examination = examiner.begin(TREE, (SLOW,))

    assert not examination.wait(LONG_S)
    assert examiner.clock.elapsed_s == 5.0
    assert not examination.wait(2.0)
    assert examiner.clock.elapsed_s == 7.0
    assert examination.wait(LONG_S)
    assert examiner.clock.elapsed_s == 14.0
    assert examiner.under_way == [examination]


def test_a_parser_that_does_not_work_is_said_to_who_waits() -> None:
    examiner = FakeExaminer()
    examiner.down = "no Airflow"
    examination = examiner.begin(TREE, (QUICK,))

    with pytest.raises(PreflightError, match="no Airflow"):
        examination.wait(LONG_S)
    assert (examination.done, examination.results) == (False, {})
