"""The log: one event a line, no secret in it, and nothing that stops because of it."""

from __future__ import annotations

import json
import logging
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from os import close, fdopen, read
from pathlib import Path
from typing import Any

import pytest
import structlog
from gunicorn.config import Config

from deployer import logs
from deployer.edges.processes.server import _Log

SetUp = Callable[..., "Logged"]


class Logged:
    """A set-up log; `log` is a logger that has seen no other set-up."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], folder: Path, hide: Callable[[str], None]
    ) -> None:
        self.hide = hide
        self._capsys = capsys
        self._folder = folder
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger()

    def on_screen(self) -> list[dict[str, Any]]:
        """Return the events on standard error since the last look."""
        return [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]

    def in_file(self, process: str = "worker") -> list[dict[str, Any]]:
        text = (self._folder / "logs" / f"{process}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def set_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[SetUp]:
    """Return what sets the log up; all is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level, logging.raiseExceptions)

    def close_ours() -> None:
        for handler in root.handlers:
            if handler not in before[0]:
                with suppress(OSError):  # a full disk
                    handler.close()

    def do(state_dir: Path = tmp_path, *, secrets: tuple[str, ...] = ()) -> Logged:
        close_ours()
        hide = logs.set_up("worker", state_dir=state_dir, secrets=secrets)
        return Logged(capsys, state_dir, hide)

    yield do
    close_ours()
    root.handlers, level, logging.raiseExceptions = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Fault(Exception):
    pass


def go_wrong(words: str) -> None:
    raise Fault(words)


# --- the form --------------------------------------------------------------------


def test_an_event_is_one_line_of_json_off_a_terminal(set_up: SetUp) -> None:
    logged = set_up()
    logged.log.warning("fetch failed", reason="two\nlines", tries=3, again=None)
    (event,) = logged.on_screen()
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "fetch failed",
        "level": "warning",
        "reason": "two\nlines",
        "tries": 3,
        "again": None,
    }


def test_the_file_of_the_state_holds_the_same_lines(set_up: SetUp, tmp_path: Path) -> None:
    logged = set_up(tmp_path)
    logged.log.info("started", sha="abc", files=("a", "b"))
    assert logged.in_file() == logged.on_screen()
    assert logged.in_file()[0]["files"] == ["a", "b"]


def test_a_second_start_goes_on_in_the_same_file(set_up: SetUp, tmp_path: Path) -> None:
    set_up(tmp_path).log.info("first")
    logged = set_up(tmp_path)
    logged.log.info("second")
    assert [event["event"] for event in logged.in_file()] == ["first", "second"]


def test_debugging_events_are_left_out(set_up: SetUp) -> None:
    logged = set_up()
    logged.log.debug("a detail")
    logging.getLogger("httpx").info("HTTP Request: POST …")
    assert logged.on_screen() == []


def test_a_faults_trace_is_part_of_its_line(set_up: SetUp, tmp_path: Path) -> None:
    logged = set_up(tmp_path)
    try:
        go_wrong("what went wrong")
    except Fault:
        logged.log.exception("fault")
    (event,) = logged.in_file()
    assert (event["event"], event["level"]) == ("fault", "error")
    assert event["exception"].startswith("Traceback")
    assert event["exception"].endswith("Fault: what went wrong")


def test_records_of_libraries_come_out_in_the_same_form(set_up: SetUp, tmp_path: Path) -> None:
    logged = set_up(tmp_path)
    try:
        go_wrong("below")
    except Fault:
        logging.getLogger("some.library").warning("lost %s of %d", "one", 3, exc_info=True)
    (event,) = logged.in_file()
    for found in (event, *logged.on_screen()):
        assert (found["event"], found["level"]) == ("lost one of 3", "warning")
        assert found["exception"].endswith("Fault: below")
        assert found["timestamp"].endswith("Z")


def test_gunicorns_records_come_out_in_the_same_form(set_up: SetUp) -> None:
    logged = set_up()
    _Log(Config()).error("Worker (pid:%s) was sent code %s!", 12, 137)
    (event,) = logged.on_screen()
    assert event["event"] == "Worker (pid:12) was sent code 137!"
    assert event["level"] == "error"


def test_on_a_terminal_a_person_can_read_it(set_up: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        set_up().log.warning("broken", message="\x1b[2Jgone", file="dags/a b.py")
        shown = read(ours, 4096).decode()
    close(ours)
    assert "\x1b[" in shown, "there are colours"
    assert "\x1b[2J" not in shown, "and they are ours alone"
    assert "?[2Jgone" in shown
    assert "'dags/a b.py'" in shown


# --- whose line it is --------------------------------------------------------------


def test_each_line_of_a_deployment_bears_its_id(set_up: SetUp, tmp_path: Path) -> None:
    logged = set_up(tmp_path)
    with structlog.contextvars.bound_contextvars(deployment=12):
        logged.log.info("started")
        logging.getLogger("some.library").warning("slow")
    logged.log.info("idle")
    assert [event.get("deployment") for event in logged.in_file()] == [12, 12, None]


def test_a_thread_does_not_bear_anothers_deployment(set_up: SetUp) -> None:
    logged = set_up()
    with structlog.contextvars.bound_contextvars(deployment=12):
        other = threading.Thread(target=logged.log.info, args=("beat",))
        other.start()
        other.join()
    (event,) = logged.on_screen()
    assert "deployment" not in event


# --- secrets -------------------------------------------------------------------------


def test_secrets_are_taken_out_wherever_they_stand(set_up: SetUp, tmp_path: Path) -> None:
    logged = set_up(tmp_path, secrets=("swordfish", "", "swordfish-2", 'quo"te\\é'))
    try:
        go_wrong("401 for swordfish-2")
    except Fault as exc:
        logged.log.exception("no swordfish", url="https://u:swordfish@h/", error=exc)
    logged.log.info(
        "deep",
        args=["git", ("-c", "x=swordfish")],
        named={"inner": {"token": b"swordfish"}, "n": 1},
        odd='quo"te\\é',
    )
    logging.getLogger("some.library").warning("Authorization: %s", "swordfish-2")
    text = (tmp_path / "logs" / "worker.jsonl").read_text()
    assert "swordfish" not in text
    assert "te\\" not in text
    first, second, third = logged.in_file()
    assert first["event"] == "no ****"
    assert first["url"] == "https://****@h/"
    assert "401 for ****" in first["error"]
    assert second["odd"] == "****"
    assert third["event"] == "Authorization: ****"


def test_a_secret_that_is_renewed_is_taken_out_from_then_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], set_up: SetUp
) -> None:
    logged = set_up(secrets=("old-swordfish",))
    logged.hide("swordfish")
    logged.log.info("old-swordfish, swordfish")
    said = capsys.readouterr().err
    assert "swordfish" not in said + (tmp_path / "logs" / "worker.jsonl").read_text()
    assert "****, ****" in said


def test_without_secrets_nothing_is_taken_out(set_up: SetUp) -> None:
    logged = set_up(secrets=("",))
    logged.log.info("plain", word="secret")
    assert logged.on_screen()[0]["word"] == "secret"


# --- a log that can't be written -------------------------------------------------------


def test_a_folder_that_cannot_be_made_stops_nothing(
    set_up: SetUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    logged = set_up(tmp_path)
    assert capsys.readouterr().err.startswith(f"no log file {tmp_path / 'logs' / 'worker.jsonl'}: ")
    logged.log.info("on we go")
    assert [event["event"] for event in logged.on_screen()] == ["on we go"]


def test_a_disk_that_fills_up_stops_nothing(set_up: SetUp, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.jsonl").symlink_to("/dev/full")
    logged = set_up(tmp_path)
    logged.log.info("on we go")
    assert [event["event"] for event in logged.on_screen()] == ["on we go"]


def test_a_librarys_mistaken_record_stops_nothing(set_up: SetUp) -> None:
    logged = set_up()
    library = logging.getLogger("some.library")
    library.warning("%d of %s", "too few")
    library.log(logging.WARNING + 3, "at a level of its own")
    library.warning("the next")
    assert [event["event"] for event in logged.on_screen()][-1] == "the next"
