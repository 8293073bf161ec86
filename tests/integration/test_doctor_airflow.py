"""What the check-up makes of Airflow's answers.

The answers are those of Airflow 3.3.2 with FAB's auth manager, where they were tried with the
roles Admin, Deployer and Viewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from deployer import app
from deployer.app import doctor as app_doctor
from deployer.config import Settings
from deployer.core.doctor import Ailment, Mark, NotApplicable
from deployer.demo.stage import free_port
from deployer.doctor import LINES, airflow
from deployer.doctor.world import World as Asked
from deployer.edges.airflow.rest import AirflowRest
from deployer.errors import AirflowError, AirflowUnreachable
from tests.doctor_world import nothing_but
from tests.integration.airflow_world import World
from tests.integration.answering import Answering, Said, answering

NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
FORBIDDEN = Said(403, {"detail": "Forbidden"})


def healthy(**changes: object) -> dict[str, object]:
    def beat(part: str) -> dict[str, str]:
        at = (NOW - timedelta(seconds=4)).isoformat()
        return {"status": "healthy", f"latest_{part}_heartbeat": at}

    return {
        "metadatabase": {"status": "healthy"},
        "scheduler": beat("scheduler"),
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        "dag_processor": beat("dag_processor"),
        **changes,
    }


def as_deployer() -> dict[str, Said]:
    """Return what an account with the role Deployer is answered."""
    return {
        "POST /auth/token": Said(201, {"access_token": "a-token"}),
        **{f"GET /api/v2/{path}": Said(200, {"total_entries": 0}) for path in ("dags", "pools")},
        "PATCH /api/v2/pools/": Said(404, {"detail": "was not found"}),
        "PATCH /api/v2/dags/": FORBIDDEN,
        "GET /api/v2/connections": FORBIDDEN,
        "GET /api/v2/variables": FORBIDDEN,
        "POST /api/v2/dags/": FORBIDDEN,
    }


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering(as_deployer()) as served:
        yield served


def rest(url: str, name: str | None = "deployer") -> AirflowRest:
    return AirflowRest(url, name, "a password", timeout_s=60)


def there(url: str, *account: str | None) -> Asked:
    name, password = account or ("deployer", "a password")
    return nothing_but(
        airflow=lambda: rest(url, name), credentials=lambda: (name, password), now=lambda: NOW
    )


def nobody_there() -> str:
    return f"http://127.0.0.1:{free_port()}"


# --- health --------------------------------------------------------------------


def test_a_healthy_airflow_passes_with_its_heartbeats(server: Answering) -> None:
    server.answers["GET /api/v2/monitor/health"] = Said(200, healthy())
    said = airflow.health(there(server.url))
    assert said == "database healthy, heartbeats: the scheduler 4 s ago, the dag-processor 4 s ago"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"metadatabase": {"status": "unhealthy"}}, "its database is out of reach"),
        (
            {
                "scheduler": {
                    "status": "unhealthy",
                    "latest_scheduler_heartbeat": (NOW - timedelta(seconds=31)).isoformat(),
                }
            },
            "the scheduler's last heartbeat was 31 s ago",
        ),
        ({"dag_processor": None}, "the dag-processor has never run"),
    ],
    ids=["database", "stale", "never ran"],
)
def test_an_ailing_part_is_named(
    server: Answering, changes: dict[str, object], detail: str
) -> None:
    server.answers["GET /api/v2/monitor/health"] = Said(200, healthy(**changes))
    with pytest.raises(Ailment) as told:
        airflow.health(there(server.url))
    assert told.value.detail == detail
    assert "restart it" in told.value.remedy


@pytest.mark.parametrize("said", [Said(200, {"hello": "world"}), Said(404), Said(200, ["x"])])
def test_another_program_at_the_address_is_told(server: Answering, said: Said) -> None:
    server.answers["GET /api/v2/monitor/health"] = said
    with pytest.raises(AirflowError, match=f"{server.url} (answered|is no Airflow)"):
        airflow.health(there(server.url))
    assert "DEPLOYER_AIRFLOW_URL" in airflow.AWAY


def test_an_airflow_that_is_away_is_told() -> None:
    with pytest.raises(AirflowUnreachable, match="Airflow does not answer at"):
        airflow.health(there(nobody_there()))


# --- the account ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "password"), [(None, "x"), ("deployer", None), (None, None)])
def test_an_account_that_is_not_set_is_told(
    server: Answering, name: str | None, password: str | None
) -> None:
    with pytest.raises(Ailment, match="no account is set") as told:
        airflow.account(there(server.url, name, password))
    assert "DEPLOYER_AIRFLOW_USERNAME" in told.value.remedy
    assert server.asked == []


def test_a_wrong_password_is_told(server: Answering) -> None:
    server.answers["POST /auth/token"] = Said(401, {"detail": "Invalid credentials"})
    with pytest.raises(AirflowError, match=r"does not let deployer in \(401\)") as told:
        airflow.account(there(server.url))
    assert "DEPLOYER_AIRFLOW_PASSWORD" in str(told.value)


@pytest.mark.parametrize("said", [Said(418), Said(201, {"token": "elsewhere"})])
def test_a_login_that_is_none_is_told(server: Answering, said: Said) -> None:
    server.answers["POST /auth/token"] = said
    with pytest.raises(AirflowError, match=f"answered {said.status} to token"):
        airflow.account(there(server.url))


def test_nothing_is_said_of_an_account_while_airflow_is_away() -> None:
    with pytest.raises(NotApplicable, match="see Airflow health"):
        airflow.account(there(nobody_there()))


# --- its rights ----------------------------------------------------------------


def test_the_role_deployer_has_all_rights_and_no_more(server: Answering) -> None:
    account = there(server.url)
    assert airflow.rights(account) == ("deployer may read DAGs, runs, tasks and pools, edit pools")
    excess = airflow.excess(account)
    for right in ("read connections", "read variables", "pause DAGs", "start DAG runs"):
        assert right in excess


def test_rights_are_tried_on_what_does_not_exist(server: Answering) -> None:
    account = there(server.url)
    airflow.rights(account)
    airflow.excess(account)
    written = [asked for asked in server.asked[1:] if asked.method != "GET"]
    assert len(written) == 3
    assert all("/_doctor_" in asked.path for asked in written)
    assert all(asked.headers["Authorization"] == "Bearer a-token" for asked in server.asked[1:])


@pytest.mark.parametrize(
    ("refused", "right"),
    [
        ("GET /api/v2/dags?", "can read on DAGs"),
        ("GET /api/v2/dags/~/dagRuns?", "can read on DAG Runs"),
        ("GET /api/v2/dags/~/dagRuns/~/taskInstances", "can read on Task Instances"),
        ("GET /api/v2/pools", "can read on Pools"),
        ("PATCH /api/v2/pools/", "can edit on Pools"),
    ],
)
def test_each_missing_right_is_named(server: Answering, refused: str, right: str) -> None:
    server.answers.pop(refused, None)
    server.answers = {refused: FORBIDDEN, **server.answers}
    with pytest.raises(Ailment) as told:
        airflow.rights(there(server.url))
    assert told.value.detail == f"deployer lacks: {right}"
    assert "the role Deployer" in told.value.remedy


@pytest.mark.parametrize(
    ("allowed", "what"),
    [
        ({"GET /api/v2/connections": Said(200, {})}, "read connections"),
        ({"GET /api/v2/variables": Said(200, {})}, "read variables"),
        ({"PATCH /api/v2/dags/": Said(404, {})}, "pause DAGs"),
        ({"POST /api/v2/dags/": Said(404, {})}, "start DAG runs"),
    ],
)
def test_each_right_too_many_is_named(
    server: Answering, allowed: dict[str, Said], what: str
) -> None:
    server.answers |= allowed
    with pytest.raises(Ailment) as told:
        airflow.excess(there(server.url))
    assert told.value.detail == f"deployer has more rights than it needs: it may {what}"
    assert "and no other" in told.value.remedy


def test_an_answer_that_decides_nothing_is_told(server: Answering) -> None:
    server.answers["GET /api/v2/pools"] = Said(418)
    with pytest.raises(Ailment, match='answered 418 when "can read on Pools" was tried') as told:
        airflow.rights(there(server.url))
    assert "api-server's log" in told.value.remedy


# --- a real one ----------------------------------------------------------------


@pytest.mark.airflow
def test_the_embedded_airflow_is_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        github_repo="class/airflow-class",
        repo_url="https://github.com/class/airflow-class.git",
        services="local",
        airflow_url=world.local.url,
    )
    monkeypatch.setattr(app_doctor, "local_airflow", lambda _: world.local)
    wanted = {"services", "Airflow health", "Airflow account", "Airflow rights"}
    found = [finding for finding in app.checkup(settings, LINES) if finding.name in wanted]
    assert len(found) == len(wanted)
    assert [finding for finding in found if finding.state is not Mark.PASSED] == []


@pytest.mark.airflow
def test_an_admin_has_more_rights_than_the_deployer_needs(world: World) -> None:
    admin = world.local.username, world.local.password
    account = nothing_but(
        airflow=lambda: AirflowRest(world.local.url, *admin), credentials=lambda: admin
    )
    what = "read connections, read variables, pause DAGs, start DAG runs"
    with pytest.raises(Ailment, match=what):
        airflow.excess(account)
