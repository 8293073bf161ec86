"""What each `Services` must do: the fake, and Compose on a real engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from deployer.edges.packages.slots import Slot
from deployer.errors import NotHealthy, RequirementsRefused
from deployer.ports import Services
from tests.fakes.services import FakeServices
from tests.integration.compose_world import compose_world

SERVICES = ("airflow-scheduler",)
BROKEN = "broken\n"
"""Requirements that install, and with which Airflow does not start."""
REFUSED = "no-such-package\n"


@dataclass(frozen=True)
class Rig:
    """A class that runs on no package of its own, and a `Services` that knows nothing yet."""

    make: Callable[[], Services]
    services: Services
    stack: str
    by_hand: Callable[[str], None]
    """Lets the service run on other packages without asking `services`."""
    end: Callable[[], None]
    """Ends the service by itself, with `ImportError: of a sudden` as its last words."""


@pytest.fixture(scope="module", params=["fake", pytest.param("compose", marks=pytest.mark.docker)])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Rig]]:
    if request.param == "fake":

        def fake() -> Rig:
            services = FakeServices()
            services.breaks.add(BROKEN)
            services.refuses[REFUSED] = "there is no such package"
            services.stack = "services: {}\n"
            return Rig(
                lambda: services,
                services,
                services.stack,
                by_hand=partial(setattr, services, "text"),
                end=lambda: services.die(SERVICES[0]),
            )

        yield fake
        return
    with compose_world(tmp_path_factory.mktemp("contract"), "c2-contract", SERVICES) as world:
        world.way.refuses[REFUSED] = "there is no such package"

        def compose() -> Rig:
            services = world.services()
            if services.installed() != "":
                services.build("")
                services.recreate(SERVICES)
                services.wait_healthy(SERVICES)
            return Rig(
                world.services,
                services,
                Path(world.project.file).read_text(),
                by_hand=partial(world.way.point, Slot.CURRENT),
                end=lambda: world.end(SERVICES[0]),
            )

        yield compose


@pytest.fixture
def rig(place: Callable[[], Rig]) -> Rig:
    return place()


def test_what_is_built_runs_after_a_recreate_and_not_before(rig: Rig) -> None:
    services = rig.services
    assert services.resolve("pandas\n")
    assert services.installed() == ""
    assert services.build("pandas\n")
    assert services.installed() == ""
    assert services.recreate(SERVICES)
    assert services.wait_healthy(SERVICES)
    assert services.installed() == "pandas\n"


def test_what_was_not_found_healthy_is_not_known_to_run(rig: Rig) -> None:
    rig.services.build("numpy\n")
    rig.services.recreate(SERVICES)
    assert rig.make().installed() is None
    rig.make().wait_healthy(SERVICES)
    assert rig.make().installed() == "numpy\n"


def test_packages_that_somebody_moved_by_hand_are_what_is_installed_and_are_moved_from(
    rig: Rig,
) -> None:
    rig.by_hand("numpy\n")
    assert rig.services.installed() == "numpy\n"
    rig.services.build("")
    start(rig.services)
    assert rig.services.installed() == ""


def start(services: Services) -> None:
    """Recreate and wait: either may find that Airflow does not start."""
    services.recreate(SERVICES)
    services.wait_healthy(SERVICES)


def test_packages_with_which_airflow_does_not_start_are_put_back(rig: Rig) -> None:
    services = rig.services
    # Twice, as after a crash: what was healthy last is what comes back.
    for _ in range(2):
        services.build(BROKEN)
        with pytest.raises(NotHealthy, match=r"airflow-scheduler (?s:.*)ImportError: broken"):
            start(services)
    assert services.put_back(SERVICES)
    services.wait_healthy(SERVICES)
    assert services.installed() == ""


def test_what_is_put_back_from_can_be_tried_once_more_without_another_build(rig: Rig) -> None:
    rig.services.build("duckdb\n")
    rig.services.recreate(SERVICES)
    rig.services.put_back(SERVICES, keep=True)
    rig.services.wait_healthy(SERVICES)
    assert rig.services.installed() == ""
    start(rig.services)
    assert rig.services.installed() == "duckdb\n"


def test_putting_back_what_was_only_built_forgets_it(rig: Rig) -> None:
    rig.services.build("scipy\n")
    rig.services.put_back(SERVICES)
    rig.services.recreate(SERVICES)
    rig.services.wait_healthy(SERVICES)
    assert rig.services.installed() == ""


def test_a_refused_text_changes_nothing(rig: Rig) -> None:
    with pytest.raises(RequirementsRefused, match="there is no such package"):
        rig.services.resolve(REFUSED)
    assert rig.services.installed() == ""


def test_tidying_forgets_what_was_only_built_and_changes_nothing_that_runs(rig: Rig) -> None:
    rig.services.build("polars\n")
    rig.services.tidy()
    assert rig.services.installed() == ""
    start(rig.services)
    assert rig.services.installed() == ""
    rig.services.build("polars\n")
    start(rig.services)
    rig.services.tidy()
    assert rig.services.installed() == "polars\n"


def test_the_operators_own_file_is_handed_out_as_it_is(rig: Rig) -> None:
    assert rig.services.own_stack() == rig.stack


def test_a_service_that_ended_is_told_by_another_life(rig: Rig) -> None:
    (service,) = SERVICES
    before = rig.services.vitals(service)
    assert before.life
    assert before.steady
    rig.end()
    ended = rig.make().vitals(service)
    assert ended.life != before.life
    assert not ended.steady
    rig.make().revive(service)
    until = time.monotonic() + 60
    while rig.make().vitals(service).life is None:  # Docker waits a moment longer each time
        assert time.monotonic() < until, "it never came back"
        Event().wait(0.05)
