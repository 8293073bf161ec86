"""Packages in an image: built of `requirements.txt`, proven, and given the name `current`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from docker import DockerClient
from docker.errors import ImageNotFound

from deployer.edges.compose.engine import asking
from deployer.edges.compose.ways import Instance, Packages
from deployer.edges.compose.ways.image_build import build_image, context, remove_leftovers
from deployer.edges.compose.ways.proving import Prover, verify_command
from deployer.edges.compose.ways.throwaway import remove_throwaways
from deployer.edges.packages.installer_output import added, refusal
from deployer.edges.packages.slots import Slot, Slots
from deployer.errors import ServicesError

TEXT = "/opt/deployer/requirements.txt"
"""Where an image holds the class's text it was built of."""


class ImageSlots(Slots[str]):
    """The names are tags of one repository; what they lead to are image ids."""

    def __init__(self, client: DockerClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    def name(self, slot: Slot) -> str:
        return f"{self._repository}:{slot}"

    def target(self, slot: Slot) -> str | None:
        with asking(f"look for the image {self.name(slot)}"):
            try:
                return self._client.images.get(self.name(slot)).id
            except ImageNotFound:
                return None

    def point(self, slot: Slot, target: str) -> None:
        with asking(f"name an image {self.name(slot)}"):
            self._client.images.get(target).tag(self._repository, tag=slot)

    def drop(self, slot: Slot) -> None:
        """Take the tag away; the engine removes an image with its last, if no container runs it."""
        with asking(f"take the name {self.name(slot)} away"), suppress(ImageNotFound):
            # Forced: else an image whose only name this is keeps it while a container runs it.
            self._client.images.remove(self.name(slot), force=True, noprune=True)


@dataclass(eq=False)
class ImageWay:
    """Implements `ways.Way`.

    Attributes:
        prover: of the project whose throwaway containers and nameless images are tidied.
        repository: of the images, e.g. `class-airflow`; the tags are those of `slots.Slot`.
        base_image: tells the Airflow that the Dockerfile starts from; the operator may change it.
    """

    prover: Prover
    repository: str
    base_image: Callable[[], str]
    _texts: dict[str, str] = field(default_factory=dict)  # by image; none of them changes

    def __post_init__(self) -> None:
        self.slots = ImageSlots(self.prover.client, self.repository)

    def packages(self, slot: Slot) -> Packages:
        return Packages(self.slots.name(slot))

    def installed(self, containers: Sequence[Instance]) -> str | None:
        current = self.slots.healthy()
        if current is None and self.slots.target(Slot.PREVIOUS) is None:
            raise ServicesError(
                f"the Docker engine has no image {self.slots.name(Slot.CURRENT)}: make the class's"
                " with `docker compose build`"
            )
        # One on another image was not recreated when the name moved: somebody died there.
        if current is None or not all(map(self.on_current, containers)):
            return None
        if current not in self._texts:
            self._texts[current] = containers[0].text(TEXT)
        return self._texts[current]

    def on_current(self, container: Instance) -> bool:
        return container.runs and container.image == self.slots.target(Slot.CURRENT)

    def resolve(self, text: str) -> tuple[str, ...]:
        return added(self.prover.resolve(self._running_image(), text))

    def build(self, text: str) -> tuple[str, ...]:
        """See `ways.Way`; dying in here leaves a nameless image, which `tidy` removes."""
        prover, bounds = self.prover, self.prover.bounds
        packed = context(prover.project, text)
        prover.check_room()
        base = self.base_image()
        image, ended = build_image(
            prover.client,
            packed,
            arguments={"AIRFLOW_IMAGE_NAME": base},
            limits=bounds.limits,
            within_s=bounds.build_s,
        )
        if not image:
            raise prover.failure(self._running_image(), ended, refusal(text, ended.text))
        checks = verify_command(prover.own(base))
        ended = prover.run(image, checks, entrypoint=["bash"], within_s=bounds.check_s)
        new = prover.checked(ended)
        self.slots.point(Slot.NEXT, image)
        return new

    def tidy(self) -> None:
        remove_throwaways(self.prover.client, self.prover.project)
        remove_leftovers(self.prover.client, self.prover.project)

    def _running_image(self) -> str:
        """Return the image that the class runs, or what it is built from before the first."""
        return self.slots.target(Slot.CURRENT) or self.base_image()
