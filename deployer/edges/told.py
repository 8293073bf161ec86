"""What the teacher was told is wrong: a file of the state, which `deployer notify` alone uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from deployer.errors import OperatorError


class Told:
    """What the teacher takes for wrong: words, by what they are about."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "told.json"

    def read(self) -> dict[str, str]:
        """Return it; nothing if the file is not there, or damaged: it is told once more then.

        Raises:
            OperatorError: it can't be read.
        """
        try:
            told: dict[str, str] = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as exc:
            raise OperatorError(f"{self._file} can't be read: {exc.strerror}") from exc
        return told

    def write(self, told: Mapping[str, str]) -> None:
        """Put it in the place of what was told before.

        Raises:
            OperatorError: it can't be written.
        """
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(told, indent=2))
            fresh.replace(self._file)
        except OSError as exc:
            raise OperatorError(f"{self._file} can't be written: {exc.strerror}") from exc
