"""Deliveries put in line by one thread before it waits for any of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deployer.edges.journal.deliveries import GroupCommit, Row
from deployer.errors import JournalError


class Disk:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.full = False

    def commit(self, rows: Sequence[Row]) -> frozenset[str]:
        if self.full:
            raise JournalError("the disk is full")
        guids = [row["guid"] for row in rows]
        known = {guid for batch in self.batches for guid in batch}
        self.batches.append(guids)
        return frozenset(guids) - known


def test_nothing_is_written_before_somebody_waits() -> None:
    disk = Disk()
    GroupCommit(disk.commit).offer({"guid": "a"})
    assert disk.batches == []


def test_what_was_offered_before_the_first_wait_shares_its_commit() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    waits = [group.offer({"guid": guid}) for guid in ("a", "b", "a")]
    assert [wait() for wait in waits] == [True, True, False]
    assert disk.batches == [["a", "b"]]


def test_an_offer_that_nobody_waits_for_holds_up_nobody() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    group.offer({"guid": "abandoned"})
    assert group.add({"guid": "a"})
    group.offer({"guid": "abandoned too"})
    assert group.add({"guid": "b"})
    assert disk.batches == [["abandoned", "a"], ["abandoned too", "b"]]


def test_a_failed_commit_is_told_to_each_and_the_next_one_is_tried_afresh() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    disk.full = True
    for wait in [group.offer({"guid": guid}) for guid in ("a", "b")]:
        with pytest.raises(JournalError, match="full"):
            wait()
    disk.full = False
    assert group.add({"guid": "a"})
