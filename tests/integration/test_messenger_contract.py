"""What every Messenger does: the shared fake, and Apprise posting JSON to a server of loopback."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Barrier, Event

import pytest
from apprise import Apprise

from deployer.core.settings import Secret
from deployer.demo.stage import free_port
from deployer.edges.messages import AppriseMessenger
from deployer.errors import OperatorError, SettingsError
from deployer.ports import Messenger
from tests.fakes.messenger import FakeMessenger
from tests.integration.answering import Answering, Said, answering

TOKEN = "a-token-0123456789"
BOUND_S = 60.0

HANGS = """
from threading import Event
from apprise.plugins.custom_json import NotifyJSON
from deployer.core.settings import Secret
from deployer.edges.messages import AppriseMessenger
from deployer.errors import OperatorError
NotifyJSON.send = lambda *_, **__: Event().wait()
try:
    AppriseMessenger([Secret("json://127.0.0.1")], bound_s=0.05).send("title", "text")
except OperatorError as exc:
    print(exc)
"""


@dataclass(frozen=True)
class Rig:
    messenger: Messenger
    sent: Callable[[], list[tuple[str, str]]]
    take_down: Callable[[], None]


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering({"POST /": Said(200)}) as served:
        yield served


def address(url: str) -> Secret:
    return Secret(f"json://me:{TOKEN}@{url.removeprefix('http://')}/{TOKEN}")


def arrived(server: Answering) -> list[tuple[str, str]]:
    bodies = [json.loads(asked.body) for asked in server.asked]
    return [(body["title"], body["message"]) for body in bodies]


@pytest.fixture(params=["fake", "apprise"])
def rig(request: pytest.FixtureRequest, server: Answering) -> Rig:
    if request.param == "fake":
        fake = FakeMessenger()
        return Rig(fake, lambda: fake.sent, lambda: setattr(fake, "down", "it is down"))
    return Rig(
        AppriseMessenger([address(server.url)]),
        lambda: arrived(server),
        lambda: server.answers.update({"POST /": Said(500)}),
    )


def test_title_and_text_arrive(rig: Rig) -> None:
    assert rig.messenger.send("class: 1 to look at", "- <b> & 2 lines\n- æ\n\nMore") == ()
    assert rig.sent() == [("class: 1 to look at", "- <b> & 2 lines\n- æ\n\nMore")]


def test_that_nobody_took_it_is_an_error(rig: Rig) -> None:
    rig.take_down()
    with pytest.raises(OperatorError):
        rig.messenger.send("title", "text")


# --- Apprise's -------------------------------------------------------------------


def test_of_two_addresses_one_may_be_out_of_order(
    server: Answering, capfd: pytest.CaptureFixture[str]
) -> None:
    nobody = address(f"http://127.0.0.1:{free_port()}")
    (missed,) = AppriseMessenger([nobody, address(server.url)]).send("title", "text")
    assert missed.startswith("address 1 (json://…): ")
    assert arrived(server) == [("title", "text")]
    said = capfd.readouterr()
    assert TOKEN not in missed + said.out + said.err


def test_no_address_is_shown_where_none_took_it(server: Answering) -> None:
    server.answers["POST /"] = Said(401)
    with pytest.raises(OperatorError, match="401") as raised:
        AppriseMessenger([address(server.url)]).send("title", "text")
    assert TOKEN not in str(raised.value)


def test_an_address_that_hangs_is_given_up(
    server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = Event()
    monkeypatch.setattr(Apprise, "notify", lambda *_, **__: let_go.wait(60))
    with pytest.raises(OperatorError, match=r"no end within 0\.05 s"):
        AppriseMessenger([address(server.url)], bound_s=0.05).send("title", "text")
    let_go.set()


def test_an_address_that_hangs_does_not_keep_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], check=True, capture_output=True, text=True, timeout=BOUND_S
    )
    assert "no end within 0.05 s" in ended.stdout


def test_an_address_that_hangs_keeps_no_other_one_waiting(
    server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_are_asked = Barrier(2, timeout=10)
    monkeypatch.setattr(Apprise, "notify", lambda *_, **__: all_are_asked.wait() >= 0)
    assert AppriseMessenger([address(server.url)] * 2).send("title", "text") == ()


def test_what_is_said_of_addresses_at_the_same_time_is_told_of_each(
    server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, names = Barrier(2, timeout=10), iter(["one", "two"])

    def notify(*_: object, **__: object) -> bool:
        together.wait()
        logging.getLogger("apprise").warning("heard of %s", next(names))
        together.wait()
        return False

    monkeypatch.setattr(Apprise, "notify", notify)
    with pytest.raises(OperatorError) as raised:
        AppriseMessenger([address(server.url)] * 2).send("title", "text")
    said = str(raised.value).removeprefix("the teacher could not be told, ")
    assert said in {
        "address 1 (json://…): heard of one; address 2 (json://…): heard of two",
        "address 1 (json://…): heard of two; address 2 (json://…): heard of one",
    }


def test_an_address_that_apprise_does_not_know_is_a_mistake_of_the_settings(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SettingsError, match="address 2") as raised:
        AppriseMessenger([Secret("json://h"), Secret(f"jsonn://h/{TOKEN}")])
    said = capfd.readouterr()
    assert TOKEN not in str(raised.value) + said.out + said.err


def test_without_apprise_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"install airflow-class-deployer\[notify\]"):
        AppriseMessenger([Secret("json://h")])
