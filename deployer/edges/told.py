"""What the teacher was told is wrong: a file of the state, which `deployer notify` alone uses."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deployer.errors import OperatorError

AGAIN_S = 3600.0
"""How often the same is told where nothing can be written down."""


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
