"""`deployer deploy`: ask the worker for it, and wait for its end, as `rollback` does too."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NoReturn

import click

from deployer import app, config
from deployer.cli import full_commit, printing, tell, tell_if_alone
from deployer.core.airflow_version import BY
from deployer.core.model import Deployment, Freeze, State, Trigger
from deployer.core.reporting.readiness import BEAT_STALE, reasons
from deployer.errors import DeployerError, OperatorError
from deployer.ports import Journal

LOOK_EVERY_S = 0.2
SILENCE = BEAT_STALE
"""How long a worker may give no sign of life before nobody waits for it any more."""
FIRST_TOLD_S, TOLD_AGAIN_S = 30.0, 60.0
"""When who waits is told why the worker has not begun."""
LONGEST_WAIT_S = 1800.0
"""Less than all bounds of one deployment together: one that takes longer goes on, unwaited for."""
EXIT_OF = {State.BROKEN: 1, State.FAILED: 1, State.ERROR: 3}
"""Of other ends it is 0."""


@click.command()
@click.argument("sha", required=False, type=full_commit)
@click.option("--wait", is_flag=True, help="Wait for the end; the exit status tells how it went.")
def deploy(sha: str | None, *, wait: bool) -> None:
    """Deploy the branch's tip now, and judge all of it anew.

    With SHA: only if the branch holds that commit. What goes live is the tip all the same.
    """
    settings = config.load()
    journal = app.open_journal(settings)
    if freeze := journal.frozen(datetime.now(UTC)):
        its_own = freeze.by == BY
        then = "wait until that has ended" if its_own else "`deployer unfreeze` deploys the tip"
        raise DeployerError(f"{_frozen(freeze)}; {then}")
    request = journal.request_deploy(sha, Trigger.MANUAL)
    app.doorbell(settings).ring()
    if not wait:
        shows = f"show {sha[:7]}" if sha else "status"
        click.echo(f"asked the worker to deploy; `deployer {shows}` shows how it goes")
        tell_if_alone(journal.pulse())
        return
    report(journal, request)


def report(journal: Journal, request: int, *, goal: str | None = None) -> NoReturn:
    """Wait for what answers a request, show it, and exit as it ended.

    `goal`: the commit to which it rolls back.
    """
    ended = _wait(journal, request, goal)
    printing.show(ended)
    raise SystemExit(EXIT_OF.get(ended.state, 0))


def _frozen(freeze: Freeze) -> str:
    return f"frozen by {freeze.by}: {freeze.words}"


def _wait(journal: Journal, request: int, goal: str | None = None) -> Deployment:
    """Wait until the deployment that answers a request has ended, and tell each step meanwhile.

    Raises:
        DeployerError: somebody froze deployments before it was begun.
        OperatorError: no worker runs, or there is no end after LONGEST_WAIT_S.
    """
    until = time.monotonic() + LONGEST_WAIT_S
    tell_at = time.monotonic() + FIRST_TOLD_S
    asked_at, told = datetime.now(UTC), set[str]()
    tell("asked the worker to deploy; it takes its turn")
    while time.monotonic() < until:
        answer = journal.answer_to(request)
        for line in printing.progress(answer) if answer else ():
            if line not in told:
                tell(printing.plain(line).plain)
                told.add(line)
        if answer is not None and answer.state.ended:
            return answer
        freeze = journal.frozen(datetime.now(UTC))
        if answer is None and freeze and goal is None:
            raise DeployerError(f"{_frozen(freeze)}; the request is kept until `deployer unfreeze`")
        pulse = journal.pulse()
        if datetime.now(UTC) - max(pulse.beat_at or asked_at, asked_at) > SILENCE:
            raise OperatorError(
                "no worker answers; start `deployer worker`: the request is kept in the journal"
            )
        if answer is None and time.monotonic() >= tell_at:
            why = "".join(f"{reason}; " for reason in reasons(pulse, datetime.now(UTC)))
            told_of = f"the worker has not begun: {why}`deployer logs` says why"
            tell(printing.plain(told_of).plain)
            tell_at = time.monotonic() + TOLD_AGAIN_S
        time.sleep(LOOK_EVERY_S)
    raise OperatorError(f"no end after {LONGEST_WAIT_S:.0f} s; see `deployer logs -f`")
