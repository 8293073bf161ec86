"""What a process and a folder take, and whether that grows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median


@dataclass(frozen=True)
class Taken:
    """By one process, and those of `tree` with all that it started.

    Attributes:
        rss_bytes: memory, that which is shared counted for each.
    """

    rss_bytes: int
    files: int
    threads: int


def taken(pid: int, *, tree: bool = False) -> Taken:
    """Measure a process; with `tree` all that it started, too."""
    rss = files = threads = 0
    for one in (pid, *(descendants(pid) if tree else ())):
        with suppress(OSError):  # it ended meanwhile
            status = dict(
                line.split(":", 1)
                for line in Path(f"/proc/{one}/status").read_text().splitlines()
                if ":" in line
            )
            rss += int(status.get("VmRSS", "0 kB").split()[0]) * 1024
            threads += int(status["Threads"])
            files += len(list(Path(f"/proc/{one}/fd").iterdir()))
    return Taken(rss, files, threads)


def descendants(pid: int) -> Iterator[int]:
    """Yield what a process started, and what those started."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie, which is its parent's to bury."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return False


def size(folder: Path) -> int:
    """Return the bytes of a folder's files; what is linked hard counts once."""
    seen: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = (Path(place) / name).lstat()
                seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def growth(xs: Sequence[float], ys: Sequence[float], least: float = 0) -> float:
    """Return by how much `ys` grow over all of `xs`: of the line, as a part of their median.

    By less than `least`, they don't.
    """
    if len(set(xs)) < 2 or not median(ys):
        return 0.0
    more = linear_regression(xs, ys).slope * (max(xs) - min(xs))
    return 0.0 if abs(more) < least else more / median(ys)
