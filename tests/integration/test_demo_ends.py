"""The trial leaves nothing behind, however it is ended; its stage is not the real one here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployer.demo import play

ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Let no signal end the tests."""
    before = {one: signal.getsignal(one) for one in ENDINGS}
    for one in ENDINGS:
        signal.signal(one, lambda *_: None)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def stopped_by(monkeypatch: pytest.MonkeyPatch, *signals: signal.Signals) -> list[str]:
    """Play the trial, during which signals come: the rest of them while it stops."""
    happened: list[str] = []

    @contextmanager
    def stage(*_: object) -> Iterator[object]:
        try:
            yield object()
        finally:
            for one in signals[1:]:
                os.kill(os.getpid(), one)
            happened.append("stopped")

    def act(*_: object) -> list[str]:
        os.kill(os.getpid(), signals[0])
        happened.append("went on")
        return []

    monkeypatch.setattr(play, "Stage", stage)
    monkeypatch.setattr(play, "_play", act)
    monkeypatch.setattr(play, "_close", lambda *_, **__: None)
    play.run_demo(once=True, as_json=False)
    return happened


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signal_stops_everything(monkeypatch: pytest.MonkeyPatch, ending: signal.Signals) -> None:
    assert stopped_by(monkeypatch, ending) == ["stopped"]


def test_a_script_can_interrupt_what_it_started_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `&`
    assert stopped_by(monkeypatch, signal.SIGINT) == ["stopped"]


def test_a_second_signal_does_not_keep_it_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopped_by(monkeypatch, signal.SIGINT, *ENDINGS) == ["stopped"]


def test_under_nohup_a_closed_terminal_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert stopped_by(monkeypatch, signal.SIGHUP) == ["went on", "stopped"]
