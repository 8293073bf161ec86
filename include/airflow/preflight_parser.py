"""Parse one DAG file exactly as Airflow's dag-processor does, without its database.

Runs in a fork that `preflight` makes. `_parse_file` is the dag-processor's own function
(airflow 3.3.2, dag_processing/processor.py:234): stability check, import, policy, bagging,
serialization. Only what surrounds it there is set up here.

Variables and connections come from the metadata database there and are all missing here, so
an ordinary error found here is a hint and never final. Defaults work:
`Variable.get("x", default=…)`.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Mapping
from os import _exit, getpid, write
from pathlib import Path
from typing import Any, NoReturn

import class_importing
import msgspec
import structlog
from airflow import __version__ as AIRFLOW_VERSION  # noqa: N812  # a constant, badly named there
from airflow.dag_processing.processor import (
    DagFileParseRequest,
    DagFileParsingResult,
    _parse_file,
)
from airflow.models.dagcode import DagCode
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    VariableKeysResult,
    _RequestFrame,
)
from airflow.sdk.execution_time.supervisor import block_orm_access
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from class_guard import guard
from class_traces import kept
from class_warm_up import plain_dag
from class_warnings import pools_to_see, sentence
from preflight_rows import assets_of, harm_to_database
from preflight_warden import PR_SET_PDEATHSIG, Task, prctl

REPORT = 3
"""The descriptor of the report, right after the standard ones."""
MAX_ERRORS = 1_000_000
"""Characters of all traces of a file: more would be a burden on all that read them."""

MOST_SENT = 10_000_000
"""Bytes of what a file's DAGs are to Airflow, whose services keep them in memory: scheduler and
api-server many of them, the dag-processor while it stores them (eight of 50 MB each: 1.3 GB, in
which nothing of others was stored for a minute). A DAG of 10,000 tasks has 3 MB."""

encode = msgspec.json.Encoder().encode
"""Like what is imported by name above: a file may put something else in their modules' place."""


def warm_up() -> None:
    """Load what nearly every file needs, so that no fork has to.

    Raises:
        RuntimeError: what would be stored can't be told of this Airflow.
    """
    parsed = LazyDeserializedDAG(data=plain_dag())
    # Were there a fault here, then it would be put down to each file.
    if harm := harm_to_database(DagFileParsingResult(fileloc=__file__, serialized_dags=[parsed])):
        raise RuntimeError(f"Airflow {AIRFLOW_VERSION} is not known: a plain DAG {harm}")


def run(task: Task, report: int) -> NoReturn:
    """Be the parser: shut the door, parse, report, end as Airflow's own parser does."""
    try:
        me = getpid()
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Airflow handles SIGSEGV in Python, so a real fault would be met again and again
        # until the time is over (dag_processing/importers/python_importer.py). Blocked, it ends the
        # process at once (man 2 sigprocmask).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})
        report = _keep_only(report)
        outcome = _outcome(task)
        if getpid() != me:
            _exit(0)  # the file forked, and here comes the copy
        write(report, encode(outcome))
        atexit._run_exitfuncs()  # noqa: SLF001  # as airflow/sdk/execution_time/supervisor.py, _fork_main
    finally:
        _exit(0)


def _outcome(task: Task) -> dict[str, Any]:
    try:
        return _parse(task.root, task.path)
    except BaseException as exc:  # noqa: BLE001  # what Airflow lets through ends its parser
        return {"ended": "raised", "what": type(exc).__name__}


def _keep_only(report: int) -> int:
    """Close every descriptor but `report`; the standard ones see nothing.

    `sys.stdin` is nobody else's, as in Airflow's parser: who lets go of it closes it.
    """
    if report != REPORT:
        os.dup2(report, REPORT)
    os.set_inheritable(REPORT, False)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(REPORT + 1, 1 << 30)
    sys.stdin = open(0, "w")  # noqa: SIM115  # as supervisor.py, _reopen_std_io_handles
    return REPORT


# --- as the dag-processor does it ------------------------------------------


def _parse(root: str, path: str) -> dict[str, Any]:
    """Return the report, `reported` or `harmful`; its parts are those of the protocol."""
    file = Path(root, path)
    if not file.is_file():
        errors = {path: f"FileNotFoundError: there is no file {path}"}
        nothing: dict[str, Any] = {"dag_ids": [], "brought": {}, "assets": [], "advice": []}
        return {"ended": "reported", "errors": errors, **nothing}
    _be_a_parsing_child(root)
    importer = class_importing.register()
    channel = _identity(0)
    result = _parse_file(
        DagFileParseRequest(file=str(file), bundle_path=Path(root, "dags"), bundle_name="class"),
        structlog.get_logger(logger_name="task"),
    )
    assert result is not None  # noqa: S101  # None answers callback requests alone
    traces = (result.import_errors or {}).values()
    harm = (
        _harm_to_channel(channel, file, traces) or _harm_by_size(traces) or harm_to_database(result)
    )
    if harm:
        return {"ended": "harmful", "what": harm}
    # Airflow's parser sends its result so; a value that does not fit ends it without a word.
    sent = _RequestFrame(id=0, body=result.model_dump()).as_bytes()
    if len(sent) > MOST_SENT:
        return {"ended": "harmful", "what": _harm_to_memory()}
    filelocs = {str(dag.data["dag"]["fileloc"]) for dag in result.serialized_dags}
    errors = {**_unreadable(path, filelocs), **(result.import_errors or {})}
    warnings = {sentence(warning["message"]) for warning in result.warnings or ()}
    warnings.update(pools_to_see(result.serialized_dags))
    refusal, advice = _policy()
    if refusal:  # of DAGs that Airflow would not have come to store
        errors = {path.removeprefix("dags/"): refusal}
    dags = [] if errors else result.serialized_dags  # Airflow makes none of a file with an error
    return {
        "ended": "reported",
        "dag_ids": sorted(dag.dag_id for dag in dags),
        "brought": _brought(importer.made_in, file, Path(root)),
        "assets": assets_of(result),
        "errors": {name: kept(text) for name, text in sorted(errors.items())},
        "advice": [*advice, *sorted(warnings)],
    }


def _brought(made_in: Mapping[str, str], file: Path, root: Path) -> dict[str, str]:
    """Return the DAGs that were made in another file under `dags/`, with its path."""
    return {
        dag_id: str(made.relative_to(root))
        for dag_id, made in ((dag_id, Path(text)) for dag_id, text in made_in.items())
        if made.is_relative_to(root / "dags") and not made.is_relative_to(file)  # of a zip
    }


def _identity(descriptor: int) -> tuple[int, ...] | None:
    """Return what a descriptor leads to; None: it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_rdev


_TOUCHES_CHANNEL = re.compile(r"\bstdin\b|\b(exit|quit|close|closerange|dup2)\(")


def _harm_to_channel(
    channel: tuple[int, ...] | None, file: Path, traces: Iterable[str]
) -> str | None:
    """Airflow's parser tells its result over its standard input: without it, it is never heard."""
    if _identity(0) == channel:
        return None
    found = [re.findall(rf'File "{re.escape(str(file))}", line (\d+)', one) for one in traces]
    lines = sorted({int(of_one[-1]) for of_one in found if of_one})
    if not lines:  # nothing was raised: the first line that could have done it
        text = file.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [n for n, line in enumerate(text, 1) if _TOUCHES_CHANNEL.search(line)]
    where = f" (line {lines[0]})" if lines else ""
    return (
        f"closes its standard input{where}, over which Airflow's parser tells its result: "
        "exit() and quit() do that, raise an error instead"
    )


def _harm_by_size(traces: Iterable[str]) -> str | None:
    length = sum(map(len, traces))
    if length <= MAX_ERRORS:
        return None
    allowed = f"{MAX_ERRORS} are allowed, shorten them"
    return f"has error messages of {length} characters in all: {allowed}"


def _harm_to_memory() -> str:
    return (
        f"has DAGs of more than {MOST_SENT // 10**6} MB in all, which Airflow's services keep in "
        "memory: put long texts and data into files of their own"
    )


def _unreadable(path: str, filelocs: set[str]) -> dict[str, str]:
    """Return why Airflow can't store the text of a file's DAGs, and so makes no DAG of them.

    It reads it as UTF-8, whatever the file says of its encoding (airflow 3.3.2, models/dagcode.py).
    """
    try:
        for fileloc in sorted(filelocs):
            DagCode.get_code_from_file(fileloc)
    except (OSError, ValueError):
        return {path.removeprefix("dags/"): traceback.format_exc()}
    return {}


def _policy() -> tuple[str, list[str]]:
    """Return for what the class's policy, if there is one, refuses the file; what it lets pass."""
    policy = sys.modules.get("airflow_local_settings")
    return (policy.refusal(), policy.advice()) if hasattr(policy, "refusal") else ("", [])


def _be_a_parsing_child(root: str) -> None:
    """Set up what the dag-processor's fork has (`_parse_file_entrypoint`, `_fork_main`)."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    sys.argv[:] = ["airflow", "dag-processor"]  # as start.py
    task_runner.SUPERVISOR_COMMS = _NothingStored()
    block_orm_access()
    atexit._clear()  # noqa: SLF001  # there too: nothing of the parent ends in the child
    # The class's bundle appends the release; BundleDagBag its `dags` after it.
    sys.path.append(root)
    guard(Path(root))


class _NothingStored:
    """Answers for the execution API: no variable and no connection exists."""

    def send(self, msg: object) -> object:
        match type(msg).__name__:
            case "GetVariableKeys":
                return VariableKeysResult(keys=[], total_entries=0)
            case "GetVariable":
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            case "GetConnection":
                return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        return None

    async def asend(self, msg: object) -> object:
        return self.send(msg)
