"""When a container, or Airflow in it, is called healthy, and when waiting is in vain."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployer.core.model import ContainerState
from deployer.edges.airflow.health import _certificates, without_beat
from deployer.edges.compose.engine import _between, clean

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SERVICES = ("airflow-scheduler", "airflow-dag-processor", "airflow-apiserver")


def running(health: str | None = None, *, restarts: int = 0, for_s: float = 1) -> ContainerState:
    return ContainerState("running", health, restarts, started_at=NOW - timedelta(seconds=for_s))


def test_airflow_is_known_by_the_authorities_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, *_ = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
    file = tmp_path / "own.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(own))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    _certificates.cache_clear()
    try:
        assert _certificates().get_ca_certs(binary_form=True) == [own]
    finally:
        _certificates.cache_clear()


# -- Docker


@pytest.mark.parametrize(
    ("again_after_s", "cut_s"),
    [(1.0, 0.5), (60.0, 30.0), (0.11, 0.09), (-5.0, 0.09)],
    ids=["at once", "after many ends", "in no time", "not yet"],
)
def test_a_log_is_cut_between_an_end_and_the_next_start(again_after_s: float, cut_s: float) -> None:
    cut = _between(NOW, NOW + timedelta(seconds=again_after_s))
    assert cut == NOW + timedelta(seconds=cut_s)


@pytest.mark.parametrize("health", ["starting", "unhealthy"])
def test_a_container_is_waited_for_until_its_check_passes(health: str) -> None:
    assert not running(health, for_s=100).healthy(NOW, vouched_for=True)
    assert running("healthy").healthy(NOW, vouched_for=False)
    assert running(health, restarts=1).failure(NOW) is None


@pytest.mark.parametrize("status", ["created", "restarting", "paused"])
def test_a_container_that_does_not_run_is_waited_for(status: str) -> None:
    assert not ContainerState(status, "healthy").healthy(NOW, vouched_for=True)
    assert ContainerState(status, restarts=1).failure(NOW) is None


def test_without_a_check_it_must_have_run_for_a_while_unless_somebody_vouches_for_it() -> None:
    assert not running(for_s=1).healthy(NOW, vouched_for=False)
    assert running(for_s=10).healthy(NOW, vouched_for=False)
    assert running(for_s=1).healthy(NOW, vouched_for=True)


@pytest.mark.parametrize("status", ["exited", "dead"])
def test_a_container_that_ended_for_good_is_not_waited_for(status: str) -> None:
    assert ContainerState(status, exit_code=3).failure(NOW) == "ended with exit code 3"


def test_an_end_for_want_of_memory_says_so() -> None:
    ended = ContainerState("exited", exit_code=137, out_of_memory=True)
    assert ended.failure(NOW) == "ended with exit code 137 for want of memory"


def test_the_second_restart_is_one_too_many() -> None:
    assert ContainerState("restarting", restarts=1).failure(NOW) is None
    assert (
        ContainerState("restarting", restarts=2).failure(NOW) == "ends again and again: 2 restarts"
    )
    assert running("starting", restarts=2).failure(NOW) is not None


def test_restarts_of_long_ago_do_not_count_against_what_is_healthy() -> None:
    assert running("healthy", restarts=7).failure(NOW) is None
    assert running(restarts=7, for_s=100).failure(NOW) is None


# -- Airflow


def beats(at: datetime | None, database: str = "healthy") -> dict[str, Any]:
    stamp = at.isoformat() if at else None
    return {
        "metadatabase": {"status": database},
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": stamp},
        "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": stamp},
    }


def test_a_heartbeat_of_the_process_before_does_not_count() -> None:
    started = dict.fromkeys(SERVICES, NOW)
    assert without_beat(beats(NOW - timedelta(seconds=1)), started) == SERVICES[:2]
    assert without_beat(beats(NOW + timedelta(seconds=1)), started) == ()
    assert without_beat(beats(None), started) == SERVICES[:2]


def test_without_its_database_nothing_of_airflow_is_healthy() -> None:
    health = beats(NOW + timedelta(seconds=1), database="unhealthy")
    assert without_beat(health, dict.fromkeys(SERVICES, NOW)) == SERVICES


@pytest.mark.parametrize("answer", [None, [], {}, {"metadatabase": "x"}, {"metadatabase": {}}])
def test_an_answer_of_something_else_calls_nothing_healthy(answer: object) -> None:
    assert without_beat(answer, {SERVICES[0]: NOW}) == SERVICES[:1]


@pytest.mark.parametrize("part", [None, "x", {}])
def test_an_airflow_that_does_not_know_the_part_does_not_call_it_healthy(part: object) -> None:
    health = {"metadatabase": {"status": "healthy"}, "scheduler": part}
    assert without_beat(health, {SERVICES[0]: NOW}) == SERVICES[:1]


# -- log lines


def test_log_lines_show_no_secret_of_the_containers_environment() -> None:
    environment = [
        "AIRFLOW__CORE__FERNET_KEY=8Kq5fernetkey=",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:swordfish@postgres/a",
        "AIRFLOW_VERSION=3.3.2-with-words",
        "ODD_PASSWORD=abc",
    ]
    said = "key 8Kq5fernetkey= of 3.3.2-with-words\ncan't log in with swordfish, abc"
    assert clean(said, environment) == "key **** of 3.3.2-with-words\ncan't log in with ****, abc"


def test_log_lines_hold_no_escape_sequence() -> None:
    assert clean("\x1b[31mred\x1b[0m\tx\x07\r\nnext\n", []) == "red x\nnext"


# -- the life of a process


def test_what_runs_is_steady_unless_it_was_just_started_again() -> None:
    assert running().steady(NOW)
    assert not running(restarts=3, for_s=10).steady(NOW)
    assert running(restarts=3, for_s=20).steady(NOW)
    assert not ContainerState("exited").steady(NOW)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (running(), "is running"),
        (running(restarts=2), "is running, 2 times started again"),
        (ContainerState("exited", exit_code=3), "ended with exit code 3"),
        (
            ContainerState("restarting", restarts=5, exit_code=137, out_of_memory=True),
            "ended with exit code 137 for want of memory, 5 times started again",
        ),
    ],
)
def test_how_it_stands_is_told_in_words(seen: ContainerState, words: str) -> None:
    assert seen.words() == words
