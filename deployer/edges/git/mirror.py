"""The bare mirror of the class repository: fetched, healed, tidied, read by blob id.

Objects are not put through `transfer.fsckObjects`: one odd commit in somebody's history
would stop the fetch for the whole class. git checks that each object is what its id says;
names and kinds are judged in `core.tree.publishable`, and nothing is ever checked out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from deployer.core.settings import Secret
from deployer.edges.disk import make_readable
from deployer.edges.git.command import GitRunner, Ran, cause
from deployer.edges.git.objects import Found, GitObjects, GitUnread
from deployer.errors import GitError, NothingPushed, UnknownCommit

_LOCAL_S: Final = 60.0  # bound of a command that needs the disk alone, seconds
_CHECK_S: Final = 20.0  # of reading it through while a person waits
_LONG_S: Final = 300.0  # of one that reads all there is
_TRANSFER_S: Final = 7200.0  # a slow link is given its time as long as something comes
_NO_SUCH_REF: Final = 2  # git-ls-remote(1), --exit-code

SILENT_S: Final = 40.0
"""For the host: when nothing has come for so long, it is given up."""

log = structlog.get_logger(__name__)


class Mirror:
    """`<directory>/mirror.git` with one branch. This process is its only writer."""

    def __init__(
        self,
        url: str,
        branch: str,
        directory: Path,
        *,
        token: Callable[[], Secret | None] = lambda: None,
        silent_s: float = SILENT_S,
    ) -> None:
        """Touch nothing yet; the first `fetch` makes the mirror. `token`: see `GitRunner`."""
        self._git = GitRunner(url, token=token)
        self.host = self._git.redacted(url)
        self._url = url
        self._branch = branch
        self._ref = f"refs/heads/{branch}"
        self._directory = directory
        self.path = directory / "mirror.git"
        self._new = directory / "mirror.git.new"
        self._old = directory / "mirror.git.old"
        self._objects = GitObjects(self._git, self.path)
        self._silent_s = silent_s
        self.damaged = False  # found by reading it: `fetch` makes it anew
        self._tip: str | None = None

    def fetch(self) -> str:
        """Bring the branch up to date, a forced push included; return its tip.

        A mirror that is missing or damaged is made anew.

        Raises:
            GitError: the host is out of reach, refuses, is too slow or has no such branch.
        """
        try:
            tip = None
            if not self.damaged and (self.path / "HEAD").is_file():
                tip = self._updated()
            if tip is None:
                tip = self._made_anew()
            elif tip == self._tip:
                self._tidy()  # nothing came: the idle moment
        except OSError as exc:
            raise GitError(f"{exc.strerror}; the mirror {self.path} can't be written") from exc
        self._tip = tip
        return tip

    def close(self) -> None:
        """End the process that reads it; the next question starts another."""
        self._objects.close()

    def run(self, *args: str) -> Ran:
        """Run one git command that only reads the mirror."""
        return self._git.run(f"--git-dir={self.path}", *args, timeout_s=_LOCAL_S)

    def unread(self, ran: Ran, *, within_s: float = _LOCAL_S) -> GitError:
        """Return the error to raise for what could not be read; take note of damage.

        A machine that has no memory or no time says nothing about the mirror.
        """
        if ran.kept_from_working:
            why = f"no end within {within_s:g} s" if ran.timed_out else self._cause(ran)
            return GitError(f"{why or 'git was killed'}; so the mirror {self.path} can't be read")
        self.damaged = True
        return GitError(
            f"the mirror can't be read, the next fetch makes it anew: {self._cause(ran)}"
        )

    def content(self, kind: str, name: str) -> bytes:
        """Return a `blob`, or a `tree` as git keeps it, by its id.

        Raises:
            UnknownCommit: the mirror does not hold it.
            GitError: the mirror can't be read.
        """
        [found] = self._asked("contents", [name])
        if found is None or found.kind != kind.encode():
            raise self._without(name)
        return found.said

    def sizes(self, ids: Collection[str]) -> dict[str, int]:
        """Return how many bytes each blob has.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
            GitError: the mirror can't be read.
        """
        sizes = {}
        for blob, found in zip(ids, self._asked("info", list(ids)), strict=True):
            if found is None:
                raise self._without(blob)
            sizes[blob] = int(found.said)
        return sizes

    def named(self, revision: str) -> str | None:
        """Return the id of the object that `revision` names, None if there is none.

        Raises:
            GitError: the mirror can't be read.
        """
        [found] = self._asked("info", [revision])
        return found.name.decode() if found else None

    def _without(self, name: str) -> UnknownCommit:
        self.damaged = True  # a commit's objects come and go with it
        return UnknownCommit(f"the mirror does not hold the object {name}")

    def _asked(self, command: str, names: Sequence[str]) -> list[Found | None]:
        try:
            return self._objects.ask(command, names)
        except GitUnread as exc:
            raise self.unread(exc.ran) from exc

    # -- fetching

    def _updated(self) -> str | None:
        """Fetch into the mirror; return the tip, None if the mirror is damaged.

        Raises:
            GitError: the host or this machine is at fault, or nobody knows who.
        """
        for _ in range(2):  # a connection that broke once needs no more than another
            self._remove_stale_locks()
            ran = self._fetched(self.path)
            if ran.status == 0:
                try:
                    return self._tip_of(self._objects)
                except GitUnread as exc:
                    ran = exc.ran
                    break
            self._remove_torn_objects()
            self._ask_host(ran)
        found = self._looked_through(_LONG_S)
        if found.status == 0 or found.kept_from_working or ran.kept_from_working:
            raise GitError(f"{self._cause(ran)}; git can't fetch into {self.path}")
        log.warning("git.mirror_damaged", mirror=str(self.path), words=found.words)
        return None

    def _made_anew(self) -> str:
        """Clone beside the mirror, then put the clone in its place; return the tip."""
        new, old = self._new, self._old
        try:
            make_readable(self._directory)
            _remove(new)
            # An empty template: no hooks.
            ran = self._git.run(
                *("init", "--quiet", "--bare", "--template=", "--end-of-options", str(new)),
                timeout_s=_LOCAL_S,
            )
            if ran.status == 0:
                new.chmod(0o700)  # Airflow reads releases, never this
                ran = self._fetched(new)
            if ran.status != 0:
                self._ask_host(ran)
                raise GitError(f"{self._cause(ran)}; the mirror {self.path} can't be made")
            tip = self._tip_of(GitObjects(self._git, new))
            self.close()
            _remove(old)
            with suppress(FileNotFoundError):
                self.path.rename(old)
            new.rename(self.path)  # dying before this leaves no mirror: the next fetch clones
            _remove(old)
        except GitUnread as exc:
            raise GitError(f"{self._cause(exc.ran)}; the mirror {self.path} can't be made") from exc
        finally:
            if new.is_dir():
                shutil.rmtree(new, ignore_errors=True)  # on a full disk it must not stay
        self.damaged = False
        return tip

    def _fetched(self, mirror: Path) -> Ran:
        options = ("--progress", "--no-tags", "--no-auto-maintenance", "--no-recurse-submodules")
        return self._git.follow(
            f"--git-dir={mirror}",
            *("fetch", *options, "--no-write-fetch-head", "--no-show-forced-updates"),
            *("--end-of-options", self._url, f"+{self._ref}:{self._ref}"),
            silent_s=self._silent_s,
            timeout_s=_TRANSFER_S,
        )

    def _ask_host(self, failed: Ran) -> None:
        """Find out who is to blame for a fetch that failed; return if the host is not.

        git ends with 128 whatever happened, so the host is asked again without the mirror.

        Raises:
            GitError
        """
        if failed.silent:
            raise GitError(f"nothing came for {self._silent_s:g} s from {self.host}")
        if failed.timed_out:
            raise GitError(f"no end within {_TRANSFER_S / 3600:g} h, from {self.host}")
        self.tip_at_host()

    def tip_at_host(self) -> str:
        """Ask the host, without the mirror, for the branch's tip.

        Raises:
            NothingPushed: it has no branch at all.
            GitError: it does not answer, refuses or has no such branch.
        """
        ran = self._ls_remote(self._ref)
        if ran.status == _NO_SUCH_REF and self._ls_remote("refs/heads/*").status == _NO_SUCH_REF:
            raise NothingPushed(f"nothing was pushed yet to {self.host}")
        if ran.status == _NO_SUCH_REF:
            raise GitError(f"there is no branch {self._branch!r} at {self.host}")
        if ran.timed_out:
            raise GitError(f"no answer within {self._silent_s:g} s from {self.host}")
        if ran.status != 0:
            raise GitError(f"{self._cause(ran)}; git can't fetch from {self.host}")
        return ran.out.split()[0].decode()

    def _ls_remote(self, refs: str) -> Ran:
        return self._git.run(
            f"--git-dir={os.devnull}",  # nor any repository that the worker may stand in
            *("ls-remote", "--exit-code", "--end-of-options", self._url),
            refs,
            timeout_s=self._silent_s,
            asks_host=True,
        )

    def check(self) -> str | None:
        """Read the mirror through; return the branch's tip, None: it is damaged or lacks it.

        The next `fetch` then makes it anew.

        Raises:
            GitError: it takes too long.
        """
        ran = self._looked_through(_CHECK_S)
        if ran.timed_out:
            raise self.unread(ran, within_s=_CHECK_S)
        tip = self.run("rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}")
        self.damaged = bool(ran.status or tip.status)
        return None if self.damaged else tip.out.decode().strip()

    def _looked_through(self, timeout_s: float) -> Ran:
        # Connectivity: objects that are merely odd, in somebody's history, are no damage.
        options = ("--connectivity-only", "--no-dangling", "--no-progress")
        return self._git.run(f"--git-dir={self.path}", "fsck", *options, timeout_s=timeout_s)

    def latest(self, most: int) -> tuple[str, ...]:
        """Return the branch's commits, newest first, of a merge both sides.

        Raises:
            GitError: there is no mirror that can be read.
        """
        return tuple(self._out("rev-list", f"--max-count={most}", self._ref, "--").decode().split())

    def pushed(self, path: str) -> str | None:
        """Return a file's text at the branch's tip, None: there is none.

        Raises:
            GitError: there is no mirror that can be read.
        """
        if not self._out("ls-tree", "--full-tree", self._ref, "--", path):
            return None
        return self.run("cat-file", "blob", f"{self._ref}:{path}").out.decode(errors="replace")

    def _out(self, *args: str) -> bytes:
        ran = self.run(*args)
        if ran.status != 0:
            raise self.unread(ran)
        return ran.out

    def _cause(self, ran: Ran) -> str:
        return cause(ran.words, self.host) or f"git ended with status {ran.status}"

    def _tip_of(self, objects: GitObjects) -> str:
        [tip] = objects.ask("info", [f"{self._ref}^{{commit}}"])
        if tip is None:
            raise GitUnread(Ran(1, b"", f"fatal: the mirror lacks {self._ref}"))
        return tip.name.decode()

    # -- house-keeping

    def _remove_stale_locks(self) -> None:
        """Remove what a git that was killed left locked: nobody else writes here."""
        for places in ("", "refs/**/", "objects/info/**/", "objects/pack/"):
            for lock in list(self.path.glob(f"{places}*.lock")):
                lock.unlink(missing_ok=True)

    def _remove_torn_objects(self) -> None:
        """Remove what a fetch that failed had got so far: it would fill the disk, try by try."""
        for torn in list(self.path.glob("objects/*/tmp_*")):
            torn.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Let git pack what many fetches left behind, when it finds that worth while.

        What a forced push removed stays for gc's grace of two weeks; what a worker left that was
        killed while it fetched goes.
        """
        self._remove_torn_objects()
        for left in (self._new, self._old):
            _remove(left)
        ran = self._git.run(f"--git-dir={self.path}", "gc", "--auto", "--quiet", timeout_s=_LONG_S)
        if ran.status != 0:
            log.warning("git.gc_failed", mirror=str(self.path), words=ran.words)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
