"""Which packages the class is to run on, and whether it does."""

from __future__ import annotations

import pytest

from deployer.core.model import LeftOut, Refusal, RequirementsDiff, Tree
from deployer.core.planning.packages import Packages, decide, drift, why
from deployer.core.requirements import meaning

REFUSED = "conflicts with airflow"


def tip(text: str | None) -> Tree:
    return Tree("a" * 40, {}, requirements=text)


def refusals(*texts: str) -> dict[str, Refusal]:
    return {meaning.parse(text).fingerprint: Refusal(REFUSED) for text in texts}


def test_packages_move_to_what_the_tip_asks_for() -> None:
    found = decide("six", tip("cowsay"), {}, expected="six")
    assert found == Packages("cowsay", RequirementsDiff(("cowsay",), ("six",)))
    assert found.move


def test_packages_that_somebody_took_away_move_back_though_the_tip_is_the_live_commit() -> None:
    assert decide("", tip("cowsay"), {}, expected="cowsay").text == "cowsay"


def test_what_is_refused_leaves_those_of_before() -> None:
    found = decide("six", tip("cowsay"), refusals("cowsay"), expected="six")
    assert (found.move, found.refused) == (False, REFUSED)
    assert found.diff == RequirementsDiff(("cowsay",), ("six",))


@pytest.mark.parametrize(
    "asking", [tip("cowsay"), tip("pandas=2.0"), Tree("a", {}, left_out=(
        LeftOut("requirements.txt", "it is a link"),
    ))]
)  # fmt: skip
def test_those_of_before_are_put_back_where_they_are_gone_and_the_tips_are_refused(
    asking: Tree,
) -> None:
    found = decide("", asking, refusals("cowsay"), expected="six")
    assert found.text == "six"
    assert found.refused


@pytest.mark.parametrize(
    ("installed", "expected"),
    [(None, "six"), ("", None), ("six==1", "six == 1.0"), ("", "pandas=2.0"), ("", "broken")],
)
def test_nothing_is_put_back_that_is_not_known_to_be_gone_or_was_refused_itself(
    installed: str | None, expected: str | None
) -> None:
    found = decide(installed, tip("cowsay"), refusals("cowsay", "broken"), expected=expected)
    assert (found.text, found.refused) == (None, REFUSED)


@pytest.mark.parametrize(
    ("expected", "installed"),
    [(None, "six"), ("six", None), ("pandas=2.0", ""), ("Six == 1.0 # two", "six==1")],
)
def test_packages_differ_in_meaning_or_not_at_all(
    expected: str | None, installed: str | None
) -> None:
    assert drift(expected, installed) is None


def test_a_drift_names_what_differs() -> None:
    said = drift("cowsay\nsix", "six\nemoji")
    assert said == (
        "packages differ from those of the live commit (cowsay, emoji): the image was rebuilt,"
        " or they were changed by hand"
    )
    assert why("cowsay\nsix", "six\nemoji") == said
    assert "(a, b, c, d, e and 2 more)" in (drift("a\nb\nc\nd\ne\nf\ng", "") or "")


def test_packages_that_nobody_knows_are_a_reason_to_move_them() -> None:
    assert "not known" in (why("six", None) or "")
    assert why("six", "six") is None
