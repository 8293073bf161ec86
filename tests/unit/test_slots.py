"""The names by which packages move, and what is left of them when the deployer dies between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deployer.edges.packages.slots import LinkSlots, Slot, Slots

RUNS, NEW, NEWER = "what runs", "new", "newer"


class Died(Exception):
    """The process ended here."""


class Names(Slots[str]):
    """Slots in memory, on which a caller dies after so many effects."""

    def __init__(self, **named: str) -> None:
        self.named = {Slot(slot): target for slot, target in named.items()}
        self.effects_left = 1000

    def target(self, slot: Slot) -> str | None:
        return self.named.get(slot)

    def point(self, slot: Slot, target: str) -> None:
        self._effect()
        self.named[slot] = target

    def drop(self, slot: Slot) -> None:
        self._effect()
        self.named.pop(slot, None)

    def _effect(self) -> None:
        if not self.effects_left:
            raise Died
        self.effects_left -= 1


Act = Callable[[Names], object]


def built(names: Names) -> None:
    names.point(Slot.NEXT, NEW)


def dying_after(effects: int, act: Act, names: Names) -> Names:
    names.effects_left = effects
    with suppress(Died):
        act(names)
    names.effects_left = 1000
    return names


def test_what_was_built_becomes_current_and_what_ran_can_be_gone_back_to() -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    assert names.named == {Slot.CURRENT: NEW, Slot.PREVIOUS: RUNS}
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


def test_what_is_gone_back_from_can_be_tried_once_more() -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    names.go_back(keep=True)
    assert names.named == {Slot.CURRENT: RUNS, Slot.NEXT: NEW}
    names.advance()
    assert names.named == {Slot.CURRENT: NEW, Slot.PREVIOUS: RUNS}


def test_a_first_build_can_be_tried_once_more() -> None:
    names = Names(next=NEW)
    names.advance()
    names.go_back(keep=True)
    names.advance()
    assert names.named == {Slot.CURRENT: NEW}


def test_without_a_build_nothing_advances() -> None:
    names = Names(current=RUNS)
    names.advance()
    assert names.named == {Slot.CURRENT: RUNS}


def test_a_first_build_has_nothing_to_go_back_to() -> None:
    names = Names(next=NEW)
    names.advance()
    names.go_back()
    assert names.named == {Slot.CURRENT: NEW}


def test_a_build_that_was_not_advanced_is_undone_and_nothing_moves() -> None:
    names = Names(current=RUNS, next=NEW)
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


def test_the_same_again_is_no_step_to_go_back_from() -> None:
    names = Names(current=RUNS, next=RUNS)
    names.advance()
    assert names.named == {Slot.CURRENT: RUNS}


def test_what_was_found_healthy_is_not_gone_back_from() -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    names.confirm()
    names.go_back()
    assert names.named == {Slot.CURRENT: NEW}


def test_after_two_builds_that_were_never_healthy_the_last_healthy_one_comes_back() -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    names.point(Slot.NEXT, NEWER)
    names.advance()
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


def test_what_is_not_yet_found_healthy_is_not_known() -> None:
    names = Names(current=RUNS, next=NEW)
    assert names.healthy() == RUNS
    names.advance()
    assert names.healthy() is None
    names.confirm()
    assert names.healthy() == NEW


@pytest.mark.parametrize("effects", range(4))
def test_dying_while_it_advances_the_next_try_ends_as_if_it_had_not(effects: int) -> None:
    names = dying_after(effects, Names.advance, Names(current=RUNS, next=NEW))
    names.advance()
    assert names.named == {Slot.CURRENT: NEW, Slot.PREVIOUS: RUNS}


@pytest.mark.parametrize("effects", range(4))
def test_dying_while_it_advances_the_way_back_leads_to_what_ran(effects: int) -> None:
    names = dying_after(effects, Names.advance, Names(current=RUNS, next=NEW))
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


@pytest.mark.parametrize("effects", range(4))
def test_dying_while_it_goes_back_the_next_try_ends_as_if_it_had_not(effects: int) -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    dying_after(effects, Names.go_back, names)
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


@pytest.mark.parametrize("effects", range(4))
def test_dying_while_it_goes_back_to_try_once_more_the_way_back_leads_to_what_ran(
    effects: int,
) -> None:
    names = Names(current=RUNS, next=NEW)
    names.advance()
    dying_after(effects, lambda names: names.go_back(keep=True), names)
    names.go_back()
    assert names.named == {Slot.CURRENT: RUNS}


@pytest.mark.parametrize("effects", range(8))
def test_dying_anywhere_in_a_rollout_no_unproven_packages_count_as_healthy(effects: int) -> None:
    def rollout(names: Names) -> None:
        for act in (built, Names.advance, Names.confirm):
            act(names)

    names = dying_after(effects, rollout, Names(current=RUNS))
    # Known are what ran before, or what was confirmed; in between, nothing is.
    assert names.healthy() in (
        {RUNS, None} if effects < 5 else {NEW}  # built, previous, current, next gone, confirmed
    )
    assert names.named[Slot.CURRENT] in {RUNS, NEW}


@pytest.mark.parametrize("effects", range(5))
def test_a_rollout_after_one_that_died_still_finds_the_last_healthy_packages(effects: int) -> None:
    names = dying_after(effects, Names.advance, Names(current=RUNS, next=NEW))
    names.point(Slot.NEXT, NEWER)
    names.advance()
    assert names.named == {Slot.CURRENT: NEWER, Slot.PREVIOUS: RUNS}


def test_links_keep_the_names_and_only_numbered_directories_without_one_go(tmp_path: Path) -> None:
    links = LinkSlots(tmp_path / "packages")
    made = []
    for _ in range(3):
        made.append(links.unused())
        made[-1].mkdir()
    (tmp_path / "packages" / "notes").mkdir()
    links.point(Slot.CURRENT, made[0])
    links.point(Slot.NEXT, made[1])
    links.point(Slot.NEXT, made[2])
    links.remove_unnamed()
    assert [path.exists() for path in made] == [True, False, True]
    assert (tmp_path / "packages" / "notes").exists()
    assert (links.target(Slot.CURRENT), links.target(Slot.NEXT)) == (made[0], made[2])
    links.drop(Slot.NEXT)
    links.drop(Slot.NEXT)
    links.remove_unnamed(in_use=[made[2]])
    assert links.target(Slot.NEXT) is None
    assert made[2].exists()
    assert links.unused().name == "4"


def test_a_link_tells_when_it_was_last_moved(tmp_path: Path) -> None:
    links = LinkSlots(tmp_path)
    assert links.moved_at(Slot.CURRENT) == 0
    links.point(Slot.CURRENT, tmp_path / "1")
    first = links.moved_at(Slot.CURRENT)
    while links.moved_at(Slot.CURRENT) == first:  # as soon as the file system's clock moves on
        links.point(Slot.CURRENT, tmp_path / "1")
    assert links.moved_at(Slot.CURRENT) > first
