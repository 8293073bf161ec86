"""Airflow's own account of the requests it served, out of its api-server's access log.

One line a request (airflow 3.3.2, `api_fastapi/common/http_access_log.py`), health checks not
among them; the only other caller, a running task, uses `/execution`.
"""

from __future__ import annotations

import re
import time
from collections import Counter

from deployer.demo.stage import Stage

_LINE = re.compile(rb"request finished.*?\bmethod=(\w+)\b.*?\bpath=(\S+)")
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_OURS = re.compile(r"/(?:api/v2/(\w+)|auth/(\w+))")
QUIET_S = 1.5


class AccessLog:
    """Counts the requests from `mark` on."""

    def __init__(self, stage: Stage) -> None:
        self._file = stage.settings.state_dir / "airflow" / "logs" / "airflow-apiserver.log"
        self._from = 0

    def mark(self) -> None:
        """Begin to count."""
        self._from = self._file.stat().st_size

    def calls(self) -> Counter[str]:
        """Return how often each kind of call was made since the mark."""
        with self._file.open("rb") as log:
            log.seek(self._from)
            text = _COLOURS.sub(b"", log.read())
        found: Counter[str] = Counter()
        for method, path in _LINE.findall(text):
            if ours := _OURS.match(path.decode()):
                found[f"{method.decode()} {ours[1] or ours[2]}"] += 1
        return found

    def calls_once_quiet(self) -> Counter[str]:
        """Return them when none came for a while: a deployment cleans up after its verdict."""
        while True:
            size = self._file.stat().st_size
            time.sleep(QUIET_S)
            if self._file.stat().st_size == size:
                return self.calls()
