"""The three tasks of the taxi pipeline, shared by every student's DAG file.

    dag file    which DAG, when, whose         yours: dags/<you>/taxi_pipeline.py
    this file   what each task does            the class's
    tools       what is heavy: pyarrow, dbt    the class's, in an environment of their own

Airflow runs a DAG file, and with it this one, at least each hour just to see the DAG, at each
push that touches it, and with each task. So what is done at import is next to nothing:
Variables and Connections are read inside the tasks.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import Connection, Param, Variable, get_current_context, task

from include.taxi import tools

TLC = "https://d37ci6vzurychx.cloudfront.net/trip-data"
"""Where New York's Taxi & Limousine Commission publishes its trips."""
LOADER = Path(__file__).with_name("load_month.py")
DBT_PROJECT = Path(__file__).parents[1] / "dbt_project"

MONTH = Param(
    None,
    type=["null", "string"],
    pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$",
    title="Month",
    description="The month to load, as 2024-01. Empty: the run's own data interval.",
)


# The network may fail for a minute, so this one is tried again.
@task(retries=3, retry_delay=timedelta(minutes=1), execution_timeout=timedelta(minutes=45))
def ingest_taxi_month(student: str) -> str:
    """Replace one month of `raw_trips` by what the TLC published; return the month."""
    month = _month_of_this_run()
    base_url = Variable.get("taxi_base_url", default=TLC)
    url = f"{base_url.rstrip('/')}/yellow_tripdata_{month}.parquet"
    tools.run("python", str(LOADER), url, month, _schema(student), env=_warehouse())
    return month


# One at a time, whatever a backfill is allowed: two dbt runs would trip over each other's tables.
@task(
    retries=1,
    retry_delay=timedelta(minutes=1),
    execution_timeout=timedelta(minutes=30),
    max_active_tis_per_dag=1,
)
def dbt_run(month: str, student: str) -> str:
    """Replace one month in the models by what is in `raw_trips`; return the month."""
    _dbt("run", month, student)
    return month


# A test that failed fails again on the same data: no retries.
@task(retries=0, execution_timeout=timedelta(minutes=30))
def dbt_test(month: str, student: str) -> None:
    """Check what was built for one month."""
    _dbt("test", month, student)


def _month_of_this_run() -> str:
    context = get_current_context()
    if month := context["params"].get("month"):
        return month
    # A run of January has the interval [1 January, 1 February). One that was triggered without
    # a logical date has none: it takes the last month that is over.
    start = context.get("data_interval_start") or (
        pendulum.instance(context["dag_run"].run_after).start_of("month").subtract(months=1)
    )
    return start.strftime("%Y-%m")


def _schema(student: str) -> str:
    """Return the name of the schema that belongs to one student."""
    return f"airflow_{student}"


def _warehouse() -> dict[str, str]:
    """Return connection `azure_pg` as the environment variables that PostgreSQL's clients read."""
    pg = Connection.get("azure_pg")
    return {
        "PGHOST": pg.host or "",
        "PGPORT": str(pg.port or 5432),
        "PGUSER": pg.login or "",
        "PGPASSWORD": pg.password or "",
        # dbt never logs what has a name like this one.
        "DBT_ENV_SECRET_PASSWORD": pg.password or "",
        "PGDATABASE": pg.schema or "",
        "PGSSLMODE": pg.extra_dejson.get("sslmode", "prefer"),
        "PGCONNECT_TIMEOUT": "15",
    }


def _dbt(command: str, month: str, student: str) -> None:
    # The project is read-only to a task, so all that dbt writes goes to a place that passes away.
    with tempfile.TemporaryDirectory(prefix="dbt-") as scratch:
        env = {
            "DBT_PROJECT_DIR": str(DBT_PROJECT),
            "DBT_PROFILES_DIR": str(DBT_PROJECT),
            "DBT_TARGET_PATH": f"{scratch}/target",
            "DBT_LOG_PATH": f"{scratch}/logs",
            "DBT_PACKAGES_PATH": f"{scratch}/packages",
            # Files that nobody would read: a second less.
            "DBT_WRITE_JSON": "false",
            "DBT_LOG_LEVEL_FILE": "none",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
            "STUDENT_SCHEMA": _schema(student),
        }
        tools.run("dbt", command, "--vars", f"month: '{month}'", env={**_warehouse(), **env})
