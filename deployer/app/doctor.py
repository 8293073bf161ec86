"""What `deployer doctor` asks, as the settings name it."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing

from deployer.app.airflow import COMPOSE_LOG, in_compose, local_airflow
from deployer.config import Settings
from deployer.core.settings import Secret, in_plain
from deployer.doctor import World
from deployer.doctor.hooks import OurHook
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.compose.commands import Project
from deployer.edges.compose.containers import Containers
from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.runner import ComposeRunner
from deployer.edges.compose.stack import shared_file
from deployer.edges.git.mirror import Mirror
from deployer.edges.github.hooks import Hooks
from deployer.edges.github.statuses import GitHub
from deployer.edges.http import HttpServer
from deployer.edges.journal import SqlJournal

HOST_ANSWERS_S = 15.0
"""For the host of the class repository."""


def all_that_is_asked(settings: Settings, until: ExitStack) -> World:
    """Return what `deployer doctor` asks; opened when it is asked, closed when `until` ends."""
    local = local_airflow(settings) if settings.services == "local" else None
    project = Project(settings.compose_project, settings.compose_file)
    token = in_plain(settings.github_token)
    github = GitHub(settings.github_api_url, settings.github_repo, settings.github_token)

    def credentials() -> tuple[str | None, str | None]:
        username, password = settings.airflow_username, in_plain(settings.airflow_password)
        if local is None or password:
            return username, password
        return username or local.username, local.password

    def installed() -> str | None:
        return in_compose(settings, reading=True).services.installed()

    return World(
        compose=ComposeRunner(project, settings.state_dir / COMPOSE_LOG, environ=os.environ),
        engine=Containers(until.enter_context(closing(LazyClient())), project.name),
        own_stack=shared_file(settings.compose_file),
        local=local,
        airflow=lambda: AirflowRest(settings.airflow_url, *credentials()),
        credentials=credentials,
        installed=local.installed if local else installed,
        github=until.enter_context(closing(github)),
        hook=our_hook(settings, settings.github_token),
        repository=Mirror(
            *(settings.repo_url, settings.branch, settings.checkout_dir),
            token=token,
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
        api=Hooks(api_url, repo, token.get_secret_value()) if token else None,
        url=f"{settings.public_url}/webhook" if settings.public_url else None,
        page=f"{site or api_url.removesuffix('/api/v3')}/{repo}/settings/hooks",
    )
