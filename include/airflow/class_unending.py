"""A dag-processor that no file can end.

What an exception in listing, starting, reading or storing one file would end in Airflow's own
(`airflow/dag_processing/manager.py`, 3.3.2), it ends for that file, and the loop goes on.

- What the database refuses is undone whole, and the file's DAGs stay as they were; so do those
  of a file whose parser died or was killed. What may pass is tried again.
- A parse is over when its process has ended, whatever that left behind.
- Told to end itself, it does so between two turns of its loop.

It knows of no release and of nobody who is told: `_most`, `_stored`, `_tell_result` and, of
`class_waiting`, `_refreshed` are there for a subclass that does (`class_dag_processor`).
"""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.dag_processing.manager import DagFileInfo
from airflow.utils.file import list_py_file_paths
from airflow.utils.session import create_session
from class_storing import NotStored, may_pass, retire, whole, words_of
from class_traces import kept
from class_waiting import WaitingManager
from class_warnings import missing_pools
from parser_connections import Guarded, bound, kill, leave_servers
from sqlalchemy import literal, select
from sqlalchemy.exc import SQLAlchemyError

DEAF_S = 5.0
"""A turn of Airflow's loop takes a second at most, or something held it up."""
TRIES = 3
"""How often a file is parsed whose result could not be stored for what may pass."""


@attrs.define(kw_only=True)
class UnendingManager(WaitingManager):
    """See the module."""

    _refusal: Exception | None = attrs.field(default=None, init=False)
    _tries: dict[DagFileInfo, int] = attrs.field(factory=dict, init=False)
    """How often files were parsed whose result could not be stored."""
    _again: set[Any] = attrs.field(factory=set, init=False)
    """Those to be tried once more, by `presence_key`: of whichever release is live then."""
    _heard_at: float = attrs.field(factory=time.monotonic, init=False)
    """When this process was last on its way to hear parsers."""
    _alarm: int = attrs.field(default=-1, init=False)
    _to_end: int = attrs.field(default=0, init=False)
    """The signal by which it was told to."""

    def prepare_process_context(self) -> None:
        super().prepare_process_context()
        self.selector = Guarded()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.selector.register(self._alarm, selectors.EVENT_READ, (self._woken, lambda _: None))
        os.register_at_fork(after_in_child=partial(self._let_go_of_others, os.getpid()))

    def _let_go_of_others(self, parent: int) -> None:
        """Have a parser hold none of this process's connections: it could write.

        Four bytes of it would be a length to other parsers, for which they make room, and the end
        of the database's connection. What a file forks itself has its own, and keeps them.

        The numbers stay taken: else who had one would close what a file has opened under it.
        """
        if os.getppid() != parent:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        for key in list(self.selector.get_map().values()):
            os.dup2(nothing, key.fd, inheritable=False)
        os.close(nothing)
        leave_servers()

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

    # -- what is listed

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

    # -- parsers

    def _start_new_processes(self) -> None:
        """Start one at a time, so that it is known which one could not be."""
        usual = self._parallelism
        while self._file_queue and len(self._processors) < self._most(usual):
            head = next(iter(self._file_queue))
            self._parallelism = len(self._processors) + 1
            try:
                super()._start_new_processes()
            except Exception as exc:
                # The log's name is too long for the disk, say, or no process can be made.
                self.log.exception("No parser could be started for %s", head.rel_path)
                self._file_queue.pop(head, None)
                self._not_parsed(head, "died", words=f"no parser could be started: {exc}")
        self._parallelism = usual

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

    def handle_parsing_result(self, file: DagFileInfo, proc: Any, **_: Any) -> None:  # noqa: ANN401  # the base's
        failed = proc.parsing_result and proc.parsing_result.import_errors
        if failed and proc.stdin.unanswered and self._is_to_be_tried_again(file):
            # Perhaps for want of an answer, not for what is in the file.
            self._finished(file)
            self._again.add(file.presence_key)
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
            self._again.add(file.presence_key)
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

    def claim_priority_files(self) -> list[DagFileInfo]:
        files = super().claim_priority_files()
        if self._again and self._is_time("what was not stored"):
            again, self._again = self._again, set()
            here = chain.from_iterable(self._present.values())
            files += sorted((f for f in here if f.presence_key in again), key=self._name)
        return files

    def persist_parsing_result(
        self,
        *,
        bundle_name: str,
        relative_fileloc: str,
        parsing_result: Any,  # noqa: ANN401  # the base's
        session: Any,  # noqa: ANN401  # the base's
        **more: Any,  # noqa: ANN401  # the base's
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

    def _not_parsed(self, file: DagFileInfo, ended: str, **said: Any) -> None:  # noqa: ANN401  # any JSON
        """End a parse that left nothing in the database."""
        self._tries.pop(file, None)
        self._finished(file)
        self._tell_result(file, ended, **said)

    def _finished(self, file: DagFileInfo) -> None:
        """Note that a parse is over; else it would be begun again at once, for ever."""
        stat, now = self._file_stats[file], datetime.now(UTC)
        self._file_stats[file] = attrs.evolve(stat, last_finish_time=now)

    # -- what a subclass knows better, or tells

    def _most(self, usual: int) -> int:
        """Return how many may run at a time once the next one of the queue does."""
        return usual

    def _stored(self, file: DagFileInfo, parsed: Any, seconds: float) -> None:  # noqa: ANN401  # Airflow's
        """Hear of a result that is in the database."""

    def _tell_result(self, file: DagFileInfo, ended: str, **said: Any) -> None:  # noqa: ANN401  # any JSON
        """Hear of a parse that left nothing there, how it `ended`, and what is known of it."""

    # -- small parts

    def _name(self, file: DagFileInfo) -> str:
        return str(file.rel_path)

    def _wake(self) -> None:
        """Have the loop come by once more without waiting for its second."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._alarm, 1)

    def _woken(self, descriptor: int) -> bool:
        with suppress(BlockingIOError):
            os.eventfd_read(descriptor)
        return True
