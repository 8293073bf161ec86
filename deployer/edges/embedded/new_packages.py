"""`deployer check requirements.txt`: install new packages beside Airflow's own, for a trial.

Into an environment of its own, as the embedded Airflow's worker does it, gone afterwards; and
DAG files can be parsed with it meanwhile.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.core.model import REQUIREMENTS, Outcome, ParseError, Verdict
from deployer.edges.embedded.airflow import default_cache
from deployer.edges.embedded.environment import BaseEnvironment, Environments
from deployer.edges.embedded.settings import parsing_environment
from deployer.edges.packages.slots import Slot
from deployer.errors import RequirementsRefused
from deployer.ports.working_copy import Trial


@contextmanager
def installed(text: str, files: Path, tell: Callable[[str], None]) -> Iterator[Trial]:
    """Hand out the trial of `text`; `files` is what Airflow runs on the deployer's behalf.

    Raises:
        ServicesError: there is no uv, no network or no room.
    """
    base = BaseEnvironment(default_cache().absolute())
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
            error = ParseError(type(exc).__name__, exc.reason, exc.line)
            yield Trial(Verdict(REQUIREMENTS, Outcome.BROKEN, error=error))
        else:
            python = environments.python(Slot.NEXT)
            yield Trial(Verdict(REQUIREMENTS, Outcome.NO_DAG), python, added)
