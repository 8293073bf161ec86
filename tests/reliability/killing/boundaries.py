"""Where a process of the deployer can die: counted, and met.

Runs within the process that is to die, and needs nothing of it: calls to the edges are wrapped
where they are looked up, what they do to files and processes is heard of by `sys.addaudithook`,
what they put on the disk by `os.fsync` and `os.sync`. So production code has no seam of its own.

A boundary is `<name> #<n>`: the n-th time that this was about to be done (or had been done, where
the name says `after`) since the process was armed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_PLACE_OF = {
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.utime": 0,
    "os.chmod": 0,
    "os.truncate": 0,
    "shutil.rmtree": 0,
}
"""Which argument of an audit event names the file that changes (docs.python.org, audit events)."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Boundaries:
    """Of one process.

    Args:
        roots: directories whose files count, by the name that they get in a boundary.
        control: a directory in which the harness leaves what is to be done (see `listen`).
        role: whose file there is ours.
        group: all of the process's group dies, not it alone.
    """

    def __init__(
        self, roots: Mapping[str, Path], control: Path, role: str, *, group: bool = False
    ) -> None:
        self._roots = {f"{path}/": name for name, path in roots.items()}
        self._order = control / f"{role}.order"
        self._wish = control / f"{role}.json"
        self._group = group
        self._armed = ""
        self._seen: dict[str, count[int]] = {}
        self._met: list[str] = []
        self.before_death: Callable[[], None] = lambda: None
        self.quiet = False

    def listen(self) -> None:
        """Do as the harness says, now and at each SIGUSR1: `{"arm": boundary, "token": …}`."""
        self._obey()
        signal.signal(signal.SIGUSR1, lambda *_: self._obey())

    def _obey(self) -> None:
        wish = json.loads(self._wish.read_text())
        self.quiet = True
        self._order.with_suffix(".tmp").write_text(
            json.dumps({"token": wish["token"], "met": self._met})
        )
        self._order.with_suffix(".tmp").replace(self._order)
        self._armed, self._seen, self._met = wish["arm"], {}, []
        self.quiet = False

    def meet(self, name: str) -> None:
        """Be at a boundary."""
        if self.quiet:
            return
        here = f"{name} #{next(self._seen.setdefault(name, count(1)))}"
        self._met.append(here)
        if here == self._armed:
            self.quiet = True
            self.before_death()
            if self._group:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, *names: str, label: str = "") -> None:
        """Make a boundary before and after each of these methods."""
        for name in names:
            setattr(owner, name, self._around(getattr(owner, name), f"{label}{name}"))

    def _around(self, real: Callable[P, R], name: str) -> Callable[P, R]:
        @wraps(real)
        def watched(*args: P.args, **kwargs: P.kwargs) -> R:
            self.meet(f"{name} before")
            answer = real(*args, **kwargs)
            self.meet(f"{name} after")
            return answer

        return watched

    def hear_of_files(self) -> None:
        """Make a boundary of each change of a file, and of each process that is started."""
        sys.addaudithook(self._hear)
        os.fsync = self._around(os.fsync, "fsync")
        os.sync = self._around(os.sync, "sync")

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.quiet:
            return
        if event == "open":
            if isinstance(args[2], int) and args[2] & _WRITES:
                self._changes("open", args[0])
        elif event in _PLACE_OF:
            self._changes(event, args[_PLACE_OF[event]])
        elif event == "subprocess.Popen":
            self.meet(f"start {_program(args[1])}")

    def _changes(self, what: str, place: object) -> None:
        if isinstance(place, bytes | os.PathLike):
            place = os.fsdecode(place)
        if not isinstance(place, str):
            return
        if not place.startswith("/"):  # `shutil.rmtree` goes by the directory's descriptor
            self.meet(f"{what} in a tree")
        for root, name in self._roots.items():
            if place.startswith(root):
                self.meet(f"{what} {name}/{_nameless(place.removeprefix(root))}")


def _nameless(place: str) -> str:
    """Return a path without what is another one each time."""
    place = re.sub(r"\.tmp-[^/]+", ".tmp-*", place)
    return re.sub(r"[0-9a-f]{40}(-\d+)?", "<sha>", place)


def _program(args: object) -> str:
    """Return what a command line runs, in two words."""
    words = [os.fsdecode(word) for word in args] if isinstance(args, list | tuple) else [str(args)]
    if "git" in words:
        verbs = [word for word in words[words.index("git") + 1 :] if not word.startswith("-")]
        return f"git {verbs[0]}" if verbs else "git"
    return Path(words[0]).name
