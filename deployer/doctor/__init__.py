"""`deployer doctor`: what is looked at, in which order, side by side.

A line is a small function in the module of its part (`docker`, `airflow`, `github`, `git`,
`journal`, `host`): it asks the `world` and says in a sentence what it found, or raises an `Ailment`
with what to do. `LINES` gives it its name and the cure for what a port raises; `run` looks at all:
none can raise, none can hold up the report. `repair` is `--repair`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deployer.core.doctor import Ailment, Finding, Mark, NotApplicable
from deployer.doctor import airflow, docker, git, github, host, journal
from deployer.doctor.world import World
from deployer.errors import DeployerError, MayNot, OperatorError
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


LINES = (
    Line("engine", docker.engine, docker.START, containers=True),
    Line("compose", docker.plugin, docker.INSTALL, containers=True),
    Line("compose file", docker.ways, containers=True),
    Line("compose file: stopping", docker.stopping, containers=True),
    Line("compose file: checkout", docker.checkout, containers=True),
    Line("compose file of the repository", git.compare_stack, containers=True),
    Line("services", docker.services),
    Line("packages", journal.same_packages),
    Line("Airflow health", airflow.health, airflow.AWAY),
    Line("parse feed", journal.parse_feed),
    Line("Airflow account", airflow.account, airflow.ACCOUNT),
    Line("Airflow rights", airflow.rights, airflow.LOOK),
    Line("Airflow rights: excess", airflow.excess, airflow.LOOK),
    Line("GitHub token", github.token, github.AWAY),
    Line("webhook secret", journal.secret),
    Line("webhook deliveries", journal.deliveries),
    Line("failed deliveries", github.failed_deliveries, github.AWAY),
    Line("repository", git.host, git.FETCH),
    Line("mirror", git.mirror, git.OVERLOADED),
    Line("disk", host.disk),
    Line("clock", host.clock),
    Line("public address", host.public_address),
    Line("journal", journal.journal, journal.MAKE),
    Line("invariants", journal.invariants),
    Line("worker", journal.worker),
)
"""The check-up."""


def github_lines(*, dry_run: bool, anew: bool, redeliver: bool) -> tuple[Line, ...]:
    """Return what `deployer github` does, a line each.

    It checks the token, makes or mends the webhook, and may ask for lost deliveries again.
    """

    def set_up(world: World) -> str:
        secret = world.settings.webhook_secret[0].get_secret_value()
        return world.hook.set_up(secret, anew=anew, dry_run=dry_run)

    known = {line.name: line for line in LINES}
    done = [known["GitHub token"], known["repository"], Line("webhook", set_up, github.AWAY)]
    if redeliver:
        lost = github.failed_deliveries if dry_run else github.redelivered
        done.append(Line("failed deliveries", lost, github.AWAY))
    return tuple(done)


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
        said = _finding(line, world)
        detail, remedy = without(secrets, said.detail), without(secrets, said.remedy)
        found[line.name] = replace(said, detail=detail, remedy=remedy)

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
            reached=False,
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
        reached = isinstance(exc, MayNot) or not isinstance(exc, OperatorError)
        return Finding(line.name, Mark.FAILED, str(exc), line.cure or AGAIN, reached=reached)
    except Exception as exc:  # noqa: BLE001 - one broken line must not hide what the others found
        return Finding(
            line.name,
            Mark.FAILED,
            f"the check itself broke: {type(exc).__name__}: {exc}",
            "report this as a bug of the deployer; the other lines stand",
        )
