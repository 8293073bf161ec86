"""Decide what the class may ask an installer for: packages of the index, or from a URL over https.

Pure. Whatever reaches beyond the packages it names is refused, whichever Python it would be
installed into: options, files of the machine that installs, and `${NAME}`, which an installer
would replace by its environment.
"""

from __future__ import annotations

from operator import attrgetter

from deployer.core.requirements.lines import Option
from deployer.core.requirements.meaning import Package, parse
from deployer.errors import RequirementsRefused


def safe_requirements(text: str) -> str:
    """Return `text` as an installer is given it: one requirement a line.

    It reads what was checked here and nothing else, so it cannot understand a line otherwise.

    Raises:
        RequirementsRefused: with the first line that is not allowed, or can't be read.
    """
    asked = parse(text)
    lines: list[Package | Option] = [*asked.packages, *asked.options]
    return "".join(f"{_checked(one)}\n" for one in sorted(lines, key=attrgetter("line")))


def _checked(one: Package | Option) -> str:
    if "${" in one.text:
        raise RequirementsRefused("environment variables are not allowed here", line=one.line)
    if isinstance(one, Option) and not one.flag:
        raise RequirementsRefused(f"not a requirement: {one.shown}", line=one.line)
    option = one.flag if isinstance(one, Option) else "--config-settings" if one.settings else ""
    if option:
        raise RequirementsRefused(f"option {option} is not allowed, only packages", line=one.line)
    if isinstance(one, Package) and one.url and not one.url.lower().startswith("https://"):
        raise RequirementsRefused(
            f"{one.name} must come from the package index or over https", line=one.line
        )
    return one.text
