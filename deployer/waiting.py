"""Wait for Airflow's verdicts: look, poke, and know when to stop.

The rules are `core.verdict`'s; this loop only looks at the world and at the clock.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from deployer.core.model import CANARY_DAG_ID
from deployer.core.verdict import Watch
from deployer.elsewhere import Elsewhere
from deployer.errors import AirflowError, AirflowUnreachable
from deployer.guarding import Guard
from deployer.ports import Airflow, Clock, Releases

log = structlog.get_logger()

LOOK_EVERY_S = 0.1
"""Between two looks at Airflow; its own loop ticks about once a second (AIRFLOW.md)."""
LOOK_LATER = 0.05
"""Of the time waited so far: a deployment of many files looks less often the longer it takes,
for each look costs Airflow the time in which it would parse."""
POKE_EVERY_S = 1.0
"""A poke that comes while a parse is pending is dropped, so it is said again."""
OVERLOOKED_AFTER_S = 3.0
"""A file that was being parsed at the swap is not looked at again for half a minute,
unless its modification time moves once more (docs/airflow-facts.md)."""


class Waiting:
    """The wait for one Airflow; `timeout_s` bounds it, from the publication or the last news on.

    Airflow parses some files a second: three thousand take it longer than any bound for one.
    """

    def __init__(
        self,
        airflow: Airflow,
        releases: Releases,
        guard: Guard,
        clock: Clock,
        *,
        timeout_s: float,
    ) -> None:
        self._airflow = airflow
        self._releases = releases
        self._guard = guard
        self._clock = clock
        self._timeout_s = timeout_s

    def until_settled(
        self, watch: Watch, *, since: float, known: Collection[str], elsewhere: Elsewhere
    ) -> Watch:
        """Return `watch` with a verdict on each of its files.

        Args:
            watch: what is waited for.
            since: when its release went live, on the monotonic clock.
            known: ids of the DAGs that its deleted files held.
            elsewhere: helps where Airflow's bundle is not the class's.

        Raises:
            DagProcessorEnded: it was well before this release went live.
            AirflowError: Airflow does not answer, or its dag-processor does not look; so
                nothing is known of the files.
        """
        poked = float("-inf")
        looked_s = 0.0  # when it was looked last, in seconds waited
        trouble: AirflowError | None = None
        while not watch.done:
            now = self._clock.monotonic()
            waited_s = now - since
            left_s = self._timeout_s - (waited_s - watch.news_at)
            if left_s <= 0:
                return self._given_up(watch, waited_s=waited_s, trouble=trouble)
            try:
                if now - poked >= POKE_EVERY_S:
                    quiet = looked_s - watch.news_at >= OVERLOOKED_AFTER_S
                    self._poke(watch, elsewhere, quiet=quiet)
                    poked = now
                asked = {CANARY_DAG_ID, *known, *elsewhere.dag_ids(watch)}
                seen = self._airflow.observe(watch.release, asked)
                looked_s = round(self._clock.monotonic() - since, 3)
                watch = watch.look(seen, waited_s=looked_s, versions=elsewhere.versions(seen))
                trouble = None
            except AirflowUnreachable as exc:  # it may be starting; the bound holds all the same
                if trouble is None:
                    log.warning("airflow unreachable", reason=str(exc), cause=str(exc.__cause__))
                trouble = exc
            self._guard.check(now=watch.done)
            if not watch.done:
                self._clock.sleep(min(max(LOOK_EVERY_S, LOOK_LATER * waited_s), left_s))
        return watch

    def _poke(self, watch: Watch, elsewhere: Elsewhere, *, quiet: bool) -> None:
        """Have Airflow look now; also at what it must parse once more.

        `quiet`: nothing new was heard for a while. Then what is waited for may have been
        overlooked, or stands at the end of a long queue, of which a file that is asked for by
        name gets to the front. Not while verdicts come: a file that is touched after its parse,
        and before that was seen, is parsed again, and three thousand would be.
        """
        began = self._clock.monotonic()
        if again := {*(watch.waiting if quiet else ()), *watch.unproven}:
            self._releases.touch(again)
        by_name = elsewhere.of_waiting(watch) if quiet and watch.looked else frozenset()
        self._airflow.poke(elsewhere.to_parse(watch) | by_name)
        log.info("poked", seconds=round(self._clock.monotonic() - began, 3))

    def _given_up(self, watch: Watch, *, waited_s: float, trouble: AirflowError | None) -> Watch:
        if trouble is not None:
            raise trouble
        if ailment := self._guard.ailment():
            raise AirflowError(ailment)
        if not watch.goes_round(waited_s=waited_s):
            raise AirflowError(
                f"Airflow's dag-processor is alive and busy: within {waited_s:.0f} s it did not"
                " come to all of this release; see which files parse for minutes"
            )
        return watch.give_up(waited_s=round(waited_s, 3))
