"""What the journal tells of the other processes: the worker's life, deliveries that came."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployer.core.counts import lasting
from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.invariants import Audit, violations
from deployer.core.model import Pulse
from deployer.core.planning import packages
from deployer.core.reporting import readiness
from deployer.doctor import docker
from deployer.doctor.world import World
from deployer.errors import DeployerError


@dataclass(frozen=True, slots=True)
class Traces:
    """What was read of the journal, at one moment."""

    pulse: Pulse
    packages: str | None
    audit: Audit


MAKE: Final = (
    "web and worker make it when they start: see that they did, that DEPLOYER_STATE_DIR and"
    " DEPLOYER_DATABASE_URL are theirs, and that this user may read it"
)
_CONNECTED_WITHIN: Final = timedelta(seconds=15)
"""A worker that has just started tells it with its next beat, 5 or 10 s later."""
_LOOK_S: Final = 0.5


def read(world: World) -> Traces:
    """Read the journal, and change nothing.

    Raises:
        JournalError: it can't be read.
    """
    journal = world.journal()
    return Traces(journal.pulse(), journal.packages(), journal.audit(world.now()))


def journal(world: World) -> str:
    world.once(read)
    return "can be read, its tables are up to date"


def invariants(world: World) -> str:
    """Tell whether the journal holds what it must at any moment.

    Raises:
        Ailment: something of it does not.
    """
    traces = world.after("journal", read)
    if wrong := "; ".join(violations(traces.audit)):
        raise Ailment(
            wrong,
            "the worker looks at its start and each hour, and mends commits without an end and what"
            " is live: `systemctl restart deployer-worker`. Statuses wait for GitHub: see GitHub"
            " token. For rows without another: restore a backup (`deployer restore`)",
        )
    return "no commit is forgotten, what is live is judged, no row is without another"


def worker(world: World) -> str:
    """Tell whether the worker lives and does its job.

    Raises:
        Ailment: with the reasons that `/readyz` gives, too.
        NotApplicable: it runs, and could fetch nothing yet.
    """
    pulse, now = world.after("journal", read).pulse, world.now()
    against = readiness.by_name(pulse, now)
    if list(against) == ["tip"] and not pulse.tip_checked_at:
        raise NotApplicable("it runs, and has fetched nothing yet: see repository")
    if against:
        raise Ailment(
            "; ".join(against.values()),
            "see whether it runs (systemctl status deployer-worker) and what it says"
            " (`deployer logs`, `deployer status`)",
        )
    return f"heartbeat {lasting(now - (pulse.beat_at or now))} ago, tip checked, nothing overdue"


def parse_feed(world: World, sleep: Callable[[float], None] = time.sleep) -> str:
    """Tell whether the class's dag-processor is connected, of which every verdict comes.

    Of a worker that has just started it is not told yet: it connects within a second, and the next
    beat tells it.

    Raises:
        Ailment: none is, or one that can't tell.
        NotApplicable: the worker, at which it connects, does not run.
    """
    if not world.after("journal", read).pulse.processors and world.processes is None:
        world.after("engine", docker.about)
    until = world.now() + _CONNECTED_WITHIN
    while True:
        pulse, now = world.journal().pulse(), world.now()
        if pulse.beat_at is None or now - pulse.beat_at > readiness.BEAT_STALE:
            raise NotApplicable("can't be told: see worker")
        if pulse.processors or now > until:
            break
        sleep(_LOOK_S)
    unfit = [came for came in pulse.processors if came.unfit]
    if unfit:
        raise Ailment(
            f"Airflow {unfit[0].airflow}'s own dag-processor runs, not the class's:"
            f" {unfit[0].unfit}",
            "use the Airflow that this deployer is made for (3.3), or a deployer that knows this"
            " one: until then what is pushed goes live within half a minute and is not judged",
        )
    if not pulse.processors:
        raise Ailment(
            "no dag-processor of the class is connected: what is pushed goes live, and is not"
            " judged",
            "see that airflow-dag-processor runs `python /opt/deployer/airflow/start.py"
            " dag-processor`, with the class's bundle (docker-compose.yaml), that CHECKOUT_DIR/feed"
            " is of group 0 and mode 2750, and look at its log",
        )
    versions = ", ".join(sorted({came.airflow for came in pulse.processors}))
    count = len(pulse.processors)
    who = "the class's dag-processor is" if count == 1 else f"{count} dag-processors are"
    return f"{who} connected, Airflow {versions}"


def same_packages(world: World) -> str:
    """Tell whether Airflow runs on the packages that the last deployment left it with.

    Raises:
        Ailment: it runs on others.
        NotApplicable: there is nothing to compare.
    """
    traces = world.after("journal", read)
    if traces.packages is None:
        raise NotApplicable("can't be told: nothing was deployed yet")
    if world.processes is None:
        world.after("engine", docker.about)
        world.after("compose file", docker.stack)
    installed = world.installed()
    seen = traces.pulse.drift
    if installed is None and not seen:
        raise NotApplicable(
            "can't be told: a service does not run, or on packages that were not found healthy"
            " yet; see services"
        )
    words = packages.drift(traces.packages, installed)
    if installed is None or words:
        raise Ailment(
            seen or words or "",
            "the worker puts them back by itself; what hinders it is on the page"
            " and in `deployer logs`. To keep them when you build: docs/operations.md, Upkeep",
        )
    return "those of the live commit"


def secret(world: World) -> str:
    """Tell whether there is a secret that signs GitHub's deliveries.

    Raises:
        Ailment: there is none, and no signed delivery was ever accepted.
    """
    if count := len(world.settings.webhook_secret):
        return "one is set" if count == 1 else f"{count} are set, any of them is accepted"
    if _heard(world):
        # The web process alone is given it, perhaps as a credential of systemd.
        return "not among the settings given here; the web process has one, it accepted deliveries"
    raise Ailment(
        "none is set here, and no signed delivery was accepted yet",
        "one that the web process alone has (scripts/install) is proven by the first delivery; else"
        " set DEPLOYER_WEBHOOK_SECRET to 16 characters or more, and the same as `Secret` of the"
        " webhook on GitHub: without it the web process refuses to start",
    )


def deliveries(world: World) -> str:
    """Tell whether GitHub's deliveries arrive.

    Raises:
        Ailment: none ever did, or they come under a new name.
    """
    traces, repo = world.after("journal", read), world.settings.github_repo
    last_at = traces.pulse.delivered_at
    if last_at is None:
        address = f"{world.settings.public_url or 'https://ADDRESS'}/webhook"
        raise Ailment(
            "no signed delivery has ever been accepted",
            f"on GitHub, {repo}, Settings, Webhooks: add {address}, content type"
            " application/json, the secret of DEPLOYER_WEBHOOK_SECRET, event `push`; its ping then"
            " shows up here",
        )
    if renamed := readiness.renamed(traces.pulse, repo):
        raise Ailment("they come under a new name of the repository", renamed)
    return f"the last was accepted {lasting(world.now() - last_at)} ago"


def _heard(world: World) -> bool:
    """Tell whether a signed delivery was ever accepted, as far as the journal can be read."""
    try:
        return world.once(read).pulse.delivered_at is not None
    except DeployerError:  # told in a line of its own
        return False
