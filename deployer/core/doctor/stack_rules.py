"""What the operator's compose file must hold for a rollout to be safe.

It alone is used, never the class repository's: a compose file decides what runs on the VM, and
with which rights, so a push must not be able to change it.

Pure: takes what `docker compose config --format json` printed (the form is that of
https://github.com/compose-spec/compose-spec/blob/main/05-services.md), says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from deployer.core.doctor.lines import Ailment
from deployer.core.model import COMPOSE_FILE

MOUNTED_AT: Final = "/opt/class"
"""Where all Airflow containers see CHECKOUT_DIR; the class's bundle looks there."""
GRACE_S: Final = 60.0
"""A task that runs when the scheduler is stopped needs about this long to end by itself."""
PIP_AT_START: Final = "_PIP_ADDITIONAL_REQUIREMENTS"
"""Airflow's own image installs this at each start: the plain way."""

Stack = Mapping[str, Any]

_PARTS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def services(stack: Stack, needed: Collection[str]) -> str:
    """Tell by which way packages come into the services that are recreated.

    Raises:
        Ailment: one of `needed` is not in the file, or packages could not be moved.
    """
    all_of_them = _services(stack)
    missing = sorted(set(needed) - all_of_them.keys())
    if missing:
        raise Ailment(
            f"it has no {', '.join(missing)}",
            "set DEPLOYER_RECREATE_SERVICES to Airflow's services of the file, or name them so",
        )
    plain = sorted(name for name in needed if _environment(all_of_them[name]).get(PIP_AT_START))
    if len(plain) == len(set(needed)):
        return f"plain way: containers install {PIP_AT_START} at start"
    if plain:
        raise Ailment(
            f"only {', '.join(plain)} of the recreated services set {PIP_AT_START}",
            "give it to all of them (plain way) or to none (image way)",
        )
    built = {service.get("image") for service in all_of_them.values() if service.get("build")}
    unbuilt = sorted(name for name in needed if all_of_them[name].get("image") not in built)
    if unbuilt:
        raise Ailment(
            f"{', '.join(unbuilt)}: their image has no `build:` in the file, and"
            f" they set no {PIP_AT_START}, so packages can't move",
            "take `build:` and `image:` over from the docker-compose.yaml of the deployer",
        )
    return "image way: an image is built when requirements move"


def stopping(stack: Stack) -> str:
    """Tell whether a task that runs when the scheduler is stopped may end by itself.

    Raises:
        Ailment: it would be killed, or run twice.
    """
    schedulers = {name: s for name, s in _services(stack).items() if _is_scheduler(name, s)}
    if not schedulers:
        raise Ailment(
            "no service is Airflow's scheduler, by its name or its command",
            "name it airflow-scheduler, as the docker-compose.yaml of the deployer does",
        )
    wrong = []
    for name, scheduler in schedulers.items():
        grace_s = seconds(str(scheduler.get("stop_grace_period") or "10s"))
        if grace_s < GRACE_S:
            wrong.append(f"{name} is killed {grace_s:g} s after it was told to stop")
        if _environment(scheduler).get("DUMB_INIT_SETSID") != "0":
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
    for name, service in _services(stack).items():
        mounts = service.get("volumes") or []
        wrong += [
            f"{name} may write {mount['source']}"
            for mount in mounts
            if _overlaps(mount, directory) and not mount.get("read_only")
        ]
        if name in needed:
            wrong += [f"{name} {what}" for what in _not_there(mounts, directory)]
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f"mount {directory}:{MOUNTED_AT}:ro in each service of Airflow (the deployer's own"
            " docker-compose.yaml takes it from CLASS_CHECKOUT_DIR) and in no other way",
        )
    return f"{directory} is mounted read-only at {MOUNTED_AT}"


def seconds(duration: str) -> float:
    """Return a duration as Compose prints it (`1m30s`) in seconds."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", duration)
    return sum(float(number) * _PARTS[unit] for number, unit in parts)


def _services(stack: Stack) -> Mapping[str, Any]:
    found: Mapping[str, Any] = stack.get("services") or {}
    return found


def _environment(service: Mapping[str, Any]) -> dict[str, str]:
    given = service.get("environment") or {}
    return {name: str(value or "").strip() for name, value in given.items()}


def _is_scheduler(name: str, service: Mapping[str, Any]) -> bool:
    return name.endswith("scheduler") or "scheduler" in (service.get("command") or [])


def _overlaps(mount: Mapping[str, Any], directory: str) -> bool:
    if mount.get("type") != "bind":
        return False
    source, ours = PurePosixPath(mount["source"]), PurePosixPath(directory)
    return source.is_relative_to(ours) or ours.is_relative_to(source)


def _not_there(mounts: Collection[Mapping[str, Any]], directory: str) -> Iterator[str]:
    here = [mount for mount in mounts if mount.get("target") == MOUNTED_AT]
    if not here:
        yield f"has nothing at {MOUNTED_AT}"
    for mount in here:
        if PurePosixPath(mount.get("source") or "") != PurePosixPath(directory):
            yield f"has {mount.get('source')} at {MOUNTED_AT}, not {directory}"


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
