"""Put another version of Airflow in: proven with the class's packages, healthy or taken back.

Nothing is deployed meanwhile. Dying anywhere in here leaves a freeze and what was kept of the
version before; the next call goes back first, to whichever of the two is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from deployer.core.model import State, Trigger
from deployer.deployment.rollout import Drain, in_words
from deployer.errors import AirflowError, AirflowKept, DeployerError, OperatorError
from deployer.ports import Bell, Clock, Journal, OtherAirflow, Services

BY = "deployer airflow-version"
AT_WORK_S = 1800.0
"""For a deployment at work, which may wait for tasks and build packages."""
ASKS_GIT_S = 120.0
LOOK_EVERY_S = 1.0


class AirflowVersion:
    """The class's Airflow; `services` are those of its image, `tell` is told what is done."""

    def __init__(
        self,
        other: OtherAirflow,
        packages: Services,
        drain: Drain,
        *,
        journal: Journal,
        clock: Clock,
        bell: Bell,
        services: Sequence[str],
        tell: Callable[[str], None],
    ) -> None:
        self._other = other
        self._packages = packages
        self._drain = drain
        self._journal = journal
        self._clock = clock
        self._bell = bell
        self._services = services
        self._tell = tell

    def install(self, version: str) -> bool:
        """Have Airflow run as `version`; False if it does already.

        Raises:
            AirflowKept: it runs as before, and why.
            OperatorError: nothing was begun, or it could not be put back: called again, that
                is done first.
        """
        held = self._journal.frozen(self._clock.now())
        if held and held.by != BY:
            raise AirflowKept(f"frozen by {held.by}: {held.words}; `deployer unfreeze`, then again")
        self._packages.installed()  # asks Docker, before anything is begun
        begun = self._other.begun()
        if not begun and self._other.running() == version:
            self._let_go_on()
            return False
        self._journal.freeze(f"Airflow {version} is installed", by=BY, until=None)
        self._bell.ring()
        try:
            self._wait_for_worker()
            if begun:
                self._end(begun)
            if installs := self._other.running() != version:
                self._put_in(version)
        except DeployerError as exc:
            self._take_back(exc)
            raise AirflowKept(f"Airflow, its .env and its database are as before: {exc}") from exc
        # Dying from here on leaves the new one whole, and the freeze; the next call ends that.
        self._other.forget()
        if installs or begun:
            self._journal.request_deploy(None, Trigger.MANUAL)  # all DAG files are judged anew
        self._let_go_on()
        return True

    def _wait_for_worker(self) -> None:
        """Wait until the worker has seen the freeze, and no deployment is at work."""
        since, began = self._clock.now(), self._clock.monotonic()
        self._tell("waiting until the worker deploys nothing")
        while True:
            seen = self._journal.pulse().tip_checked_at
            at_work = [d.id for d in self._journal.unfinished() if d.state is State.RUNNING]
            if seen and seen > since and not at_work:
                return
            if self._clock.monotonic() - began >= (AT_WORK_S if at_work else ASKS_GIT_S):
                what = f"deployment {at_work[0]} is at work" if at_work else "it does not ask git"
                raise AirflowKept(
                    f"the worker does not come to rest, {what}: see `deployer status`, and that"
                    " deployer-worker runs"
                )
            self._clock.sleep(LOOK_EVERY_S)

    def _put_in(self, version: str) -> None:
        text = self._packages.installed()
        if text is None:
            raise AirflowKept(
                "it is not known on which packages Airflow runs: `deployer deploy --wait` first"
            )
        self._other.name(version)
        self._tell(f"building Airflow {version} with the class's packages")
        self._tell(self._packages.build(text))
        self._drain.close()
        if left := self._drain.wait(lambda words: self._tell(words.partition("; ")[2])):
            raise AirflowKept(f"tasks still run: {in_words(left)}; try again when they are over")
        self._tell("Airflow stops; its database is kept, then migrated")
        self._other.keep_database()
        self._packages.recreate(())  # the image has its name, and no service runs on it yet
        # Dying here leaves a database that only the new version can read, and the one before.
        self._other.migrate()
        self._tell(self._packages.recreate(self._services, idle=True))
        self._tell(self._packages.wait_healthy(self._services))

    def _end(self, begun: str) -> None:
        """End what died: forwards if the new version is whole, else backwards."""
        with suppress(AirflowError):
            if self._other.running() == begun and self._packages.installed() is not None:
                self._tell(f"Airflow {begun} was put in by a run that died after that")
                self._other.forget()
                return
        self._tell(f"a run that put Airflow {begun} in has died: going back first")
        self._go_back()

    def _take_back(self, why: DeployerError) -> None:
        try:
            if self._other.begun():
                self._tell("going back")
                self._go_back()
            self._let_go_on()
        except DeployerError as exc:
            raise OperatorError(
                f"{why}; and it can't be taken back: {exc}. Nothing is deployed until that is"
                " mended and `deployer airflow-version` was run again, which goes back first"
            ) from exc

    def _go_back(self) -> None:
        self._other.take_back()
        self._packages.put_back(self._services, idle=True)
        self._packages.wait_healthy(self._services)
        self._other.forget()

    def _let_go_on(self) -> None:
        """Give the pools their slots back, and let the worker deploy, if this stopped it."""
        self._drain.reopen()
        held = self._journal.frozen(self._clock.now())
        if held and held.by == BY:
            self._journal.unfreeze(by=BY)
            self._bell.ring()
