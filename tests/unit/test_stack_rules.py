"""What the operator's compose file must hold, judged on what Compose makes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deployer.core.doctor.lines import Ailment
from deployer.core.doctor.stack_rules import checkout, seconds, services, stopping

CHECKOUT = "/srv/class-airflow"
NEEDED = ("airflow-scheduler", "airflow-dag-processor")
MOUNT = {"type": "bind", "source": CHECKOUT, "target": "/opt/class", "read_only": True}
GOOD: dict[str, Any] = {
    "services": {
        "airflow-scheduler": {
            "command": ["scheduler"],
            "image": "class-airflow:current",
            "environment": {"DUMB_INIT_SETSID": "0", "AIRFLOW_CONN_AZURE_PG": None},
            "stop_grace_period": "10m0s",
            "volumes": [MOUNT, {"type": "volume", "source": "logs", "target": "/opt/airflow/logs"}],
        },
        "airflow-dag-processor": {
            "command": ["dag-processor"],
            "image": "class-airflow:current",
            "volumes": [MOUNT],
        },
        "airflow-init": {
            "image": "class-airflow:current",
            "build": {"context": "/etc/deployer"},
        },
        "postgres": {"command": None, "image": "postgres:16"},
    }
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the good stack with its services changed."""
    stack = copy.deepcopy(GOOD)
    change(stack["services"])
    return stack


def plain(text: str, *names: str) -> dict[str, Any]:
    def change(found: dict[str, Any]) -> None:
        for name in names:
            found[name]["environment"] = {"_PIP_ADDITIONAL_REQUIREMENTS": text}

    return changed(change)


# --- services and ways ---------------------------------------------------------


def test_services_whose_image_one_of_the_file_builds_go_the_image_way() -> None:
    assert services(GOOD, NEEDED).startswith("image way")


def test_services_that_each_build_their_image_go_the_image_way() -> None:
    def change(found: dict[str, Any]) -> None:
        for name in NEEDED:
            found[name]["build"] = found["airflow-init"]["build"]

    assert services(changed(change), NEEDED).startswith("image way")


def test_services_that_install_at_start_go_the_plain_way() -> None:
    assert services(plain("--requirement x", *NEEDED), NEEDED).startswith("plain way")


def test_an_empty_list_to_install_is_not_the_plain_way() -> None:
    assert services(plain("  ", *NEEDED), NEEDED).startswith("image way")


@pytest.mark.parametrize(
    ("stack", "detail", "remedy"),
    [
        pytest.param(
            changed(lambda found: found.pop("airflow-scheduler")),
            "it has no airflow-scheduler",
            "DEPLOYER_RECREATE_SERVICES",
            id="a service is missing",
        ),
        pytest.param({}, "it has no airflow-dag-processor, airflow-scheduler", "", id="empty"),
        pytest.param(
            plain("pandas", "airflow-scheduler"),
            "only airflow-scheduler",
            "to all of them",
            id="both ways at once",
        ),
        pytest.param(
            changed(lambda found: found["airflow-dag-processor"].update(image="other:1")),
            "airflow-dag-processor: their image has no `build:`",
            "take `build:`",
            id="no way at all",
        ),
    ],
)
def test_packages_that_could_not_be_moved_are_told(
    stack: dict[str, Any], detail: str, remedy: str
) -> None:
    with pytest.raises(Ailment) as told:
        services(stack, NEEDED)
    assert detail in told.value.detail
    assert remedy in told.value.remedy


# --- stopping ------------------------------------------------------------------


def test_a_patient_scheduler_is_well() -> None:
    assert "airflow-scheduler" in stopping(GOOD)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            lambda found: found["airflow-scheduler"].pop("stop_grace_period"),
            "is killed 10 s after",
        ),
        (
            lambda found: found["airflow-scheduler"].update(stop_grace_period="59s"),
            "is killed 59 s after",
        ),
        (lambda found: found["airflow-scheduler"].pop("environment"), "DUMB_INIT_SETSID"),
        (
            lambda found: found["airflow-scheduler"]["environment"].update(DUMB_INIT_SETSID="1"),
            "DUMB_INIT_SETSID",
        ),
    ],
    ids=["Docker's default", "a second too short", "no environment", "the signal goes to all"],
)
def test_a_scheduler_that_takes_its_tasks_along_is_told(
    change: Callable[[dict[str, Any]], object], detail: str
) -> None:
    with pytest.raises(Ailment) as told:
        stopping(changed(change))
    assert detail in told.value.detail
    assert "stop_grace_period: 60s" in told.value.remedy


def test_a_scheduler_is_known_by_its_command_too() -> None:
    def rename(found: dict[str, Any]) -> None:
        found["brain"] = {**found.pop("airflow-scheduler"), "stop_grace_period": "1s"}

    with pytest.raises(Ailment, match="brain is killed 1 s"):
        stopping(changed(rename))


def test_a_stack_without_a_scheduler_is_told() -> None:
    with pytest.raises(Ailment, match="no service is Airflow's scheduler"):
        stopping(changed(lambda found: found.pop("airflow-scheduler")))


@pytest.mark.parametrize(
    ("duration", "expected"), [("1m0s", 60), ("1h0m10s", 3610), ("1.5s", 1.5), ("500ms", 0.5)]
)
def test_durations_are_read_as_compose_prints_them(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


# --- the checkout --------------------------------------------------------------


def test_a_checkout_mounted_read_only_is_well() -> None:
    assert CHECKOUT in checkout(GOOD, NEEDED, CHECKOUT)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            lambda found: found["airflow-dag-processor"].pop("volumes"),
            "airflow-dag-processor has nothing at /opt/class",
        ),
        (
            lambda found: found["airflow-dag-processor"].update(
                volumes=[{**MOUNT, "source": "/home/teacher/class"}]
            ),
            "airflow-dag-processor has /home/teacher/class at /opt/class, not /srv/class-airflow",
        ),
        (
            lambda found: found["airflow-scheduler"]["volumes"][0].pop("read_only"),
            "airflow-scheduler may write /srv/class-airflow",
        ),
        (
            lambda found: found["postgres"].update(
                volumes=[{"type": "bind", "source": "/srv", "target": "/host"}]
            ),
            "postgres may write /srv",
        ),
        (
            lambda found: found["postgres"].update(
                volumes=[{"type": "bind", "source": f"{CHECKOUT}/releases", "target": "/x"}]
            ),
            "postgres may write /srv/class-airflow/releases",
        ),
    ],
    ids=["not mounted", "another directory", "writable", "all of it, writable", "a part, writable"],
)
def test_a_checkout_mounted_otherwise_is_told(
    change: Callable[[dict[str, Any]], object], detail: str
) -> None:
    with pytest.raises(Ailment) as told:
        checkout(changed(change), NEEDED, CHECKOUT)
    assert detail in told.value.detail
    assert f"{CHECKOUT}:/opt/class:ro" in told.value.remedy
