"""Another version of the class's Airflow: its image, the `.env` that names it, who puts it in."""

from __future__ import annotations

import re

from deployer.core.model import Freeze
from deployer.errors import NotNow

BY = "deployer airflow-version"
"""Who freezes meanwhile, empties the pools and stops the services: nobody else gives them back."""
SETTING = "AIRFLOW_IMAGE_NAME"
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
_TAG = re.compile(rf"(?P<name>.+:){VERSION.pattern}(?P<more>-[\w.-]+)?")
_LINE = re.compile(rf"^[ \t]*(export\s+)?{SETTING}\s*=.*\n?", re.MULTILINE)


def leave_to_it(held: Freeze | None, by: str) -> None:
    """See that nobody else ends its freeze, or takes its place: the worker would start services.

    Raises:
        NotNow
    """
    if held and held.by == BY != by:
        raise NotNow(
            f"frozen by `{BY}`: {held.words}; wait until that has ended, or, if it died, run it"
            " again, which ends it"
        )


def image_of(version: str, base: str) -> str | None:
    """Return the image beside `base` that has another version; None: its tag is no version.

    What else the tag says, such as `-python3.12`, stays.
    """
    tag = _TAG.fullmatch(base)
    return f"{tag['name']}{version}{tag['more'] or ''}" if tag else None


def naming(image: str, env: str) -> str:
    """Return the text of `.env` in which `image` is the one from which Airflow is built."""
    rest = _LINE.sub("", env)
    return f"{rest}{'' if rest.endswith(chr(10)) or not rest else chr(10)}{SETTING}={image}\n"
