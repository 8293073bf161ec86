"""Mail and chat, through Apprise (https://appriseit.com): bounded, no address is ever shown.

What was told is a file of the state, which `deployer notify` alone uses.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.core.settings import Secret, secrets_within
from deployer.errors import OperatorError, SettingsError
from deployer.masking import masked, without

if TYPE_CHECKING:
    from apprise import Apprise

BOUND_S = 60.0
"""For each address, all beside one another; Apprise waits 4 s for each part of a request."""
MAX_REASON = 200
AGAIN_S = 3600.0
"""How often the same is told where nothing can be written down."""
_LOGGER = logging.getLogger("apprise")
_SAID: ContextVar[list[str]] = ContextVar("said")
"""What Apprise warns of while it sends to one address; threads of its own have the same list."""


class AppriseMessenger:
    """Sends to all addresses at once; use from one thread at a time.

    Raises:
        SettingsError: Apprise is not installed, or knows no such address.
    """

    def __init__(self, urls: Sequence[Secret], *, bound_s: float = BOUND_S) -> None:
        self._bound_s = bound_s
        self._secrets = {word for url in urls for word in secrets_within(url.get_secret_value())}
        self._addresses = [
            (f"address {number} ({url.get_secret_value().partition('://')[0]}://…)", one)
            for number, (url, one) in enumerate(zip(urls, _made(urls), strict=True), 1)
        ]

    def send(self, title: str, text: str) -> tuple[str, ...]:
        no_end = f"no end within {self._bound_s:g} s"
        missed: dict[str, str | None] = {name: no_end for name, _ in self._addresses}

        def deliver(name: str, address: Apprise) -> None:
            missed[name] = self._reason_against(address, title, text)

        # Daemons: whatever hangs in there (a name service) keeps neither caller nor process.
        threads = [
            threading.Thread(target=deliver, args=one, daemon=True) for one in self._addresses
        ]
        heard = _Heard()
        _LOGGER.addHandler(heard)
        try:
            deadline = time.monotonic() + self._bound_s
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0))
        finally:
            _LOGGER.removeHandler(heard)
        reasons = tuple(f"{name}: {why}" for name, why in missed.items() if why)
        if len(reasons) == len(self._addresses):
            raise OperatorError(f"the teacher could not be told, {'; '.join(reasons)}")
        return reasons

    def _reason_against(self, address: Apprise, title: str, text: str) -> str | None:
        """Return why it took nothing, None if it did; in a thread, and so a context, of its own."""
        said: list[str] = []
        _SAID.set(said)
        if address.notify(title=title, body=text, body_format="text"):
            return None
        words = " ".join(said) or "it took nothing, and Apprise does not say why"
        return masked(without(self._secrets, words))[:MAX_REASON]


class _Heard(logging.Handler):
    """Keeps what Apprise warns of, address by address."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        if (said := _SAID.get(None)) is not None:
            said.append(record.getMessage())


def _made(urls: Sequence[Secret]) -> list[Apprise]:
    try:
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as exc:
        what = "DEPLOYER_NOTIFY_URLS needs the Python package apprise"
        raise SettingsError([f"{what}: install airflow-class-deployer[notify]"]) from exc
    # No bound of its own: for that it sends from a pool (2.3, `compute_deadline`), whose threads
    # keep the process from ending as long as one of them hangs.
    asset = AppriseAsset(app_id="class deployer", app_desc="class deployer", service_timeout=0)
    made = [Apprise(asset=asset) for _ in urls]
    _LOGGER.propagate = False  # what it says may quote an address
    unknown = [
        f"DEPLOYER_NOTIFY_URLS: Apprise can't read address {number}; see its page of that service"
        for number, (one, url) in enumerate(zip(made, urls, strict=True), 1)
        if not one.add(url.get_secret_value())
    ]
    if unknown:
        raise SettingsError(unknown)
    return made


class Told:
    """What the teacher takes for wrong: words, by what they are about."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "told.json"
        self._fresh = state_dir / "told.new"

    def read(self) -> dict[str, str]:
        """Return it; nothing if the file is not there, or damaged: it is told once more then.

        Raises:
            OperatorError: it can't be read.
        """
        try:
            told = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        except OSError as exc:
            raise OperatorError(f"{self._file} can't be read: {exc.strerror}") from exc
        whole = isinstance(told, dict) and all(isinstance(words, str) for words in told.values())
        return told if whole else {}

    def write(self, told: Mapping[str, str]) -> None:
        """Write down what is about to be told: `keep` puts it in the place of what was before.

        Raises:
            OperatorError: it can't be written, and something was told within the last hour.
        """
        try:
            self._fresh.write_text(json.dumps(told, indent=2))
        except OSError as exc:
            with suppress(OSError):
                self._fresh.unlink()
            if self._told_lately():
                raise OperatorError(
                    f"{self._file} can't be written: {exc.strerror}; until it can, what is new is"
                    " told once an hour"
                ) from exc

    def keep(self) -> None:
        """Take down that it was told; on a full disk, that something was."""
        with suppress(OSError):  # a disk that takes nothing at all: told at each run
            if self._fresh.exists():
                self._fresh.replace(self._file)
            else:
                self._file.touch()

    def _told_lately(self) -> bool:
        try:
            return 0 <= time.time() - self._file.stat().st_mtime < AGAIN_S
        except OSError:
            return False
