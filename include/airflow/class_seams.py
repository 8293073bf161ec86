"""What the class's dag-processor builds on in Airflow, and how it is started in its place.

Where Airflow has not all of that (`missing`), `start.py` runs Airflow's own.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import partial

import attrs
import class_importing
import class_listing
from airflow.dag_processing import collection
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
from airflow.jobs.job import Job, run_job
from airflow.sdk.api.client import Client
from airflow.utils.process_utils import set_component_mp_start_method
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.retries import run_with_db_retries
from class_dag_processor import ClassDagProcessor
from tenacity import stop_after_attempt

ASKED = 2
"""How often Airflow's own API is asked for what a parser wants: a second apart."""

_SEAMS: Mapping[str, tuple[str, ...]] = {
    "before_run": (),
    "prepare_process_context": (),
    "get_all_bundles": (),
    "request_bundle_refresh": ("bundle_names",),
    "claim_priority_files": (),
    "fetch_callbacks": (),
    "purge_inactive_dag_warnings": (),
    "prepare_file_queue": ("known_files",),
    "deactivate_deleted_dags": ("bundle_name", "present"),
    "deactivate_stale_dags": ("last_parsed",),
    "update_bundle_state": ("bundle_name",),
    "clear_orphaned_import_errors": ("bundle_name", "observed_filelocs"),
    "handle_parsing_result": ("file", "proc"),
    "persist_parsing_result": (
        "bundle_name",
        "relative_fileloc",
        "parsing_result",
        "session",
    ),
    "_find_files_in_bundle": ("bundle",),
    "_get_observed_filelocs": ("present",),
    "_start_new_processes": (),
    "_create_process": ("dag_file",),
    "terminate_orphan_processes": ("present",),
    "_kill_timed_out_processors": (),
    "_collect_results": (),
    "_exit_gracefully": ("signum", "frame"),
    "max_runs_reached": (),
}
_STATE = (
    "selector",
    "processor_timeout",
    "_parallelism",
    "_processors",
    "_file_queue",
    "_callback_to_execute",
    "_file_stats",
)


def missing() -> tuple[str, ...]:
    """Return what this Airflow's manager has not, or takes otherwise, of what is built on here."""
    found = []
    for name, needed in _SEAMS.items():
        method = getattr(DagFileProcessorManager, name, None)
        takes = inspect.signature(method).parameters if method else {}
        if method is None or not set(needed) <= takes.keys():
            found.append(name)
    state = {field.name for field in attrs.fields(DagFileProcessorManager)}
    if not hasattr(Client.request, "retry"):
        found.append("Client.request.retry")
    if not hasattr(class_importing.PythonDagImporter, "_process_modules"):
        found.append("PythonDagImporter._process_modules")
    return (*found, *(name for name in _STATE if name not in state))


@providers_configuration_loaded
def run() -> None:
    """Be the dag-processor until told to stop, as `airflow dag-processor` is.

    The same steps as airflow/cli/commands/dag_processor_command.py (3.3.2).
    """
    # Airflow sleeps before it tries again, and nobody is heard meanwhile: `class_unending` tries.
    collection.run_with_db_retries = partial(run_with_db_retries, max_retries=1)
    Client.request.retry.stop = stop_after_attempt(ASKED)
    # Airflow reads each file at each refresh to see whether it may hold a DAG.
    os.environ.setdefault(
        "AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE", f"{class_listing.__name__}.might_contain_dag"
    )
    class_importing.register()
    set_component_mp_start_method("dag_processor")
    job = Job()
    runner = DagProcessorJobRunner(job=job, processor=ClassDagProcessor(max_runs=-1))
    run_job(job=job, execute_callable=runner._execute)  # noqa: SLF001  # as there
