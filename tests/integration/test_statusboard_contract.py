"""What every StatusBoard does: the shared fake, and `GitHub` talking to the stand-in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.core.model import Status, StatusState
from deployer.core.secret import Secret
from deployer.demo.github import StandIn
from deployer.demo.github.faults import Fault
from deployer.edges.github import GitHub
from deployer.ports import Accepted, RefusedForGood, RetryLater, StatusBoard
from tests.fakes.statusboard import FakeStatusBoard

UNKNOWN = "f" * 40
REPO = "class/airflow-class"


@dataclass(frozen=True)
class Rig:
    """A board, and the world behind it."""

    board: StatusBoard
    sha: str
    shown: Callable[[], list[tuple[str, str, str | None, str | None]]]
    break_once: Callable[[], None]
    limit_once: Callable[[float], None]

    def status(
        self, state: StatusState = StatusState.SUCCESS, description: str = "2 DAGs: a, b"
    ) -> Status:
        return Status(self.sha, "airflow/lasse", state, description)


@pytest.fixture
def fake() -> Rig:
    board = FakeStatusBoard()
    board.unknown.add(UNKNOWN)
    return Rig(
        board=board,
        sha="a" * 40,
        shown=lambda: [
            (status.context, str(status.state), status.description, target_url)
            for status, target_url in board.posted
        ],
        break_once=lambda: board.answers.append(RetryLater("GitHub answered 502")),
        limit_once=lambda after_s: board.answers.append(RetryLater("limit", after_s)),
    )


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Rig]:
    with StandIn(tmp_path, repo=REPO, secret="s" * 16, token="a-token") as stand_in:
        sha = _first_commit(stand_in.repository.path)
        board = GitHub(stand_in.url, REPO, Secret("a-token"))
        yield Rig(
            board=board,
            sha=sha,
            shown=lambda: [
                (status.context, status.state, status.description, status.target_url)
                for status in stand_in.statuses(sha)
            ],
            break_once=lambda: stand_in.faults.add(Fault(status=502)),
            limit_once=lambda after_s: stand_in.faults.add(
                Fault(status=429, headers={"retry-after": f"{after_s:.0f}"})
            ),
        )
        board.close()
        assert stand_in.violations == ()


@pytest.fixture(params=["fake", "github"])
def rig(request: pytest.FixtureRequest) -> Rig:
    rig: Rig = request.getfixturevalue(request.param)
    return rig


def test_an_accepted_status_is_shown_as_it_was_posted(rig: Rig) -> None:
    page = "https://deployer.example.org/commits/1"

    assert rig.board.post(rig.status(), page) == Accepted()

    assert rig.shown() == [("airflow/lasse", "success", "2 DAGs: a, b", page)]


def test_a_status_needs_no_page_behind_it(rig: Rig) -> None:
    assert rig.board.post(rig.status(), None) == Accepted()

    assert rig.shown() == [("airflow/lasse", "success", "2 DAGs: a, b", None)]


@pytest.mark.parametrize("state", list(StatusState))
def test_each_state_is_taken(rig: Rig, state: StatusState) -> None:
    assert rig.board.post(rig.status(state), None) == Accepted()

    assert [shown[1] for shown in rig.shown()] == [str(state)]


def test_posting_the_same_status_again_is_accepted(rig: Rig) -> None:
    rig.board.post(rig.status(), None)

    assert rig.board.post(rig.status(), None) == Accepted()


def test_140_characters_are_accepted_whatever_their_script(rig: Rig) -> None:
    assert rig.board.post(rig.status(description="é" * 140), None) == Accepted()

    assert rig.shown()[0][2] == "é" * 140


def test_a_longer_description_is_refused_for_good(rig: Rig) -> None:
    answer = rig.board.post(rig.status(description="x" * 141), None)

    assert isinstance(answer, RefusedForGood)
    assert "maximum is 140 characters" in answer.reason
    assert rig.shown() == []


def test_an_unknown_commit_is_refused_for_good_and_named(rig: Rig) -> None:
    answer = rig.board.post(Status(UNKNOWN, "airflow/deploy", StatusState.ERROR, "x"), None)

    assert isinstance(answer, RefusedForGood)
    assert UNKNOWN in answer.reason


def test_a_page_without_http_is_refused_for_good(rig: Rig) -> None:
    answer = rig.board.post(rig.status(), "ftp://deployer.example.org/")

    assert isinstance(answer, RefusedForGood)
    assert "http(s)" in answer.reason


def test_after_an_outage_the_same_status_is_accepted(rig: Rig) -> None:
    rig.break_once()

    during = rig.board.post(rig.status(), None)
    after = rig.board.post(rig.status(), None)

    assert isinstance(during, RetryLater)
    assert during.after_s is None
    assert after == Accepted()
    assert len(rig.shown()) == 1


def test_a_rate_limit_says_how_long_to_wait(rig: Rig) -> None:
    rig.limit_once(17.0)

    answer = rig.board.post(rig.status(), None)

    assert isinstance(answer, RetryLater)
    assert answer.after_s == 17.0
    assert rig.shown() == []


def _first_commit(repository: Path) -> str:
    """Make one commit in a bare repository; return its id."""
    script = "commit refs/heads/main\ncommitter C <c@example.org> 1700000000 +0000\ndata 1\nx\n"
    git = ["git", "--git-dir", str(repository)]
    subprocess.run([*git, "fast-import", "--quiet"], input=script.encode(), check=True)
    tip = subprocess.run([*git, "rev-parse", "main"], check=True, capture_output=True, text=True)
    return tip.stdout.strip()
