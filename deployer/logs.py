"""One event a line: readable on a terminal, JSON elsewhere, and JSON in a file of the state.

The file is what `deployer logs` reads. A deployment's id stands on each of its lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    on_terminal = sys.stderr.isatty()
    screen.setFormatter(_formatter(human(colours=True) if on_terminal else as_json(), shared))
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


def human(*, colours: bool) -> Processor:
    """Return the renderer for people."""
    render = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=18)

    def safely(logger: WrappedLogger, method: str, event: EventDict) -> str:
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in event.items()}
        return str(render(logger, method, shown))

    return safely


def printable(text: str) -> str:
    """Return `text` fit for a terminal: no escape sequence of a student's reaches it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.replace("\t", " "))


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


def _redact(secrets: Iterable[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """Return a processor that takes secrets out by value: their formats are not fixed."""
    # The longest first: one secret may be part of another.
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def clean(value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(inner) for inner in value]
        text = str(value)  # as the renderer would: a path, an error
        for secret in known:
            text = text.replace(secret, REDACTED)
        return text

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # Names with an underscore are structlog's own, and not shown.
        return {k: v if k.startswith("_") else clean(v) for k, v in event.items()}

    return redact
