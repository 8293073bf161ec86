"""Releases: whole trees side by side, one of them live by a link.

    <CHECKOUT_DIR>/releases/<name>/     a whole release (see `directory`)
    <CHECKOUT_DIR>/releases/.tmp-…      one being made or removed; rubbish after a crash
    <CHECKOUT_DIR>/releases/.published  every name ever given, oldest first, one a line
    <CHECKOUT_DIR>/releases/.proven -> <name>  the last one that Airflow is known to live with
    <CHECKOUT_DIR>/releases/.live -> <name>    where `current` was made to lead; who else moves it?
    <CHECKOUT_DIR>/releases/edited/<name>/     what somebody changed in a release by hand
    <CHECKOUT_DIR>/current -> releases/<name>

What changes what is live is one rename of a link. At every other point a crash leaves
the release before live and whole.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Final

from deployer.core.counts import counted
from deployer.core.dependencies.affected import parse_inputs
from deployer.core.model import Tree
from deployer.edges.disk import disk_errors, flush, make_readable, point
from deployer.edges.releases import directory as release_dir
from deployer.edges.releases.directory import Blobs, Contents, ReleaseWatch, With
from deployer.errors import DiskError
from deployer.ports import Edits, Release

_NAME: Final = re.compile(r"([0-9a-f]{40})(?:-[1-9][0-9]*)?")
_TMP: Final = ".tmp-"
RESERVE_BYTES: Final = 500_000_000
RESERVE_PART: Final = 20
"""One part in so many of the disk stays free, too, but for what is beyond `RESERVE_BYTES`."""
LARGE_BYTES: Final = 1_000_000
"""Data beyond that is not written for an examination of others' files that don't name it."""
_NAMED: Final = 3  # files, in what is said of edits


class ReleaseStore:
    """`ports.Releases` under `directory`, with files out of `source`. For one process."""

    def __init__(self, directory: Path, source: Blobs) -> None:
        """Touch nothing yet."""
        self._directory = directory
        self._releases = directory / "releases"
        self._current = directory / "current"
        self._log = self._releases / ".published"
        self._proven = self._releases / ".proven"
        self._expected = self._releases / ".live"
        self._edited = self._releases / "edited"
        self._watch = ReleaseWatch()
        self._laid_out: set[str] = set()
        self._source = source

    def live(self) -> Release | None:
        named = _NAME.fullmatch(_led_to(self._current) or "")
        if named is None or not release_dir.is_whole(self._releases / named[0]):
            return None
        return Release(named[0], named[1])

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        """As the port says. What is live already, with nothing to touch, is left as it is."""
        live = self._live_contents()
        files, executable, requirements = release_dir.wanted(tree, live, held)
        fresh = frozenset(touch).intersection(files)
        changed = self._watch.changed(live) if live else frozenset()
        same = live and (live.sha, live.files, live.executable) == (tree.sha, files, executable)
        if live and same and not fresh | changed:
            return Release(live.root.name, live.sha)
        source = With(requirements, self._source)
        with disk_errors("the release before stays live"):
            self._make_root()
            if live and changed:
                self._keep_aside(live, changed)
                whole = {path: blob for path, blob in live.files.items() if path not in changed}
                live = replace(live, files=whole)
            name = self._free_name(tree.sha)
            building = self._releases / f"{_TMP}{name}"
            root = self._releases / name
            new = Contents(building, tree.sha, files, executable)
            moved = release_dir.moved(new, live, fresh)
            self._make_sure_of_room([files[path] for path in moved], source)
            try:
                if building.exists():
                    shutil.rmtree(building)  # of a try that died
                written = release_dir.fill(new, like=live, moved=moved, source=source)
                release_dir.make_whole(new, written)
                self._note(name)
                building.rename(root)
                # Dying here: a whole release that nothing names; `prune` sees to it.
                _touch([root / path.relative_to(building) for path in written])
                self._make_live(name)
            except BaseException:
                if self._live_name() != name:
                    shutil.rmtree(building, ignore_errors=True)
                    shutil.rmtree(root, ignore_errors=True)
                raise
        return Release(name, tree.sha, len(written))

    @contextmanager
    def lay_out(self, tree: Tree, paths: Collection[str]) -> Iterator[Path]:
        """Hand out a directory like a release with `paths` and what they may refer to.

        Live nowhere, and no file in it is a link to one that is: it is for code that is not
        trusted yet. Removed afterwards.

        Raises:
            DiskError, UnknownCommit, GitError
        """
        data = {path: file.blob for path, file in tree.files.items() if not path.endswith(".py")}
        sizes = self._source.sizes(frozenset(data.values()))
        large = {path for path, blob in data.items() if sizes[blob] > LARGE_BYTES}
        files = {path: tree.files[path].blob for path in parse_inputs(tree.files, paths, large)}
        with disk_errors("nothing was published"):
            self._make_root()
            self._make_sure_of_room(list(files.values()), self._source)
            root = Path(tempfile.mkdtemp(prefix=_TMP, dir=self._releases))
        self._laid_out.add(root.name)
        try:
            with disk_errors("nothing was published"):
                executable = frozenset(path for path in files if tree.files[path].executable)
                new = Contents(root, tree.sha, files, executable)
                release_dir.fill(new, like=None, moved=files, source=self._source)
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)
            self._laid_out.discard(root.name)

    def edits(self, *, mend: bool = True) -> Edits | None:
        """As the port says.

        Raises:
            DiskError: something in the place of `current` can't be moved away.
        """
        live, expected = _led_to(self._current), _led_to(self._expected)
        said = []
        with disk_errors("what is live was changed by hand and can't be mended"):
            if expected and not release_dir.is_whole(self._releases / expected):
                return Edits(f"the live release {expected} was removed, or its manifest was")
            if expected and live != expected:
                found = f"led to {live}" if live else "was removed"
                if not mend:
                    return Edits(f"`current` {found}: let it lead to {expected}", frozenset())
                if self._current.exists() and not self._current.is_symlink():
                    self._edited.mkdir(exist_ok=True)
                    self._current.rename(self._edited / f"current-{time.time_ns()}")
                    found = "was replaced"
                self._make_live(expected)
                said.append(f"`current` {found} and leads to {expected} again")
        contents = self._live_contents()
        if contents is None:
            return Edits("the manifest of the live release was spoilt") if expected else None
        changed = self._watch.changed(contents)
        if changed:
            some, more = ", ".join(sorted(changed)[:_NAMED]), len(changed) - _NAMED
            verb = "were" if len(changed) > 1 else "was"
            said.append(
                f"{counted(changed, 'file')} of the live release {verb} changed by hand: {some}"
                + (f" and {more} more" if more > 0 else "")
                + f"; what was there is kept in {self._edited / contents.root.name}"
            )
        return Edits("; ".join(said), changed) if said else None

    def restore(self, name: str | None) -> None:
        with disk_errors("what was live stays live"):
            if name is None:
                self._current.unlink(missing_ok=True)
                self._expected.unlink(missing_ok=True)
            elif _NAME.fullmatch(name) and release_dir.is_whole(self._releases / name):
                self._make_live(name)
            else:
                raise DiskError(f"there is no release {name!r} under {self._releases}")

    def confirm(self, name: str) -> None:
        if name != self.proven():
            with disk_errors("it stays live as it is"):
                point(self._proven, Path(name))

    def proven(self) -> str | None:
        name = _led_to(self._proven)
        return name if name and release_dir.is_whole(self._releases / name) else None

    def torn(self) -> tuple[str, ...]:
        """Return the half-written releases, which `prune` removes."""
        return tuple(self._sorted_out(0)[0])

    def blobs(self, name: str) -> Mapping[str, str]:
        found = release_dir.contents(self._releases / name)
        return found.files if found else {}

    def beyond(self, keep: int) -> tuple[str, ...]:
        """As the port says.

        Raises:
            DiskError
        """
        with disk_errors("what is live is not concerned"):
            return tuple(self._sorted_out(keep)[1])

    def prune(self, keep: int, in_use: Collection[str]) -> tuple[str, ...]:
        """As the port says.

        Raises:
            DiskError: one can't be removed, all others are; the next call tries again.
        """
        with disk_errors("what is live is not concerned"):
            torn, old = self._sorted_out(keep)
            doomed = [*torn, *(name for name in old if name not in in_use)]
            stuck: OSError | None = None
            for name in doomed:
                try:
                    self._remove(name)
                except OSError as exc:
                    stuck = stuck or exc
            if stuck:
                raise stuck
        return tuple(doomed)

    # -- parts

    def _sorted_out(self, keep: int) -> tuple[list[str], list[str]]:
        """Return the half-written releases, and the whole ones beyond `keep`, oldest first."""
        if not self._releases.is_dir():
            return [], []
        # Of what is laid out an examination is under way.
        there = {entry.name for entry in self._releases.iterdir()} - self._laid_out
        named = {name for name in there if _NAME.fullmatch(name)}
        age = {name: number for number, name in enumerate(self._published())}
        whole = sorted(
            (name for name in named if release_dir.is_whole(self._releases / name)),
            key=lambda name: (age.get(name, -1), name),
        )
        torn = named.difference(whole) | {name for name in there if name.startswith(_TMP)}
        spared = {
            self._live_name(),
            _led_to(self._expected),
            self.proven(),
            *whole[max(len(whole) - keep, 0) :],
        }
        return sorted(torn), [name for name in whole if name not in spared]

    def _make_sure_of_room(self, blobs: Sequence[str], source: Blobs) -> None:
        """See that files of these contents fit on the disk, and that a reserve stays free.

        Raises:
            DiskError: they do not.
            OSError, UnknownCommit, GitError
        """
        disk = os.statvfs(self._releases)
        sizes = source.sizes(frozenset(blobs))
        needs = sum(-(-sizes[blob] // disk.f_frsize) for blob in blobs) * disk.f_frsize
        free = disk.f_bavail * disk.f_frsize
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART)
        if needs and free < needs + reserve:
            raise DiskError(
                f"nothing was published: the disk of {self._releases} has {_mb(free)} free; "
                f"{_mb(needs)} to write and {_mb(reserve)} in reserve do not fit: free some"
            )

    def _make_root(self) -> None:
        make_readable(self._directory)
        make_readable(self._releases)

    def _make_live(self, name: str) -> None:
        # Relative: mounted elsewhere, it still leads there.
        point(self._current, Path("releases", name))
        point(self._expected, Path(name))
        # Dying before that line: `edits` leads back to the one before, and all is redone.
        # Dying here: live, as everybody sees. After a power cut: the release before, and whole.
        with suppress(OSError):  # it is live all the same
            flush(self._directory)

    def _keep_aside(self, release: Contents, paths: Collection[str]) -> None:
        """Keep what stands in the place of `paths`: somebody's work, perhaps."""
        for path in sorted(paths):
            place, kept = release.root / path, self._edited / release.root.name / path
            if os.path.lexists(place):
                kept.parent.mkdir(parents=True, exist_ok=True)
                keep = os.rename if place.is_dir() and not place.is_symlink() else os.link
                with suppress(FileExistsError):  # of a try that failed
                    keep(place, kept)

    def _live_name(self) -> str | None:
        live = self.live()
        return live.name if live else None

    def _live_contents(self) -> Contents | None:
        name = self._live_name()
        return release_dir.contents(self._releases / name) if name else None

    def _remove(self, name: str) -> None:
        doomed = self._releases / name
        if not name.startswith(_TMP):
            # Under a name that says so: half removed, it must not look like a release.
            doomed = doomed.rename(self._releases / f"{_TMP}{name}")
        shutil.rmtree(doomed)

    # -- names

    def _published(self) -> list[str]:
        try:
            return self._log.read_text("ascii", "replace").splitlines()
        except FileNotFoundError:
            return []

    def _note(self, name: str) -> None:
        """Write down that `name` is given away, for good: Airflow remembers names too."""
        with self._log.open("a+b") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(end - 1, 0))
            torn = log.read(1) not in {b"", b"\n"}  # a crash in the middle of a line
            log.write(b"\n" * torn + name.encode() + b"\n")
        flush(self._log)

    def _free_name(self, sha: str) -> str:
        taken = {*self._published(), *(entry.name for entry in self._releases.iterdir())}
        names = chain([sha], (f"{sha}-{number}" for number in count(2)))
        return next(name for name in names if name not in taken)


def _mb(size: int) -> str:
    return f"{size / 1_000_000:,.0f} MB"


def _led_to(link: Path) -> str | None:
    try:
        return link.readlink().name
    except OSError:
        return None


def _touch(paths: Collection[Path]) -> None:
    """Give all `paths` one modification time: now. Last, for Airflow compares it with its own."""
    now = time.time_ns()
    for path in paths:
        os.utime(path, ns=(now, now))
