"""`deployer doctor`: what is looked at, in which order, with which settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from deployer.config import Settings
from deployer.core.doctor import stack_rules
from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.core.settings import Secret, in_plain
from deployer.edges.checkup import airflow, compose, docker, github, host, journal
from deployer.edges.checkup.git import ClassRepository
from deployer.edges.checkup.hooks import OurHook
from deployer.edges.checkup.running import Probe, Shared
from deployer.edges.compose.making import compose_airflow
from deployer.edges.compose.stack import shared_file
from deployer.edges.embedded.airflow import LocalAirflow
from deployer.edges.github.hooks import Hooks
from deployer.errors import DeployerError

LEAST_GIB: Final = 1.0
LEAST_FOR_IMAGES_GIB: Final = 5.0
"""An image of Airflow takes 2 GiB or less, and three are kept at the most."""
_LOCAL: Final = "SERVICES=local: Airflow runs as processes of this machine, without Docker"


def probes(settings: Settings, local: LocalAirflow | None) -> tuple[Probe, ...]:
    """Return the lines of the check-up; `local` is the embedded Airflow of SERVICES=local."""
    embedded = local is not None
    engine = Shared("engine", docker.engine)
    stack = Shared(
        "compose file", lambda: compose.stack_of(settings.compose_file, settings.compose_project)
    )
    account = Shared("Airflow account", lambda: _account(settings, local))
    traces = Shared("journal", lambda: journal.read(settings.journal_url))
    repository = _repository(settings)
    hook = our_hook(settings, settings.github_token)
    needed = settings.recreate_services

    def with_docker(name: str, ask: Callable[[], str]) -> Probe:
        return Probe(name, _skip if embedded else ask)

    return (
        with_docker("engine", lambda: docker.engine_line(engine.get())),
        with_docker("compose", compose.plugin),
        with_docker("compose file", lambda: stack_rules.services(stack.get(), needed)),
        with_docker("compose file: stopping", lambda: stack_rules.stopping(stack.or_skip())),
        with_docker(
            "compose file: checkout",
            lambda: stack_rules.checkout(
                stack.or_skip(), needed, str(settings.checkout_dir.absolute())
            ),
        ),
        with_docker(
            "compose file of the repository",
            lambda: repository.compare_stack(shared_file(settings.compose_file)),
        ),
        Probe("services", lambda: _services(settings, local, engine)),
        Probe("packages", lambda: _packages(settings, local, engine, stack, traces)),
        Probe("Airflow health", lambda: airflow.health(settings.airflow_url, _now())),
        Probe("parse feed", lambda: journal.parse_feed(traces.or_skip(), _now())),
        Probe("Airflow account", lambda: airflow.account_line(account.get())),
        Probe("Airflow rights", lambda: airflow.rights(account.or_skip())),
        Probe("Airflow rights: excess", lambda: _excess(account, embedded=embedded)),
        Probe("GitHub token", lambda: _token(settings)),
        Probe("webhook secret", lambda: _webhook_secret(settings, traces)),
        Probe(
            "webhook deliveries",
            lambda: journal.deliveries(
                traces.or_skip(),
                _now(),
                repo=settings.github_repo,
                public_url=settings.public_url,
            ),
        ),
        Probe("failed deliveries", lambda: hook.deliveries(_now())),
        Probe("repository", repository.ask_host),
        Probe("mirror", repository.check_mirror),
        Probe("disk", lambda: host.disk(_places(settings, None if embedded else engine))),
        Probe("clock", lambda: host.clock(_clocks(settings, None if embedded else engine))),
        Probe("public address", lambda: host.public_address(settings.public_url)),
        Probe("journal", lambda: journal.journal_line(traces.get())),
        Probe("worker", lambda: journal.worker(traces.or_skip(), _now())),
    )


def github_probes(
    settings: Settings, *, dry_run: bool, anew: bool, redeliver: bool
) -> tuple[Probe, ...]:
    """Return what `deployer github` does, a line each."""
    hook = our_hook(settings, settings.github_token)
    secret = settings.webhook_secret[0].get_secret_value()
    lost = hook.deliveries if dry_run else hook.redeliver
    lines = (
        Probe("GitHub token", lambda: _token(settings)),
        Probe("repository", _repository(settings).ask_host),
        Probe("webhook", lambda: hook.set_up(secret, anew=anew, dry_run=dry_run)),
    )
    return (*lines, Probe("failed deliveries", lambda: lost(_now()))) if redeliver else lines


def our_hook(settings: Settings, token: Secret | None) -> OurHook:
    api_url, repo = settings.github_api_url, settings.github_repo
    # docs.github.com/enterprise-server/rest: http(s)://HOSTNAME/api/v3
    site = {"https://api.github.com": "https://github.com"}.get(api_url)
    return OurHook(
        api=Hooks(api_url, repo, token.get_secret_value()) if token else None,
        url=f"{settings.public_url}/webhook" if settings.public_url else None,
        page=f"{site or api_url.removesuffix('/api/v3')}/{repo}/settings/hooks",
    )


def _repository(settings: Settings) -> ClassRepository:
    return ClassRepository(
        settings.repo_url,
        settings.branch,
        settings.checkout_dir / "mirror.git",
        in_plain(settings.github_token),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _skip() -> str:
    raise NotApplicable(_LOCAL)


def _services(settings: Settings, local: LocalAirflow | None, engine: Shared[docker.Engine]) -> str:
    needed = settings.recreate_services
    if local is None:
        engine.or_skip()
        return docker.containers(settings.compose_file, settings.compose_project, needed)
    dead = sorted(set(needed) - set(local.running()))
    if dead:
        raise Ailment(
            f"no process of {', '.join(dead)}", "start the embedded Airflow: `deployer demo`"
        )
    return f"{', '.join(needed)} run"


def _packages(
    settings: Settings,
    local: LocalAirflow | None,
    engine: Shared[docker.Engine],
    stack: Shared[Mapping[str, Any]],
    traces: Shared[journal.Traces],
) -> str:
    def in_compose() -> str | None:
        engine.or_skip()
        stack.or_skip()
        return compose_airflow(settings, os.environ, reading=True).services.installed()

    return journal.same_packages(traces.or_skip(), local.installed if local else in_compose)


def _account(settings: Settings, local: LocalAirflow | None) -> airflow.Account:
    username, password = settings.airflow_username, in_plain(settings.airflow_password)
    if local is not None and not password:
        if not local.running():  # it may not even have made its password
            raise Ailment(
                "the embedded Airflow does not run", "start it: `deployer demo`; see services"
            )
        username, password = username or local.username, local.password
    return airflow.log_in(settings.airflow_url, username, password)


def _excess(account: Shared[airflow.Account], *, embedded: bool) -> str:
    if embedded:
        raise NotApplicable("SERVICES=local: the embedded Airflow has one account, an admin's")
    return airflow.excess(account.or_skip())


def _token(settings: Settings) -> str:
    return github.token(
        settings.github_api_url, settings.github_repo, in_plain(settings.github_token), _now()
    )


def _webhook_secret(settings: Settings, traces: Shared[journal.Traces]) -> str:
    try:
        known = traces.get()
    except DeployerError:
        known = None
    return journal.secret([s.get_secret_value() for s in settings.webhook_secret], known)


def _places(
    settings: Settings, engine: Shared[docker.Engine] | None
) -> dict[str, tuple[Path, float]]:
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


def _clocks(
    settings: Settings, engine: Shared[docker.Engine] | None
) -> dict[str, Callable[[], timedelta]]:
    clocks = {"GitHub": lambda: github.ahead(settings.github_api_url, _now())}
    if engine is not None:
        clocks["Docker"] = lambda: timedelta(seconds=engine.get().ahead_s)
    return clocks
