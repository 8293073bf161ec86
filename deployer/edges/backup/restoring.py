"""`deployer restore`: a backup looked at whole, then put in the place of what is there.

What is replaced is kept beside it under a name that ends in `before_<time>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from deployer.config import Settings
from deployer.core.backup import DATABASES, JOURNAL, SETTINGS, Manifest, against
from deployer.edges.backup import archive, journal
from deployer.edges.backup.databases import Databases
from deployer.edges.backup.making import origin
from deployer.edges.disk import flush
from deployer.edges.journal.schema import REVISIONS
from deployer.edges.processes import lock
from deployer.errors import DiskError, WrongPlace


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
        if reason := against(manifest, origin(settings), REVISIONS):
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
        was = journal.put_back(
            settings.journal_url, rest / JOURNAL, aside=aside, state_dir=settings.state_dir
        )
        tell(f"the journal is the backup's{_kept(was)}")


def _kept(place: Path | None) -> str:
    return f", the old one is {place}" if place else ""


def _replaced(settings: Settings, manifest: Manifest, etc: Path | None) -> list[str]:
    where = settings.state_dir if settings.database_url is None else "DEPLOYER_DATABASE_URL"
    replaced = [f"the journal in {where}"]
    if etc:
        replaced.append(f"all of {etc}")
    replaced += [f"the database of {service}" for service in manifest.databases]
    return replaced


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
