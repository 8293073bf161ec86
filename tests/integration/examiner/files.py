"""Every kind of file that the isolated parser meets, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

HEAD = "from airflow.sdk import DAG, task\n"
POLICY = """
from airflow.exceptions import AirflowClusterPolicyViolation

def dag_policy(dag):
    if "forbidden" in dag.tags:
        raise AirflowClusterPolicyViolation(f"{dag.dag_id}: a tag that is not for students")
"""
IMPORT_S, PARSE_S, MEMORY_MB = 6, 9, 300
"""Airflow's own bound of an import, then the parser's of time and memory. Those of time are far
above what a good file takes: four are parsed at a time, beside others that take all they can."""


def holding(dag_id: str) -> str:
    """Return a file's text with one small DAG."""
    return f'{HEAD}with DAG("{dag_id}"):\n    @task\n    def f(): ...\n    f()\n'


def waiting_for(flag: Path, dag_id: str, *, note: Path | None = None) -> str:
    """Return a file's text with one small DAG that is not parsed before `flag` is there.

    `note`: where it writes the number of its parser's process first.
    """
    say = f"import pathlib\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
    # Airflow's own bound of an import is lifted: a test may take its time.
    lift = "import os, signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0)\n"
    wait = f"while not os.path.exists({str(flag)!r}): time.sleep(0.01)\n"
    return f"{lift}{say if note else ''}{wait}{holding(dag_id)}"


def late(schedule: str | None) -> str:
    """Return a text, to come after `HEAD`, with a DAG whose deadline a Variable has."""
    return (
        "from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference\n"
        "from airflow.sdk.definitions.deadline import VariableInterval\n"
        "async def tell(): ...\n"
        "alert = DeadlineAlert(\n"
        "    reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=VariableInterval('x'),\n"
        "    callback=AsyncCallback(f'{__name__}.tell'),\n"
        ")\n"
        f"with DAG('late', schedule={schedule!r}, deadline=alert): ...\n"
    )


def mapped(*lengths: str) -> str:
    """Return a text, to come after `HEAD`, with a task that is expanded over lists together."""
    lists = ", ".join(f"a{n}=list(range({length}))" for n, length in enumerate(lengths))
    arguments = ", ".join(f"a{n}" for n in range(len(lengths)))
    return f"@task\ndef f({arguments}): ...\nwith DAG('mapped'):\n    f.expand({lists})\n"


GOOD = [
    pytest.param(holding("one"), ("one",), id="good"),
    pytest.param(holding("b") + holding("a"), ("a", "b"), id="two DAGs"),
    pytest.param(HEAD + mapped("1000", "10"), ("mapped",), id="ten thousand tasks"),
    pytest.param(
        f"{HEAD}with DAG('listed', description='d' * 99_990, tags=['t' * 10]): ...\n",
        ("listed",),
        id="a long description",
    ),
    pytest.param(
        f"{HEAD}with DAG('large', doc_md='d' * 9_990_000): ...\n", ("large",), id="a large DAG"
    ),
    pytest.param(HEAD + late(None), ("late",), id="a deadline by a Variable, no schedule"),
    pytest.param("x = 'a dag of airflow'\n", (), id="no DAG"),
    pytest.param(f"# æøå ☃\n{holding('unié')}", ("unié",), id="not ASCII"),
    pytest.param(holding("crlf").replace("\n", "\r\n"), ("crlf",), id="CRLF"),
    pytest.param("\ufeff" + holding("bom"), ("bom",), id="BOM"),
    pytest.param(
        "import os, sys\n"
        "print('x' * 1_000_000, flush=True)\n"
        "print('x', file=sys.stderr)\n"
        "os.write(1, b'{\"done\": true}\\n')\n" + holding("loud"),
        ("loud",),
        id="prints a lot, and what looks like an answer",
    ),
    pytest.param(
        "from airflow.sdk import Variable\nVariable.get('x', default='y')\n" + holding("v"),
        ("v",),
        id="variable with a default",
    ),
    pytest.param(
        "import json, os\nold = json.dumps\n"
        "json.dumps = lambda *a, **k: old(*a, **k).encode()\n"
        "os.write = os._exit = None\n" + holding("patched"),
        ("patched",),
        id="puts something else in the place of what the parser uses",
    ),
    pytest.param(
        "import sys\nsys.stdout = None\nsys.stderr.close()\n" + holding("quiet"),
        ("quiet",),
        id="closes what nobody reads",
    ),
    pytest.param(
        "import warnings\nwarnings.warn('careful')\n" + holding("w"), ("w",), id="warning"
    ),
    pytest.param("import os\nos.fork()\n" + holding("f"), ("f",), id="forks, both run on"),
    pytest.param(
        "import subprocess\nsubprocess.run(['true'], check=True)\n" + holding("s"),
        ("s",),
        id="runs a program",
    ),
    pytest.param(
        "import os\n"
        "for name in os.listdir('.'): os.remove(name)\n"
        "open('junk', 'w').write('x')\n" + holding("d"),
        ("d",),
        id="deletes and writes where it is",
    ),
]
"""Text, then the ids of the DAGs in it."""

ORDINARY = [
    pytest.param(f"{HEAD}\nx = f(1,\n", ("SyntaxError", "'(' was never closed", 3), id="syntax"),
    pytest.param(
        f"{HEAD}\nimport nosuchmodule\n",
        ("ModuleNotFoundError", "No module named 'nosuchmodule'", 3),
        id="missing import",
    ),
    pytest.param(
        f"{HEAD}import sys\nsys.exit('no way')\n", ("SystemExit", "no way", 3), id="sys.exit"
    ),
    pytest.param(
        f"{HEAD}def f(): f()\nf()\n",
        ("RecursionError", "maximum recursion depth exceeded", 2),
        id="recursion",
    ),
    pytest.param(
        f"{HEAD}from airflow.providers.standard.operators.bash import BashOperator\n"
        "with DAG('b'):\n"
        "    BashOperator(task_id='x', bash_command='true', nonsense=1)\n",
        (
            "TypeError",
            (
                "Invalid arguments were passed to BashOperator (task_id: x). "
                "Invalid arguments were: **kwargs: {'nonsense': 1}"
            ),
            4,
        ),
        id="bad operator argument",
    ),
    pytest.param(
        f"{HEAD}from airflow.providers.standard.operators.empty import EmptyOperator\n"
        "with DAG('c'):\n"
        "    a, b = EmptyOperator(task_id='a'), EmptyOperator(task_id='b')\n"
        "    a >> b >> a\n",
        ("AirflowDagCycleException", "Cycle detected in Dag: c. Faulty task: b", None),
        id="cycle",
    ),
    pytest.param(
        holding("p").replace('"p"', '"p", tags=["forbidden"]'),
        ("AirflowClusterPolicyViolation", "p: a tag that is not for students", None),
        id="against the class's policy",
    ),
    pytest.param(
        f"{HEAD}from airflow.sdk import Variable\nVariable.get('x')\n",
        ("AirflowRuntimeError", "VARIABLE_NOT_FOUND: {'message': 'Variable x not found'}", 3),
        id="variable without a default",
    ),
    pytest.param(
        f"{HEAD}while True: pass\n",
        (
            "AirflowTaskTimeout",
            f"DagBag import timeout for dags/lasse/x.py after {IMPORT_S}.0s.",
            2,
        ),
        id="slower than Airflow's import timeout",
    ),
]
"""Text, then type, message and line of the error; the file is `dags/lasse/x.py`."""

HARMFUL = [
    pytest.param("import os\nos._exit(3)\n", "ends its parser with os._exit(3)", id="os._exit"),
    pytest.param("import os\nos._exit(0)\n", "ends its parser with os._exit(0)", id="os._exit(0)"),
    pytest.param(
        "import ctypes\nctypes.string_at(0)\n",
        "crashes its parser (signal 11, segmentation fault)",
        id="segfault",
    ),
    pytest.param("import os\nos.abort()\n", "crashes its parser (signal 6, aborted)", id="abort"),
    pytest.param(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "crashes its parser (signal 9, killed)",
        id="killed",
    ),
    *(
        pytest.param(
            f"{how}\n",
            f"closes its standard input{where}, over which Airflow's parser tells its result: "
            "exit() and quit() do that, raise an error instead",
            id=how,
        )
        for how, where in {
            "exit()": " (line 2)",
            "quit('done')": " (line 2)",
            "import sys; sys.stdin = None": " (line 2)",
            "import sys; sys.stdin.close()": " (line 2)",
            "import os; os.close(0)": " (line 2)",
            "import os; os.close(0); kept = open(__file__)": " (line 2)",
            "import os, sys; getattr(sys, 'std' + 'in').detach()": "",
        }.items()
    ),
    pytest.param(
        "raise KeyboardInterrupt\n",
        "ends its parser with KeyboardInterrupt, which Airflow does not catch",
        id="KeyboardInterrupt",
    ),
    pytest.param(
        "x = " + "+".join(["1"] * 20_000) + "\n",
        "ends its parser with RecursionError, which Airflow does not catch",
        id="an expression that Airflow's stability check can't walk",
    ),
    pytest.param(
        "with DAG('big', params={'x': 10**30}): pass\n",
        "ends its parser with OverflowError, which Airflow does not catch",
        id="a number that does not fit into the parser's message",
    ),
    pytest.param(
        "with DAG('listed', description='d' * 99_991, tags=['t' * 10]): ...\n",
        "has a description, tags and assets of 100001 characters in DAG 'listed', which each list "
        "of DAGs shows to everybody: 100000 are allowed, shorten them",
        id="a list of DAGs that nobody can load",
    ),
    pytest.param(
        late("@daily"),
        "has a VariableInterval in DAG 'late' that stops Airflow's scheduler: "
        "use a timedelta, or no schedule",
        id="a deadline by a Variable",
    ),
    pytest.param(
        "from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback\n"
        "with DAG('alone', deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, "
        "interval=__import__('datetime').timedelta(1), "
        "callback=SyncCallback(f'{__name__}.tell', executor='nope'))): ...\n",
        "has a deadline in DAG 'alone' whose callback no executor takes "
        "(UnknownExecutorException: Unknown executor being loaded: nope): mend it",
        id="a deadline that waits in front of everybody's",
    ),
    pytest.param(
        "import datetime\n"
        "from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference\n"
        "one = DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, "
        "interval=datetime.timedelta(1), callback=AsyncCallback(f'{__name__}.tell'))\n"
        "with DAG('many', deadline=[one] * 11): ...\n",
        "has 11 deadlines in DAG 'many', whose callbacks go before everybody's tasks: "
        "10 are allowed",
        id="more deadlines than may be missed at once",
    ),
    pytest.param(
        "from airflow.sdk import Asset\n"
        "made = [Asset(f'{n:01200}', uri=f'x://{n}') for n in range(900)]\n"
        "with DAG('listed', schedule=made): ...\n",
        "has a description, tags and assets of 1135699 characters in DAG 'listed', which each "
        "list of DAGs shows to everybody: 100000 are allowed, shorten them",
        id="a list of DAGs with very many characters of assets",
    ),
    pytest.param(
        "from airflow.sdk import CronPartitionTimetable\n"
        "with DAG('late', schedule=CronPartitionTimetable('0 * * * *', timezone='UTC', "
        "run_offset=12_000)): ...\n",
        "has a schedule in DAG 'late' whose next run takes long to find, and at each run "
        "Airflow's scheduler does nothing else meanwhile: choose another",
        id="a schedule that keeps the scheduler busy",
    ),
    pytest.param(
        mapped("1001", "10"),
        "has 10010 tasks in each run of DAG 'mapped', which Airflow makes all at once: "
        "10000 are allowed; expand over fewer, lists given together are multiplied",
        id="each of one list with each of another",
    ),
    pytest.param(
        "from airflow.sdk import DAG\nkept = [DAG(f'made_{n}') for n in range(201)]\n"
        "globals().update({dag.dag_id: dag for dag in kept})\n",
        "has 201 DAGs, which Airflow stores while all other files wait: 200 are allowed; "
        "expand tasks, or let one DAG do many",
        id="more DAGs than others can wait for",
    ),
    pytest.param(
        "from airflow.sdk import Asset\n@task(outlets=[Asset(f'{n}') for n in range(1001)])\n"
        "def f(): ...\nwith DAG('named'): f()\n",
        "names assets 1001 times, which Airflow stores while all other files wait: "
        "1000 times are allowed",
        id="more assets than others can wait for",
    ),
    pytest.param(
        "from airflow.sdk import Asset\n"
        "with DAG('more', schedule=[Asset('a', extra={'x': 'y' * 99_992})]): ...\n",
        "has extras of assets of 100001 characters, which each list of assets shows to "
        "everybody: 100000 are allowed, shorten them",
        id="a list of assets that nobody can load",
    ),
    pytest.param(
        "with DAG('large', doc_md='d' * 10_000_000): ...\n",
        "has DAGs of more than 10 MB in all, which Airflow's services keep in memory: "
        "put long texts and data into files of their own",
        id="a DAG that fills the memory of others",
    ),
    pytest.param(
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass\n",
        f"did not finish parsing within {PARSE_S} s",
        id="endless, ignores the alarm",
    ),
    pytest.param(
        "import atexit, time\natexit.register(time.sleep, 1000)\n" + holding("late"),
        f"did not finish parsing within {PARSE_S} s",
        id="hangs when it ends",
    ),
    pytest.param(
        "x = [bytearray(50_000_000) for _ in range(100)]\n",
        "needs more than 300 MB of memory to parse",
        id="memory, bit by bit",
    ),
    pytest.param(
        "x = bytearray(10**12)\n", "needs more than 300 MB of memory to parse", id="memory"
    ),
    pytest.param(
        "try:\n    x = [bytearray(50_000_000) for _ in range(100)]\nexcept MemoryError:\n"
        "    pass\n" + holding("hog"),
        "needs more than 300 MB of memory to parse",
        id="memory, and goes on",
    ),
    pytest.param(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\n"
        + holding("parent"),
        "starts a process that outlives its parse",
        id="leaves a daemon behind",
    ),
    pytest.param(
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1000)\n",
        "takes down the process that watches its parser",
        id="kills its warden",
    ),
    pytest.param(
        'import os\nos.write(3, b\'{"ended": "setup"}\')\nos._exit(0)\n',
        "ends its parser with os._exit(0)",
        id="forges a report of a broken parser",
    ),
]
"""Text after `HEAD`, then the harm."""
