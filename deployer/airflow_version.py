"""Put another version of Airflow in: proven with the class's packages, healthy or taken back.

Nothing is deployed meanwhile. Dying anywhere in here leaves a freeze and what was kept of the
version before; the next call goes back first, to whichever of the two is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from deployer.core.airflow_version import BY
from deployer.core.model import State, Trigger
from deployer.deployment.rollout import Drain, in_words
from deployer.errors import AirflowError, AirflowKept, DeployerError, OperatorError
from deployer.ports import Bell, Clock, Journal, OtherAirflow, Services

AT_WORK_S = 1800.0
"""For a deployment at work, which may wait for tasks and build packages."""
ASKS_GIT_S = 120.0
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class AirflowVersion:
    """The class's Airflow; `services` are those of its image, `tell` is told what is done."""

    other: OtherAirflow
    packages: Services
    drain: Drain
    journal: Journal
    clock: Clock
    bell: Bell
    services: Sequence[str]
    tell: Callable[[str], None]

    def install(self, version: str) -> bool:
        """Have Airflow run as `version`; False if it does already.

        Raises:
            AirflowKept: it runs as before, and why.
            OperatorError: nothing was begun, or it could not be put back: called again, that
                is done first.
        """
        held = self.journal.frozen(self.clock.now())
        if held and held.by != BY:
            raise AirflowKept(f"frozen by {held.by}: {held.words}; `deployer unfreeze`, then again")
        self.packages.installed()  # asks Docker, before anything is begun
        begun = self.other.begun()
        if not begun and self.other.running() == version:
            self._let_go_on()
            return False
        self.journal.freeze(f"Airflow {version} is installed", by=BY, until=None)
        self.bell.ring()
        try:
            self._wait_for_worker()
            if begun:
                self._end(begun)
            if installs := self.other.running() != version:
                self._put_in(version)
        except DeployerError as exc:
            self._take_back(exc)
            raise AirflowKept(f"Airflow, its .env and its database are as before: {exc}") from exc
        # Dying from here on leaves the new one whole, and the freeze; the next call ends that.
        self.other.forget()
        if installs or begun:
            self.journal.request_deploy(None, Trigger.MANUAL)  # all DAG files are judged anew
        self._let_go_on()
        return True

    def _wait_for_worker(self) -> None:
        """Wait until the worker has seen the freeze, and no deployment is at work."""
        since, began = self.clock.now(), self.clock.monotonic()
        self.tell("waiting until the worker deploys nothing")
        while True:
            seen = self.journal.pulse().tip_checked_at
            at_work = [d.id for d in self.journal.unfinished() if d.state is State.RUNNING]
            if seen and seen > since and not at_work:
                return
            if self.clock.monotonic() - began >= (AT_WORK_S if at_work else ASKS_GIT_S):
                what = f"deployment {at_work[0]} is at work" if at_work else "it does not ask git"
                raise AirflowKept(
                    f"the worker does not come to rest, {what}: see `deployer status`, and that"
                    " deployer-worker runs"
                )
            self.clock.sleep(LOOK_EVERY_S)

    def _put_in(self, version: str) -> None:
        text = self.packages.installed()
        if text is None:
            raise AirflowKept(
                "it is not known on which packages Airflow runs: `deployer deploy --wait` first"
            )
        self.other.name(version)
        self.tell(f"building Airflow {version} with the class's packages")
        self.tell(self.packages.build(text))
        self.drain.close()
        if left := self.drain.wait(self.tell):
            raise AirflowKept(f"tasks still run: {in_words(left)}; try again when they are over")
        self.tell("Airflow stops; its database is kept, then migrated")
        self.other.keep_database()
        self.packages.recreate(())  # the image has its name, and no service runs on it yet
        # Dying here leaves a database that only the new version can read, and the one before.
        self.other.migrate()
        self.tell(self.packages.recreate(self.services))
        self.tell(self.packages.wait_healthy(self.services))

    def _end(self, begun: str) -> None:
        """End what died: forwards if the new version is whole, else backwards."""
        with suppress(AirflowError):
            if self.other.running() == begun and self.packages.installed() is not None:
                self.tell(f"Airflow {begun} was put in by a run that died after that")
                self.other.forget()
                return
        self.tell(f"a run that put Airflow {begun} in has died: going back first")
        self._go_back()

    def _take_back(self, why: DeployerError) -> None:
        try:
            if self.other.begun():
                self.tell("going back")
                self._go_back()
            self._let_go_on()
        except DeployerError as exc:
            raise OperatorError(
                f"{why}; and it can't be taken back: {exc}. Nothing is deployed until that is"
                " mended and `deployer airflow-version` was run again, which goes back first"
            ) from exc

    def _go_back(self) -> None:
        self.other.take_back()
        self.packages.put_back(self.services)
        self.packages.wait_healthy(self.services)
        self.other.forget()

    def _let_go_on(self) -> None:
        """Give the pools their slots back, and let the worker deploy, if this stopped it."""
        self.drain.reopen()
        held = self.journal.frozen(self.clock.now())
        if held and held.by == BY:
            self.journal.unfreeze(by=BY)
            self.bell.ring()
