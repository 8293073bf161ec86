"""The isolated parser as a process of this user, beside the embedded Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deployer.edges.parser.process import ParserProcess

START_TIMEOUT_S = 90.0  # a cold import of Airflow without bytecode took 10 s on two cores

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
SETTINGS: Mapping[str, str] = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",  # in memory, never opened
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",  # nobody reads it; a tenth of a parse's time
    # Airflow itself has the class's own copy of the rules, and refuses what breaks them.
    "CLASS_RULES": "advice",
}
"""What Airflow is told in every parser, beside the class's own settings."""


class LocalParser:
    """Implements `asking.Where` with a subprocess on this machine.

    Args:
        python: says which interpreter Airflow is installed for, whenever it is asked.
        script: `preflight.py`, of the deployer's own installation.
        env: added to `SETTINGS`: the class's Airflow settings, PYTHONPATH of its policy. The
            parser sees nothing of the deployer's own environment.
    """

    def __init__(
        self, python: Callable[[], Path], script: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._python = python
        self._script = script
        self._env = {**PATH, **SETTINGS, **(env or {})}

    def runs_on(self) -> str:
        # The interpreter itself is a link out of its environment: the directory tells.
        return str(self._python().parent.resolve())

    def start(self) -> ParserProcess:
        return ParserProcess(
            (str(self._python()), str(self._script)), self._env, start_timeout_s=START_TIMEOUT_S
        )
