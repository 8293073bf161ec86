"""Tell that the journal fails: whether that was told, the journal itself can't remember."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from deployer.core.doctor.lines import Finding
from deployer.core.reporting.troubles import Trouble, in_checkup, message
from deployer.errors import JournalError
from deployer.ports import Messenger


class LastResort:
    """An empty file is there from the telling until it is told that the journal works again."""

    def __init__(self, messenger: Messenger, file: Path, *, repo: str) -> None:
        self._messenger = messenger
        self._file = file
        self._repo = repo

    def fails(self, exc: JournalError, findings: Sequence[Finding], at: datetime) -> None:
        """Tell once, with all that the check-up found.

        Raises:
            OperatorError: nobody took it.
        """
        if self._file.exists():
            return
        found = {"journal": str(exc)} | in_checkup(findings)[0]
        self._send(*(Trouble(key, words, at) for key, words in found.items()))
        with suppress(OSError):  # a full disk: better told twice than never
            self._file.touch()

    def works(self, at: datetime) -> None:
        """Tell so, if it was told that it fails.

        Raises:
            OperatorError: nobody took it.
        """
        if self._file.exists():
            mended = Trouble("journal", "the journal can be read and written", at)
            self._send(replace(mended, mended_at=at))
            self._file.unlink(missing_ok=True)

    def _send(self, *said: Trouble) -> None:
        self._messenger.send(*message(said, repo=self._repo, url=None))
