"""The class's taxi pipeline for real: PostgreSQL, a month of trips on loopback, dbt, Airflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from deployer.edges.embedded.environment import BaseEnvironment, default_cache
from tests.integration.airflow_world import World

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).resolve().parents[2]
LASSE, MARIA = (f"dags/{student}/taxi_pipeline.py" for student in ("lasse", "maria"))
LASSE_DAG, LASSES, MARIAS = "lasse_taxi_pipeline", "airflow_lasse", "airflow_maria"
LOADER = "include/taxi/load_month.py"
SHARED = ("include/taxi", "include/dbt_project")
"""What the class's DAGs share; `include/airflow` is the deployer's own."""
PASSWORD = "never-to-be-logged-7f3a"
GOOD, RAW = 40, 46
"""Rows of a generated month: that can have happened; in all."""
BOUND_S = 240.0
MONTHS = ("2024-01", "2024-02", "2024-03")


# -- the TLC, on loopback

MAKE_MONTHS = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
import pyarrow as pa
from pyarrow import parquet

folder, *months = sys.argv[1:]
for month in months:
    first = datetime.fromisoformat(f"{month}-01")
    def trip(i, **changed):
        at = first + timedelta(hours=13 * i, minutes=i)
        return {
            "VendorID": 1 + i % 2, "tpep_pickup_datetime": at,
            "tpep_dropoff_datetime": at + timedelta(minutes=12),
            "passenger_count": None if i % 9 == 0 else float(1 + i % 4), "trip_distance": 2.5 + i,
            "RatecodeID": 1.0, "store_and_fwd_flag": "N", "PULocationID": 100 + i % 5,
            "DOLocationID": 200, "payment_type": 1 + i % 2, "fare_amount": 12.25, "extra": 0.0,
            "tip_amount": 1.5, "total_amount": 15.0 + i, "Airport_fee": None, **changed,
        }
    rows = [trip(i) for i in range(40)]
    late = first + timedelta(hours=2)
    rows += [
        trip(7),
        trip(41, tpep_pickup_datetime=datetime(2008, 12, 31), tpep_dropoff_datetime=late),
        trip(2, total_amount=-17.0),
        trip(3, tpep_dropoff_datetime=first),
        trip(4, trip_distance=0.0),
        trip(5, PULocationID=None),
    ]
    # Row groups of 16: more than one, as in the TLC's own files.
    table = pa.Table.from_pylist(rows)
    name = f"yellow_tripdata_{month}.parquet"
    parquet.write_table(table, Path(folder, name), row_group_size=16)
    parquet.write_table(table.drop(["PULocationID", "VendorID"]), Path(folder, "less-" + name))
"""


@dataclass
class Tlc:
    """Files by their path, and what the server does wrong."""

    url: str
    files: dict[str, bytes]
    faults: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def tools(airflow_python: Path) -> Path:
    """The tools' environment, made by the pipeline's own code and kept between runs."""
    home = default_cache() / "pipelines"
    uv = Path(sys.executable).parent
    code = "from include.taxi.tools import environment; print(environment())"
    done = subprocess.run(
        [str(airflow_python), "-c", code],
        cwd=ROOT,
        # All of it: installing may need the operator's certificates and proxies.
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "PATH": f"{uv}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def tlc(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tlc]:
    folder = tmp_path_factory.mktemp("tlc")
    last = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    recent = [f"{last:%Y-%m}", f"{datetime.now(UTC):%Y-%m}"]
    subprocess.run(
        [str(tools / "bin" / "python"), "-c", MAKE_MONTHS, str(folder), *MONTHS, *recent],
        check=True,
        timeout=BOUND_S,
    )
    made = Tlc("", {f"/{file.name}": file.read_bytes() for file in folder.iterdir()})
    made.files["/text-2024-01.parquet"] = b"no trips"
    made.files["/torn-2024-01.parquet"] = made.files["/yellow_tripdata_2024-01.parquet"]
    made.faults["/busy-2024-01.parquet"] = 503

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = made.faults.get(self.path, 200 if self.path in made.files else 403)
            content = made.files[self.path] if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if "torn" in self.path else content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Keep the tests' own output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
        thread.join()


# -- the warehouse


@dataclass(frozen=True)
class Warehouse:
    """A database of this module's own."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "DBT_ENV_SECRET_PASSWORD": self.password,
            "PGDATABASE": self.database,
        }

    @property
    def uri(self) -> str:
        login = f"{quote(self.user)}:{quote(self.password, safe='')}"
        return f"postgres://{login}@{self.host}:{self.port}/{self.database}"

    def rows(self, query: str, *schema: str) -> list[tuple[Any, ...]]:
        """Return what `query` finds; `{}` in it stands for a schema."""
        text = sql.SQL(query).format(*map(sql.Identifier, schema))
        with psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.database,
        ) as connection:
            return connection.execute(text).fetchall()

    def content(self, student: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of one student's tables, in one order."""
        tables = ("raw_trips", "trips_by_day", "trips_by_zone")
        return {
            table: sorted(
                self.rows(f"SELECT * FROM {{}}.{table}", f"airflow_{student}"),  # noqa: S608  # ours
                key=repr,
            )
            for table in tables
        }

    def count(self, student: str, table: str = "raw_trips") -> dict[str, int]:
        """Return the number of rows by month."""
        query = f"SELECT to_char(month, 'YYYY-MM'), count(*) FROM {{}}.{table} GROUP BY 1"  # noqa: S608  # ours
        return dict(self.rows(query, f"airflow_{student}"))


@pytest.fixture(scope="module")
def warehouse(postgres_url: str) -> Iterator[Warehouse]:
    name = f"taxi_{uuid4().hex[:8]}"
    server = postgres_url.replace("postgresql+psycopg", "postgresql")
    said = conninfo_to_dict(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield Warehouse(
            host=str(said["host"]),
            port=int(said.get("port") or 5432),
            user=str(said["user"]),
            password=str(said.get("password") or PASSWORD),
            database=name,
        )
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def bare(**more: str) -> dict[str, str]:
    """Return an environment without anything of the tests' own."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TZ": "UTC", **more}


@dataclass(frozen=True)
class Lab:
    """All that a pipeline touches outside of Airflow."""

    tools: Path
    tlc: Tlc
    warehouse: Warehouse

    def load(self, file: str, student: str) -> subprocess.CompletedProcess[str]:
        """Run the loader on a file of the TLC as the task does; its name ends in the month."""
        url, month = f"{self.tlc.url}/{file}.parquet", file[-7:]
        return subprocess.run(
            [self.tools / "bin" / "python", ROOT / LOADER, url, month, f"airflow_{student}"],
            env=bare(**self.warehouse.env),
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )


@pytest.fixture(scope="module")
def lab(tools: Path, tlc: Tlc, warehouse: Warehouse) -> Lab:
    return Lab(tools, tlc, warehouse)


# -- one month by hand


@pytest.fixture(scope="module")
def amy(lab: Lab) -> str:
    """A student who has loaded January, February and January again."""
    for month in ("2024-01", "2024-02", "2024-01"):
        done = lab.load(f"yellow_tripdata_{month}", "amy")
        assert done.returncode == 0, done.stderr
    return "amy"


def test_a_month_replaces_itself_and_leaves_the_others(lab: Lab, amy: str) -> None:
    assert lab.warehouse.count(amy) == {"2024-01": RAW, "2024-02": RAW}


@pytest.mark.parametrize(
    ("file", "status", "says"),
    [
        ("yellow_tripdata_2031-01", os.EX_NOINPUT, "HTTP 403"),
        ("less-yellow_tripdata_2024-01", os.EX_DATAERR, "no column vendorid, pulocationid"),
        ("text-2024-01", os.EX_DATAERR, "is not a month of trips"),
        ("busy-2024-01", 1, "503"),
        ("torn-2024-01", 1, "broke off after"),
    ],
)
def test_what_can_not_be_loaded_says_so_and_leaves_the_month_as_it_was(
    lab: Lab, amy: str, file: str, status: int, says: str
) -> None:
    done = lab.load(file, amy)
    assert (done.returncode, says in done.stderr.splitlines()[-1]) == (status, True), done.stderr
    assert lab.warehouse.count(amy) == {"2024-01": RAW, "2024-02": RAW}


# -- lasse's months on the class's Airflow and, at the same time, maria's on her laptop

DAG_TEST = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
dag_file, *months = sys.argv[1:]
bag = DagBag(dag_folder=dag_file)
assert not bag.import_errors, bag.import_errors
heavy = sorted({"dbt", "psycopg", "pyarrow"} & set(sys.modules))
(dag,) = bag.dags.values()
said = {"heavy": heavy}
for month in months:
    run = dag.test(run_conf={"month": month})
    said[month] = {ti.task_id: ti.state for ti in run.get_task_instances()}
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Laptop:
    """A working copy of the class repository, and what `DAG_TEST` said in it."""

    copy: Path
    out: str
    said: dict[str, Any]
    written: set[Path]


def dag_test(home: Path, lab: Lab, *months: str) -> Laptop:
    base = BaseEnvironment()
    copy = home / "class"
    for part in ("dags", *SHARED):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = set(copy.rglob("*"))
    shutil.copyfile(base.database, home / "airflow.db")
    (home / "tools").symlink_to(lab.tools.parent)
    done = subprocess.run(
        [base.python, "-c", DAG_TEST, copy / MARIA, *months],
        cwd=home,
        env=bare(
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__DAGS_FOLDER=str(copy / "dags" / "maria"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
            AIRFLOW_CONN_AZURE_PG=lab.warehouse.uri,
            AIRFLOW_VAR_TAXI_BASE_URL=lab.tlc.url,
            PYTHONDONTWRITEBYTECODE="1",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return Laptop(copy, done.stdout, said, set(copy.rglob("*")) - before)


@pytest.fixture(scope="module")
def airflow_api(world: World, lab: Lab) -> Iterator[httpx.Client]:
    """The class's Airflow with the pipelines, their connection and their variable."""
    (world.local.layout.home / "tools").symlink_to(lab.tools.parent)
    login = {"username": world.local.username, "password": world.local.password}
    answer = httpx.post(f"{world.local.url}/auth/token", json=login, timeout=60, trust_env=False)
    token = answer.raise_for_status().json()["access_token"]
    files = [ROOT / LASSE]
    for part in SHARED:
        found = (ROOT / part).rglob("*")
        files += [file for file in found if file.is_file() and file.suffix != ".pyc"]
    changes = {file.relative_to(ROOT).as_posix(): file.read_text() for file in files}
    release = world.publish(changes)
    world.dag_from(release, LASSE_DAG)
    with httpx.Client(
        base_url=f"{world.local.url}/api/v2",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    ) as client:
        connection = {
            "connection_id": "azure_pg",
            "conn_type": "postgres",
            "host": lab.warehouse.host,
            "port": lab.warehouse.port,
            "login": lab.warehouse.user,
            "password": lab.warehouse.password,
            "schema": lab.warehouse.database,
        }
        client.post("/connections", json=connection).raise_for_status()
        variable = {"key": "taxi_base_url", "value": lab.tlc.url}
        client.post("/variables", json=variable).raise_for_status()
        yield client
        client.delete("/connections/azure_pg").raise_for_status()
        client.delete("/variables/taxi_base_url").raise_for_status()
    world.publish(dict.fromkeys(changes))


@dataclass(frozen=True)
class Runs:
    """What has run by its end: `(run_type, state)` of lasse's runs, and maria's laptop."""

    lasse: list[tuple[str, str]]
    maria: Laptop


@contextmanager
def alone_with_the_database(world: World) -> Iterator[None]:
    """Let nobody but the api-server write.

    Airflow answers 503 to a backfill where SQLite is locked: "not supported on SQLite under
    concurrent access" (core_api/routes/public/backfills.py, 3.3.2).
    """
    others = ("airflow-scheduler", "airflow-dag-processor")
    world.local._processes.stop(others, within_s=BOUND_S)
    try:
        yield
    finally:
        for service in others:
            world.local.revive(service)


@pytest.fixture(scope="module")
def runs(
    world: World, airflow_api: httpx.Client, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """Three months by a backfill and one by the schedule, beside one month of another student."""
    backfill = {
        "dag_id": LASSE_DAG,
        "from_date": "2024-01-01T00:00:00Z",
        "to_date": "2024-03-01T00:00:00Z",
        "max_active_runs": 3,
    }
    with alone_with_the_database(world):
        airflow_api.post("/backfills", json=backfill).raise_for_status()
        unpaused = airflow_api.patch(
            f"/dags/{LASSE_DAG}", params={"update_mask": "is_paused"}, json={"is_paused": False}
        )
        unpaused.raise_for_status()
    laptop = dag_test(tmp_path_factory.mktemp("laptop"), lab, "2024-01", "2031-01")
    end = time.monotonic() + BOUND_S
    while True:
        found = airflow_api.get(f"/dags/{LASSE_DAG}/dagRuns").raise_for_status().json()["dag_runs"]
        states = sorted((run["run_type"], run["state"]) for run in found)
        if len(states) == 4 and {state for _, state in states} <= {"success", "failed"}:
            return Runs(states, laptop)
        assert time.monotonic() < end, f"these did not end: {states}"
        time.sleep(0.3)


def test_a_scheduled_run_and_a_backfill_of_three_months_end_well(
    runs: Runs, world: World, warehouse: Warehouse
) -> None:
    logs = {
        str(log): log.read_text(errors="replace")[-3000:]
        for log in (world.local.layout.home / "logs").glob(f"dag_id={LASSE_DAG}/**/*.log")
    }
    assert runs.lasse == [("backfill", "success")] * 3 + [("scheduled", "success")], logs
    # The schedule's one run is about the month that is over.
    last = f"{datetime.now(UTC).replace(day=1) - timedelta(days=1):%Y-%m}"
    assert warehouse.count("lasse") == dict.fromkeys([*MONTHS, last], RAW)


def test_the_marts_hold_every_month_without_the_dirty_rows(
    runs: Runs, warehouse: Warehouse
) -> None:
    for mart in ("trips_by_day", "trips_by_zone"):
        query = f"SELECT month, sum(trips), sum(revenue) FROM {{}}.{mart} GROUP BY month"  # noqa: S608  # ours
        found = {f"{month:%Y-%m}": totals for month, *totals in warehouse.rows(query, LASSES)}
        for month in MONTHS:
            assert found[month] == [GOOD, GOOD * 15 + sum(range(GOOD))]


def test_dag_test_is_green_on_a_laptop(runs: Runs) -> None:
    tasks = ("ingest_taxi_month", "dbt_run", "dbt_test")
    assert runs.maria.said["2024-01"] == dict.fromkeys(tasks, "success"), runs.maria.out[-5000:]


def test_students_runs_at_the_same_time_leave_each_others_schema_alone(
    runs: Runs, warehouse: Warehouse
) -> None:
    assert warehouse.count("maria") == {"2024-01": RAW}
    assert set(warehouse.count("lasse")) > set(MONTHS)
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname IN ('airflow_lasse', 'airflow_maria')"
    tables = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = {}"
    assert len(warehouse.rows(schemas)) == 2
    for schema in (LASSES, MARIAS):
        query = tables.replace("{}", f"'{schema}'::regnamespace")
        assert warehouse.rows(query) == [(4,)]


def test_a_month_that_is_not_there_fails_at_once_and_says_what_to_do(runs: Runs) -> None:
    assert runs.maria.said["2031-01"] == {
        "ingest_taxi_month": "failed",
        "dbt_run": "upstream_failed",
        "dbt_test": "upstream_failed",
    }
    assert "AirflowFailException" in runs.maria.out
    assert "the TLC publishes a month about two months after its end" in runs.maria.out


def test_the_same_month_twice_gives_the_same_rows(runs: Runs, lab: Lab, tmp_path: Path) -> None:
    before = lab.warehouse.content("maria")
    done = lab.load("yellow_tripdata_2024-01", "maria")
    assert done.returncode == 0, done.stderr
    assert dbt_build(runs, lab, tmp_path) == {"success": 3, "pass": 19}
    assert lab.warehouse.content("maria") == before


def dbt_build(runs: Runs, lab: Lab, scratch: Path) -> Counter[str]:
    """Build and test maria's models; return how many nodes ended how."""
    project = str(runs.maria.copy / "include" / "dbt_project")
    done = subprocess.run(
        [lab.tools / "bin" / "dbt", "build", "--vars", "month: '2024-01'"],
        cwd=scratch,
        env=bare(
            **lab.warehouse.env,
            DBT_PROJECT_DIR=project,
            DBT_PROFILES_DIR=project,
            DBT_TARGET_PATH=str(scratch / "target"),
            DBT_LOG_PATH=str(scratch / "logs"),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            STUDENT_SCHEMA=MARIAS,
        ),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    results = json.loads((scratch / "target" / "run_results.json").read_text())["results"]
    return Counter(result["status"] for result in results)


def test_nothing_is_written_into_the_class_repository(runs: Runs) -> None:
    assert runs.maria.written == set()


def test_the_password_is_never_logged(runs: Runs, world: World, warehouse: Warehouse) -> None:
    found = (world.local.layout.home / "logs").rglob("*.log")
    logs = [log.read_text(errors="replace") for log in found]  # some are being written
    assert any("trips of 2024-01 are in airflow_lasse.raw_trips" in log for log in logs)
    assert not any(warehouse.password in text for text in (*logs, runs.maria.out))


def test_parsing_the_dag_loads_nothing_heavy(runs: Runs) -> None:
    assert runs.maria.said["heavy"] == []


# -- the files


def test_marias_file_is_lasses_word_for_word() -> None:
    assert (ROOT / MARIA).read_bytes() == (ROOT / LASSE).read_bytes()


SMALL = """\
six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274 \\
    --hash=sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81
"""
MAKE_TOOLS = "from include.taxi.tools import environment; print(environment())"


@pytest.mark.parametrize("path", ["with uv", "with pip alone"])
def test_two_tasks_that_need_the_tools_at_once_make_them_once(
    path: str, airflow_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "include" / "taxi").mkdir(parents=True)
    shutil.copy(ROOT / "include/taxi/tools.py", tmp_path / "include" / "taxi")
    (tmp_path / "include" / "taxi" / "tools.txt").write_text(SMALL)
    home = tmp_path / "home"
    own = tmp_path / "bin"
    own.mkdir()
    if path == "with uv":
        (own / "uv").symlink_to(Path(sys.executable).with_name("uv"))
    env = {**os.environ, "AIRFLOW_HOME": str(home), "PATH": f"{own}:{os.defpath}"}
    both = [
        subprocess.Popen(
            [airflow_python, "-c", MAKE_TOOLS],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [task.communicate(timeout=BOUND_S)[0].splitlines()[-1] for task in both]
    assert said[0] == said[1]
    assert [task.returncode for task in both] == [0, 0]
    subprocess.run([f"{said[0]}/bin/python", "-c", "import six"], check=True, timeout=120)
    assert sorted(file.suffix for file in (home / "tools").iterdir()) == ["", ".lock", ".ready"]
