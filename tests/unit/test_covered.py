"""A commit is told of its own push alone, also where nobody named the tip before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest

from deployer.core.model import Trigger
from deployer.core.reporting.commit_status import Commit, pending
from deployer.worker.carried import Carrying
from deployer.worker.covered import CoveredCommits
from deployer.worker.intake import Intake
from tests.fakes.world import World


class Branch:
    """Commits of one letter, each of which changes a file of that name; all are in the mirror."""

    def __init__(self, line: str) -> None:
        self._world = World()
        self._shas: dict[str, str] = {}
        carrying = Carrying(lambda _: None)
        self._intake = Intake(self._world.parts, carrying)
        self._covered = CoveredCommits(self._world.parts, self._intake, carrying)
        self.push(line)

    def push(self, names: str, *, onto: str | None = None) -> None:
        at = onto and self._shas[onto]
        for name in names:
            text = {f"dags/class_demo/{name}.py": name}
            at = self._shas[name] = self._world.repository.push(text, onto=at)
        self._world.repository.fetch()

    def deliver(self, name: str, before: str) -> None:
        self._world.deliver(self._shas[name], self._shas[before])

    def queued(self, name: str) -> int:
        return self._intake.queue(self._shas[name], None, Trigger.POLL)

    def begun(self, tip: str, covers: str = "") -> None:
        """Begin a deployment of `tip`, which answers `covers` too."""
        shas = [self._shas[name] for name in (*covers, tip)]
        at = self._world.clock.now()
        self._world.journal.start(self.queued(tip), at=at, base_sha=None, covers=shas)

    def pending(self, sha: str, *changed: str) -> None:
        """Tell a commit, that the mirror need not hold, that it is on its way."""
        at, said = self._world.clock.now(), pending(Commit(sha, changed))
        self._world.journal.owe(said, deployment=self.queued("a"), at=at)

    def commit(self, sha: str) -> Commit:
        return self._covered.commit(sha, None)

    def told(self, name: str, before: str | None, others: Sequence[str] = ()) -> str:
        """Return the names of the files that a commit is told of."""
        commit = self._covered.commit(
            self._shas[name], before and self._shas[before], [self._shas[one] for one in others]
        )
        return "".join(PurePosixPath(path).stem for path in sorted(commit.changed))


def test_a_delivery_names_what_its_push_is_compared_with() -> None:
    branch = Branch("abcd")
    branch.deliver("d", before="a")
    assert branch.told("d", "c", others="bc") == "bcd"


@pytest.mark.parametrize(
    ("before", "others", "told"),
    [
        (None, "", "d"),  # since its parent, for want of anything better
        ("a", "", "bcd"),
        ("a", "d", "bcd"),
        ("d", "", "d"),
        ("d", "a", "bcd"),
        (None, "b", "cd"),
        (None, "bc", "d"),
        (None, "cb", "d"),
        ("a", "bc", "d"),
        ("a", "db", "cd"),
        ("a", "eb", "cd"),
        ("c", "ab", "d"),
    ],
)
def test_whom_nobody_names_is_compared_with_the_newest_of_what_it_came_of(
    before: str | None, others: str, told: str
) -> None:
    assert Branch("abcde").told("d", before, others) == told


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ("", "bcx"),  # the push took x away
        ("a", "bcx"),  # x came of that as well: it is older
        ("b", "c"),
        ("ab", "c"),
    ],
)
def test_after_a_forced_push_what_was_removed_comes_before_what_is_older_than_both(
    others: str, told: str
) -> None:
    branch = Branch("abc")
    branch.push("x", onto="a")
    assert branch.told("c", "x", others) == told


@pytest.mark.parametrize(
    ("before", "others", "told"),
    [
        ("d", "", "cd"),  # the branch went back from there
        ("d", "a", "cd"),
        ("d", "b", "cd"),
        ("d", "c", "b"),  # a commit of the past, beside others of the past
        ("x", "c", "bx"),
    ],
)
def test_what_came_after_a_commit_is_not_what_it_came_of_but_where_the_branch_went_back(
    before: str, others: str, told: str
) -> None:
    branch = Branch("abcd")
    branch.push("x", onto="a")
    assert branch.told("b", before, others) == told


@pytest.fixture
def set_back() -> Branch:
    """Return a branch that was set back from r to b, and pushed to then: c, d."""
    branch = Branch("abcd")
    branch.push("r", onto="b")
    for tip in "br":
        branch.begun(tip)
    return branch


def test_a_push_after_the_branch_was_set_back_is_compared_with_that(set_back: Branch) -> None:
    set_back.begun("b")
    set_back.begun("d")
    assert set_back.told("d", "r") == "cd"


def test_what_was_a_tip_and_never_live_answers_for_its_own_change() -> None:
    branch = Branch("abc")
    branch.begun("b")
    branch.begun("c")
    assert branch.told("c", "a") == "c"


def test_a_commit_that_was_only_covered_is_compared_with_the_tips_before_that(
    set_back: Branch,
) -> None:
    set_back.begun("b")
    set_back.push("e", onto="d")
    set_back.begun("e", covers="d")
    assert set_back.told("d", "r") == "cd"


def test_a_commit_that_is_deployed_again_is_compared_with_the_tips_before_the_first_time(
    set_back: Branch,
) -> None:
    set_back.begun("b")
    set_back.begun("d")
    set_back.begun("d")
    assert set_back.told("d", "r") == "cd"


def test_a_push_that_itself_sets_the_branch_back_is_compared_with_what_it_removed(
    set_back: Branch,
) -> None:
    set_back.begun("d")
    assert set_back.told("d", "r") == "cdr"


def test_a_commit_that_only_waited_was_no_tip_to_which_the_branch_was_set_back(
    set_back: Branch,
) -> None:
    set_back.queued("b")
    set_back.begun("d")
    assert set_back.told("d", "r") == "cdr"


def test_what_waited_in_a_freeze_was_a_tip_if_it_was_not_known_before() -> None:
    branch = Branch("abc")
    branch.begun("a")
    branch.queued("b")
    branch.queued("c")
    assert branch.told("c", "a") == "c"


def test_an_old_commit_named_late_does_not_come_before_a_tip_in_between() -> None:
    branch = Branch("abcd")
    branch.push("r", onto="a")
    branch.push("z", onto="b")
    for tip in "rczd":  # z was removed by force: d did not come of that
        branch.begun(tip)
    assert branch.told("d", "r", others="b") == "d"


def test_a_commit_that_the_mirror_does_not_hold_is_answered_wherever_it_is_pending() -> None:
    branch, sha = Branch("a"), "f" * 40
    branch.pending(sha, "dags/lasse/taxi.py")
    assert branch.commit(sha) == Commit(sha, open=("airflow/deploy", "airflow/lasse"))
