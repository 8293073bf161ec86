"""Keep what Python compiles of the image's packages where no container loses it (plain way).

The official image ships no `.pyc`, so each start of each service compiles Airflow anew: 4 s in
which the class has no api-server. In the image way a layer has them (Dockerfile). Here

- the service `airflow-compile` compiles the packages into a volume, once (`compiled.py`);
- `start.py` links them in as `__pycache__` before it imports Airflow.

Only that service may write the volume, and it runs nothing of a student's: what lies there is
what the api-server runs. PYTHONPYCACHEPREFIX would do without links, but Python then looks at no
other `__pycache__`, and the class's packages, which pip has just compiled, have theirs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

VOLUME = Path("/opt/compiled")
"""Holds `<absolute path of a package's directory>/<module>.cpython-311.pyc`."""


def write(packages: Path, volume: Path) -> None:
    """Compile the files under `packages` that are newer than in the volume, or not in there."""
    # In the environment: the processes that it starts have nothing else of ours since Python 3.13.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(volume)}
    # One of them may carry a file that no Python can compile (templates): no error here.
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", str(packages)]
    subprocess.run(command, env=environment, check=False)


def link(volume: Path) -> None:
    """Let each directory of the volume be the `__pycache__` of its packages.

    What pip replaced or compiled stays as it is, and a file that Python finds to be of another
    text is passed over by it. Nothing is worth a failure: without, the start is slower.
    """
    for directory, _, files in os.walk(volume):
        if files:
            beside = Path("/", Path(directory).relative_to(volume))
            with suppress(OSError):
                (beside / "__pycache__").symlink_to(directory)


def main() -> None:
    airflow = importlib.util.find_spec("airflow")
    if airflow is None or airflow.origin is None:
        sys.exit("compiled.py: Airflow is not installed here; nothing to compile")
    write(Path(airflow.origin).parents[1], VOLUME)


if __name__ == "__main__":
    main()
