"""`deployer backup`: one file of all that can't be made anew, while everything runs.

`deployer restore`: a backup looked at whole, then put in the place of what is there. What is
replaced is kept beside it under a name that ends in `before_<time>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deployer import __version__
from deployer.config import Settings
from deployer.core.backup import (
    DATABASES,
    JOURNAL,
    MANIFEST,
    SETTINGS,
    BackupOrigin,
    Manifest,
    against,
    name_at,
    too_many,
    written,
)
from deployer.edges.backup import archive, journal
from deployer.edges.backup.databases import Databases
from deployer.edges.disk import flush
from deployer.edges.journal.schema import REVISIONS
from deployer.edges.processes import lock
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
                origin=_origin(settings),
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


def _origin(settings: Settings) -> BackupOrigin:
    return BackupOrigin(settings.github_repo, settings.services)


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


def restore(
    settings: Settings,
    databases: Databases,
    file: Path,
    *,
    agreed: Callable[[Manifest, Sequence[str]], None],
    tell: Callable[[str], None],
    now: datetime,
) -> None:
    """Put a backup in the place of journal, settings and databases.

    `agreed`: is told what will be replaced, and raises if it must not be.
    `tell`: of each part that was replaced.

    Raises:
        WorkerRunning
        WrongPlace: it is no backup, damaged, of another deployer or a newer one.
        DiskError, JournalError, ServicesError
    """
    aside = f"before_{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    etc = settings.compose_file.absolute().parent
    with ExitStack() as held:
        held.enter_context(_without_worker(settings, databases.output))
        rest = held.enter_context(archive.beside(settings.state_dir / "restore"))
        with_stack = settings.services == "compose"
        near = held.enter_context(archive.beside(etc)) if with_stack else rest
        manifest = archive.unpack(file, settings=near, rest=rest)
        if reason := against(manifest, _origin(settings), REVISIONS):
            raise WrongPlace(f"{file} {reason}. Nothing was changed")
        journal.ready(rest / JOURNAL)
        agreed(manifest, _replaced(settings, manifest, etc if with_stack else None))
        if with_stack:
            if settings.compose_file.exists():
                databases.stop_others()
            with _in_place(near / SETTINGS, etc, aside) as kept:
                _load(databases, manifest.databases, rest / DATABASES, aside)
            tell(f"{etc} is the backup's{_kept(kept)}")
            for service in manifest.databases:
                tell(f"the database of {service} is the backup's, the old one ends in _{aside}")
        was = journal.put_back(settings.journal_url, rest / JOURNAL, aside=aside)
        tell(f"the journal is the backup's{_kept(was)}")


def _kept(place: Path | str | None) -> str:
    return f", the old one is {place}" if place else ""


def _replaced(settings: Settings, manifest: Manifest, etc: Path | None) -> list[str]:
    where = settings.state_dir if settings.database_url is None else "DEPLOYER_DATABASE_URL"
    settings_of = [f"all of {etc}"] if etc else []
    databases = [f"the database of {service}" for service in manifest.databases]
    return [f"the journal in {where}", *settings_of, *databases]


@contextmanager
def _without_worker(settings: Settings, output: Path) -> Iterator[None]:
    try:
        with lock.only_worker(settings.state_dir, settings.checkout_dir):
            yield
    finally:
        for place in (settings.state_dir / lock.NAME, settings.checkout_dir / lock.NAME, output):
            archive.own_as_around(place)


@contextmanager
def _in_place(fresh: Path, etc: Path, aside: str) -> Iterator[Path | None]:
    """Let `fresh` be `etc`, and no longer if what is done with it fails; yield the old one."""
    kept = etc.with_name(f"{etc.name}.{aside}") if etc.exists() else None
    try:
        if kept:
            etc.rename(kept)
        # Dying here leaves no settings, and the old ones beside them by their name.
        fresh.rename(etc)
        flush(etc.parent)
    except OSError as exc:
        with suppress(OSError):
            if kept and kept.exists():
                kept.rename(etc)
        raise DiskError(f"{etc} can't be replaced: {exc}; all is as it was") from exc
    try:
        yield kept
    except BaseException:
        etc.rename(fresh)
        if kept:
            kept.rename(etc)
        raise


def _load(databases: Databases, services: tuple[str, ...], dumps: Path, aside: str) -> None:
    if not services:
        return
    databases.start(services)
    for service in services:
        databases.load(service, dumps / f"{service}.dump")
    # All of them are there; whoever dies between two swaps restores once more.
    for service in services:
        databases.swap(service, aside)
