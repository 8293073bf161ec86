"""Wait for the dag-processor's verdicts: ask, listen, and know when to stop.

The rule of a verdict is `core.verdicts`'s; this loop listens to the feed and looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import assert_never

import structlog

from deployer.core.model import Listed, ParseResult, ProcessorCame, ProcessorLeft, Told, Verdict
from deployer.core.verdicts.watch import Watch
from deployer.deployment.dag_processor import Guard
from deployer.deployment.parts import Parts
from deployer.errors import AirflowError, DagProcessorEnded

log = structlog.get_logger()

PATIENCE_S = 1.0
"""How long others are kept waiting for the files of one push."""
ABSENT_S = 10.0
"""Within this a dag-processor of the class must be connected."""
BACK_WITHIN_S = 3.0
"""One that left and whose process lives comes again with its loop's next second."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Files of earlier deployments that have no verdict yet.

    Attributes:
        files: live ones, each with the releases that hold its text.
        unexamined: held ones, which stay as they are until they have been examined.
        tell: given each verdict on `files`.
    """

    files: Mapping[str, frozenset[str]]
    unexamined: frozenset[str]
    tell: Callable[[Verdict], None]

    @property
    def paths(self) -> frozenset[str]:
        return self.unexamined | self.files.keys()


@dataclass(slots=True)
class _Wait:
    """How one wait stands; times in seconds waited.

    Attributes:
        watch: what is waited for.
        others: what else is asked for.
        lives: the dag-processors that were well just before the release went live.
        away: those of them that left and whose process may live, and when.
        present_s: when one was connected last that tells.
        news_s: when something of `watch` was told last.
    """

    watch: Watch
    others: Watch
    lives: frozenset[str]
    away: dict[str, float]
    present_s: float = 0.0
    news_s: float = 0.0


class Waiting:
    """The wait on one feed; `timeout_s` bounds it, from the publication or the last news on.

    Airflow parses some files a second: three thousand take it longer than any bound for one.
    """

    def __init__(self, parts: Parts, guard: Guard, *, timeout_s: float) -> None:
        self._feed = parts.feed
        self._guard = guard
        self._clock = parts.clock
        self._timeout_s = timeout_s

    def until_settled(
        self,
        watch: Watch,
        *,
        since: float,
        lives: Collection[str],
        beside: Beside,
        cut: Callable[[], bool],
    ) -> Watch:
        """Return `watch` with a verdict on each of its files, or with what there is when cut.

        Args:
            watch: what is waited for.
            since: when its release went live, on the monotonic clock.
            lives: the dag-processors that were well just before that.
            beside: what else is asked for, and not waited for.
            cut: tells whether somebody else waits; asked when this has had its patience.

        Raises:
            DagProcessorEnded: one of `lives` died; the message is its last words.
            AirflowError: no dag-processor of the class is there, or it is stuck; nothing is
                known of the files.
        """
        here = frozenset({watch.release})
        others = Watch(watch.release, {p: names | here for p, names in beside.files.items()})
        wait = _Wait(watch, others, frozenset(lives), {})
        for told in self._feed.wait(0):  # what is asked anew drops what was told
            if isinstance(told, (ProcessorLeft, ParseResult)):
                self._hear(wait, told, beside, waited_s=0.0)
        self._feed.ask(watch.release, first=watch.waiting, later=others.waiting)
        log.info("asked", files=len(watch.waiting), later=len(others.waiting))
        wait.away |= dict.fromkeys(wait.lives - self._guard.fit(), 0.0)
        while not wait.watch.done:
            waited_s = self._clock.monotonic() - since
            if wait.watch.listed and waited_s >= PATIENCE_S and cut():
                break
            self._see_to_it_that_one_is_there(wait, waited_s)
            if waited_s - wait.news_s >= self._timeout_s:
                return self._given_up(wait.watch, waited_s)
            for told in self._feed.wait(self._next_look_s(wait, waited_s)):
                waited_s = round(self._clock.monotonic() - since, 3)
                self._hear(wait, told, beside, waited_s=waited_s)
        return wait.watch

    def _hear(self, wait: _Wait, told: Told, beside: Beside, *, waited_s: float) -> None:
        match told:
            case ProcessorCame(life):
                wait.away.pop(life, None)
            case ProcessorLeft(life, ended):
                if life in wait.lives:
                    wait.away[life] = waited_s - (BACK_WITHIN_S if ended else 0.0)
            case Listed() | ParseResult():
                heard = wait.watch.hear(told, waited_s=waited_s)
                if heard != wait.watch:
                    wait.watch, wait.news_s = heard, waited_s
                # Of a file that is not listed any more, the push that deleted it says so.
                if isinstance(told, ParseResult):
                    self._hear_beside(wait, told, beside, waited_s=waited_s)
            case _ as never:
                assert_never(never)

    def _hear_beside(
        self, wait: _Wait, told: ParseResult, beside: Beside, *, waited_s: float
    ) -> None:
        settled = wait.others.settled
        wait.others = wait.others.hear(told, waited_s=waited_s)
        for path in wait.others.settled.keys() - settled.keys():
            beside.tell(wait.others.settled[path])

    def _see_to_it_that_one_is_there(self, wait: _Wait, waited_s: float) -> None:
        for life, left_s in wait.away.items():
            if waited_s - left_s >= BACK_WITHIN_S:
                log.warning("dag-processor ended", life=life)
                raise DagProcessorEnded(self._guard.last_words())
        if self._guard.fit():
            wait.present_s = waited_s
        elif self._feed.present() or waited_s - wait.present_s >= ABSENT_S:
            raise AirflowError(self._guard.absence())

    def _next_look_s(self, wait: _Wait, waited_s: float) -> float:
        """Return for how long nothing but news matters."""
        bounds = [
            wait.news_s + self._timeout_s,
            *(at_s + BACK_WITHIN_S for at_s in wait.away.values()),
        ]
        if not self._guard.fit():
            bounds.append(wait.present_s + ABSENT_S)
        if waited_s < PATIENCE_S:
            bounds.append(PATIENCE_S)
        return max(min(bounds) - waited_s, 0.01)

    def _given_up(self, watch: Watch, waited_s: float) -> Watch:
        ailment = self._guard.ailment()
        if ailment or not watch.listed:
            raise AirflowError(
                ailment
                or f"Airflow's dag-processor did not look at this release within {waited_s:.0f} s:"
                " see its log"
            )
        return watch.give_up(waited_s=round(waited_s, 3))
