"""Wait for the dag-processor's verdicts: ask, listen, and know when to stop.

The rule of a verdict is `core.verdicts`'s; this loop listens to the feed and looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from deployer.core.model import Listed, ParseResult, ProcessorCame, ProcessorLeft, Told, Verdict
from deployer.core.verdicts.watch import Watch
from deployer.deployment.dag_processor import DagProcessor
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


@dataclass(eq=False)
class Waiting:
    """One wait, no longer than `PARSE_TIMEOUT_S` after the publication or the last news.

    Airflow parses some files a second: three thousand take it longer than any bound for one.
    Times that are kept here are in seconds after `since`.

    Attributes:
        watch: what is waited for.
        since: when its release went live, on the monotonic clock.
        lives: the dag-processors that were well just before that.
        beside: what else is asked for, and not waited for.
        cut: tells whether somebody else waits; asked when this has had its patience.
    """

    parts: Parts
    watch: Watch
    since: float
    lives: frozenset[str]
    beside: Beside
    cut: Callable[[], bool]
    _away: dict[str, float] = field(default_factory=dict)
    """Those of `lives` that left and whose process may live, and when."""
    _present_s: float = 0.0  # when one was connected last that tells
    _news_s: float = 0.0  # when something of `watch` was told last

    def __post_init__(self) -> None:
        self._dag_processor, self._timeout_s = (
            DagProcessor(self.parts),
            self.parts.settings.parse_timeout_s,
        )
        release, files = self.watch.release, self.beside.files
        self._others = Watch(release, {path: files[path] | {release} for path in files})

    def until_settled(self) -> Watch:
        """Return `watch` with a verdict on each of its files, or with what there is when cut.

        Raises:
            DagProcessorEnded: one of `lives` died; the message is how.
            AirflowError: no dag-processor of the class is there, or it is stuck; nothing is
                known of the files.
        """
        for told in self.parts.feed.wait(0):  # what is asked anew drops what was told
            if isinstance(told, (ProcessorLeft, ParseResult)):
                self._hear(told, waited_s=0.0)
        self.parts.feed.ask(
            self.watch.release, first=self.watch.waiting, later=self._others.waiting
        )
        log.info("asked", files=len(self.watch.waiting), later=len(self._others.waiting))
        self._away = {
            life: self._away.get(life, 0.0) for life in self.lives - self._dag_processor.fit()
        }
        while not self.watch.done:
            waited_s = self.parts.clock.monotonic() - self.since
            if self.watch.listed and waited_s >= PATIENCE_S and self.cut():
                break
            self._require_dag_processor(waited_s)
            if waited_s - self._news_s >= self._timeout_s:
                return self._given_up(waited_s)
            for told in self.parts.feed.wait(self._next_look_s(waited_s)):
                self._hear(told, waited_s=round(self.parts.clock.monotonic() - self.since, 3))
        return self.watch

    def _hear(self, told: Told, *, waited_s: float) -> None:
        match told:
            case ProcessorCame(life):
                self._away.pop(life, None)
            case ProcessorLeft(life, ended):
                self._present_s = waited_s
                if life in self.lives:
                    self._away[life] = waited_s - (BACK_WITHIN_S if ended else 0.0)
            case Listed() | ParseResult():
                heard = self.watch.hear(told, waited_s=waited_s)
                if heard != self.watch:
                    self.watch, self._news_s = heard, waited_s
                # Of a file that is not listed any more, the push that deleted it says so.
                if isinstance(told, ParseResult):
                    self._hear_beside(told, waited_s=waited_s)
            case _ as never:
                assert_never(never)

    def _hear_beside(self, told: ParseResult, *, waited_s: float) -> None:
        known = self._others.settled
        self._others = self._others.hear(told, waited_s=waited_s)
        for path in self._others.settled.keys() - known.keys():
            self.beside.tell(self._others.settled[path])

    def _require_dag_processor(self, waited_s: float) -> None:
        for life, left_s in self._away.items():
            if waited_s - left_s >= BACK_WITHIN_S:
                log.warning("dag-processor ended", life=life)
                raise DagProcessorEnded(self._dag_processor.how_it_ended())
        if self._dag_processor.fit():
            self._present_s = waited_s
        elif self.parts.feed.present() or waited_s - self._present_s >= ABSENT_S:
            raise AirflowError(self._dag_processor.absence())

    def _next_look_s(self, waited_s: float) -> float:
        """Return for how long nothing but news matters."""
        bounds = [self._news_s + self._timeout_s]
        bounds += [left_s + BACK_WITHIN_S for left_s in self._away.values()]
        if not self._dag_processor.fit():
            bounds.append(self._present_s + ABSENT_S)
        if waited_s < PATIENCE_S:
            bounds.append(PATIENCE_S)
        return max(min(bounds) - waited_s, 0.01)

    def _given_up(self, waited_s: float) -> Watch:
        ailment = self._dag_processor.ailment()
        if ailment or not self.watch.listed:
            raise AirflowError(
                ailment
                or f"Airflow's dag-processor did not look at this release within {waited_s:.0f} s:"
                " see its log"
            )
        return self.watch.give_up(waited_s=round(waited_s, 3))
