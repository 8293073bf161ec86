"""One event a line: readable on a terminal, JSON elsewhere, and JSON in a file of the state.

The file is what `deployer logs` reads. A deployment's id stands on each of its lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

FOLDER = "logs"
MAX_FILE_BYTES = 10_000_000
OLD_FILES = 3
REDACTED = "[secret]"


def set_up(process: str, *, state_dir: Path | None, secrets: Sequence[str] = ()) -> None:
    """Send structlog's events to standard error and to `<state_dir>/logs/<process>.jsonl`.

    A log that can't be written stops nothing.
    """
    logging.raiseExceptions = False
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact(secrets),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_formatter(human() if sys.stderr.isatty() else as_json(), shared))
    root = logging.getLogger()
    root.handlers = [screen]
    root.setLevel(logging.INFO)
    # Their INFO lines are a line for each request of ours.
    for chatty in ("httpx", "httpcore", "git", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if state_dir is not None:
        file = _file(state_dir / FOLDER / f"{process}.jsonl")
        file.setFormatter(_formatter(as_json(), shared))
        root.addHandler(file)


def human() -> Processor:
    """Return the renderer for people."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=18)


def as_json() -> Processor:
    """Return the renderer for programs: one JSON object a line."""
    return structlog.processors.JSONRenderer()


def _file(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            path, maxBytes=MAX_FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8"
        )
    except OSError as exc:
        sys.stderr.write(f"no log file {path}: {exc}; logging to standard error only\n")
        return logging.NullHandler()


def _formatter(renderer: Processor, shared: Sequence[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(shared),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _redact(secrets: Sequence[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """Return a processor that takes secrets out by value: their formats are not fixed."""
    known = [secret for secret in secrets if secret]

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for secret in known:
            for key, value in event.items():
                if isinstance(value, str) and secret in value:
                    event[key] = value.replace(secret, REDACTED)
        return event

    return redact
