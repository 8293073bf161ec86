"""What the check-up makes of GitHub: the stand-in's answers, and some it does not give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from deployer.core.doctor import Ailment
from deployer.core.settings import Secret
from deployer.demo.github import StandIn
from deployer.demo.stage import free_port
from deployer.doctor import github
from deployer.edges.github.statuses import GitHub
from deployer.errors import OperatorError
from tests.doctor_world import nothing_but
from tests.github.watched import watched
from tests.github_faults import Fault, Faults
from tests.integration.answering import Answering, Said, answering

REPO = "class/airflow-class"
TOKEN = "a-token-of-the-class"
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
NO_COMMIT = Said(422, {"message": f"No commit found for SHA: {'0' * 40}"})
STATUSES = f"POST /repos/{REPO}/statuses/"


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path, repo=REPO, secret="s" * 16, token=TOKEN)
    with stand_in, watched(stand_in):
        yield stand_in


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering({STATUSES: NO_COMMIT}) as served:
        yield served


def token(url: str, secret: str | None = TOKEN, repo: str = REPO) -> str:
    """Return what is said of a token."""
    given = Secret(secret) if secret else None
    with closing(GitHub(url, repo, lambda: given)) as client:
        return github.token(
            nothing_but(github=client, github_repo=repo, github_token=given, now=lambda: NOW)
        )


def ahead(url: str, now: datetime) -> timedelta:
    with closing(GitHub(url, REPO, lambda: None)) as client:
        return github.ahead(nothing_but(github=client, now=lambda: now))


def told_of(url: str, *, secret: str | None = TOKEN, repo: str = REPO) -> Ailment:
    """Return what is said of a token that does not do."""
    with pytest.raises(Ailment) as told:
        token(url, secret, repo)
    assert TOKEN not in str(told.value)
    return told.value


# --- against the stand-in, which holds each request against GitHub's description ---


def test_a_token_that_may_write_statuses_passes(stand_in: StandIn) -> None:
    assert token(stand_in.url) == f"may write commit statuses of {REPO}"


def test_no_token_is_told_and_nobody_asked(stand_in: StandIn) -> None:
    faults = Faults(stand_in)
    faults.add(Fault(status=500))
    told = told_of(stand_in.url, secret=None)
    assert "stay in the outbox" in told.detail
    assert "`Commit statuses: write`" in told.remedy
    faults.clear()


def test_a_wrong_token_is_told(stand_in: StandIn) -> None:
    told = told_of(stand_in.url, secret="another")
    assert "does not know the token (401)" in told.detail
    assert "DEPLOYER_GITHUB_TOKEN" in told.remedy


def test_a_repository_that_is_not_shown_is_told(stand_in: StandIn) -> None:
    told = told_of(stand_in.url, repo="class/misspelt")
    assert "no repository class/misspelt (404)" in told.detail
    assert "DEPLOYER_GITHUB_REPO" in told.remedy


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"retry-after": "60"}),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
        (429, {}),
    ],
)
def test_a_rate_limit_is_not_taken_for_a_missing_right(
    stand_in: StandIn, status: int, headers: dict[str, str]
) -> None:
    Faults(stand_in).add(Fault(status=status, headers=headers))
    told = told_of(stand_in.url)
    assert told.detail == f"GitHub lets this token wait ({status}): too many requests"
    assert told.remedy.startswith("wait")


def test_a_bad_day_of_github_is_told(stand_in: StandIn) -> None:
    Faults(stand_in).add(Fault(status=502))
    told = told_of(stand_in.url)
    assert told.detail == "GitHub answered 502"
    assert "status page" in told.remedy


def test_a_dropped_connection_is_told(stand_in: StandIn) -> None:
    Faults(stand_in).add(Fault(drop=True))
    with pytest.raises(OperatorError, match="no answer from"):
        token(stand_in.url)
    assert "DEPLOYER_GITHUB_API_URL" in github.AWAY


def test_the_clock_is_read_off_any_answer(stand_in: StandIn) -> None:
    now = datetime.now(UTC)
    assert abs(ahead(stand_in.url, now)) < timedelta(minutes=5)
    assert ahead(stand_in.url, now + timedelta(hours=2)) > timedelta(hours=1)


# --- what the stand-in does not say ----------------------------------------------


def test_a_token_without_the_right_to_write_statuses_is_told(server: Answering) -> None:
    server.answers = {
        STATUSES: Said(
            403,
            {"message": "Resource not accessible by personal access token"},
            {"X-Accepted-GitHub-Permissions": "statuses=write", "X-RateLimit-Remaining": "4999"},
        ),
        f"GET /repos/{REPO}": Said(200, {"full_name": REPO}),
    }
    told = told_of(server.url)
    assert "may not write its commit statuses (403; needed: statuses=write)" in told.detail
    assert "give it `Commit statuses: write`" in told.remedy


def test_a_renamed_repository_is_told(server: Answering) -> None:
    server.answers[STATUSES] = Said(307, None, {"Location": f"{server.url}/repositories/1"})
    told = told_of(server.url)
    assert told.detail == f"{REPO} has moved (307)"
    assert "DEPLOYER_GITHUB_REPO" in told.remedy


def test_when_it_ends_is_told(server: Answering) -> None:
    headers = {"GitHub-Authentication-Token-Expiration": "2026-06-01 09:15:00 UTC"}
    server.answers[STATUSES] = Said(422, NO_COMMIT.body, headers)
    assert token(server.url) == f"may write commit statuses of {REPO}, expires 2026-06-01"


@pytest.mark.parametrize("expires", ["2026-03-05 09:15:00 UTC", "2026-03-05 04:15:00 -0500"])
def test_a_token_that_ends_within_a_week_is_told(server: Answering, expires: str) -> None:
    headers = {"GitHub-Authentication-Token-Expiration": expires}
    server.answers[STATUSES] = Said(422, NO_COMMIT.body, headers)
    told = told_of(server.url)
    assert told.detail == "the token expires 2026-03-05 09:15 UTC"
    assert told.remedy.startswith("make a fine-grained token")


def test_a_form_of_expiry_that_is_not_known_says_nothing(server: Answering) -> None:
    headers = {"GitHub-Authentication-Token-Expiration": "tomorrow"}
    server.answers[STATUSES] = Said(422, NO_COMMIT.body, headers)
    assert token(server.url) == f"may write commit statuses of {REPO}"


def test_nothing_is_ever_written(server: Answering) -> None:
    token(server.url)
    assert [(a.method, a.path) for a in server.asked] == [
        ("POST", f"/repos/{REPO}/statuses/{'0' * 40}")
    ]


def test_the_clock_is_compared_to_the_second(server: Answering) -> None:
    server.answers["HEAD /"] = Said(200, None, {"Date": format_datetime(NOW, usegmt=True)})
    assert ahead(server.url, NOW + timedelta(seconds=40)) == timedelta(seconds=40)


def test_an_answer_without_a_sound_date_is_told(server: Answering) -> None:
    server.answers["HEAD /"] = Said(200, None, {"Date": "yesterday"})
    with pytest.raises(Ailment, match="no date"):
        ahead(server.url, NOW)


def test_a_github_out_of_reach_is_told() -> None:
    with pytest.raises(OperatorError, match="no answer"):
        token(f"http://127.0.0.1:{free_port()}")
    assert "outbox" in github.AWAY
