"""What is typed for a commit, a place, or another name; click tells of a mistake, with status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from deployer.errors import WrongPlace
from deployer.masking import printable

FULL, SHORTEST = 40, 7
"""Hex digits of a commit's id."""
_HEX = frozenset("0123456789abcdef")


def full_commit(value: str) -> str:
    """Accept 40 hex digits: the worker's git alone could complete a shorter one."""
    if len(value) != FULL or not _is_hex(value):
        raise click.BadParameter(f"a full commit id has {FULL} hex digits (git rev-parse HEAD)")
    return value.lower()


def short_commit(value: str) -> str:
    """Accept the beginning of a commit's id."""
    if not SHORTEST <= len(value) <= FULL or not _is_hex(value):
        raise click.BadParameter(f"a commit id has {SHORTEST} to {FULL} hex digits")
    return value.lower()


def commit_or_number(value: str) -> str:
    """Accept a deployment's id too."""
    if not value or not _is_hex(value) or len(value) > FULL:
        raise click.BadParameter("give a deployment's id or a commit")
    if not value.isdigit() and len(value) < SHORTEST:
        raise click.BadParameter(f"a shortened commit needs {SHORTEST} digits")
    return value.lower()


def _is_hex(value: str) -> bool:
    return set(value.lower()) <= _HEX


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
