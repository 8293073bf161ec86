"""What became of a commit is told in order, and nothing of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deployer.core.model import (
    Deployment,
    Heard,
    Running,
    State,
    Status,
    StatusRecord,
    StatusState,
    StepName,
    StepRecord,
    Trigger,
)
from deployer.core.reporting.story import story

A, B = "a" * 40, "b" * 40
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def told(*heard: Heard, of: tuple[Deployment, ...] = (), sha: str | None = A) -> list[str]:
    return [event.words for event in story(sha, heard, of)]


def test_an_ignored_delivery_is_told_with_its_reason() -> None:
    ping = Heard(NOW, None, None, "g", "push", "another branch")
    assert told(ping, sha=None) == ["push, delivery g, ignored: another branch"]


def test_a_request_is_told_before_what_answers_it() -> None:
    answer = Deployment(2, A, None, "r", Trigger.MANUAL, State.QUEUED, at(1))
    assert told(Heard(NOW, A, Trigger.MANUAL, deployment=2), of=(answer,)) == [
        "asked for by hand",
        "queued",
    ]


def test_a_push_that_nobody_delivered_was_found_by_the_poll() -> None:
    assert told(of=(Deployment(1, A, None, "r", Trigger.POLL, State.QUEUED, NOW),)) == [
        "queued, found by the poll"
    ]


def test_what_has_not_ended_is_told_as_far_as_it_came() -> None:
    waiting = Deployment(
        1, A, None, "r", Trigger.WEBHOOK, State.QUEUED, NOW, waits_for="b: packages change"
    )
    running = Deployment(
        2,
        A,
        B,
        "r",
        Trigger.WEBHOOK,
        State.RUNNING,
        at(1),
        at(2),
        steps=(StepRecord(StepName.FETCH, "ok", at(2), at(3)),),
        running=Running(StepName.BUILD, at(4), "image"),
    )
    silent = Deployment(
        3, A, B, "r", Trigger.WEBHOOK, State.RUNNING, at(5), running=Running(StepName.PARSE, at(6))
    )
    assert told(of=(waiting, running, silent)) == [
        "queued",
        "waits for b: packages change",
        "queued",
        "begun with tip aaaaaaa, after bbbbbbb",
        "fetch ok",
        "build began: image",
        "queued",
        "parse began",
    ]


def test_only_what_github_took_of_this_commit_is_told_and_once() -> None:
    said = (
        StatusRecord(Status(A, "airflow/deploy", StatusState.SUCCESS, "live"), posted_at=at(3)),
        StatusRecord(Status(A, "airflow/lasse", StatusState.SUCCESS, "1 DAG")),
        StatusRecord(Status(B, "airflow/deploy", StatusState.SUCCESS, "live"), posted_at=at(3)),
    )
    first = Deployment(
        1, A, None, "r", Trigger.WEBHOOK, State.SUPERSEDED, NOW, None, at(1), statuses=said
    )
    second = Deployment(
        2,
        B,
        None,
        "r",
        Trigger.WEBHOOK,
        State.FAILED,
        NOW,
        None,
        at(2),
        (A, B),
        "no",
        statuses=said,
    )
    assert told(of=(first, second))[2:] == [
        "superseded",
        "failed: no",
        "GitHub told: airflow/deploy success: live",
    ]
