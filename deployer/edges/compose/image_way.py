"""Packages in an image: built of `requirements.txt`, proven, and given the name `current`.

It is built out of the deployer's own files and one text, with the engine's builder. The builder
that the Docker SDK drives runs each RUN in a container of its own. It ends and removes that
container when this process or its connection goes; only an engine that dies itself leaves one,
which `remove_leftovers` knows by its label.
"""

from __future__ import annotations

import io
import math
import re
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from urllib3.exceptions import ReadTimeoutError

from deployer.core.airflow_version import SETTING
from deployer.core.requirements.blame import CommandEnd, Ended, ended_in_time
from deployer.core.requirements.meaning import safe_requirements
from deployer.edges.compose.engine import asking
from deployer.edges.compose.proving import Bounds, Prover, archive, remove_container
from deployer.edges.disk import airflow_files, dockerfile
from deployer.edges.packages.installer_output import added, refusal
from deployer.edges.packages.slots import Slot, Slots
from deployer.errors import ServicesError

TEXT = "/opt/deployer/requirements.txt"
"""Where an image holds the class's text it was built of."""
_MOST_BYTES = 1 << 20  # of that text
IMAGE_LABEL = "class-deployer.image"
"""On each image that is built here, and on the containers in which it is built."""
_COPIES_TEXT = re.compile(r"^COPY\s.*\brequirements\.txt\b", re.MULTILINE)
_OWN_TEXT = "requirements.class.txt"
_LESS_THAN_AIRFLOW = 512  # of 1024 shares: where the class's Airflow wants the CPU, it has it
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
    """Implements `Way`.

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

    def packages(self, slot: Slot) -> tuple[str, None]:
        return self.slots.name(slot), None

    def installed(self, containers: Sequence[Container]) -> str | None:
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
            self._texts[current] = _text_in(containers[0])
        return self._texts[current]

    def on_current(self, container: Container) -> bool:
        if container.status != "running":
            return False
        return bool(container.attrs["Image"] == self.slots.target(Slot.CURRENT))

    def resolve(self, text: str) -> tuple[str, ...]:
        return added(self.prover.resolve(self._running_image(), text))

    def build(self, text: str) -> tuple[str, ...]:
        """See `Way`; dying in here leaves a nameless image, which `tidy` removes."""
        prover = self.prover
        packed = context(prover.project, text)
        prover.check_room()
        base = self.base_image()
        image, ended = build_image(prover.client, packed, base, prover.bounds)
        if not image:
            raise prover.failure(self._running_image(), ended, refusal(text, ended.text))
        ended = prover.run(image, prover.verifying(base), within_s=prover.bounds.check_s)
        new = prover.checked(ended)
        self.slots.point(Slot.NEXT, image)
        return new

    def tidy(self) -> None:
        self.prover.tidy()
        remove_leftovers(self.prover.client, self.prover.project)

    def _running_image(self) -> str:
        """Return the image that the class runs, or what it is built from before the first."""
        return self.slots.target(Slot.CURRENT) or self.base_image()


def _text_in(container: Container) -> str:
    """Return the class's text that its image was built of; none of an image of somebody else's."""
    with asking(f"read a file of the container {container.name}"):
        try:
            stream, stat = container.get_archive(TEXT)
        except NotFound:
            return ""
        if stat is None or stat["size"] > _MOST_BYTES:
            return ""
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            member = tar.next()
            file = tar.extractfile(member) if member and member.isfile() else None
            return file.read().decode(errors="replace") if file else ""


def context(project: str, text: str) -> bytes:
    """Return the build's context: our Dockerfile, our files as include/airflow/, and the text.

    uv is given what is safe of it; the finished image holds `text` in its place. The label is
    set right before the text comes in, so the layers below it are shared among projects, and
    what the text brings can be told from everything else on the machine.

    Raises:
        RequirementsRefused: it is not one that uv may be given.
        ServicesError: the Dockerfile is not one of ours.
    """
    safe, own, files = safe_requirements(text), dockerfile(), airflow_files()
    try:
        recipe = own.read_text()
    except OSError as exc:
        raise ServicesError(f"the image can't be built: {exc}; install the deployer again") from exc
    copies = _COPIES_TEXT.search(recipe)
    if copies is None:
        raise ServicesError(f"{own} has no line `COPY requirements.txt …`")
    label = f'LABEL {IMAGE_LABEL}="{project}"\n'
    recipe = recipe[: copies.start()] + label + recipe[copies.start() :].rstrip()
    recipe += f"\nCOPY {_OWN_TEXT} {TEXT}\n"
    texts = {"Dockerfile": recipe, "requirements.txt": safe, _OWN_TEXT: text}
    packed = {name: content.encode() for name, content in texts.items()}
    for file in sorted(files.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            packed[f"include/airflow/{file.relative_to(files)}"] = file.read_bytes()
    return archive(packed)


def build_image(
    client: DockerClient, packed: bytes, base: str, bounds: Bounds
) -> tuple[str, Ended]:
    """Return the new image's id and what was printed; no id if a RUN failed or time was over.

    Ends within `build_s` of the last word of the builder, so within twice that.

    Raises:
        ServicesError: the engine failed; no command of the Dockerfile did.
    """
    began, printed, image = time.monotonic(), "", ""
    failed: Ended | None = None
    with asking("build an image"):
        stream = client.api.build(
            fileobj=io.BytesIO(packed),
            custom_context=True,
            buildargs={SETTING: base},
            container_limits={
                "memory": bounds.memory_bytes,
                "memswap": bounds.memory_bytes,
                "cpushares": _LESS_THAN_AIRFLOW,
            },
            rm=True,
            forcerm=True,
            timeout=math.ceil(bounds.build_s),
            decode=True,
        )
        try:
            for said in stream:
                printed = _with(printed, said.get("stream", ""))
                image = said.get("aux", {}).get("ID", image)
                if "errorDetail" in said:
                    failed = _failed(said["errorDetail"], printed)
                if time.monotonic() - began > bounds.build_s:
                    return "", Ended(CommandEnd.OUT_OF_TIME, 0, printed)
        except ReadTimeoutError:
            return "", Ended(CommandEnd.OUT_OF_TIME, 0, printed)
        finally:
            stream.close()  # and with it the connection, at which the engine stops the build
    if failed:
        return "", failed
    if not image:  # a stream that just ends is all that is seen of an engine that died
        raise ServicesError("Docker broke off the build: see that it runs")
    return image, Ended(CommandEnd.EXITED, 0, printed)


def remove_leftovers(client: DockerClient, project: str) -> None:
    """Remove what builds of this project left: dead build containers, images without a name.

    Raises:
        ServicesError
    """
    mine = f"{IMAGE_LABEL}={project}"
    with asking("remove what old builds left"):
        for container in client.containers.list(
            all=True,
            filters={"label": mine, "status": ["created", "exited", "dead"]},
            ignore_removed=True,
        ):
            # Those of the class have the label from their image; they name it by its tag.
            if container.attrs["Config"]["Image"].startswith("sha256:"):
                remove_container(container)
        _remove_nameless(client, mine)


def _remove_nameless(client: DockerClient, label: str) -> None:
    """Remove images layer by layer, so that what other builds start from stays in the cache."""
    kept: set[str] = set()
    while True:
        found = client.images.list(filters={"dangling": True, "label": label})
        nameless = [image.id for image in found if image.id and image.id not in kept]
        if not nameless:
            return
        for image in nameless:
            try:
                client.images.remove(image, noprune=True)
            except APIError as exc:
                if exc.status_code not in {404, 409}:  # gone by itself; a container uses it
                    raise
                kept.add(image)


def _with(printed: str, more: str) -> str:
    """Keep what the instruction at work printed; the builder starts each with `Step `."""
    return "" if more.startswith("Step ") else printed + _COLOUR.sub("", more)


def _failed(detail: Mapping[str, Any], printed: str) -> Ended:
    status = int(detail.get("code") or 0)
    if not status:
        raise ServicesError(
            f"Docker could not build an image: {detail.get('message', 'no reason')}"
        )
    return ended_in_time(status, printed)
