"""What the operator's compose file must hold for a rollout to be safe.

It alone is used, never the class repository's: a compose file decides what runs on the VM, and
with which rights, so a push must not be able to change it.

Pure: says what is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from deployer.core.doctor.lines import Ailment
from deployer.core.model import COMPOSE_FILE
from deployer.core.stack import MOUNTED_AT, PIP_AT_START, Mount, Service, Stack

GRACE_S: Final = 60.0
"""A task that runs when the scheduler is stopped needs about this long to end by itself."""


def packages(stack: Stack, needed: Sequence[str]) -> str:
    """Tell by which way packages come into the services that are recreated.

    Raises:
        ServicesError: one of `needed` is not in the file, or packages could not be moved: the
            worker would not start.
    """
    stack.require(needed)
    if stack.built(needed) is None:
        return f"plain way: containers install {PIP_AT_START} at start"
    return "image way: an image is built when requirements move"


def stopping(stack: Stack) -> str:
    """Tell whether a task that runs when the scheduler is stopped may end by itself.

    Raises:
        Ailment: it would be killed, or run twice.
    """
    schedulers = {name: s for name, s in stack.services.items() if _is_scheduler(name, s)}
    if not schedulers:
        raise Ailment(
            "no service is Airflow's scheduler, by its name or its command",
            "name it airflow-scheduler, as the docker-compose.yaml of the deployer does",
        )
    wrong = []
    for name, scheduler in schedulers.items():
        if scheduler.stop_grace_s < GRACE_S:
            wrong.append(f"{name} is killed {scheduler.stop_grace_s:g} s after it was told to stop")
        if scheduler.environment.get("DUMB_INIT_SETSID") != "0":
            wrong.append(f"{name} passes the signal on to running tasks (no DUMB_INIT_SETSID=0)")
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f'give it `stop_grace_period: {GRACE_S:g}s` or more and DUMB_INIT_SETSID: "0"',
        )
    return (
        f"running tasks have {GRACE_S:g} s or more to end when {', '.join(schedulers)} is stopped"
    )


def checkout(stack: Stack, needed: Collection[str], directory: str) -> str:
    """Tell whether Airflow sees the releases, and nobody can write them.

    `directory`: CHECKOUT_DIR, absolute.

    Raises:
        Ailment
    """
    wrong = []
    for name, service in stack.services.items():
        wrong += [
            f"{name} may write {mount.source}"
            for mount in service.mounts
            if mount.bind and _overlaps(mount.source, directory) and not mount.read_only
        ]
        if name in needed:
            wrong += [f"{name} {what}" for what in _not_there(service.mounts, directory)]
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f"mount {directory}:{MOUNTED_AT}:ro in each service of Airflow (the deployer's own"
            " docker-compose.yaml takes it from CLASS_CHECKOUT_DIR) and in no other way",
        )
    return f"{directory} is mounted read-only at {MOUNTED_AT}"


def _is_scheduler(name: str, service: Service) -> bool:
    return name.endswith("scheduler") or "scheduler" in service.command


def _overlaps(one: str, other: str) -> bool:
    source, ours = PurePosixPath(one), PurePosixPath(other)
    return source.is_relative_to(ours) or ours.is_relative_to(source)


def _not_there(mounts: Collection[Mount], directory: str) -> Iterator[str]:
    here = [mount for mount in mounts if mount.target == MOUNTED_AT]
    if not here:
        yield f"has nothing at {MOUNTED_AT}"
    for mount in here:
        if PurePosixPath(mount.source) != PurePosixPath(directory):
            yield f"has {mount.source} at {MOUNTED_AT}, not {directory}"


def drift(pushed: str | None, own: str | None) -> str | None:
    """Return a sentence that says the two differ, None if they do not.

    A repository without the file, or an operator without a copy (the embedded Airflow), has
    nothing to differ. Line ends and blank ends of lines do not count.
    """
    if pushed is None or own is None or _lines(pushed) == _lines(own):
        return None
    return (
        f"{COMPOSE_FILE} of the repository differs from the operator's copy, which stays in use;"
        " the teacher may look at the difference and copy it by hand"
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
