"""The class's dag-processor: Airflow's own, which is told when to look and tells what came of it.

`start.py dag-processor` runs it in place of `airflow dag-processor` (3.3). It imports nothing of
the deployer. What it adds to Airflow's `DagFileProcessorManager`, a class made to be subclassed:

- The worker's word over the parse feed (`parse_feed`) ends its wait at once: it refreshes the
  bundle and parses what is asked for first. All it lists and parses, it tells. Without a worker
  it works as Airflow's own does.
- **No file can end it.** What an exception in listing, starting, reading or storing one file
  would end in Airflow's own, it ends for that file: the deployer is told, and the loop goes on.
- What the database refuses is undone whole, and the file's DAGs stay as they were; so do those
  of a file whose parser died or was killed. A database that is away is waited for.
- A parse is over when its process has ended, whatever that left behind.
- What was asked for last has `[dag_processor] parsing_processes` to itself, whatever still runs
  of what was asked for before: a slow file keeps nobody else waiting.

Where Airflow has not what this builds on (`class_seams`), its own dag-processor runs instead.
"""

from __future__ import annotations

import os
import selectors
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from airflow import __version__ as AIRFLOW_VERSION  # noqa: N812  # a constant, badly named there
from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager
from airflow.models.errors import ParseImportError
from airflow.utils.file import list_py_file_paths
from airflow.utils.session import create_session
from class_bundle import ClassBundle
from class_storing import NotStored, may_pass, retire, whole, words_of
from class_traces import kept
from class_warm_up import plain_dag
from class_warnings import asset_conflicts, missing_pools, sentence
from parse_feed import PLACE, VERSION, Feed, Message
from parser_connections import Guarded, bound, kill
from sqlalchemy import literal, select
from sqlalchemy.exc import SQLAlchemyError

TICK_S = 1.0
"""How often the database is asked for what others want: Airflow's own pace. Its loop comes by
whenever anything happens, and would ask each time."""
SETTLED_S = 5.0
"""A release does not change once it is live: the times of its files are looked at anew this often,
and whenever another one is."""
DEAF_S = 5.0
"""A turn of Airflow's loop takes a second at most, or something held it up."""
MORE = 3
"""At most so many times `parsing_processes` run: those of the last ask beside those before."""
TRIES = 3
"""How often a file is parsed whose result could not be stored for what may pass."""


@attrs.define
class _Ask:
    """What the worker wants: files of one release, by Airflow's name."""

    release: str = ""
    first: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    to_claim: list[str] = attrs.field(factory=list)
    """Not in the queue yet, the most urgent last."""


@attrs.define(kw_only=True)
class ClassDagProcessor(DagFileProcessorManager):
    """See the module."""

    _bundle: ClassBundle | None = attrs.field(default=None, init=False)
    _feed: Feed | None = attrs.field(default=None, init=False)
    _life: str = attrs.field(factory=lambda: uuid.uuid4().hex, init=False)
    _ask: _Ask = attrs.field(factory=_Ask, init=False)
    _listed: dict[str, Any] | None = attrs.field(default=None, init=False)
    """The last word on a listing, and below those on each of its files."""
    _results: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _undone: Callable[[], None] | None = attrs.field(default=None, init=False)
    """Deletions that could not be stored, to be tried again."""
    _present: set[DagFileInfo] = attrs.field(factory=set, init=False)
    """What the last refresh found."""
    _refusal: Exception | None = attrs.field(default=None, init=False)
    _tries: dict[DagFileInfo, int] = attrs.field(factory=dict, init=False)
    """How often files were parsed whose result could not be stored."""
    _again: set[str] = attrs.field(factory=set, init=False)
    """Those to be tried once more, by name."""
    _usual: int = attrs.field(default=0, init=False)
    _asked_database_at: dict[str, float] = attrs.field(factory=dict, init=False)
    _prepared: tuple[str | None, float] = attrs.field(default=(None, 0.0), init=False)
    _heard_at: float = attrs.field(factory=time.monotonic, init=False)
    """When this process was last on its way to hear parsers."""
    _alarm: int = attrs.field(default=-1, init=False)
    _to_end: int = attrs.field(default=0, init=False)
    """The signal by which it was told to."""

    # -- the start

    def get_all_bundles(self) -> list[BaseDagBundle]:
        bundles = super().get_all_bundles()
        self._bundle = next((b for b in bundles if isinstance(b, ClassBundle)), None)
        return bundles

    def prepare_process_context(self) -> None:
        super().prepare_process_context()
        self.selector = Guarded()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.selector.register(self._alarm, selectors.EVENT_READ, (self._woken, lambda _: None))

    def before_run(self) -> None:
        self._usual = self._parallelism
        try:
            plain_dag()
        except Exception:
            self.log.exception("Parsers start cold")
        super().before_run()
        if self._bundle is None:
            self.log.warning("No bundle of the class's is configured: nobody is told of parses")
            return
        self._feed = Feed(
            self._bundle.root / PLACE, self.selector, hello=self._hello, heard=self._heard
        )
        self._feed.connect()

    def _hello(self) -> Message:
        return {
            "feed": VERSION,
            "airflow": AIRFLOW_VERSION,
            "life": self._life,
            "release": self._release(),
            "unfit": None,
        }

    # -- the end

    def _exit_gracefully(self, signum: int, frame: object) -> None:  # noqa: ARG002  # the base's
        """End between two turns: Airflow's own raises SystemExit wherever the signal comes.

        At a fork Python drops that (`logging` takes part in each, by `os.register_at_fork`), and
        the process goes on until it is killed.
        """
        self._to_end = signum
        self._wake()

    def max_runs_reached(self) -> bool:
        if self._to_end:
            super()._exit_gracefully(self._to_end, None)
        return bool(super().max_runs_reached())

    # -- what the worker asks for

    def _heard(self, message: Message) -> None:
        ask = message["ask"]
        first, later = map(str, ask["first"]), map(str, ask["later"])
        self._ask = _Ask(str(ask["release"]), frozenset(first), frozenset(later))
        if self._listed and self._listed["release"] == self._release() == self._ask.release:
            self._answer()
        elif self._bundle:
            self.request_bundle_refresh(self._bundle.name)

    def _answer(self) -> None:
        """Tell what is known of the release that is asked for, and have the rest parsed."""
        listed = self._listed
        assert listed is not None  # noqa: S101  # both callers have it
        self._tell(listed=listed)
        here = set(listed["files"])
        asked = [
            *sorted((self._ask.later - self._ask.first) & here),
            *sorted(self._ask.first & here, reverse=True),
        ]
        for name in asked:
            if name in self._results:
                self._tell(result=self._results[name])
        self._ask.to_claim = [name for name in asked if name not in self._results]
        self._wake()

    def claim_priority_files(self) -> list[DagFileInfo]:
        if self._feed:
            self._feed.connect()
        if self._undone:
            self._undone()
        files = self._each_second("what was asked for over REST", super().claim_priority_files)
        if self._again and self._is_time("what was not stored"):
            again, self._again = self._again, set()
            here = {self._name(file) for file in self._present}
            files += [self._info(name) for name in sorted(again & here)]
        if self._ask.to_claim and self._bundle and self._release() == self._ask.release:
            claimed, self._ask.to_claim = self._ask.to_claim, []
            reads = {file for file in self._processors if _release_of(file) == self._ask.release}
            known = {self._name(file) for file in reads}
            # Each is put before those already there, so the most urgent comes last.
            files += [self._info(name) for name in claimed if name not in known]
        return files

    def fetch_callbacks(self) -> list[Any]:
        return self._each_second("callbacks", super().fetch_callbacks)

    def purge_inactive_dag_warnings(self) -> None:
        self._each_second("warnings", super().purge_inactive_dag_warnings)

    def _each_second(self, what: str, find: Callable[[], list[Any] | None]) -> list[Any]:
        """Return what is found; nothing, if the last time was just now or there is no database."""
        if self._is_time(what):
            with self._without_a_database(what):
                return find() or []
        return []

    @contextmanager
    def _without_a_database(self, what: str) -> Iterator[None]:
        """Go on if it is away: what is done each second is done in the next one."""
        try:
            yield
        except SQLAlchemyError as exc:
            self.log.warning("Left for later, %s: %s", what, words_of(exc))

    def _is_time(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._asked_database_at.get(what, float("-inf")) < TICK_S:
            return False
        self._asked_database_at[what] = now
        return True

    # -- what a refresh lists

    def _find_files_in_bundle(self, bundle: BaseDagBundle) -> list[Path]:
        try:
            return super()._find_files_in_bundle(bundle)
        except Exception:
            self.log.exception("Listing %s failed: it is done folder by folder", bundle.path)
        found: list[Path] = []
        for entry in sorted(bundle.path.iterdir()):
            try:
                paths = list_py_file_paths(entry, safe_mode=self.dag_discovery_safe_mode)
            except Exception:
                self.log.exception("Left out of the listing: %s", entry)
            else:
                found += [Path(path).relative_to(bundle.path) for path in paths]
        return found

    def _get_observed_filelocs(self, present: set[DagFileInfo]) -> set[str]:
        try:
            return super()._get_observed_filelocs(present)
        except Exception:
            self.log.exception("An archive can't be read")
        observed: set[str] = set()
        for info in present:
            try:
                observed |= super()._get_observed_filelocs({info})
            except Exception:  # noqa: BLE001  # an encrypted zip, say; told above
                observed.add(str(info.rel_path))
        return observed

    def update_bundle_state(self, bundle_name: str, **state: Any) -> None:  # noqa: ANN401
        try:
            super().update_bundle_state(bundle_name, **state)
        except Exception:
            # Airflow goes on, and would store DAGs as those of the release before.
            self.request_bundle_refresh(bundle_name)
            raise

    def deactivate_deleted_dags(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        self._undone = None
        names = sorted(str(info.rel_path) for info in present)
        try:
            super().deactivate_deleted_dags(bundle_name=bundle_name, present=present)
        except Exception:
            self.log.exception("What was deleted could not be stored, and is tried again")
            self._undone = lambda: self._delete_again(bundle_name, present)
        self._present = present
        if self._bundle and bundle_name == self._bundle.name:
            # Told by the last part of the refresh.
            self._listed = {"release": self._release(), "files": names}
            self._results.clear()

    def clear_orphaned_import_errors(
        self,
        bundle_name: str,
        observed_filelocs: set[str],
        **options: Any,  # noqa: ANN401
    ) -> None:
        try:
            super().clear_orphaned_import_errors(bundle_name, observed_filelocs, **options)
        except SQLAlchemyError:
            self.log.exception("Errors of what was deleted could not be cleared, it is tried again")
            present = self._present
            self._undone = lambda: self._delete_again(bundle_name, present)
        listed = self._listed
        if not (self._bundle and bundle_name == self._bundle.name and listed) or self._undone:
            return
        if listed["release"] == self._ask.release:
            self._answer()
        else:
            self._tell(listed=listed)

    def _delete_again(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        if self._is_time("deletions"):
            observed = self._get_observed_filelocs(present)
            self.deactivate_deleted_dags(bundle_name, present)
            self.clear_orphaned_import_errors(bundle_name, observed)

    def prepare_file_queue(self, known_files: dict[str, set[DagFileInfo]]) -> None:
        release, at = self._prepared
        now = time.monotonic()
        if release != self._release() or now - at >= SETTLED_S or len(known_files) != 1:
            super().prepare_file_queue(known_files)
            self._prepared = (self._release(), now)

    # -- parsers

    def _start_new_processes(self) -> None:
        while head := next(iter(self._file_queue), None):
            others = 0
            if self._name(head) in self._ask.first:
                others = sum(self._name(file) not in self._ask.first for file in self._processors)
            if len(self._processors) >= min(self._usual + others, self._usual * MORE):
                break
            self._parallelism = len(self._processors) + 1
            try:
                super()._start_new_processes()
            except Exception as exc:
                # The log's name is too long for the disk, say, or no process can be made.
                self.log.exception("No parser could be started for %s", head.rel_path)
                self._file_queue.pop(head, None)
                self._not_parsed(head, "died", words=f"no parser could be started: {exc}")
        self._parallelism = self._usual

    def _create_process(self, dag_file: DagFileInfo) -> Any:  # noqa: ANN401  # the base's
        process = super()._create_process(dag_file)
        bound(process, self.selector)
        return process

    def terminate_orphan_processes(self, present: set[DagFileInfo]) -> None:
        here = {file.presence_key for file in present}
        for file, process in self._processors.items():
            if file.presence_key not in here:
                kill(process)
        super().terminate_orphan_processes(present)

    def _kill_timed_out_processors(self) -> None:
        self._hear()
        before = dict(self._processors)
        now = time.monotonic()
        try:
            for process in before.values():
                if now - process.start_time > self.processor_timeout:
                    kill(process)
            super()._kill_timed_out_processors()
        except Exception:
            self.log.exception("A parser that takes too long could not be ended")
        for file, process in before.items():
            if file not in self._processors and not process.had_callbacks:
                seconds = time.monotonic() - process.start_time
                self._not_parsed(file, "timeout", seconds=seconds)

    def _hear(self) -> None:
        """Take no parser's time for what nobody could be heard or answered.

        The database was busy, say, or something was asked of Airflow's API that it had to load.
        """
        now = time.monotonic()
        deaf_s, self._heard_at = now - self._heard_at, now
        if deaf_s > DEAF_S:
            for process in self._processors.values():
                process.start_time += min(deaf_s, now - process.start_time)
                process.stdin.unanswered = True  # not in time

    def _collect_results(self) -> None:
        self._hear()
        try:
            super()._collect_results()
        except Exception:
            self.log.exception("A parser's end could not be seen to")

    # -- results

    def handle_parsing_result(self, file: DagFileInfo, proc: Any, **_: Any) -> None:  # noqa: ANN401
        failed = proc.parsing_result and proc.parsing_result.import_errors
        if failed and proc.stdin.unanswered and self._is_to_be_tried_again(file):
            # Perhaps for want of an answer, not for what is in the file.
            self._finished(file)
            self._again.add(self._name(file))
            return
        self._refusal = NotStored("Airflow's log says why")  # until it is
        try:
            super().handle_parsing_result(file, proc)
        except Exception as exc:
            self.log.exception("A result of %s could not be stored", file.rel_path)
            self._refusal = self._refusal or exc
        seconds = time.monotonic() - proc.start_time
        if proc.parsing_result is None:
            if not proc.had_callbacks:
                code = proc._exit_code  # noqa: SLF001  # nothing else tells
                self._not_parsed(
                    file, "died", code=int(code or 0), words=proc.stdin.fault, seconds=seconds
                )
        elif self._refusal is None:
            self._tries.pop(file, None)
            self._stored(file, proc.parsing_result, seconds)
        elif may_pass(self._refusal) and self._is_to_be_tried_again(file):
            self._again.add(self._name(file))
        else:
            self._not_parsed(file, "refused", words=words_of(self._refusal), seconds=seconds)

    def _is_to_be_tried_again(self, file: DagFileInfo) -> bool:
        """Tell so of what could not be stored; without a database there is no end to it."""
        try:
            with create_session() as session:
                session.execute(select(literal(1)))
        except SQLAlchemyError:
            return True
        self._tries[file] = self._tries.get(file, 0) + 1
        return self._tries[file] < TRIES

    def persist_parsing_result(
        self,
        *,
        bundle_name: str,
        relative_fileloc: str,
        parsing_result: Any,  # noqa: ANN401
        session: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> None:
        errors = parsing_result.import_errors or {}
        parsing_result.import_errors = {name: kept(text) for name, text in errors.items()}
        try:
            with whole(session):
                parsing_result.warnings = [
                    *(parsing_result.warnings or ()),
                    *missing_pools(session, parsing_result.serialized_dags),
                ]
                super().persist_parsing_result(
                    bundle_name=bundle_name,
                    relative_fileloc=relative_fileloc,
                    parsing_result=parsing_result,
                    session=session,
                    **more,
                )
                dag_ids = [dag.dag_id for dag in parsing_result.serialized_dags]
                retire(session, bundle_name, relative_fileloc, dag_ids)
        except Exception as exc:
            self._refusal = exc
            raise
        self._refusal = None

    def deactivate_stale_dags(
        self,
        last_parsed: dict[DagFileInfo, Any],  # noqa: ARG002  # the base's
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Look for bundles that are gone only: what a file has no more is stale once it is parsed.

        That leaves the DAGs of a file as they were whose last parse left nothing.
        """
        with self._without_a_database("what is stale"):
            super().deactivate_stale_dags(last_parsed={}, **options)

    def _stored(self, file: DagFileInfo, parsed: Any, seconds: float) -> None:  # noqa: ANN401
        """Tell of a result, with what Airflow found wrong only while it stored it."""
        dag_ids = sorted(dag.dag_id for dag in parsed.serialized_dags)
        stored_errors, conflicts = self._read_back(file, dag_ids)
        errors = {**stored_errors, **(parsed.import_errors or {})}
        warnings = {sentence(one["message"]) for one in parsed.warnings or ()}
        self._tell_result(
            file,
            "parsed",
            dag_ids=dag_ids,
            errors={name: kept(text) for name, text in errors.items()},
            warnings=sorted({*warnings, *conflicts}),
            seconds=seconds,
        )

    def _read_back(self, file: DagFileInfo, dag_ids: list[str]) -> tuple[dict[str, str], list[str]]:
        """Return the errors, by Airflow's name of the file, and warnings that came of storing."""
        name = str(file.rel_path)
        try:
            with create_session() as session:
                rows = session.execute(
                    select(ParseImportError.filename, ParseImportError.stacktrace).where(
                        ParseImportError.bundle_name == file.bundle_name,
                        ParseImportError.filename == name,
                    )
                )
                errors = {str(row.filename): str(row.stacktrace) for row in rows}
                return errors, [sentence(one) for one in asset_conflicts(session, dag_ids)]
        except SQLAlchemyError:
            self.log.exception("What storing %s found could not be read back", name)
            return {}, []

    def _not_parsed(self, file: DagFileInfo, ended: str, **said: Any) -> None:  # noqa: ANN401
        """Tell of a parse that left nothing in the database."""
        self._tries.pop(file, None)
        self._finished(file)
        self._tell_result(file, ended, **said)

    def _finished(self, file: DagFileInfo) -> None:
        """Note that a parse is over; else it would be begun again at once, for ever."""
        stat, now = self._file_stats[file], datetime.now(UTC)
        self._file_stats[file] = attrs.evolve(stat, last_finish_time=now)

    def _tell_result(self, file: DagFileInfo, ended: str, **said: Any) -> None:  # noqa: ANN401
        name, release = self._name(file), _release_of(file)
        if not (self._bundle and file.bundle_name == self._bundle.name and release):
            return
        result = {
            "release": release,
            "file": name,
            "ended": ended,
            "dag_ids": [],
            "errors": {},
            "warnings": [],
            "seconds": 0.0,
            "code": None,
            "words": "",
            **said,
        }
        if release == self._release():
            self._results[name] = result
        elif name in self._ask.first | self._ask.later:
            self._ask.to_claim.append(name)  # it was begun before the release that is asked for
            self._wake()
        self._tell(result=result)

    # -- small parts

    def _release(self) -> str | None:
        return self._bundle.release if self._bundle else None

    def _info(self, name: str) -> DagFileInfo:
        assert self._bundle is not None  # noqa: S101  # the caller has looked
        return DagFileInfo(
            rel_path=Path(name), bundle_name=self._bundle.name, bundle_path=self._bundle.path
        )

    def _name(self, file: DagFileInfo) -> str:
        return str(file.rel_path)

    def _tell(self, **message: Any) -> None:  # noqa: ANN401
        if self._feed:
            self._feed.tell(message)

    def _wake(self) -> None:
        """Have the loop come by once more without waiting for its second."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._alarm, 1)

    def _woken(self, descriptor: int) -> bool:
        with suppress(BlockingIOError):
            os.eventfd_read(descriptor)
        return True


def _release_of(file: DagFileInfo) -> str | None:
    """Return the release that a parse of `file` reads, None if it is of none."""
    root = file.bundle_path.parent if file.bundle_path else None
    return root.name if root and root.parent.name == "releases" else None
