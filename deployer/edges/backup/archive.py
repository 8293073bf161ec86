"""The file of a backup: tar, gzip, first a manifest with the checksums of all that follows."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from deployer.core.backup import MANIFEST, SETTINGS, Manifest, is_inside, read, written
from deployer.errors import DiskError, WrongPlace

_MANIFEST_MOST = 16 << 20
_PERMISSIONS = 0o777


class Entry(NamedTuple):
    """What a backup holds under a name; with its content, if that may change meanwhile."""

    name: str
    path: Path
    content: bytes | None = None

    def checksum(self) -> str | None:
        """Return it, None: it is a directory."""
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        if self.path.is_dir():
            return None
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def entries(directory: Path) -> Iterator[Entry]:
    """Yield `directory` and all that lies in it; a link to a file is that file.

    Raises:
        OSError, DiskError: something can't be kept.
    """
    yield Entry(SETTINGS, directory)
    for place, folders, names in os.walk(directory, onerror=_unread):
        for path in sorted(Path(place, name) for name in (*folders, *names)):
            name = f"{SETTINGS}/{path.relative_to(directory).as_posix()}"
            if path.is_file():
                yield Entry(name, path, path.read_bytes())
            elif path.is_dir() and not path.is_symlink():
                yield Entry(name, path)
            else:
                raise DiskError(
                    f"{path} can't be kept in a backup, it is no file of its own: move it out of"
                    f" {directory}, then again"
                )


def _unread(exc: OSError) -> None:
    raise exc


def write(file: Path, manifest: Manifest, contents: Iterable[Entry]) -> None:
    """Write a backup that nobody else may read; it has its name when all of it is on disk.

    Raises:
        OSError
    """
    handle, part = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # mode 0600
    # Dying here leaves a hidden file, and no backup under the name.
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", dereference=True) as tar:
                text = written(manifest).encode()
                first = tarfile.TarInfo(MANIFEST)
                first.size, first.mode = len(text), 0o600
                tar.addfile(first, io.BytesIO(text))
                for entry in contents:
                    _add(tar, entry)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).rename(file)
    finally:
        Path(part).unlink(missing_ok=True)
    sync(file.parent)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    if entry.content is None:
        tar.add(entry.path, arcname=entry.name, recursive=False)
        return
    info = tar.gettarinfo(entry.path, arcname=entry.name)
    info.size = len(entry.content)
    tar.addfile(info, io.BytesIO(entry.content))


def unpack(file: Path, *, settings: Path, rest: Path) -> Manifest:
    """Unpack a backup, the teacher's files into `settings` and all else into `rest`; check it all.

    Both are empty directories that nobody else can write to; what is in them is good if, and
    only if, this returns.

    Raises:
        WrongPlace: it is no backup, damaged, or holds what a backup never does.
        DiskError
    """
    try:
        with tarfile.open(file, mode="r:gz") as tar:
            manifest = _manifest(file, tar)
            found = dict(_unpacked(file, tar, manifest.files, settings, rest))
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as exc:
        raise WrongPlace(f"{file} is damaged, or no backup: {exc}. Nothing was changed") from exc
    except FileNotFoundError as exc:
        raise WrongPlace(f"{exc.filename} is not there. Nothing was changed") from exc
    except OSError as exc:  # of gzip too
        raise DiskError(f"{file} can't be unpacked: {exc}. Nothing was changed") from exc
    if found != manifest.files:
        wrong = min(found.items() ^ manifest.files.items())[0]
        raise WrongPlace(f"{file} is damaged: {wrong}. Nothing was changed; take another backup")
    return manifest


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    stream = None
    if first and first.name == MANIFEST and first.isreg() and first.size < _MANIFEST_MOST:
        stream = tar.extractfile(first)
    manifest = read(stream.read()) if stream else None
    if manifest is None:
        raise WrongPlace(
            f"{file} is no backup that this deployer knows: name one that `deployer backup` wrote,"
            " and restore it with that version or a newer one. Nothing was changed"
        )
    return manifest


def _unpacked(
    file: Path, tar: tarfile.TarFile, known: Mapping[str, str], settings: Path, rest: Path
) -> Iterator[tuple[str, str]]:
    """Yield each file's name and checksum; only files and directories are ever made."""
    while member := tar.next():
        name = member.name
        if not is_inside(name) or not (member.isdir() or (member.isreg() and name in known)):
            raise WrongPlace(
                f"{file} holds {name!r}, which no backup does: don't trust it. Nothing was changed"
            )
        top, _, below = name.partition("/")
        place = settings / below if top == SETTINGS else rest / name
        place.parent.mkdir(parents=True, exist_ok=True)
        stream = tar.extractfile(member)
        if stream is None:
            place.mkdir(exist_ok=True)
        else:
            yield name, _copied(stream, place)
        if top == SETTINGS:
            _own(place, member)


def _copied(stream: IO[bytes], place: Path) -> str:
    with place.open("xb+") as out:
        shutil.copyfileobj(stream, out)
        out.flush()
        os.fsync(out.fileno())
        out.seek(0)
        return hashlib.file_digest(out, "sha256").hexdigest()


def _own(place: Path, member: tarfile.TarInfo) -> None:
    """Give it its owner, by name where there is such a one: numbers differ between machines."""
    if os.geteuid() == 0:
        with suppress(LookupError):
            shutil.chown(place, user=member.uname or member.uid)
        with suppress(LookupError):
            shutil.chown(place, group=member.gname or member.gid)
    place.chmod(member.mode & _PERMISSIONS)


def sync(place: Path) -> None:
    """Have what a file holds, or the names in a directory, on disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """Make a directory for this alone, on the disk of `place`."""
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
