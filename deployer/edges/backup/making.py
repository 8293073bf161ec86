"""`deployer backup`: one file of all that can't be made anew, while everything runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deployer import __version__
from deployer.config import Settings
from deployer.core.backup import (
    DATABASES,
    JOURNAL,
    MANIFEST,
    Manifest,
    Origin,
    name_at,
    too_many,
    written,
)
from deployer.edges.backup import archive, journal
from deployer.edges.backup.databases import Databases
from deployer.edges.journal.schema import REVISIONS
from deployer.errors import DiskError, WrongPlace


@dataclass(frozen=True, slots=True)
class Backup:
    """One that was written.

    Attributes:
        removed: older ones.
    """

    file: Path
    size: int
    manifest: Manifest
    removed: tuple[Path, ...]


def origin(settings: Settings) -> Origin:
    return Origin(settings.github_repo, settings.services)


def backup(
    settings: Settings, databases: Databases, place: Path, *, keep: int | None, now: datetime
) -> Backup:
    """Write a backup to a new file, or under a name of its own into a directory.

    `keep`: so many, the newest, may be in the directory afterwards; None: all.

    Raises:
        WrongPlace: it can't be there.
        DiskError, JournalError, ServicesError: there is none then.
    """
    file = place
    try:
        if place.is_dir():
            file = place / name_at(now)
        _check(settings, place, file, keep)
        with archive.beside(file) as work:
            kept = dict(_gathered(settings, databases, work))
            manifest = Manifest(
                origin=origin(settings),
                made_by=__version__,
                made_at=now.isoformat(timespec="seconds"),
                revision=REVISIONS[-1],
                files=tuple(kept),
            )
            (work / MANIFEST).write_text(written(manifest))
            archive.write(file, {MANIFEST: work / MANIFEST} | kept)
        removed = _rotated(place, keep) if keep else ()
        return Backup(file, file.stat().st_size, manifest, removed)
    except OSError as exc:
        raise DiskError(
            f"the backup {file} can't be written: {exc}; see that there is room and that you may"
            " read the settings and write there"
        ) from exc


def _check(settings: Settings, place: Path, file: Path, keep: int | None) -> None:
    if keep and not place.is_dir():
        raise WrongPlace(f"--keep needs a directory of backups, and {place} is none: make it")
    if not file.parent.is_dir():
        raise WrongPlace(
            f"{file.parent} is no directory: make it, or name another place. Nothing was written"
        )
    if file.exists():
        raise WrongPlace(f"{file} is there already: name a new file. Nothing was written")
    if settings.compose_file.absolute().parent in file.absolute().parents:
        raise WrongPlace(
            f"{file} would be kept in the next backup: name a place outside of"
            f" {settings.compose_file.parent}. Nothing was written"
        )


def _gathered(settings: Settings, databases: Databases, work: Path) -> Iterator[tuple[str, Path]]:
    journal.copy(settings.journal_url, work / JOURNAL)
    yield JOURNAL, work / JOURNAL
    if settings.services == "local":
        return
    yield from archive.within(settings.compose_file.absolute().parent)
    for service in databases.names():
        dumped = work / f"{service}.dump"
        databases.dump(service, dumped)
        yield f"{DATABASES}/{dumped.name}", dumped


def _rotated(directory: Path, keep: int) -> tuple[Path, ...]:
    names = too_many([path.name for path in directory.iterdir()], keep)
    old = tuple(directory / name for name in names)
    for path in old:
        with suppress(FileNotFoundError):  # another run was faster
            path.unlink()
    return old
