"""Decide which packages the class is to run on, and tell where it runs on others.

Pure. A text of requirements stands for the packages that it installs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from deployer.core.model import REQUIREMENTS, Refusal, RequirementsDiff, Tree
from deployer.core.requirements import meaning
from deployer.core.requirements.meaning import Requirements
from deployer.errors import RequirementsRefused

UNLIKE = "a service runs on other packages than the current ones: one was rebuilt by hand"
"""How packages differ where all services run and do not agree."""
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Packages:
    """What happens to the packages.

    Attributes:
        text: what is resolved and built, None: they stay as they are.
        diff: between what is installed and what the tip asks for, also if that is refused.
        refused: why the tip's text is not tried.
    """

    text: str | None = None
    diff: RequirementsDiff = field(default=RequirementsDiff())
    refused: str | None = None

    @property
    def move(self) -> bool:
        return self.text is not None


def decide(
    installed: str | None, tip: Tree, refusals: Mapping[str, Refusal], *, expected: str | None
) -> Packages:
    """Return what happens to the packages when `tip` goes live; arguments as `plan.plan` has them.

    Where the tip's text is refused, those of before stay, and are put back if they are gone.
    """
    old = parsed(installed)
    for item in tip.left_out:
        if item.path.split("/")[0] == REQUIREMENTS:  # there, and not to be read: no deletion
            unread = f"{item.path} can't be read: {item.reason}"
            return _staying(Packages(refused=unread), old, expected, refusals)
    try:
        new = meaning.parse(tip.requirements or "")
    except RequirementsRefused as exc:
        return _staying(Packages(refused=str(exc)), old, expected, refusals)
    if old == new:
        return Packages()
    diff = meaning.diff(old, new)
    if refused := refusals.get(new.fingerprint):
        return _staying(Packages(diff=diff, refused=refused.reason), old, expected, refusals)
    return Packages(tip.requirements or "", diff)


def drift(expected: str | None, installed: str | None) -> str | None:
    """Return in words that other packages run than `expected`; None: no, or it is not known."""
    was, now = parsed(expected), parsed(installed)
    if was is None or now is None or was == now:
        return None
    names = meaning.moved(was, now)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"packages differ from those of the live commit ({', '.join(names[:_NAMED])}{more}):"
        " the image was rebuilt, or they were changed by hand"
    )


def why(expected: str | None, installed: str | None) -> str | None:
    """Return why packages move though perhaps no push asked for it, None: one did."""
    if installed is None:
        return (
            "which packages run is not known: a service is stopped, or runs on others than were"
            " found healthy last"
        )
    return drift(expected, installed)


def _staying(
    stay: Packages, old: Requirements | None, expected: str | None, refusals: Mapping[str, Refusal]
) -> Packages:
    before = parsed(expected)
    if old is None or before in (None, old) or before.fingerprint in refusals:
        return stay
    return replace(stay, text=expected)


@lru_cache(maxsize=8)  # each pass compares the same two texts
def parsed(text: str | None) -> Requirements | None:
    """Return what a text asks for, None: that is not known."""
    if text is None:
        return None
    try:
        return meaning.parse(text)
    except RequirementsRefused:
        return None  # an older deployer took it, or somebody edited it: as good as unknown
