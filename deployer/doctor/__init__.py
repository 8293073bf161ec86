"""`deployer doctor`: what is looked at, in which order.

A line is a small function in the module of its part (`docker`, `airflow`, `github`, `git`,
`journal`, `host`): it asks the `world` and says in a sentence what it found, or raises an `Ailment`
with what to do. `LINES` gives it its name and the cure for what a port raises; `running` looks at
all. `hooks` is GitHub's webhook, `repair` is `--repair`.
"""

from __future__ import annotations

from deployer.doctor import airflow, docker, git, github, host, journal
from deployer.doctor.running import Line
from deployer.doctor.world import World

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
    """Return what `deployer github` does, a line each."""

    def set_up(world: World) -> str:
        secret = world.settings.webhook_secret[0].get_secret_value()
        return world.hook.set_up(secret, anew=anew, dry_run=dry_run)

    known = {line.name: line for line in LINES}
    done = [known["GitHub token"], known["repository"], Line("webhook", set_up, github.AWAY)]
    if redeliver:
        lost = github.failed_deliveries if dry_run else github.redelivered
        done.append(Line("failed deliveries", lost, github.AWAY))
    return tuple(done)
