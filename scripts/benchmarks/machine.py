"""What this machine says of its processes, out of proc(5)."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    """Return a process and its living descendants."""
    pids = [pid]
    with contextlib.suppress(OSError):  # it ended meanwhile
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                pids += _family(int(child))
    return pids


def memory_bytes(pid: int, *, alone: bool = False) -> int:
    """Return the proportional set size of a process and, unless `alone`, its descendants."""
    return sum(map(_pss_bytes, [pid] if alone else _family(pid)))


def _pss_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it ended meanwhile
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its living descendants and those it waited for."""
    return sum(map(_cpu_s, _family(pid)))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, cutime, cstime: fields 14 to 17, of which two come before the bracket.
    return sum(map(int, fields[11:15])) * _TICK_S
