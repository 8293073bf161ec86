"""`deployer doctor`: what is looked at, in which order.

A line is a small function in the module of its part (`docker`, `airflow`, `github`, `hooks`, `git`,
`journal`, `host`): it asks a port and says in a sentence what it found, or raises an `Ailment` with
what to do. `lines` gives it its name and the cure for what a port raises; `running` looks at all.
`repair` is `--repair`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deployer.config import Settings
from deployer.core.doctor import stack_rules
from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.doctor import airflow, docker, git, github, host, journal
from deployer.doctor.hooks import OurHook
from deployer.doctor.running import Line, Shared
from deployer.errors import DeployerError
from deployer.ports.doctor import (
    About,
    AirflowAccount,
    Answer,
    ClassRepository,
    Compose,
    Engine,
    LocalProcesses,
    Memory,
    Server,
)

LEAST_GIB: Final = 1.0
LEAST_FOR_IMAGES_GIB: Final = 5.0
"""An image of Airflow takes 2 GiB or less, and three are kept at the most."""
_LOCAL: Final = "SERVICES=local: Airflow runs as processes of this machine, without Docker"


@dataclass(frozen=True, slots=True)
class World:
    """All that is asked.

    Attributes:
        own_stack: the operator's copy of the file that the repository has as well.
        local: the embedded Airflow, None: Airflow runs in containers.
        credentials: name and password of the account in Airflow; called when they are asked for.
        installed: returns the requirements on which Airflow runs, None: not known.
        journal: opens it, to be read.
        hook: the webhook that should be there.
    """

    compose: Compose
    engine: Engine
    own_stack: Path
    local: LocalProcesses | None
    airflow: Callable[[], AirflowAccount]
    credentials: Callable[[], tuple[str | None, str | None]]
    installed: Callable[[], str | None]
    github: Server
    hook: OurHook
    repository: ClassRepository
    journal: Callable[[], Memory]
    public: Server


def lines(settings: Settings, world: World) -> tuple[Line, ...]:
    """Return the lines of the check-up."""
    local, branch, repo = world.local, settings.branch, settings.github_repo
    needed, token = settings.recreate_services, settings.github_token is not None
    directory = str(settings.checkout_dir.absolute())
    command = (
        f"docker compose --project-name {settings.compose_project} --file {settings.compose_file}"
    )
    engine = Shared("engine", world.engine.about)
    stack = Shared(
        "compose file", lambda: docker.stack_of(world.compose, settings.compose_file, command)
    )
    account = Shared("Airflow account", lambda: _account(world))
    asked = Shared("GitHub token", lambda: _asked(world.github, repo, token=token))
    traces = Shared("journal", lambda: journal.read(world.journal()))
    clocks = {"GitHub": lambda: github.ahead(*asked.get())}
    if local is None:
        clocks["Docker"] = lambda: timedelta(seconds=engine.get().ahead_s)

    def with_docker(name: str, ask: Callable[[], str], cure: str = "") -> Line:
        return Line(name, _skip if local else ask, cure)

    def who() -> str:
        return world.credentials()[0] or ""

    def let_in() -> str:
        account.get()
        return f"{who()} is let in"

    def services() -> str:
        if local is not None:
            return _processes(local, needed)
        engine.or_skip()
        return docker.services(world.engine, needed, command)

    def installed() -> str | None:
        if local is None:
            engine.or_skip()
            stack.or_skip()
        return world.installed()

    return (
        with_docker("engine", lambda: docker.engine_line(engine.get()), docker.START),
        with_docker("compose", lambda: docker.plugin(world.compose), docker.INSTALL),
        with_docker("compose file", lambda: stack_rules.services(stack.get(), needed)),
        with_docker("compose file: stopping", lambda: stack_rules.stopping(stack.or_skip())),
        with_docker(
            "compose file: checkout",
            lambda: stack_rules.checkout(stack.or_skip(), needed, directory),
        ),
        with_docker(
            "compose file of the repository",
            lambda: git.compare_stack(world.repository, branch, world.own_stack),
        ),
        Line("services", services),
        Line("packages", lambda: journal.same_packages(traces.or_skip(), installed)),
        Line("Airflow health", lambda: airflow.health(world.airflow(), _now()), airflow.AWAY),
        Line("parse feed", lambda: _parse_feed(world, traces, engine)),
        Line("Airflow account", let_in, airflow.ACCOUNT),
        Line("Airflow rights", lambda: airflow.rights(account.or_skip(), who()), airflow.LOOK),
        Line(
            "Airflow rights: excess",
            _one_account if local else lambda: airflow.excess(account.or_skip(), who()),
            airflow.LOOK,
        ),
        Line(
            "GitHub token",
            lambda: github.token(world.github, repo, asked.get, token=token),
            github.AWAY,
        ),
        Line(
            "webhook secret",
            lambda: journal.secret(settings.webhook_secret, _or_none(traces)),
        ),
        Line(
            "webhook deliveries",
            lambda: journal.deliveries(
                traces.or_skip(), _now(), repo=repo, public_url=settings.public_url
            ),
        ),
        Line("failed deliveries", lambda: world.hook.deliveries(_now()), github.AWAY),
        Line("repository", lambda: git.host(world.repository, branch), git.FETCH),
        Line("mirror", lambda: git.mirror(world.repository, branch), git.OVERLOADED),
        Line("disk", lambda: host.disk(_places(settings, None if local else engine))),
        Line("clock", lambda: host.clock(clocks)),
        Line(
            "public address",
            lambda: host.public_address(settings.public_url, world.public),
            host.way_to(settings.public_url),
        ),
        Line("journal", lambda: journal.journal_line(traces.get()), journal.MAKE),
        Line("invariants", lambda: journal.invariants(traces.or_skip())),
        Line("worker", lambda: journal.worker(traces.or_skip(), _now())),
    )


def _parse_feed(world: World, traces: Shared[journal.Traces], engine: Shared[About]) -> str:
    if not traces.or_skip().pulse.processors and world.local is None:
        engine.or_skip()
    return journal.parse_feed(world.journal().pulse, _now)


def github_lines(
    settings: Settings, world: World, *, dry_run: bool, anew: bool, redeliver: bool
) -> tuple[Line, ...]:
    """Return what `deployer github` does, a line each."""
    repo, token = settings.github_repo, settings.github_token is not None
    asked = Shared("GitHub token", lambda: _asked(world.github, repo, token=token))
    secret = settings.webhook_secret[0].get_secret_value()
    lost = world.hook.deliveries if dry_run else world.hook.redeliver
    done = (
        Line(
            "GitHub token",
            lambda: github.token(world.github, repo, asked.get, token=token),
            github.AWAY,
        ),
        Line("repository", lambda: git.host(world.repository, settings.branch), git.FETCH),
        Line("webhook", lambda: world.hook.set_up(secret, anew=anew, dry_run=dry_run), github.AWAY),
    )
    if not redeliver:
        return done
    return (*done, Line("failed deliveries", lambda: lost(_now()), github.AWAY))


def _now() -> datetime:
    return datetime.now(UTC)


def _skip() -> str:
    raise NotApplicable(_LOCAL)


def _one_account() -> str:
    raise NotApplicable("SERVICES=local: the embedded Airflow has one account, an admin's")


def _or_none(traces: Shared[journal.Traces]) -> journal.Traces | None:
    try:
        return traces.get()
    except DeployerError:
        return None  # told in a line of its own


def _asked(server: Server, repo: str, *, token: bool) -> tuple[Answer, datetime]:
    return github.asked(server, repo, token=token), _now()


def _processes(local: LocalProcesses, needed: Collection[str]) -> str:
    dead = sorted(set(needed) - set(local.running()))
    if dead:
        raise Ailment(
            f"no process of {', '.join(dead)}", "start the embedded Airflow: `deployer demo`"
        )
    return f"{', '.join(needed)} run"


def _account(world: World) -> AirflowAccount:
    if world.local and not world.local.running():  # it may not even have made its password
        raise Ailment(
            "the embedded Airflow does not run", "start it: `deployer demo`; see services"
        )
    return airflow.log_in(world.airflow(), *world.credentials())


def _places(settings: Settings, engine: Shared[About] | None) -> dict[str, tuple[Path, float]]:
    places = {
        "CHECKOUT_DIR": (settings.checkout_dir, LEAST_GIB),
        "STATE_DIR": (settings.state_dir, LEAST_GIB),
    }
    try:
        # An engine elsewhere (DOCKER_HOST) has its data there.
        if engine is not None and (data := engine.get().data).exists():
            places["Docker"] = (data, LEAST_FOR_IMAGES_GIB)
    except (DeployerError, OSError):
        pass  # told in the line `engine`; hidden from this user
    return places
