"""A world for one line of `deployer doctor`: what it asks, and nothing else."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from deployer.config import Settings
from deployer.doctor.world import World

REPO = "class/airflow-class"
REPO_URL = "https://github.com/class/airflow-class.git"


def nothing_but(**parts: Any) -> World:  # noqa: ANN401 - each part has a type of its own
    """Return a world of which only `parts` are there: its own by name, all others are settings."""
    ours = {one.name for one in fields(World)}
    settings = {name: value for name, value in parts.items() if name not in ours}
    needed = {one.name for one in fields(World) if one.default is one.default_factory is MISSING}
    given: dict[str, Any] = dict.fromkeys(needed) | {
        name: parts[name] for name in parts.keys() & ours
    }
    of_class = {"github_repo": REPO, "repo_url": REPO_URL}
    return World(**given | {"settings": Settings(**of_class | settings)})
