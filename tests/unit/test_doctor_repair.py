"""What a journal that was lost is rebuilt of: GitHub's list of statuses."""

from __future__ import annotations

import pytest

from deployer.core.doctor import rebuilt
from deployer.core.model import Status, StatusRecord, StatusState

A, B = "a" * 40, "b" * 40


def said(sha: str, context: str, state: StatusState) -> StatusRecord:
    return StatusRecord(Status(sha, context, state, "said"))


def test_of_each_context_the_newest_status_counts() -> None:
    newest = said(A, "airflow/Anna", StatusState.FAILURE)
    deploy = said(A, "airflow/deploy", StatusState.SUCCESS)
    [one] = rebuilt({A: [newest, said(A, "airflow/anna", StatusState.PENDING), deploy]})
    assert (one.records, one.is_open) == ((newest, deploy), False)


def test_a_commit_that_no_push_named_is_none_of_ours() -> None:
    assert rebuilt({A: [said(A, "lint", StatusState.SUCCESS)], B: []}) == ()


def test_each_commit_comes_after_the_one_that_was_named_before_it() -> None:
    told = {sha: [said(sha, "airflow/deploy", StatusState.SUCCESS)] for sha in (B, A)}
    assert [(one.sha, one.before) for one in rebuilt(told)] == [(A, None), (B, A)]


@pytest.mark.parametrize("state", [StatusState.PENDING, StatusState.ERROR])
def test_a_commit_without_an_end_is_open(state: StatusState) -> None:
    [one] = rebuilt({A: [said(A, "airflow/deploy", state)]})
    assert one.is_open
    assert one.records[0].status.state is state


def test_a_commit_of_which_a_folder_waits_is_told_whole() -> None:
    folder = said(A, "airflow/anna", StatusState.PENDING)
    [one] = rebuilt({A: [folder, said(A, "airflow/deploy", StatusState.SUCCESS)]})
    assert one.is_open
    assert {record.status.state for record in one.records} == {StatusState.PENDING}
