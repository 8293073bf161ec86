"""What the demo's students push, and the class repository that they start from."""

from __future__ import annotations

from deployer import app

WEATHER = "dags/maria/weather.py"
TAXI = "dags/lasse/taxi_pipeline.py"
REQUIREMENTS = "requirements.txt"
SHARED = ("include/taxi", "include/dbt_project")
"""What the class's DAGs share; `include/airflow` is the deployer's own."""


def class_repository() -> dict[str, bytes]:
    """Return the files of the class repository in small, by path.

    Raises:
        OperatorError: the installation does not carry it.
    """
    return app.sample_class()


def dag(student: str, name: str, *, imports: str = "", body: str = "return 1") -> str:
    """Return the text of a small DAG file that follows the class's conventions."""
    return f'''\
"""{student}'s {name}."""

from __future__ import annotations

import pendulum
{imports}from airflow.sdk import dag, task


@dag(
    dag_id="{student}_{name}",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["student:{student}"],
    default_args={{"owner": "{student}"}},
)
def {name}():
    @task
    def work() -> int:
        {body}

    work()


{name}()
'''
