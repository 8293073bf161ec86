"""The two ways in which a class's packages get into Airflow's containers, and what each must do.

image    an image is built of `requirements.txt`, and the containers run it
plain    the containers install a list of pinned packages themselves at each start
proving  what is asked of packages in containers for one command, and whose fault a no is

Both ways prove first and move later, by the three names of `deployer.edges.packages.slots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from docker.models.containers import Container

from deployer.edges.packages.slots import Slot, Slots


class Way(Protocol):
    """How packages are proven and moved; every method may be called again after a crash."""

    @property
    def slots(self) -> Slots[Any]:
        """The names by which they move."""

    def packages(self, slot: Slot) -> tuple[str, str | None]:
        """Return what a container needs to have what `slot` leads to: its image's name, and
        `_PIP_ADDITIONAL_REQUIREMENTS`, None: all of them are in the image.
        """

    def installed(self, containers: Sequence[Container]) -> str | None:
        """Return the class's text on which all of `containers` run, None if it is not known.

        `containers` are those of the services that are recreated, as just listed; there is at
        least one. What a stopped one runs on is not known, nor what was not found healthy
        (`confirm`); what was made of no text is known to be none.

        Raises:
            ServicesError: the engine does not answer.
        """

    def on_current(self, container: Container) -> bool:
        """Tell whether a container runs, and surely on what `current` leads to."""

    def resolve(self, text: str) -> tuple[str, ...]:
        """Return the distributions that `text` adds to what runs; changes nothing.

        Raises:
            RequirementsRefused, ServicesError
        """

    def build(self, text: str) -> tuple[str, ...]:
        """Make `next` of `text` and prove that it works; return what it adds.

        Raises:
            RequirementsRefused, ServicesError, DiskError
        """

    def tidy(self) -> None:
        """Remove what a call that died left behind, and what no name leads to any more."""
