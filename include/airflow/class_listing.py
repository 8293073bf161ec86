"""Remember of each file whether it may hold a DAG: Airflow reads every one at every refresh.

`[core] might_contain_dag_callable` of the class's dag-processor. A file of a release is never
written again, and one that did not change is the same inode in the next release: what is known of
it holds.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from airflow.utils.file import might_contain_dag_via_default_heuristic as by_its_text

MOST = 100_000
"""Files that are remembered, some 20 MB at most."""

_known: dict[tuple[int, ...], bool] = {}


def might_contain_dag(file_path: str, zip_file: ZipFile | None = None) -> bool:
    """Say what Airflow's own heuristic says of a file, by its content."""
    if zip_file is not None:
        return by_its_text(file_path, zip_file)
    there = Path(file_path).stat()
    key = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)
    if key not in _known:
        if len(_known) >= MOST:
            _known.clear()
        _known[key] = by_its_text(file_path)
    return _known[key]
