"""What `deployer check` uses on a student's machine: an Airflow that is there, new packages.

Each interpreter is asked by running it, for what an import of `airflow` would find depends on the
working directory, and takes seconds. `-I` shows what the isolated parser will see: neither
PYTHONPATH nor what was installed with `pip install --user`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deployer.core import precheck
from deployer.core.model import REQUIREMENTS, Outcome, Verdict
from deployer.edges.embedded.airflow_settings import parsing_environment
from deployer.edges.embedded.environment import BaseEnvironment, Environments
from deployer.edges.packages.slots import Slot
from deployer.errors import RequirementsRefused, ServicesError
from deployer.ports.repository import Trial

OLDEST: Final = (3, 3)
"""The parser is written against Airflow 3.3's own (include/airflow/preflight_parser.py)."""
ASK_TIMEOUT_S: Final = 30.0

_ASK: Final = "from importlib.metadata import version; print(version('apache-airflow-core'))"


def find(root: Path, environ: Mapping[str, str], tell: Callable[[str], None]) -> Path:
    """Return the first interpreter that has Airflow; without one, make the embedded Airflow's.

    Args:
        root: the class repository.
        environ: of this process.
        tell: told in a few words of what takes long, and of an Airflow that is too old.

    Raises:
        ServicesError: there is none, and none could be made; or this is not Linux.
    """
    if sys.platform != "linux":
        raise ServicesError(
            "the isolated parser needs Linux (on Windows: WSL); here, run "
            "pytest tests/test_dag_integrity.py in the environment of your Airflow"
        )
    for python in candidates(root, environ):
        version = _version(python)
        if version is None:
            continue
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= OLDEST:
            return python
        tell(f"passing over Airflow {version} of {python}: the class has {_text(OLDEST)} or later")
    base = BaseEnvironment()
    tell("no Airflow here; using the deployer's own")
    try:
        base.ensure(tell)
    except (ServicesError, OSError) as exc:
        raise ServicesError(
            f"there is no Airflow here, and none could be installed ({exc}): activate the virtual "
            f"environment that has Airflow {_text(OLDEST)}, or make one in {root / '.venv'}"
        ) from exc
    return base.python


def candidates(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the interpreters that may have Airflow, in the order in which they are asked."""
    environments = (environ.get("VIRTUAL_ENV"), root / ".venv", root.parent / ".venv")
    pythons = [Path(sys.executable)]
    pythons += [Path(environment, "bin", "python") for environment in environments if environment]
    if on_path := shutil.which("python3", path=environ.get("PATH")):
        pythons.append(Path(on_path))
    # Not resolved: an environment's interpreter is a link to another one.
    yield from (python for python in dict.fromkeys(pythons) if os.access(python, os.X_OK))


@contextmanager
def installed(text: str, files: Path, tell: Callable[[str], None]) -> Iterator[Trial]:
    """Install `text` beside Airflow's own packages, and hand out the trial of it.

    Into an environment of its own, as the embedded Airflow's worker does it, gone afterwards;
    DAG files can be parsed with it meanwhile. `files` is what Airflow runs on the deployer's
    behalf.

    Raises:
        ServicesError: there is no uv or no network.
        DiskError: there may be no room.
    """
    base = BaseEnvironment()
    base.ensure(tell)
    # Beside what is cloned: files are linked, not copied.
    with tempfile.TemporaryDirectory(prefix="check-", dir=base.directory.parent) as place:
        environments = Environments(Path(place), base, files)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": place,
            "AIRFLOW_HOME": place,
            **parsing_environment(files),
        }
        tell("installing requirements.txt beside Airflow's own packages")
        try:
            added = environments.build(text, env, in_use=())
        except RequirementsRefused as exc:
            yield Trial(precheck.refused(exc))
        else:
            python = environments.python(Slot.NEXT)
            yield Trial(Verdict(REQUIREMENTS, Outcome.NO_DAG), python, added)


def _version(python: Path) -> str | None:
    """Return the version of Airflow that an interpreter has, None if it has none."""
    try:
        done = subprocess.run(
            (str(python), "-I", "-c", _ASK),
            check=False,
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
