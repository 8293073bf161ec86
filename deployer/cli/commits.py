"""What is typed for a commit; click tells of a mistake, with status 2."""

from __future__ import annotations

import click

FULL, SHORTEST = 40, 7
"""Hex digits of a commit's id."""
_HEX = frozenset("0123456789abcdef")


def full(value: str) -> str:
    """Accept 40 hex digits: the worker's git alone could complete a shorter one."""
    if len(value) != FULL or not _is_hex(value):
        raise click.BadParameter(f"a full commit id has {FULL} hex digits (git rev-parse HEAD)")
    return value.lower()


def short(value: str) -> str:
    """Accept the beginning of a commit's id."""
    if not SHORTEST <= len(value) <= FULL or not _is_hex(value):
        raise click.BadParameter(f"a commit id has {SHORTEST} to {FULL} hex digits")
    return value.lower()


def or_number(value: str) -> str:
    """Accept a deployment's id too."""
    if not value or not _is_hex(value) or len(value) > FULL:
        raise click.BadParameter("give a deployment's id or a commit")
    if not value.isdigit() and len(value) < SHORTEST:
        raise click.BadParameter(f"a shortened commit needs {SHORTEST} digits")
    return value.lower()


def _is_hex(value: str) -> bool:
    return set(value.lower()) <= _HEX
