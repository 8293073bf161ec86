"""What is typed for a place, or another name; click tells of a mistake, with status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from deployer.errors import WrongPlace
from deployer.masking import printable


def named(given: str) -> str:
    """Accept what is not empty: as a path, an empty text would be the current directory."""
    if not given:
        raise click.BadParameter("it is empty: a variable of your shell may not be set")
    return given


@contextmanager
def wrong_use() -> Iterator[None]:
    """Tell of a place at which a command can do nothing as click tells of a mistake."""
    try:
        yield
    except WrongPlace as exc:
        raise click.UsageError(printable(str(exc))) from exc
