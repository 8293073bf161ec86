"""The only wiring: settings to edges, edges to the processes that use them.

Edges are imported where they are used: the web process must stay small, and the
worker's libraries (git, Airflow's client) are none of its business.

airflow  where Airflow runs: in containers, or as processes of this machine
doctor   what `deployer doctor` asks, as the settings name it
airflow_version  what `deployer airflow-version` is made of
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deployer import config
from deployer.app.airflow import compose_runner, in_compose, on_this_machine
from deployer.config import Settings
from deployer.core.backup import Manifest
from deployer.core.doctor import Finding
from deployer.core.model import REQUIREMENTS
from deployer.core.settings import Secret, passwords_within, secrets_within
from deployer.edges.processes import SystemClock
from deployer.errors import DeployerError, JournalError, SettingsError
from deployer.ports import Bell, Journal, Messenger

if TYPE_CHECKING:
    from flask import Flask
    from structlog.typing import FilteringBoundLogger

    from deployer.check import Checked
    from deployer.core.alerts import News
    from deployer.deployment.parts import Parts
    from deployer.doctor import Line
    from deployer.edges.backup.databases import Databases
    from deployer.edges.backup.snapshot import Backup
    from deployer.worker.process import Signals, Worker

REDELIVER_S = 600.0
"""Between two looks for deliveries of GitHub's that never arrived."""
LONGER_S = 3600.0
"""The same after it could not be told, mostly for want of a right."""
Token = Callable[[], Secret | None]
GUNICORN_GIVES_UP = 3
"""A worker's exit status at which gunicorn's master ends too, with the same (arbiter.py)."""


def _log() -> FilteringBoundLogger:
    """Return the log; its library is a fifth of what a command costs, and few of them log."""
    import structlog

    log: FilteringBoundLogger = structlog.get_logger()
    return log


def open_journal(settings: Settings, *, reading: bool = False) -> Journal:
    """Open the journal and bring its schema up to date.

    `reading`: make and change nothing; a teacher's `sudo deployer status` must not leave a
    database that the service can't write.

    Raises:
        JournalError
    """
    from deployer.edges.journal import SqlJournal

    return SqlJournal.open(settings.journal_url, migrate=not reading)


def doorbell(settings: Settings) -> Bell:
    """Return what wakes the worker of this state."""
    from deployer.edges.processes.doorbell import PLACE, Doorbell

    return Doorbell(settings.state_dir / PLACE)


def run_web(settings: Settings) -> None:
    """Serve until told to stop."""
    from deployer import logs
    from deployer.edges.processes.server import serve

    logs.set_up("web", state_dir=settings.state_dir, secrets=_secrets(settings))

    def make_app() -> Flask:
        # In gunicorn's worker, after the fork: its master stays small, and no connection
        # to the database crosses a fork.
        try:
            return web_app(settings)
        except DeployerError as exc:
            _log().error("web can't start", reason=str(exc))
            raise SystemExit(GUNICORN_GIVES_UP) from exc

    _log().info("web starts", bind=settings.bind)
    serve(make_app, settings.bind)


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM, SIGINT or, with the terminal that it runs in, SIGHUP.

    Raises:
        WorkerRunning: another worker holds this state, or this checkout.
        OperatorError, SettingsError
    """
    from deployer import logs
    from deployer.edges.processes.lock import only_worker
    from deployer.worker.process import Signals

    hide = logs.set_up("worker", state_dir=settings.state_dir, secrets=_secrets(settings))
    with only_worker(settings.state_dir, settings.checkout_dir):
        signals, bell = Signals(), doorbell(settings)

        def stop(*_: object) -> None:
            signals.stop.set()
            bell.ring()  # a signal alone ends no wait for it (PEP 475)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, stop)
        token = TokenNow(os.environ, settings.github_token, hide)
        with _worker(settings, signals, token) as worker:
            _log().info("worker starts", repo=settings.github_repo, branch=settings.branch)
            worker.run()
            _log().info("worker stops")


class TokenNow:
    """GitHub's token as it is now where it comes from; the last that was there if it is not.

    Args:
        token: as it was read at the start.
        hide: told of another one, so that it stands in no log.
    """

    def __init__(
        self, environ: Mapping[str, str], token: Secret | None, hide: Callable[[str], None]
    ) -> None:
        self._environ = environ
        self._token = token
        self._hide = hide

    def __call__(self) -> Secret | None:
        try:
            token = config.load(self._environ).github_token
        except SettingsError as exc:
            _log().warning("the token can't be read again", reason=str(exc))
            return self._token
        if token and token != self._token:
            self._hide(token.get_secret_value())
            self._token = token
        return self._token


def checkup(settings: Settings, lines: Sequence[Line]) -> tuple[Finding, ...]:
    """Look at all `lines`; one finding each.

    Raises:
        SettingsError: the embedded Airflow needs a port.
    """
    from deployer.app.doctor import all_that_is_asked
    from deployer.doctor import run

    with ExitStack() as until:
        return run(lines, all_that_is_asked(settings, until), secrets=_secrets(settings))


def repair(
    settings: Settings, *, agreed: Callable[[str], bool], tell: Callable[[str], None]
) -> bool:
    """Mend what nothing mends by itself and `agreed` agrees to; return whether all is well now.

    No worker starts meanwhile.

    Raises:
        WorkerRunning
        OperatorError: a lock's file can't be written.
    """
    from deployer.app.doctor import all_that_may_be_broken
    from deployer.doctor.repair import repair as mend
    from deployer.edges.processes.lock import only_worker

    with only_worker(settings.state_dir, settings.checkout_dir), ExitStack() as until:
        return mend(all_that_may_be_broken(settings, until), agreed=agreed, tell=tell)


def messenger(settings: Settings) -> Messenger:
    """Return what reaches the teacher.

    Raises:
        SettingsError: NOTIFY_URLS holds what Apprise can't read, or Apprise is not installed.
    """
    from deployer.edges.messages import AppriseMessenger

    return AppriseMessenger(settings.notify_urls)


def tell(settings: Settings) -> tuple[News, tuple[str, ...]]:
    """Tell the teacher what is new, by the journal and by a check-up, in one message.

    Return it, and why some addresses did not take it.

    Raises:
        SettingsError: see `messenger`.
        OperatorError: nobody took it: the next run tells it again; another one is at work; it
            can't be remembered, and was told within the last hour.
    """
    from deployer.core.alerts import message, news
    from deployer.doctor import LINES
    from deployer.edges.messages import Told
    from deployer.edges.processes.lock import only_teller

    reach, memory = messenger(settings), Told(settings.state_dir)
    with only_teller(settings.state_dir):
        told = memory.read()
        new = news(told, _wrong_in_journal(settings), checkup(settings, LINES))
        if not new:
            return new, ()
        memory.write(new.added_to(told))
        missed = reach.send(*message(new, repo=settings.github_repo, url=settings.public_url))
        # Dying before this line tells it once more.
        memory.keep()
        return new, missed


def _wrong_in_journal(settings: Settings) -> dict[str, str]:
    from deployer.core.alerts import JOURNAL, in_journal

    try:
        journal = open_journal(settings, reading=True)
        return in_journal(journal.standing(), journal.pulse(), SystemClock().now())
    except JournalError as exc:
        return {JOURNAL: str(exc)}


def backup(settings: Settings, place: Path, *, keep: int | None) -> Backup:
    """Write a backup to a file, or into a directory of which `keep` are left.

    Raises:
        WrongPlace: it can't be there.
        OperatorError: there is none then.
    """
    from deployer.edges.backup.snapshot import backup as write

    now = SystemClock().now()
    return write(settings, _databases(settings), place, keep=keep, now=now)


def restore(
    settings: Settings,
    file: Path,
    *,
    agreed: Callable[[Manifest, Sequence[str]], None],
    tell: Callable[[str], None],
) -> None:
    """Put a backup in the place of what is there.

    Raises:
        WorkerRunning
        WrongPlace: it is not one that may be restored here.
        OperatorError: not all of it was; what was is told.
    """
    from deployer.edges.backup.snapshot import restore as put_back

    now = SystemClock().now()
    put_back(settings, _databases(settings), file, agreed=agreed, tell=tell, now=now)


def _databases(settings: Settings) -> Databases:
    from deployer.edges.backup.databases import Databases

    return Databases(compose_runner(settings))


def check(here: Path, given: Sequence[str], tell: Callable[[str], None]) -> Checked:
    """Parse the class repository around `here` as a push of `given` would have it parsed.

    Needs no settings. `tell`: told in a few words of what takes long.

    Raises:
        WrongPlace: there is no class repository, or nothing at one of `given`.
        PusherError: nothing of it would be published.
        OperatorError: there is no Airflow that parses, or the disk fails.
    """
    from deployer.check import check as check_copy
    from deployer.edges.disk import airflow_files
    from deployer.edges.embedded import students_machine
    from deployer.edges.embedded.airflow_settings import parsing_environment
    from deployer.edges.git.working_copy import WorkingCopy
    from deployer.edges.parser.examiner import IsolatedExaminer
    from deployer.edges.parser.warm_parser import LocalParser

    copy, files = WorkingCopy.around(here), airflow_files()
    places = [copy.inside(name, here) for name in given]
    with ExitStack() as until:
        trial, text = None, copy.tree().requirements if REQUIREMENTS in places else None
        if text is not None:
            trial = until.enter_context(students_machine.installed(text, files, tell))
        python = (trial and trial.python) or students_machine.find(copy.root, os.environ, tell)
        agreed = copy.root / "include" / "airflow" / "class_rules.toml"
        rules = agreed if agreed.exists() else files / "class_rules.toml"
        env = {**parsing_environment(files), "CLASS_RULES": str(rules)}
        parser = LocalParser(lambda: python, files / "preflight.py", env)
        examiner = IsolatedExaminer(now=parser, built=parser, materialiser=copy)
        return check_copy(copy, until.enter_context(closing(examiner)), places, trial)


def new_class(place: Path, teachers: Sequence[str]) -> int:
    """Write a class's own repository to `place`; return how many files it holds.

    Raises:
        WrongPlace: there is something already.
        OperatorError: it can't be made or written; nothing of it is there.
    """
    from deployer.core.new_class import beginning
    from deployer.edges.class_repository import free, own_wheel, sources, write

    free(place)
    files = beginning(sources(), wheel=own_wheel(), teachers=teachers)
    write(place, files)
    return len(files)


def sample_class() -> dict[str, bytes]:
    """Return the files of the class repository in small, by path.

    Raises:
        OperatorError: the installation does not carry them.
    """
    from deployer.edges.class_repository import samples

    return samples()


def web_app(settings: Settings) -> Flask:
    """Return the WSGI application."""
    from deployer.web import Receiving, create_app

    return create_app(
        journal=open_journal(settings),
        bell=doorbell(settings),
        receiving=Receiving(
            secrets=[secret.get_secret_value() for secret in settings.webhook_secret],
            repo=settings.github_repo,
            branch=settings.branch,
        ),
        public_url=settings.public_url,
        now=SystemClock().now,
    )


@contextmanager
def _worker(settings: Settings, signals: Signals, token: Token) -> Iterator[Worker]:
    from deployer.edges.github.statuses import GitHub
    from deployer.edges.processes.doorbell import PLACE, DoorbellListener
    from deployer.worker.outbox import Outbox
    from deployer.worker.process import Worker
    from deployer.worker.reconciler import Reconciler

    parts = _parts(settings, signals, token)
    outbox = None
    if settings.github_token:
        board = GitHub(settings.github_api_url, settings.github_repo, token)
        outbox = Outbox(parts.journal, board, parts.clock, public_url=settings.public_url)
    else:
        _log().warning("no GITHUB_TOKEN: statuses stay in the outbox")
    beside: list[Callable[[], float]] = []
    if settings.github_token and settings.public_url:
        beside.append(partial(_redeliver, settings, token))
    listener = DoorbellListener(settings.state_dir / PLACE)
    reconciler = Reconciler(parts)
    try:
        yield Worker(
            reconciler=reconciler,
            outbox=outbox,
            listener=listener,
            parts=parts,
            signals=signals,
            poll_interval_s=settings.poll_interval_s,
            prepare=reconciler.maintenance.prepare,
            beside=beside,
        )
    finally:
        listener.close()
        parts.feed.close()
        parts.examiner.close()


def _redeliver(settings: Settings, token: Token) -> float:
    """Ask for lost deliveries again; return in how many seconds to look again."""
    from deployer.app.doctor import our_hook

    hook = our_hook(settings, token())
    try:
        asked = hook.ask_again(SystemClock().now())
    except DeployerError as exc:  # `doctor` says so too
        _log().info("lost deliveries not looked for", reason=str(exc))
        return LONGER_S
    if asked:
        _log().warning("lost deliveries asked for again", of=[one.guid for one in asked])
    return REDELIVER_S


def _parts(settings: Settings, signals: Signals, token: Token) -> Parts:
    from deployer.deployment.parts import Parts
    from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
    from deployer.edges.airflow.rest import AirflowRest
    from deployer.edges.git.mirror import Mirror
    from deployer.edges.git.repository import GitRepository
    from deployer.edges.parser.examiner import IsolatedExaminer
    from deployer.edges.releases.store import ReleaseStore

    checkout = settings.checkout_dir
    mirror = Mirror(settings.repo_url, settings.branch, checkout, token=token)
    repository = GitRepository(mirror)
    releases = ReleaseStore(checkout, repository)
    host = on_this_machine(settings) if settings.services == "local" else in_compose(settings)
    return Parts(
        repository=repository,
        releases=releases,
        airflow=AirflowRest(settings.airflow_url, host.username, host.password),
        feed=ParseFeedListener(checkout / PLACE, group=host.group),
        services=host.services,
        examiner=IsolatedExaminer(now=host.now, built=host.built, materialiser=releases),
        journal=open_journal(settings),
        clock=SystemClock(),
        owed=signals.owed.set,
        settings=settings,
    )


def _secrets(settings: Settings) -> list[str]:
    """Return everything that must stand in no log."""
    given: list[Secret | None] = [
        *settings.webhook_secret,
        settings.github_token,
        settings.airflow_password,
        settings.database_url if settings.journal_url.startswith("postgresql") else None,
    ]
    within = list(passwords_within(settings.journal_url))
    for url in settings.notify_urls:
        within += secrets_within(url.get_secret_value())
    return [*(secret.get_secret_value() for secret in given if secret), *within]
