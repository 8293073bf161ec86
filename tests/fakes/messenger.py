"""A chat in memory."""

from __future__ import annotations

from deployer.errors import OperatorError


class FakeMessenger:
    """Implements `ports.Messenger`.

    Attributes:
        sent: title and text of each message.
        down: why nobody takes any; empty: they do.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.down = ""

    def send(self, title: str, text: str) -> tuple[str, ...]:
        if self.down:
            raise OperatorError(self.down)
        self.sent.append((title, text))
        return ()
