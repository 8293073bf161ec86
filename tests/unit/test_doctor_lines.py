"""What the check-up makes of its findings, and how its probes are run."""

from __future__ import annotations

import itertools
import threading

import pytest

from deployer.core.doctor import (
    Ailment,
    Finding,
    Mark,
    NotApplicable,
    as_json,
    failed,
    summary,
    unreached,
)
from deployer.doctor import Line, run
from deployer.doctor.docker import numbers
from deployer.doctor.world import World
from deployer.errors import GitError
from tests.doctor_world import nothing_but

WELL = Finding("disk", Mark.PASSED, "9 GiB free")
ILL = Finding("clock", Mark.FAILED, "40 s behind", "switch it on")
AWAY = Finding("GitHub token", Mark.FAILED, "no answer", "see the proxy", reached=False)
NOTHING = Finding("engine", Mark.SKIPPED, "there is no Docker")


def ask_nothing(_: World) -> str:
    raise NotApplicable("there is no Docker")


def ask_ill(_: World) -> str:
    raise Ailment("40 s behind", "switch it on")


# --- findings ------------------------------------------------------------------


def test_one_failed_line_fails_the_whole() -> None:
    assert failed([WELL, ILL])


def test_a_skipped_line_fails_nothing() -> None:
    assert not failed([WELL, NOTHING])


@pytest.mark.parametrize(
    ("findings", "so"),
    [([WELL, AWAY], True), ([AWAY, ILL], False), ([WELL, ILL], False), ([WELL, NOTHING], False)],
)
def test_nothing_was_reached_where_all_that_failed_gave_no_answer(
    findings: list[Finding], *, so: bool
) -> None:
    assert unreached(findings) is so


def test_the_summary_counts_only_what_there_is() -> None:
    assert summary([WELL, NOTHING, WELL]) == "2 passed, 1 skipped"
    assert summary([WELL, ILL]) == "1 passed, 1 failed"


def test_json_tells_each_line_and_the_whole() -> None:
    assert as_json([WELL, ILL, NOTHING]) == {
        "passed": False,
        "checks": [
            {
                "name": "disk",
                "state": "passed",
                "passed": True,
                "detail": "9 GiB free",
                "remedy": None,
            },
            {
                "name": "clock",
                "state": "failed",
                "passed": False,
                "detail": "40 s behind",
                "remedy": "switch it on",
            },
            {
                "name": "engine",
                "state": "skipped",
                "passed": True,
                "detail": "there is no Docker",
                "remedy": None,
            },
        ],
    }


def test_an_ailment_says_what_to_do() -> None:
    assert str(Ailment("40 s behind", "switch it on")) == "40 s behind: switch it on"


# --- running -------------------------------------------------------------------


def test_each_probe_gives_a_finding_in_the_order_asked() -> None:
    probes = (
        Line("engine", ask_nothing),
        Line("clock", ask_ill),
        Line("disk", lambda _: "9 GiB free"),
    )
    assert run(probes, nothing_but()) == (NOTHING, ILL, WELL)


def test_an_error_of_ours_is_a_failed_line_with_its_words() -> None:
    def ask(_: World) -> str:
        raise GitError("git is not installed")

    (found,) = run([Line("mirror", ask)], nothing_but())
    assert (found.state, found.detail) == (Mark.FAILED, "git is not installed")
    assert found.remedy
    assert not found.reached


def test_a_bug_in_one_probe_leaves_the_others_standing() -> None:
    def ask(_: World) -> str:
        raise ZeroDivisionError("oops")

    broken, well = run([Line("clock", ask), Line("disk", lambda _: "9 GiB free")], nothing_but())
    assert broken.state is Mark.FAILED
    assert "ZeroDivisionError: oops" in broken.detail
    assert "report this" in broken.remedy
    assert well == WELL


def test_a_probe_that_hangs_holds_up_nobody() -> None:
    for_ever = threading.Event()

    def ask(_: World) -> str:
        for_ever.wait(60)
        return "at last"

    hung, well = run(
        [Line("clock", ask), Line("disk", lambda _: "9 GiB free")], nothing_but(), bound_s=2
    )
    for_ever.set()
    assert (hung.state, hung.detail) == (Mark.FAILED, "no answer within 2 s")
    assert well == WELL


def test_probes_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=20)

    def ask(_: World) -> str:
        both.wait()
        return "met"

    assert {f.state for f in run([Line("a", ask), Line("b", ask)], nothing_but())} == {Mark.PASSED}


def test_no_secret_stands_in_a_finding() -> None:
    def ask(_: World) -> str:
        raise Ailment("the token hunter2hunter2 is odd", "replace hunter2hunter2")

    (found,) = run([Line("token", ask)], nothing_but(), secrets=["", "hunter2", "hunter2hunter2"])
    assert found.detail == "the token **** is odd"
    assert found.remedy == "replace ****"


# --- what several probes share -------------------------------------------------


def test_what_is_shared_is_got_once() -> None:
    counted = itertools.count(1)
    world = nothing_but()

    def get(_: World) -> int:
        return next(counted)

    assert (world.once(get), world.after("engine", get), world.once(get)) == (1, 1, 1)
    assert nothing_but().once(get) == 2


def test_what_cannot_be_had_fails_its_owner_and_skips_the_others() -> None:
    tries: list[int] = []

    def get(_: World) -> str:
        tries.append(1)
        raise Ailment("Docker does not answer", "start it")

    owner, other = run(
        [
            Line("engine", lambda world: world.once(get)),
            Line("services", lambda world: world.after("engine", get)),
        ],
        nothing_but(),
    )
    assert (owner.state, owner.remedy) == (Mark.FAILED, "start it")
    assert (other.state, other.detail) == (Mark.SKIPPED, "can't be told: see engine")
    assert tries == [1]


def test_a_bug_in_what_is_shared_is_told_by_all_who_need_it() -> None:
    def get(_: World) -> str:
        raise ZeroDivisionError("oops")

    found = run([Line(name, lambda world: world.once(get)) for name in "ab"], nothing_but())
    assert all("ZeroDivisionError: oops" in one.detail for one in found)


def test_without_containers_their_lines_have_nothing_to_look_at() -> None:
    line = Line("engine", ask_ill, containers=True)
    (here,) = run([line], nothing_but())
    (nowhere,) = run([line], nothing_but(processes=tuple))
    assert (here.state, nowhere.state) == (Mark.FAILED, Mark.SKIPPED)
    assert "SERVICES=local" in nowhere.detail


@pytest.mark.parametrize(
    ("version", "expected"),
    [("20.10.24+dfsg1", (20, 10, 24)), ("v2.26.1-4", (2, 26, 1)), ("27", (27,)), ("dev", ())],
)
def test_version_numbers_are_read_as_tools_print_them(
    version: str, expected: tuple[int, ...]
) -> None:
    assert numbers(version) == expected
