"""Import DAG files as Airflow does, and say what it would only write into a log.

The class's dag-processor and the isolated parser both register it, so they say the same.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from airflow.dag_processing.importers.base import DagImportError, get_importer_registry
from airflow.dag_processing.importers.python_importer import PythonDagImporter
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext


class UnreadableName(Exception):
    """A module-level name can't even be looked at."""


class ClassImporter(PythonDagImporter):
    """Airflow's own importer of `.py` and `.zip`.

    Attributes:
        made_in: of the file imported last: where each of its DAGs was made, by dag_id.
    """

    def __init__(self) -> None:
        self.made_in: dict[str, str] = {}

    def _process_modules(
        self,
        filepath: str,
        mods: Sequence[Any],
        bundle_name: Any,  # noqa: ANN401
        bundle_path: Any,  # noqa: ANN401
        result: Any,  # noqa: ANN401
    ) -> None:
        """Airflow logs what this raises, and goes on as if there were no DAG in the file."""
        found = [dag for dag, _ in DagContext.autoregistered_dags]
        unreadable: UnreadableName | None = None
        for name, value in [item for mod in mods for item in vars(mod).items()]:
            try:
                if isinstance(value, DAG):
                    found.append(value)
            except Exception as exc:  # noqa: BLE001  # a proxy of something that is not there
                unreadable = UnreadableName(
                    f"Airflow looks at every name of a DAG file, and {name!r} does not let it "
                    f"({type(exc).__name__}: {str(exc).strip().partition(chr(10))[0]}): import it "
                    "inside the task that needs it"
                )
        # Airflow overwrites it with the file that was imported.
        self.made_in = {dag.dag_id: dag.fileloc for dag in found}
        try:
            super()._process_modules(filepath, mods, bundle_name, bundle_path, result)
        except Exception as exc:
            if not found:
                raise
            said = "".join(traceback.format_exception(unreadable or exc))
            result.dags.clear()
            result.errors.append(
                DagImportError(result.file_path, str(unreadable or exc), stacktrace=said)
            )


def register() -> ClassImporter:
    """Have this process, and its forks, import DAG files so."""
    importer = ClassImporter()
    get_importer_registry().register(importer)
    return importer
