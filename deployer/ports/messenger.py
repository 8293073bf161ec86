"""What reaches the teacher, wherever that is."""

from __future__ import annotations

from typing import Protocol


class Messenger(Protocol):
    """Mail, chat: several addresses, so that one may be out of order."""

    def send(self, title: str, text: str) -> tuple[str, ...]:
        """Tell the teacher; return of each address that took nothing why.

        Raises:
            OperatorError: none of them took it.
        """
