"""What the operator's compose file must hold, judged on what Compose makes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.core.doctor import Ailment, checkout, packages, stopping
from deployer.core.stack import Stack, parse
from deployer.errors import ServicesError

FILE = Path("/etc/deployer/docker-compose.yaml")
CHECKOUT = "/srv/class-airflow"
NEEDED = ("airflow-scheduler", "airflow-dag-processor")
MOUNT = {"type": "bind", "source": CHECKOUT, "target": "/opt/class", "read_only": True}
SERVICES: dict[str, Any] = {
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
            "build": {"args": {"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.2"}},
        },
        "postgres": {"command": None, "image": "postgres:16"},
    }
}


GOOD = parse(FILE, SERVICES)


def changed(change: Callable[[dict[str, Any]], object]) -> Stack:
    """Return the good stack with its services changed."""
    config = copy.deepcopy(SERVICES)
    change(config["services"])
    return parse(FILE, config)


def plain(text: str, *names: str, **entry: str) -> Stack:
    def change(found: dict[str, Any]) -> None:
        for name in names:
            found[name] |= {"environment": {"_PIP_ADDITIONAL_REQUIREMENTS": text}, **entry}

    return changed(change)


# --- ways of packages --------------------------------------------------------------


def test_services_whose_image_one_of_the_file_builds_go_the_image_way() -> None:
    assert packages(GOOD, NEEDED).startswith("image way")


def test_services_that_each_build_their_image_go_the_image_way() -> None:
    def change(found: dict[str, Any]) -> None:
        for name in NEEDED:
            found[name]["build"] = found["airflow-init"]["build"]

    assert packages(changed(change), NEEDED).startswith("image way")


def test_services_that_install_at_start_go_the_plain_way() -> None:
    stack = plain("--requirement x", *NEEDED, image="apache/airflow:3.3.2")
    assert packages(stack, NEEDED).startswith("plain way")


def test_an_empty_list_to_install_is_not_the_plain_way() -> None:
    assert packages(plain("", *NEEDED), NEEDED).startswith("image way")


def renamed(image: str) -> Stack:
    return changed(lambda found: [one.update(image=image) for one in found.values()])


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        pytest.param(
            changed(lambda found: found.pop("airflow-scheduler")),
            "has no service airflow-scheduler: set DEPLOYER_RECREATE_SERVICES",
            id="a service is missing",
        ),
        pytest.param(
            parse(FILE, {}), "has no service airflow-scheduler, airflow-dag-processor", id="empty"
        ),
        pytest.param(
            plain("pandas", "airflow-scheduler"),
            "airflow-scheduler set _PIP_ADDITIONAL_REQUIREMENTS and airflow-dag-processor do not",
            id="both ways at once",
        ),
        pytest.param(
            changed(lambda found: found.pop("airflow-init")),
            "give a service with the image class-airflow:current a `build`",
            id="no way at all",
        ),
        pytest.param(
            changed(lambda found: found["airflow-init"].update(build={"context": "."})),
            "one and the same argument AIRFLOW_IMAGE_NAME",
            id="of no Airflow",
        ),
        pytest.param(
            changed(
                lambda found: found["airflow-scheduler"].update(
                    build={"args": {"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.1"}}
                )
            ),
            "one and the same argument AIRFLOW_IMAGE_NAME",
            id="of two Airflows",
        ),
        pytest.param(
            changed(lambda found: found["airflow-dag-processor"].update(image="other:1")),
            "give airflow-scheduler, airflow-dag-processor one and the same `image`",
            id="two images",
        ),
        pytest.param(
            plain("pandas", *NEEDED, image=""),
            "one and the same `image`",
            id="the plain way of no image",
        ),
        pytest.param(
            renamed("class-airflow:latest"),
            "class-airflow:latest must be named NAME:current",
            id="a tag that is not moved",
        ),
    ],
)
def test_a_file_with_which_the_worker_does_not_start_is_told(stack: Stack, told: str) -> None:
    with pytest.raises(ServicesError) as caught:
        packages(stack, NEEDED)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(FILE))


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
