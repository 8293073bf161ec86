"""What the check-up makes of this machine: disks, clock, public address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from deployer.core.doctor import Ailment, NotApplicable
from deployer.demo.stage import free_port
from deployer.doctor import host
from deployer.doctor.world import World
from deployer.edges.http import HttpServer
from deployer.errors import OperatorError
from deployer.ports.doctor import About, ServerAnswer
from tests.doctor_world import nothing_but
from tests.integration.answering import Answering, Said, answering

NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering({"GET /healthz": Said(200, {"healthy": True})}) as served:
        yield served


@dataclass
class Clock:
    """GitHub; this machine is `ahead_s` ahead of it, None: nobody answers."""

    ahead_s: float | None

    def ask(self, *_: object) -> ServerAnswer:
        if self.ahead_s is None:
            raise OperatorError("no answer")
        at = NOW - timedelta(seconds=self.ahead_s)
        return ServerAnswer(200, {"date": format_datetime(at, usegmt=True)})


@dataclass
class Docker:
    """Keeps its images at `data`, None: it does not answer."""

    data: Path | None

    def about(self) -> About:
        if self.data is None:
            raise OperatorError("no answer")
        return About("27", self.data)


def machine(
    place: Path = Path(), *, data: Path | None = Path(), github_s: float | None = 0
) -> World:
    return nothing_but(
        now=lambda: NOW,
        github=Clock(github_s),
        engine=Docker(data),
        checkout_dir=place / "not" / "yet",
        state_dir=place,
    )


def public(url: str) -> World:
    return nothing_but(public=HttpServer(url), public_url=url)


# --- disk ------------------------------------------------------------------------


def test_room_enough_passes_with_the_figures(tmp_path: Path) -> None:
    said = host.disk(machine(tmp_path, data=tmp_path))
    checkout, state, docker = said.split(", ")
    assert checkout.startswith("CHECKOUT_DIR ")
    assert state.removeprefix("STATE_DIR ").endswith(" GiB free")
    assert docker.startswith("Docker ")


def test_where_docker_keeps_its_images_is_left_out_if_it_is_elsewhere(tmp_path: Path) -> None:
    assert "Docker" not in host.disk(machine(tmp_path, data=tmp_path / "elsewhere"))
    assert "Docker" not in host.disk(machine(tmp_path, data=None))


def test_a_full_disk_is_told_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "LEAST_FOR_IMAGES_GIB", 1e6)
    with pytest.raises(Ailment) as told:
        host.disk(machine(tmp_path, data=tmp_path))
    assert told.value.detail.startswith(f"Docker ({tmp_path}) has ")
    assert told.value.detail.endswith(" GiB free, 1e+06 are needed")
    assert "make room" in told.value.remedy


def test_a_directory_that_cannot_be_looked_at_is_told() -> None:
    with pytest.raises(Ailment, match=r"CHECKOUT_DIR .* can't be looked at") as told:
        host.disk(machine(Path("/", "x" * 300)))
    assert "as the worker's user" in told.value.remedy


# --- clock -----------------------------------------------------------------------


def test_a_clock_that_agrees_passes() -> None:
    said = host.clock(machine(github_s=30))
    assert said == "within 30 s of GitHub"


@pytest.mark.parametrize(
    ("ahead_s", "detail"),
    [(31, "this machine's clock is 31 s ahead of GitHub"), (-90, "90 s behind GitHub")],
)
def test_a_clock_that_is_wrong_is_told(ahead_s: float, detail: str) -> None:
    with pytest.raises(Ailment) as told:
        host.clock(machine(github_s=ahead_s))
    assert detail in told.value.detail
    assert "timedatectl" in told.value.remedy


def test_without_an_answer_of_githubs_nothing_is_said() -> None:
    with pytest.raises(NotApplicable, match="can't be told: see GitHub token"):
        host.clock(machine(github_s=None))


# --- public address ----------------------------------------------------------------


def test_a_public_address_that_answers_passes(server: Answering) -> None:
    assert host.public_address(public(server.url)) == f"{server.url} answers"


def test_no_public_address_is_skipped_with_a_hint() -> None:
    with pytest.raises(NotApplicable, match="DEPLOYER_PUBLIC_URL is not set"):
        host.public_address(nothing_but())


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (Said(502), "/healthz answered 502"),
        (Said(404), "/healthz answered 404"),
        (Said(301, None, {"Location": "https://elsewhere.example/"}), "leads elsewhere, to https"),
    ],
)
def test_another_program_at_the_public_address_is_told(
    server: Answering, said: Said, detail: str
) -> None:
    server.answers["GET /healthz"] = said
    with pytest.raises(Ailment) as told:
        host.public_address(public(server.url))
    assert detail in told.value.detail
    assert told.value.remedy


def test_a_public_address_where_nobody_answers_is_told() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Ailment, match=f"no answer from {url}/healthz") as told:
        host.public_address(public(url))
    assert f"passes {url}/ on to DEPLOYER_BIND" in told.value.remedy


@pytest.fixture
def world(server: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """The stand-in for the world is reached as a proxy would be."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    server.answers = {
        "GET http://class.example/healthz": Said(200),
        "GET http://class.example/readyz": Said(403),
    }
    return server


@pytest.mark.parametrize("status", [200, 503])
def test_pages_that_are_open_to_the_world_are_told(world: Answering, status: int) -> None:
    world.answers["GET http://class.example/readyz"] = Said(status)
    with pytest.raises(
        Ailment, match=f"not closed to strangers: /readyz answered {status}"
    ) as told:
        host.public_address(public("http://class.example"))
    assert "X-Forwarded-For" in told.value.remedy


@pytest.mark.usefixtures("world")
def test_plain_http_to_the_world_is_mentioned() -> None:
    said = host.public_address(public("http://class.example"))
    assert said == "http://class.example answers; over http, which anyone on the way can read"
