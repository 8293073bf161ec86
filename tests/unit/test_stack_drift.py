"""The class repository's compose file is compared with the operator's, never used."""

from __future__ import annotations

import pytest

from deployer.core.stack import drift

OWN = "services:\n  postgres:\n    image: postgres:16\n"


def test_a_changed_file_is_told_with_what_to_do() -> None:
    said = drift(OWN.replace("16", "17"), OWN)
    assert said is not None
    assert "differs from the operator's copy, which stays in use" in said


@pytest.mark.parametrize(
    "pushed",
    [OWN, OWN.replace("\n", "\r\n"), OWN.replace("16", "16  "), f"\n{OWN}\n\n"],
    ids=["the same", "other line ends", "blank ends of lines", "blank lines around"],
)
def test_what_means_the_same_is_no_difference(pushed: str) -> None:
    assert drift(pushed, OWN) is None


def test_indentation_counts() -> None:
    assert drift(OWN.replace("    image", "  image"), OWN) is not None


@pytest.mark.parametrize(("pushed", "own"), [(None, OWN), (OWN, None), (None, None)])
def test_without_two_files_nothing_differs(pushed: str | None, own: str | None) -> None:
    assert drift(pushed, own) is None
