"""What a backup is, and which one is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from deployer.core.backup import (
    BackupOrigin,
    Manifest,
    against,
    is_inside,
    name_at,
    read,
    too_many,
    written,
)

HERE = BackupOrigin("class/airflow", "compose")
MANIFEST = Manifest(
    origin=HERE,
    made_by="1.2.3",
    made_at="2026-03-01T12:00:00+00:00",
    revision="0001",
    files=("journal", "databases/warehouse.dump", "databases/postgres.dump"),
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert read(written(MANIFEST).encode()) == MANIFEST


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"origin": []}',
        json.dumps({"origin": {"repo": "a"}}).encode(),
        written(replace(MANIFEST, kind="somebody else's")).encode(),
        written(replace(MANIFEST, format=1)).encode(),
        written(replace(MANIFEST, format=3)).encode(),
        b"[" * 200_000,
    ],
)
def test_what_is_no_manifest_of_ours_is_none(text: bytes) -> None:
    assert read(text) is None


def test_an_origin_nested_without_end_is_another() -> None:
    text = written(MANIFEST).replace('"compose"', "[" * 800 + "]" * 800)
    manifest = read(text.encode())
    assert manifest
    assert "is of another deployer" in str(against(manifest, HERE, ["0001"]))


def test_the_databases_of_a_backup_are_told_by_their_service() -> None:
    assert MANIFEST.databases == ("postgres", "warehouse")


def test_a_backup_goes_back_where_it_is_of() -> None:
    assert against(MANIFEST, HERE, ["0001"]) is None


def test_a_backup_of_a_newer_deployer_is_refused() -> None:
    words = against(replace(MANIFEST, revision="0002"), HERE, ["0001"])
    assert words == "was made by a newer deployer (1.2.3): install that one first"


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (replace(HERE, repo="x/y"), "its repo is class/airflow, here it is x/y"),
        (replace(HERE, services="local"), "its services is compose, here it is local"),
    ],
)
def test_a_backup_of_another_deployer_is_refused(here: BackupOrigin, words: str) -> None:
    assert against(MANIFEST, here, ["0001"]) == f"is of another deployer: {words}"


@pytest.mark.parametrize(
    "name", ["journal", "settings", "settings/.env", "settings/include/a.py", "databases/x.dump"]
)
def test_a_name_that_a_backup_has_is_inside(name: str) -> None:
    assert is_inside(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../journal",
        "journal/x",
        "databases",
        "settings/../../x",
        "settings//x",
        "settings/./x",
        "settings/a\0b",
        "other/x",
        "manifest.json",
    ],
)
def test_a_name_that_leads_elsewhere_is_not_inside(name: str) -> None:
    assert not is_inside(name)


def test_a_backup_is_named_by_its_time_in_utc() -> None:
    at = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert name_at(at) == "deployer-20260228T233000Z.tar.gz"


def test_the_oldest_are_too_many_and_files_of_others_are_none() -> None:
    names = [name_at(datetime(2026, 3, day, tzinfo=UTC)) for day in (3, 1, 2)]
    assert too_many([*names, "deployer-old.tar.gz", "notes"], 1) == (names[1], names[2])
    assert too_many(names, 3) == ()
