"""The smallest DAG that does something: copy it, rename it, push it."""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="class_demo_hello",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=True,
    tags=["student:class_demo"],
    default_args={"owner": "class_demo"},
    doc_md=__doc__,
)
def hello():
    @task
    def greet(name: str = "class") -> str:
        greeting = f"Hello, {name}!"
        print(greeting)
        return greeting

    greet()


hello()
