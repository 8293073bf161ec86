"""One event a line: readable on a terminal, JSON elsewhere, and JSON in a file of the state.

The file is what `deployer logs` reads. A deployment's id stands on each of its lines.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from deployer.masking import masked, printable, without

FOLDER = "logs"
MAX_FILE_BYTES = 10_000_000
OLD_FILES = 3


def set_up(process: str, *, state_dir: Path, secrets: Iterable[str]) -> Callable[[str], None]:
    """Send structlog's events to standard error and to `<state_dir>/logs/<process>.jsonl`.

    What libraries log through `logging` comes out in the same form. A log that can't be
    written stops nothing. Return what takes out one more secret from now on.
    """
    logging.raiseExceptions = False
    sinks = _Sinks(_file(state_dir / FOLDER / f"{process}.jsonl"), secrets)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            sinks,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [sinks]
    root.setLevel(logging.INFO)
    # Their INFO lines are a line for each request of ours.
    for chatty in ("httpx", "httpcore", "git", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry is a warning to it
    return sinks.hide


class _Sinks(logging.Handler):
    """The last processor: renders an event once and writes it to every place.

    A fifth of the time of structlog's way through `logging`, which renders for each
    handler: a line is written for each delivery (`scripts/bench ack`). As a handler it takes over
    what libraries log. Secrets are taken out by value: their formats are not fixed.
    """

    def __init__(self, file: logging.Handler, secrets: Iterable[str]) -> None:
        super().__init__()
        self._known: set[str] = set()
        for secret in secrets:
            self.hide(secret)
        self._screen = logging.StreamHandler(sys.stderr)
        self._file = file
        self._as_json = structlog.processors.JSONRenderer(default=str)
        self._for_people = human(colours=True) if sys.stderr.isatty() else None

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        line = self._redact(str(self._as_json(logger, method, event)))
        self._file.handle(logging.makeLogRecord({"msg": line}))
        shown = line
        if self._for_people:
            shown = self._redact(str(self._for_people(logger, method, event)))
        self._screen.handle(logging.makeLogRecord({"msg": shown}))
        raise structlog.DropEvent

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10, 1), 5) * 10  # structlog knows the usual five
        try:
            structlog.get_logger().log(level, record.getMessage(), exc_info=record.exc_info or None)
        except Exception:  # noqa: BLE001 - as every handler's: a line too few, no caller disturbed
            self.handleError(record)

    def hide(self, secret: str) -> None:
        self._known = {*self._known, *_forms(secret)}  # a new one: threads read the old one

    def _redact(self, line: str) -> str:
        # Masked too: a student's own, in what a trace or a library quotes.
        return masked(without(self._known, line))

    def close(self) -> None:
        self._file.close()
        super().close()


def human(*, colours: bool) -> Processor:
    """Return the renderer for people."""
    # https://no-color.org
    colours = colours and not os.environ.get("NO_COLOR")
    render = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=18)

    def safely(logger: WrappedLogger, method: str, event: EventDict) -> str:
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in event.items()}
        return str(render(logger, method, shown))

    return safely


def _file(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            path, maxBytes=MAX_FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8"
        )
    except OSError as exc:
        sys.stderr.write(f"no log file {path}: {exc}; logging to standard error only\n")
        return logging.NullHandler()


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as it is, and as JSON and Python write it within quotes."""
    quoted = repr(secret)[1:-1]
    return secret, json.dumps(secret)[1:-1], quoted, json.dumps(quoted)[1:-1]
