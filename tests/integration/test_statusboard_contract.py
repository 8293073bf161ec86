"""What every StatusBoard does: the shared fake, and `GitHub` talking to the stand-in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployer.core.model import Status, StatusState
from deployer.core.reporting.commit_status import Commit, pending
from deployer.core.settings import Secret
from deployer.demo.github import StandIn, statuses
from deployer.edges.github.statuses import GitHub
from deployer.ports import Accepted, RefusedForGood, RetryLater, StatusBoard
from tests.fakes.statusboard import FakeStatusBoard
from tests.github.watched import watched
from tests.github_faults import Fault, Faults

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
    set_cap: Callable[[int], None]

    def status(
        self,
        state: StatusState = StatusState.SUCCESS,
        description: str = "2 DAGs: a, b",
        context: str = "airflow/lasse",
    ) -> Status:
        return Status(self.sha, context, state, description)


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
        set_cap=lambda most: setattr(board, "cap", most),
    )


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    stand_in = StandIn(tmp_path, repo=REPO, secret="s" * 16, token="a-token")
    with stand_in, watched(stand_in):
        sha = _first_commit(stand_in.repository.path)
        board, faults = GitHub(stand_in.url, REPO, lambda: Secret("a-token")), Faults(stand_in)
        yield Rig(
            board=board,
            sha=sha,
            shown=lambda: [
                (status.context, status.state, status.description, status.target_url)
                for status in stand_in.statuses(sha)
            ],
            break_once=lambda: faults.add(Fault(status=502)),
            limit_once=lambda after_s: faults.add(
                Fault(status=429, headers={"retry-after": f"{after_s:.0f}"})
            ),
            set_cap=lambda most: monkeypatch.setattr(statuses, "MOST_PER_CONTEXT", most),
        )
        board.close()


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


def test_a_context_of_255_characters_is_accepted_whatever_their_script(rig: Rig) -> None:
    assert rig.board.post(rig.status(context="é" * 255), None) == Accepted()

    assert rig.shown()[0][0] == "é" * 255


def test_a_longer_context_is_refused_for_good(rig: Rig) -> None:
    answer = rig.board.post(rig.status(context="x" * 256), None)

    assert isinstance(answer, RefusedForGood)
    assert "context is too long (maximum is 255 characters)" in answer.reason
    assert rig.shown() == []


@pytest.mark.parametrize("field", ["description", "context"])
def test_a_four_byte_letter_is_refused_for_good(rig: Rig, field: str) -> None:
    said = rig.status()
    said = replace(
        said,
        description="moo \N{COW}" if field == "description" else said.description,
        context="moo \N{COW}" if field == "context" else said.context,
    )

    answer = rig.board.post(said, None)

    assert isinstance(answer, RefusedForGood)
    assert f"{field} doesn't accept 4-byte Unicode" in answer.reason
    assert rig.shown() == []


@pytest.mark.parametrize("folder", ["deploy", "n" * 249, "\N{COW}", "Maria", "josé"])
def test_what_a_commit_shows_is_accepted_whatever_its_folder_is_called(
    rig: Rig, folder: str
) -> None:
    shown = pending(Commit(rig.sha, (f"dags/{folder}/a.py",)))

    assert [rig.board.post(status, None) for status in shown] == [Accepted()] * 2


def test_contexts_are_told_apart_without_case_when_they_are_counted(rig: Rig) -> None:
    rig.set_cap(2)
    rig.board.post(rig.status(StatusState.PENDING), None)
    rig.board.post(rig.status(context="airflow/LASSE"), None)

    full = rig.board.post(rig.status(), None)
    other = rig.board.post(rig.status(context="airflow/maria"), None)

    assert isinstance(full, RefusedForGood)
    assert "maximum number of statuses" in full.reason
    assert other == Accepted()


def test_what_is_no_commit_id_is_refused_for_good(rig: Rig) -> None:
    answer = rig.board.post(Status("main", "airflow/deploy", StatusState.ERROR, "x"), None)

    assert isinstance(answer, RefusedForGood)
    assert "40 character SHA1" in answer.reason


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
