"""Look at all lines side by side; none can raise, none can hold up the report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from deployer.core.doctor import Ailment, Finding, Mark, NotApplicable
from deployer.doctor.world import World
from deployer.errors import DeployerError
from deployer.masking import without

BOUND_S: Final = 30.0
"""For all of them together; each has shorter bounds of its own for what it asks."""

AGAIN: Final = "do as it says, then run doctor again"
_LOCAL: Final = "SERVICES=local: Airflow runs as processes of this machine, without Docker"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the check-up.

    Attributes:
        name: stable, for scripts.
        ask: returns what it found in one sentence, or raises a DeployerError.
        cure: what to do about an error that does not say so itself.
        containers: there is something to look at only where Airflow runs in containers.
    """

    name: str
    ask: Callable[[World], str]
    cure: str = ""
    containers: bool = False


def run(
    lines: Sequence[Line],
    world: World,
    *,
    secrets: Sequence[str] = (),
    bound_s: float = BOUND_S,
) -> tuple[Finding, ...]:
    """Return a finding for each line, in their order. `secrets` stand in none of them."""
    found: dict[str, Finding] = {}

    def look(line: Line) -> None:
        found[line.name] = _clean(_finding(line, world), secrets)

    # Daemons: one that hangs in the kernel (a dead NFS server) must not keep the process.
    threads = [threading.Thread(target=look, args=(line,), daemon=True) for line in lines]
    deadline = time.monotonic() + bound_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return tuple(
        found.get(line.name)
        or Finding(
            line.name,
            Mark.FAILED,
            f"no answer within {bound_s:g} s",
            "see whether this machine, its disk or its network hangs, then run doctor again",
        )
        for line in lines
    )


def _finding(line: Line, world: World) -> Finding:
    if line.containers and world.processes is not None:
        return Finding(line.name, Mark.SKIPPED, _LOCAL)
    try:
        return Finding(line.name, Mark.PASSED, line.ask(world))
    except NotApplicable as exc:
        return Finding(line.name, Mark.SKIPPED, str(exc))
    except Ailment as exc:
        return Finding(line.name, Mark.FAILED, exc.detail, exc.remedy)
    except DeployerError as exc:
        return Finding(line.name, Mark.FAILED, str(exc), line.cure or AGAIN)
    except Exception as exc:  # noqa: BLE001 - one broken line must not hide what the others found
        return Finding(
            line.name,
            Mark.FAILED,
            f"the check itself broke: {type(exc).__name__}: {exc}",
            "report this as a bug of the deployer; the other lines stand",
        )


def _clean(finding: Finding, secrets: Sequence[str]) -> Finding:
    detail, remedy = without(secrets, finding.detail), without(secrets, finding.remedy)
    return Finding(finding.name, finding.state, detail, remedy)
