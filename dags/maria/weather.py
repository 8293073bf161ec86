"""A second student's pipeline: yesterday's weather, summed up."""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, task

STUDENT = "maria"


@dag(
    dag_id="maria_weather",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["week11", "weather", f"student:{STUDENT}"],
    default_args={"owner": STUDENT},
    doc_md=__doc__,
)
def weather():
    @task
    def measure() -> list[float]:
        return [4.5, 6.0, 5.5]

    @task
    def average(celsius: list[float]) -> float:
        return sum(celsius) / len(celsius)

    average(measure())


weather()
