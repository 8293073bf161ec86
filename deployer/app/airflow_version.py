"""What `deployer airflow-version` is made of."""

from __future__ import annotations

from collections.abc import Callable

from deployer.airflow_version import AirflowVersion
from deployer.app import doorbell, open_journal
from deployer.app.airflow import compose_runner, in_compose
from deployer.config import Settings
from deployer.deployment.rollout import Drain
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.backup.archive import own_as_around
from deployer.edges.backup.databases import Databases
from deployer.edges.compose.other_airflow import ComposeOtherAirflow
from deployer.edges.processes import SystemClock, lock
from deployer.errors import SettingsError


def install(settings: Settings, version: str, *, tell: Callable[[str], None]) -> bool:
    """Have the class run on that version of Airflow; False if it does already.

    Raises:
        SettingsError: the trial's Airflow comes with the deployer.
        AirflowKept: it is not put in, and why; all is as it was.
        OperatorError: nothing was begun, as another one is at work, say; or it could not be taken
            back; see the message.
    """
    if settings.services == "local":
        raise SettingsError(
            ["DEPLOYER_SERVICES=local: the trial's Airflow comes with the deployer, and stays"]
        )
    # The freeze and what is kept are the same for two runs: one would take the other for dead.
    with lock.only_airflow_version(settings.state_dir):
        own_as_around(settings.state_dir / lock.AIRFLOW_VERSION)
        host, journal, clock = in_compose(settings), open_journal(settings), SystemClock()
        airflow = AirflowRest(settings.airflow_url, host.username, host.password)
        runner = compose_runner(settings)
        other = ComposeOtherAirflow(
            runner,
            Databases(runner),
            services=settings.recreate_services,
            airflow_url=settings.airflow_url,
            kept=settings.state_dir / "airflow-version",
        )
        use_case = AirflowVersion(
            other,
            host.services,
            Drain(airflow, journal, clock, timeout_s=settings.drain_timeout_s),
            journal=journal,
            clock=clock,
            bell=doorbell(settings),
            services=settings.recreate_services,
            tell=tell,
        )
        try:
            return use_case.install(version)
        finally:
            own_as_around(runner.output)
