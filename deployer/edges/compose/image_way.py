"""Packages in an image: built of `requirements.txt`, proven, and given the name `current`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from docker import DockerClient
from docker.errors import ImageNotFound

from deployer.core.requirements.blame import Ended, Task
from deployer.core.requirements.gate import safe_requirements
from deployer.edges.compose.engine import asking, check_room
from deployer.edges.compose.image_build import build_image, context, remove_leftovers
from deployer.edges.compose.proving import Bounds, Prover, verify_command
from deployer.edges.compose.throwaway import remove_throwaways, run_throwaway
from deployer.edges.compose.ways import Instance, Packages
from deployer.edges.packages.installer_output import added, refusal
from deployer.edges.packages.slots import Slot, Slots
from deployer.errors import RequirementsRefused, ServicesError

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


class ImageWay:
    """Implements `ways.Way`.

    Args:
        project: whose throwaway containers and nameless images are tidied.
        repository: of the images, e.g. `class-airflow`; the tags are those of `slots.Slot`.
        base_image: tells the Airflow that the Dockerfile starts from; the operator may change it.
        dockerfile, files: the deployer's own; `files` is what Airflow runs on its behalf.
    """

    def __init__(
        self,
        client: DockerClient,
        *,
        project: str,
        repository: str,
        base_image: Callable[[], str],
        dockerfile: Path,
        files: Path,
        bounds: Bounds,
    ) -> None:
        self._client = client
        self._project = project
        self._base_image = base_image
        self._dockerfile = dockerfile
        self._files = files
        self._bounds = bounds
        self.slots = ImageSlots(client, repository)
        self._prover = Prover(client, project=project, bounds=bounds)
        self._texts: dict[str, str] = {}  # by image; none of them changes

    def packages(self, slot: Slot) -> Packages:
        return Packages(self.slots.name(slot))

    def installed(self, containers: Sequence[Instance]) -> str | None:
        current = self.slots.healthy()
        # One on another image was not recreated when the name moved: somebody died there.
        if current is None or not all(map(self.on_current, containers)):
            return None
        if current not in self._texts:
            self._texts[current] = containers[0].text(TEXT)
        return self._texts[current]

    def on_current(self, container: Instance) -> bool:
        return container.runs and container.image == self.slots.target(Slot.CURRENT)

    def resolve(self, text: str) -> tuple[str, ...]:
        safe = safe_requirements(text)
        return added(self._prover.resolve(self._running_image(), text, safe))

    def build(self, text: str) -> tuple[str, ...]:
        """See `ways.Way`; dying in here leaves a nameless image, which `tidy` removes."""
        safe = safe_requirements(text)
        check_room(self._client, self._bounds.needs_bytes)
        base = self._base_image()
        image, ended = build_image(
            self._client,
            context(self._dockerfile, self._files, project=self._project, text=text, safe=safe),
            arguments={"AIRFLOW_IMAGE_NAME": base},
            limits=self._bounds.limits,
            within_s=self._bounds.build_s,
        )
        if not image:
            raise self._failure(text, ended)
        new = self._verify(image, base)
        self.slots.point(Slot.NEXT, image)
        return new

    def tidy(self) -> None:
        remove_throwaways(self._client, self._project)
        remove_leftovers(self._client, self._project)

    def _running_image(self) -> str:
        """Return the image that the class runs, or what it is built from before the first."""
        return self.slots.target(Slot.CURRENT) or self._base_image()

    def _failure(self, text: str, ended: Ended) -> RequirementsRefused | ServicesError:
        """Return whose fault it is that the installation of packages failed.

        Raises:
            DiskError: it may be the disk's.
        """
        check_room(self._client, self._bounds.needs_bytes)
        task = Task("install", self._bounds.build_s, self._bounds.limits.memory_mb)
        return self._prover.blame(self._running_image(), ended, task, refusal(text, ended.text))

    def _verify(self, image: str, base: str) -> tuple[str, ...]:
        ended = run_throwaway(
            self._client,
            image,
            verify_command(self._prover.own(base)),
            entrypoint=["bash"],
            project=self._project,
            within_s=self._bounds.check_s,
            limits=self._bounds.limits,
        )
        self._prover.raise_for_checks(ended)
        return added(ended.text)
