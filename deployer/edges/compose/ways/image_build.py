"""Build an image out of the deployer's own files and one text, with the engine's builder.

The builder that the Docker SDK drives runs each RUN in a container of its own. It ends and
removes that container when this process or its connection goes; only an engine that dies
itself leaves one, which `remove_leftovers` knows by its label.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from docker import DockerClient
from docker.errors import APIError
from urllib3.exceptions import ReadTimeoutError

from deployer.core.requirements.blame import End, Ended, ended_in_time
from deployer.core.requirements.meaning import safe_requirements
from deployer.edges.airflow.files import airflow_files, dockerfile
from deployer.edges.compose.engine import asking
from deployer.edges.compose.ways.throwaway import Limits, archive, remove_container
from deployer.errors import ServicesError

IMAGE_LABEL = "class-deployer.image"
"""On each image that is built here, and on the containers in which it is built."""
_COPIES_TEXT = re.compile(r"^COPY\s.*\brequirements\.txt\b", re.MULTILINE)
_OWN_TEXT = "requirements.class.txt"
_LESS_THAN_AIRFLOW = 512  # of 1024 shares: where the class's Airflow wants the CPU, it has it
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
    recipe += f"\nCOPY {_OWN_TEXT} /opt/deployer/requirements.txt\n"
    texts = {"Dockerfile": recipe, "requirements.txt": safe, _OWN_TEXT: text}
    packed = {name: content.encode() for name, content in texts.items()}
    for file in sorted(files.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            packed[f"include/airflow/{file.relative_to(files)}"] = file.read_bytes()
    return archive(packed)


def build_image(
    client: DockerClient,
    packed: bytes,
    *,
    arguments: Mapping[str, str],
    limits: Limits,
    within_s: float,
) -> tuple[str, Ended]:
    """Return the new image's id and what was printed; no id if a RUN failed or time was over.

    Ends within `within_s` of the last word of the builder, so within twice that.

    Raises:
        ServicesError: the engine failed; no command of the Dockerfile did.
    """
    began, printed, image = time.monotonic(), "", ""
    failed: Ended | None = None
    with asking("build an image"):
        stream = client.api.build(
            fileobj=io.BytesIO(packed),
            custom_context=True,
            buildargs=dict(arguments),
            container_limits={
                "memory": limits.memory_bytes,
                "memswap": limits.memory_bytes,
                "cpushares": _LESS_THAN_AIRFLOW,
            },
            rm=True,
            forcerm=True,
            timeout=math.ceil(within_s),
            decode=True,
        )
        try:
            for said in stream:
                printed = _with(printed, said.get("stream", ""))
                image = said.get("aux", {}).get("ID", image)
                if "errorDetail" in said:
                    failed = _failed(said["errorDetail"], printed)
                if time.monotonic() - began > within_s:
                    return "", Ended(End.OUT_OF_TIME, 0, printed)
        except ReadTimeoutError:
            return "", Ended(End.OUT_OF_TIME, 0, printed)
        finally:
            stream.close()  # and with it the connection, at which the engine stops the build
    if failed:
        return "", failed
    if not image:  # a stream that just ends is all that is seen of an engine that died
        raise ServicesError("Docker broke off the build: see that it runs")
    return image, Ended(End.EXITED, 0, printed)


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
