"""Web and worker as real processes, forked from one that has imported everything already.

To import them takes a second, and there are hundreds of starts. It speaks JSON, one object a line:
`{"role": "worker", …}` starts one, `{}` asks which processes there are. Whatever a killed process
leaves behind becomes its child (PR_SET_CHILD_SUBREAPER), so it can say what is left; when its input
ends it kills all of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import psycopg  # noqa: F401  # so that SQLAlchemy finds it imported
from flask import Flask
from git.cmd import Git

import deployer.demo.github
import deployer.edges.airflow.parse_feed
import deployer.edges.journal.schema
import deployer.edges.parser.examiner
import deployer.edges.processes.server
import deployer.web
from deployer import app, config
from deployer.edges.git.repository import GitRepository
from deployer.edges.github.statuses import GitHub
from deployer.edges.journal import SqlJournal
from deployer.edges.processes.doorbell import Doorbell
from deployer.edges.releases.store import ReleaseStore
from tests.reliability.killing import outside, power
from tests.reliability.killing.boundaries import Boundaries

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PAUSE_S = 0.02
NOTED = (
    "queue",
    "attach",
    "start",
    "set_plan",
    "add_step",
    "set_verdicts",
    "owe",
    "posted",
    "try_again",
)
WRITTEN = (
    "record_delivery",
    "doing",
    "wait_for",
    "end",
    "supersede",
    "set_live",
    "set_packages",
    "refuse",
    "lift",
    "condemn",
    "set_drained",
    "refused",
)
"""The journal's, as decision 014 has them; its heartbeat is left out: it is lost by design."""


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"pid": _start(asked)} if asked else {"children": _children()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    while left := _children():  # the harness has ended, however
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_S)


def _children() -> list[int]:
    """Return those that live; the others are done with."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    me = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def _start(asked: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # whoever ended the harness
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(log, stream)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        warnings.simplefilter("default")
        os.environ.clear()
        os.environ.update(asked["env"])
        tempfile.tempdir = None  # of TMPDIR
        (_worker if asked["role"] == "worker" else _web)(asked)
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def _boundaries(asked: dict[str, Any], settings: config.Settings, *, group: bool) -> Boundaries:
    roots = {"state": settings.state_dir, "class": settings.checkout_dir}
    made = Boundaries(roots, Path(asked["control"]), asked["role"], group=group)
    if "power" in asked:
        power.watch_journal(settings, Path(asked["power"]), WRITTEN)
        if asked["role"] == "worker":
            power.watch_files(settings, Path(asked["power"]), made)
    made.around(SqlJournal, *NOTED, *WRITTEN, label="journal.")
    return made


def _web(asked: dict[str, Any]) -> None:
    settings = config.load(os.environ)
    made = _boundaries(asked, settings, group=True)
    made.around(Doorbell, "ring", label="doorbell.")
    real = app.web_app

    def web_app(settings: config.Settings) -> Flask:
        answering = real(settings)
        made.listen()
        return answering

    app.web_app = web_app
    app.run_web(settings)


def _worker(asked: dict[str, Any]) -> None:
    settings = config.load(os.environ)
    made = _boundaries(asked, settings, group=False)
    folder = Path(asked["outside"])
    made.around(GitRepository, "fetch")
    made.around(Git, "execute", label="git.")
    made.around(ReleaseStore, "publish", "restore", "confirm", "prune", "edits", label="releases.")
    made.around(deployer.edges.airflow.parse_feed.ParseFeedListener, "ask", "rest", label="feed.")
    made.around(
        deployer.edges.parser.examiner.IsolatedExaminer, "begin", "warm_up", label="parser."
    )
    made.around(GitHub, "post", label="github.")
    made.around(outside.KeptServices, *outside.SERVICES, label="services.")
    made.around(outside.KeptAirflow, *outside.AIRFLOW, label="airflow.")
    made.hear_of_files()
    outside.stand_in(folder)
    made.listen()
    app.run_worker(settings)


if __name__ == "__main__":
    main()
