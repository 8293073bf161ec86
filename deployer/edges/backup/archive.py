"""The file of a backup: tar in gzip, first the manifest that names all that follows."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deployer.core.backup import MANIFEST, SETTINGS, Manifest, is_inside, read
from deployer.edges.disk import flush
from deployer.errors import DiskError, WrongPlace

_MANIFEST_MOST: Final = 16 << 20
_PERMISSIONS: Final = 0o777
# The last three: what is no number, one too large, headers within headers.
_DAMAGE: Final = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
)


def within(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield `directory` and all that lies in it, by the names that a backup has for them.

    A link to a file is that file.

    Raises:
        OSError, DiskError: something can't be kept.
    """
    yield SETTINGS, directory
    for place, folders, names in os.walk(directory, onerror=_unread):
        for path in sorted(Path(place, name) for name in (*folders, *names)):
            if not path.is_file() and (path.is_symlink() or not path.is_dir()):
                raise DiskError(
                    f"{path} can't be kept in a backup, it is no file of its own: move it out of"
                    f" {directory}, then again"
                )
            yield f"{SETTINGS}/{path.relative_to(directory).as_posix()}", path


def _unread(exc: OSError) -> None:
    raise exc


def write(file: Path, contents: Mapping[str, Path]) -> None:
    """Write a backup that nobody else may read; it has its name when all of it is on disk.

    Raises:
        OSError
    """
    handle, part = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # mode 0600
    # Dying here leaves a hidden file, and no backup under the name.
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", dereference=True) as tar:
                for name, path in contents.items():
                    tar.add(path, arcname=name, recursive=False)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).rename(file)
    finally:
        Path(part).unlink(missing_ok=True)
    flush(file.parent)


def unpack(file: Path, *, settings: Path, rest: Path) -> Manifest:
    """Unpack the teacher's files below `settings` and all else below `rest`; check it all.

    Both are directories that nobody else can write to; what is unpacked is good if, and only
    if, this returns. It is on disk then.

    Raises:
        WrongPlace: it is no backup, damaged, or holds what a backup never does.
        DiskError
    """
    try:
        with (
            gzip.open(file) as stream,
            tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as tar,
        ):
            manifest = _manifest(file, tar)
            found = list(_unpacked(file, tar, manifest, settings, rest))
            # gzip compares its checksum with what it read when it comes to the end.
            with Path(os.devnull).open("wb") as nowhere:
                shutil.copyfileobj(stream, nowhere)
    except FileNotFoundError as exc:
        raise WrongPlace(f"{exc.filename} is not there. Nothing was changed") from exc
    except gzip.BadGzipFile as exc:
        raise _damaged(file, exc) from exc
    except (OSError, tarfile.ExtractError) as exc:
        raise DiskError(f"{file} can't be unpacked: {exc}. Nothing was changed") from exc
    except _DAMAGE as exc:
        raise _damaged(file, exc) from exc
    if sorted(found) != sorted(manifest.files):
        wrong = min({*found} ^ {*manifest.files}, default="a name is in it twice")
        raise _damaged(file, wrong)
    return manifest


def _damaged(file: Path, why: object) -> WrongPlace:
    return WrongPlace(
        f"{file} is damaged, or no backup: {why}. Nothing was changed; take another backup"
    )


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    stream = None
    if first and first.name == MANIFEST and first.isreg() and first.size < _MANIFEST_MOST:
        stream = tar.extractfile(first)
    manifest = read(stream.read()) if stream else None
    if manifest is None:
        raise WrongPlace(
            f"{file} is no backup that this deployer knows: name one that `deployer backup` wrote,"
            " and restore it with that version. Nothing was changed"
        )
    return manifest


def _unpacked(
    file: Path, tar: tarfile.TarFile, manifest: Manifest, settings: Path, rest: Path
) -> Iterator[str]:
    """Yield each name; only files and directories are ever made.

    Settings get their owner by name, if there is such a one here. All else is whose this process
    is: the number of another machine may be anybody's.
    """
    # Of names that lead nowhere else nothing needs to be filtered; Python 3.11.2 has no filters.
    tar.extraction_filter = lambda member, _: member
    made: list[Path] = []
    while member := tar.next():
        name = member.name
        known = is_inside(name) and name in manifest.files
        if not known or not (member.isreg() or member.isdir()):
            raise WrongPlace(
                f"{file} holds {name!r}, which no backup does: don't trust it. Nothing was changed"
            )
        member.mode &= _PERMISSIONS
        member.uid = member.gid = 0
        place = settings
        if name.partition("/")[0] != SETTINGS:
            place = rest
            member.uname = member.gname = ""
        tar.extract(member, place)
        made.append(place / name)
        yield name
    for path in reversed(made):  # a directory after what is in it
        flush(path)


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """Make a directory for this alone, on the disk of `place`; it is removed afterwards.

    Raises:
        DiskError
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent)
    except OSError as exc:
        raise DiskError(
            f"{place.parent} can't be written: {exc.strerror}; run it as somebody who may, as root"
        ) from exc
    with made as name:
        yield Path(name)


def own_as_around(place: Path) -> None:
    """Give a file that root made to the owner of its directory: the worker writes to it."""
    if os.geteuid() == 0 and place.exists():
        around = place.parent.stat()
        os.chown(place, around.st_uid, around.st_gid)
