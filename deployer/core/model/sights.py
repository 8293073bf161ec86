"""What is seen of the running Airflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the process of one service stands, seen from outside of it.

    Attributes:
        life: names this life of it: another one means that it ended meanwhile; None: it does
            not run.
        steady: it runs and was not started again a moment ago because it had ended.
        words: the same for a person, e.g. `running` or `ended with exit code 1`.
    """

    life: str | None
    steady: bool
    words: str


@dataclass(frozen=True, slots=True)
class Busy:
    """A task instance that the executor has; `state` is running, queued or restarting."""

    dag_id: str
    task_id: str
    state: str
