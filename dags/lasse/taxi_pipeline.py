"""Monthly taxi trips: ingest one month, build the dbt models on it, test them.

The shape of the pipeline stands; what `ingest`, `dbt run` and `dbt test` really do
comes with the class's warehouse.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, get_current_context, task

STUDENT = "lasse"


@dag(
    dag_id="lasse_taxi_pipeline",
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["week11", "taxi", f"student:{STUDENT}"],
    default_args={"owner": STUDENT},
    doc_md=__doc__,
)
def taxi_pipeline():
    @task
    def ingest_taxi_month() -> str:
        """Name the month that this run is about, as `YYYY-MM`."""
        start = get_current_context()["data_interval_start"]
        month = start.strftime("%Y-%m")
        print(f"would load the trips of {month} into schema airflow_{STUDENT}")
        return month

    @task
    def dbt_run(month: str) -> str:
        print(f"would build the models for {month}")
        return month

    @task
    def dbt_test(month: str) -> None:
        print(f"would test the models for {month}")

    dbt_test(dbt_run(ingest_taxi_month()))


taxi_pipeline()
