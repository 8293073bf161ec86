"""What `deployer doctor` asks, as the settings name it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime

from deployer.app.airflow import compose_runner, in_compose, local_airflow
from deployer.config import Settings
from deployer.core.doctor import Ailment
from deployer.core.settings import Secret, in_plain
from deployer.doctor.github import OurHook
from deployer.doctor.repair import Broken
from deployer.doctor.world import World
from deployer.edges.airflow.parse_feed import PLACE
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.backup.journal import JournalPlace
from deployer.edges.compose.engine import Containers, LazyClient
from deployer.edges.compose.runner import shared_file
from deployer.edges.embedded.airflow_settings import Secrets
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.edges.github.hooks import Hooks
from deployer.edges.github.statuses import GitHub
from deployer.edges.http import HttpServer
from deployer.edges.journal import SqlJournal
from deployer.edges.processes import doorbell
from deployer.edges.releases.store import ReleaseStore

HOST_ANSWERS_S = 15.0
"""For the host of the class repository."""


def all_that_is_asked(settings: Settings, until: ExitStack) -> World:
    """Return what `deployer doctor` asks; opened when it is asked, closed when `until` ends."""
    local = local_airflow(settings) if settings.services == "local" else None
    github = GitHub(settings.github_api_url, settings.github_repo, lambda: settings.github_token)

    def credentials() -> tuple[str | None, str | None]:
        username, password = settings.airflow_username, in_plain(settings.airflow_password)
        if local is None or password:
            return username, password
        kept = Secrets.kept(local.layout)
        if kept is None:
            raise Ailment("the embedded Airflow has never run", "start it: `deployer demo`")
        return username or local.username, kept.password

    def installed() -> str | None:
        return in_compose(settings, reading=True).services.installed()

    return World(
        settings=settings,
        compose=compose_runner(settings),
        engine=Containers(until.enter_context(closing(LazyClient())), settings.compose_project),
        own_stack=shared_file(settings.compose_file),
        processes=local.pids if local else None,
        airflow=lambda: AirflowRest(settings.airflow_url, *credentials()),
        credentials=credentials,
        installed=local.installed if local else installed,
        github=until.enter_context(closing(github)),
        hook=our_hook(settings, settings.github_token),
        repository=Mirror(
            *(settings.repo_url, settings.branch, settings.checkout_dir),
            token=lambda: settings.github_token,
            silent_s=HOST_ANSWERS_S,
        ),
        journal=lambda: until.enter_context(
            closing(SqlJournal.open(settings.journal_url, migrate=False))
        ),
        public=HttpServer(settings.public_url or ""),
    )


def our_hook(settings: Settings, token: Secret | None) -> OurHook:
    api_url, repo = settings.github_api_url, settings.github_repo
    # docs.github.com/enterprise-server/rest: http(s)://HOSTNAME/api/v3
    site = {"https://api.github.com": "https://github.com"}.get(api_url)
    return OurHook(
        api=Hooks(api_url, repo, token) if token else None,
        url=f"{settings.public_url}/webhook" if settings.public_url else None,
        page=f"{site or api_url.removesuffix('/api/v3')}/{repo}/settings/hooks",
    )


def all_that_may_be_broken(settings: Settings, until: ExitStack) -> Broken:
    """Return what `deployer doctor --repair` mends; closed when `until` ends."""
    checkout, state, token = settings.checkout_dir, settings.state_dir, settings.github_token
    now = datetime.now(UTC)
    github = GitHub(settings.github_api_url, settings.github_repo, lambda: token)
    board = until.enter_context(closing(github))
    mirror = until.enter_context(
        closing(Mirror(settings.repo_url, settings.branch, checkout, token=lambda: token))
    )
    return Broken(
        ref=f"refs/heads/{settings.branch}",
        repository=mirror,
        journal=JournalPlace(settings.journal_url, state, f"before_{now:%Y%m%dT%H%M%SZ}"),
        told=board.told if token else None,
        releases=ReleaseStore(checkout, GitRepository(mirror)),
        sockets=(state / doorbell.PLACE, checkout / PLACE),
        now=now,
    )
