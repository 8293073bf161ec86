"""A text that nothing shows by accident: no log, no error, no debugger's line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Compares by what it holds, and prints as what it is."""

    _value: str

    def get_secret_value(self) -> str:
        """Return it in plain; the long name is easily found in the code."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"
