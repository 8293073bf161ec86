"""The class's dag-processor: Airflow's own, which is told when to look and tells what came of it.

`start.py dag-processor` runs it in place of `airflow dag-processor` (3.3). It imports nothing of
the deployer. Airflow's `DagFileProcessorManager` is made to be subclassed, and so it is in three
steps: it waits for a database that is away (`class_waiting`), no file can end it
(`class_unending`), and here it goes by the worker's word over the parse feed (`parse_feed`):

- That ends its wait at once: it refreshes the bundle and parses what is asked for first. All it
  lists and parses, it tells. Without a worker it works as Airflow's own does.
- What was asked for last has `[dag_processor] parsing_processes` to itself, whatever still runs
  of what was asked for before: a slow file keeps nobody else waiting.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import attrs
from airflow import __version__ as AIRFLOW_VERSION  # noqa: N812  # a constant, badly named there
from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.dag_processing.manager import DagFileInfo
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from class_bundle import ClassBundle
from class_traces import kept
from class_unending import UnendingManager
from class_warm_up import plain_dag
from class_warnings import asset_conflicts, sentence
from parse_feed import PLACE, VERSION, Feed, Message
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

SETTLED_S = 5.0
"""A release does not change once it is live: the times of its files are looked at anew this often,
and whenever another one is."""
MORE = 3
"""At most so many times `parsing_processes` run: those of the last ask beside those before."""


@attrs.define
class _Ask:
    """What the worker wants: files of one release, by Airflow's name."""

    release: str = ""
    first: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    to_claim: list[str] = attrs.field(factory=list)
    """Not in the queue yet, the most urgent last."""


@attrs.define(kw_only=True)
class ClassDagProcessor(UnendingManager):
    """See the module."""

    _bundle: ClassBundle | None = attrs.field(default=None, init=False)
    _feed: Feed | None = attrs.field(default=None, init=False)
    _life: str = attrs.field(factory=lambda: uuid.uuid4().hex, init=False)
    _ask: _Ask = attrs.field(factory=_Ask, init=False)
    _listed: dict[str, Any] | None = attrs.field(default=None, init=False)
    """The last word on a listing, and below those on each of its files."""
    _results: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _prepared: tuple[str | None, float] = attrs.field(default=(None, 0.0), init=False)

    # -- the start

    def get_all_bundles(self) -> list[BaseDagBundle]:
        bundles = super().get_all_bundles()
        self._bundle = next((b for b in bundles if isinstance(b, ClassBundle)), None)
        return bundles

    def before_run(self) -> None:
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
        files = super().claim_priority_files()
        if self._ask.to_claim and self._bundle and self._release() == self._ask.release:
            claimed, self._ask.to_claim = self._ask.to_claim, []
            reads = {file for file in self._processors if _release_of(file) == self._ask.release}
            known = {self._name(file) for file in reads}
            name, path = self._bundle.name, self._bundle.path
            # Each is put before those already there, so the most urgent comes last.
            files += [
                DagFileInfo(rel_path=Path(file), bundle_name=name, bundle_path=path)
                for file in claimed
                if file not in known
            ]
        return files

    def _start_new_processes(self) -> None:
        """Begin with what was asked for: at a refresh Airflow puts all callbacks before it."""
        asked = [
            file
            for file in self._file_queue
            if self._name(file) in self._ask.first and file not in self._callback_to_execute
        ]
        for file in reversed(asked):
            self._file_queue.move_to_end(file, last=False)
        super()._start_new_processes()

    def _most(self, usual: int) -> int:
        head = next(iter(self._file_queue))
        others = 0
        if self._name(head) in self._ask.first:
            others = sum(self._name(file) not in self._ask.first for file in self._processors)
        return min(usual + others, usual * MORE)

    # -- what a refresh lists

    def deactivate_deleted_dags(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        super().deactivate_deleted_dags(bundle_name, present)
        if self._bundle and bundle_name == self._bundle.name:
            # Told by the last part of the refresh.
            names = sorted(self._name(file) for file in present)
            self._listed = {"release": self._release(), "files": names}
            self._results.clear()

    def _refreshed(self, bundle_name: str) -> None:
        listed = self._listed
        if not (self._bundle and bundle_name == self._bundle.name and listed):
            return
        if listed["release"] == self._ask.release:
            self._answer()
        else:
            self._tell(listed=listed)

    def prepare_file_queue(self, known_files: dict[str, set[DagFileInfo]]) -> None:
        release, at = self._prepared
        now = time.monotonic()
        if release != self._release() or now - at >= SETTLED_S or len(known_files) != 1:
            super().prepare_file_queue(known_files)
            self._prepared = (self._release(), now)

    # -- results

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

    def _tell(self, **message: Any) -> None:  # noqa: ANN401
        if self._feed:
            self._feed.tell(message)


def _release_of(file: DagFileInfo) -> str | None:
    """Return the release that a parse of `file` reads, None if it is of none."""
    root = file.bundle_path.parent if file.bundle_path else None
    return root.name if root and root.parent.name == "releases" else None
