"""The shared table: every kind of DAG file that a class pushes, and what becomes of it.

`deployer check` and the live verdict must say the same of each (tests/e2e/test_check_agrees.py).
What takes as long as a bound of time, and what becomes of a file from push to push, is in
`tests.kinds`.

Each case has a folder of its own, `dags/amy/<name>/`: amy is the student who makes all these
mistakes, for each student's folder is a status on GitHub, which takes only so many.

Left out by nature, since only the live Airflow has them: a Variable, Connection or package of
`requirements.txt` that is there and not on the student's machine; what its database refuses;
which of two files had a dag_id first.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

STUDENT = "amy"
NO_VERDICT = "no verdict"
"""In place of an outcome: Airflow does not look at the file, so neither does the deployer."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one file.

    Attributes:
        outcome: of the verdict, or `NO_VERDICT`.
        dag_ids: sorted.
        error: its type; `Held` where the file is held.
        words: found in its message.
        line: of the error.
    """

    outcome: str
    dag_ids: tuple[str, ...] = ()
    error: str | None = None
    words: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One folder.

    Attributes:
        files: contents by path, seen from `dags/amy/<name>/`, or from the root if they begin with
            `dags/` or `include/`.
        says: by path of the same kind; a file that is not named has no verdict.
    """

    name: str
    files: Mapping[str, bytes]
    says: Mapping[str, Said] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """Return the path in the repository of one of `files`."""
        at_root = name.startswith(("dags/", "include/"))
        return name if at_root else f"dags/{STUDENT}/{self.name}/{name}"


HEAD = "from airflow.sdk import DAG, dag, task\n"
"""First line of the cases' files: what follows begins at line 2."""


def made(case: str, name: str = "one", *, more: str = "", body: str = "") -> str:
    """Return a DAG as the class wants it; `more` arguments, `body` instead of its one task."""
    return (
        f'with DAG("{STUDENT}_{case}_{name}", schedule=None, catchup=False, '
        f'tags=["student:{STUDENT}"], default_args={{"owner": "{STUDENT}"}}{more}):\n'
        + (body or "    @task\n    def work():\n        return 1\n    work()\n")
    )


def parsed(*names: str) -> Said:
    """Return what is said of a file with amy's DAGs of these names."""
    return Said("parsed", tuple(f"{STUDENT}_{name}" for name in names))


def broken(error: str, line: int | None, words: str = "") -> Said:
    return Said("broken", error=error, line=line, words=words)


def held(words: str) -> Said:
    return Said("held", error="Held", words=words)


NO_DAG = Said("no_dag")
SYSTEM_EXIT = broken("SystemExit", 2, "2")
IGNORED = Said(NO_VERDICT)


def one(name: str, text: str | bytes, said: Said, *, file: str = "x.py") -> Case:
    """Return a case of one file."""
    content = text.encode() if isinstance(text, str) else text
    return Case(name, MappingProxyType({file: content}), MappingProxyType({file: said}))


def several(name: str, files: Mapping[str, str | bytes], says: Mapping[str, Said]) -> Case:
    """Return a case of several files."""
    contents = {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}
    return Case(name, MappingProxyType(contents), MappingProxyType(dict(says)))


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a zip, the same bytes for the same files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return stream.getvalue()


def good(name: str, before: str = "", after: str = "") -> Case:
    """Return a case of one file that parses, with something around its DAG."""
    return one(name, HEAD + before + made(name) + after, parsed(f"{name}_one"))


def bad(name: str, line: str, said: Said) -> Case:
    """Return a case of one file with something on line 2 that goes wrong."""
    return one(name, HEAD + line + "\n" + made(name), said)


GOOD = (
    good("plain"),
    one(
        "two_dags",
        HEAD + made("two_dags", "b") + made("two_dags", "a"),
        parsed("two_dags_a", "two_dags_b"),
    ),
    one(
        "decorated",
        HEAD + '@dag(schedule="@daily", catchup=False, tags=["student:amy"], '
        'default_args={"owner": "me"})\ndef amy_decorated_one():\n    @task\n    def f(): ...\n'
        "    f()\namy_decorated_one()\n",
        parsed("decorated_one"),
    ),
    one(
        "returned",
        HEAD
        + "def make():\n    dag = DAG('amy_returned_one', schedule=None, tags=['student:amy'])\n"
        + "    return dag\nmine = make()\n",
        parsed("returned_one"),
    ),
    one(
        "in_a_function",
        HEAD
        + "def make():\n"
        + "".join(f"    {line}\n" for line in made("in_a_function").splitlines())
        + "make()\n",
        parsed("in_a_function_one"),
    ),
    one(
        "dynamic",
        HEAD
        + "for n in range(3):\n    "
        + made("dynamic", "{n}", body="        pass\n").replace('DAG("', 'DAG(f"'),
        parsed("dynamic_0", "dynamic_1", "dynamic_2"),
    ),
    good("letters", "# æøå ☃ 漢字\n", "x = 'naïve 😀'\n"),
    one("in_letters", HEAD + made("in_letters"), parsed("in_letters_one"), file="blå bær.py"),
    one("deep", HEAD + made("deep"), parsed("deep_one"), file="a/b/c/d/x.py"),
    one("crlf", (HEAD + made("crlf")).replace("\n", "\r\n"), parsed("crlf_one")),
    one("bom", "\ufeff" + HEAD + made("bom"), parsed("bom_one")),
    good("prints", "import sys\nprint('x' * 100_000)\nprint('y', file=sys.stderr)\n"),
    good("warns", "import warnings\nwarnings.warn('careful', DeprecationWarning)\n"),
    good("threads", "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\n"),
    good("thread_left", "import threading\nthreading.Timer(0.1, print).start()\n"),
    good("runs_a_program", "import subprocess\nsubprocess.run(['true'], check=True)\n"),
    good("huge", "# " + "x" * 1_000_000 + "\n"),
    good("command_line", "import sys\nassert sys.argv == ['airflow', 'dag-processor']\n"),
    good("main_guard", "", "if __name__ == '__main__':\n    raise SystemExit(1)\n"),
    good("with_default", "from airflow.sdk import Variable\nVariable.get('nowhere', default=1)\n"),
    one(
        "operator_class",
        HEAD
        + "from airflow.sdk import BaseOperator\nclass Mine(BaseOperator):\n"
        + "    template_fields = ('word',)\n"
        + "    def __init__(self, *, word, **more):\n"
        + "        super().__init__(**more)\n        self.word = word\n"
        + "    def execute(self, context):\n        return self.word\n"
        + made("operator_class", body="    Mine(task_id='a', word='{{ var.value.nowhere }}')\n"),
        parsed("operator_class_one"),
    ),
    one(
        "grouped",
        HEAD
        + "from airflow.sdk import task_group\n"
        + made(
            "grouped",
            body="    @task\n    def f(x): return x\n    @task_group\n    def g():\n"
            "        f.expand(x=[1, 2])\n    g()\n",
        ),
        parsed("grouped_one"),
    ),
    one(
        "on_an_asset",
        HEAD
        + "from airflow.sdk import Asset\n"
        + made("on_an_asset").replace("schedule=None", "schedule=[Asset('amy_on_an_asset')]"),
        parsed("on_an_asset_one"),
    ),
    several(
        "helped",
        {
            "x.py": HEAD + "from amy.helped.helper import NAME\n" + made("helped"),
            "helper.py": "NAME = 'x'\n",
        },
        {"x.py": parsed("helped_one"), "helper.py": IGNORED},
    ),
    several(
        "from_include",
        {
            "x.py": HEAD + "from include.from_include_helper import NAME\n" + made("from_include"),
            "include/from_include_helper.py": "NAME = 'x'\n",
        },
        {"x.py": parsed("from_include_one")},
    ),
    several(
        "reads_sql",
        {
            "x.py": HEAD
            + "from pathlib import Path\nPath(__file__).with_name('a.sql').read_text()\n"
            + made("reads_sql"),
            "a.sql": "select 1\n",
        },
        {"x.py": parsed("reads_sql_one")},
    ),
    one(
        "zipped",
        zipped({"inside.py": HEAD + made("zipped")}),
        parsed("zipped_one"),
        file="x.zip",
    ),
)
"""They parse."""

PROXY = """\
class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("outside of its program")
current = Proxy()
"""
"""As Flask's `current_app` and the like: Airflow drops a file's DAGs and writes that into a log."""

WITHOUT = (
    one("empty", "", IGNORED),
    one("not_a_zip", "an airflow dag\n", IGNORED, file="x.zip"),
    one("no_dag", "x = 'a dag of airflow'\n", NO_DAG),
    one("proxy_in_a_helper", "# of a DAG of airflow\n" + PROXY, NO_DAG),
    one("never_called", HEAD + "@dag(dag_id='amy_never_called_one')\ndef one(): ...\n", NO_DAG),
    one(
        "in_a_local_name",
        HEAD + "def make():\n    x = DAG('amy_in_a_local_name_one')\nmake()\n",
        NO_DAG,
    ),
    several(
        "ignored",
        {
            ".airflowignore": "draft_*\n",
            "draft_x.py": HEAD + "nonsense(\n",
            "x.py": HEAD + made("ignored"),
        },
        {"draft_x.py": IGNORED, "x.py": parsed("ignored_one")},
    ),
)
"""They hold no DAG, or Airflow does not look at them."""

BROKEN = (
    one("proxy", HEAD + PROXY + made("proxy"), broken("UnreadableName", None, "'current'")),
    one("no_name", HEAD + made("no_name") + "del __file__\n", broken("AttributeError", None)),
    one(
        "latin1",
        b"# -*- coding: latin-1 -*-\nx = '\xe6\xf8\xe5'\n" + (HEAD + made("latin1")).encode(),
        broken("UnicodeDecodeError", None, "can't decode byte 0xe6"),
    ),
    bad("syntax", "x = f(1,", broken("SyntaxError", 2, "'(' was never closed")),
    bad("indent", "  x = 1", broken("IndentationError", 2)),
    one("tabs", HEAD + "if True:\n\tx = 1\n        y = 2\n", broken("TabError", 4)),
    one("not_utf8", HEAD.encode() + b"x = '\xe6'\n", broken("SyntaxError", 2)),
    one("nul", HEAD.encode() + b"x = '\0'\n", broken("SyntaxError", None)),
    bad("missing_import", "import pandaz", broken("ModuleNotFoundError", 2, "'pandaz'")),
    bad("missing_name", "from airflow.sdk import dagg", broken("ImportError", 2, "'dagg'")),
    bad("relative", "from . import helper", broken("ImportError", 2, "relative import")),
    bad("undefined", "x = y", broken("NameError", 2, "'y'")),
    bad("divides", "x = 1 / 0", broken("ZeroDivisionError", 2)),
    bad("unset", "import os; os.environ['NOWHERE']", broken("KeyError", 2, "NOWHERE")),
    bad("arguments", "__import__('argparse').ArgumentParser().parse_args()", SYSTEM_EXIT),
    bad("no_file", "open('nowhere.csv')", broken("FileNotFoundError", 2, "nowhere.csv")),
    bad(
        "variable",
        "from airflow.sdk import Variable; Variable.get('nowhere')",
        broken("AirflowRuntimeError", 2, "nowhere"),
    ),
    bad(
        "connection",
        "from airflow.sdk import BaseHook; BaseHook.get_connection('nowhere')",
        broken("AirflowNotFoundException", 2, "nowhere"),
    ),
    one(
        "argument",
        HEAD
        + "from airflow.providers.standard.operators.bash import BashOperator\n"
        + made("argument", body="    BashOperator(task_id='a', bash_command='true', nonsense=1)\n"),
        broken("TypeError", 4, "nonsense"),
    ),
    one("dag_argument", HEAD + made("dag_argument", more=", nonsense=1"), broken("TypeError", 2)),
    several(
        "circular",
        {
            "x.py": HEAD + "from amy.circular.a import A\n" + made("circular"),
            "a.py": "from amy.circular.b import B\nA = 1\n",
            "b.py": "from amy.circular.a import A\nB = 1\n",
        },
        {"x.py": broken("ImportError", 2, "partially initialized module")},
    ),
    several(
        "helper_broken",
        {
            "x.py": HEAD + "from amy.helper_broken.helper import NAME\n" + made("helper_broken"),
            "helper.py": "NAME = nonsense\n",
        },
        {"x.py": broken("NameError", 2, "nonsense")},
    ),
    several(
        "helper_unreadable",
        {
            "x.py": HEAD
            + "from amy.helper_unreadable.helper import NAME\n"
            + made("helper_unreadable"),
            "helper.py": "NAME = (\n",
        },
        {"x.py": broken("SyntaxError", 2)},
    ),
    one(
        "cycle",
        HEAD
        + made(
            "cycle",
            body="    @task\n    def f(): ...\n    a, b = f(), f()\n    a >> b >> a\n",
        ),
        broken("AirflowDagCycleException", None, "Cycle detected"),
    ),
    one(
        "same_task",
        HEAD
        + "from airflow.providers.standard.operators.empty import EmptyOperator\n"
        + made(
            "same_task", body="    EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')\n"
        ),
        broken("DuplicateTaskIdFound", 5),
    ),
    one(
        "cron",
        HEAD + made("cron").replace("schedule=None", "schedule='every day'"),
        broken("AirflowTimetableInvalid", None),
    ),
    one(
        "start_date",
        HEAD + made("start_date", more=", start_date='yesterday'"),
        broken("ParserError", 2),
    ),
    one("odd_dag_id", HEAD + made("odd_dag_id", "a b!"), broken("ValueError", 2)),
    bad("exits", "import sys; sys.exit('no way')", broken("SystemExit", 2, "no way")),
    bad("recursion", "f = lambda: f(); f()", broken("RecursionError", 2)),
    bad(
        "asks_the_net",
        "import requests; requests.get('http://127.0.0.1:9/', timeout=5)",
        broken("ConnectionError", 2),
    ),
    bad(
        "opens_a_url",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/', timeout=5)",
        broken("URLError", 2, "Connection refused"),
    ),
    one(
        "zip_broken",
        zipped({"inside.py": HEAD + "import pandaz\n"}),
        broken("ModuleNotFoundError", 2),
        file="x.zip",
    ),
    one(
        "wrong_dag_id",
        HEAD + made("wrong_dag_id").replace("amy_wrong", "my_wrong"),
        broken("AirflowClusterPolicyViolation", None, "must begin with 'amy_'"),
    ),
    one(
        "no_tag",
        HEAD + made("no_tag").replace("student:amy", "week11"),
        broken("AirflowClusterPolicyViolation", None, "student:amy"),
    ),
)
"""Airflow says why it can't import them."""

_OF_BOTH = (
    made("b")
    .replace("amy_b_one", "amy_b_ours")
    .replace('"student:amy"', '"student:amy", "student:amy_b"')
)

_BROUGHT = "importing dags/amy/brought/producer.py brings its DAG 'amy_brought_producer' along"

HELD = (
    bad("ends", "import os; os._exit(3)", held("ends its parser with os._exit(3)")),
    bad("segfault", "import ctypes; ctypes.string_at(0)", held("crashes its parser (signal 11")),
    bad("interrupts", "raise KeyboardInterrupt", held("KeyboardInterrupt")),
    bad("memory", "x = bytearray(4 << 30)", held("needs more than 1024 MB")),
    bad(
        "child_left",
        "import subprocess; subprocess.Popen(['sleep', '1000'])",
        held("starts a process that outlives its parse"),
    ),
    one(
        "nul_described",
        HEAD + made("nul_described", more=r", description='a\0b'"),
        held("has a description with a NUL character in DAG 'amy_nul_described_one'"),
    ),
    one(
        "long_owner",
        HEAD + made("long_owner").replace('{"owner": "amy"}', '{"owner": "a" * 3000}'),
        held("has owners of 3000 characters in DAG 'amy_long_owner_one'"),
    ),
    one(
        "many_tasks",
        HEAD + made("many_tasks", more=", max_active_tasks=10**12"),
        held("has a max_active_tasks of 1000000000000 in DAG 'amy_many_tasks_one'"),
    ),
    several(
        "twins",
        {
            "a.py": HEAD + made("twins"),
            "b.py": HEAD + made("twins"),
            "c.py": HEAD + made("twins", "c"),
        },
        {
            "a.py": held("'amy_twins_one' is claimed by dags/amy/twins/b.py too"),
            "b.py": held("'amy_twins_one' is claimed by dags/amy/twins/a.py too"),
            "c.py": parsed("twins_c"),
        },
    ),
    several(
        "brought",
        {
            "producer.py": HEAD + "NAME = 'x'\n" + made("brought", "producer"),
            "consumer.py": HEAD
            + "from dags.amy.brought.producer import NAME\n"
            + made("brought", "consumer"),
            "beside.py": HEAD + "from amy.brought import producer\n" + made("brought", "beside"),
        },
        {
            "producer.py": parsed("brought_producer"),
            "consumer.py": held(_BROUGHT),
            "beside.py": held(_BROUGHT),
        },
    ),
    several(
        "neighbours",
        {
            "dags/amy/neighbours.py": HEAD + _OF_BOTH,
            "dags/amy_b/neighbours.py": HEAD + _OF_BOTH,
        },
        {
            "dags/amy/neighbours.py": held("is claimed by dags/amy_b/neighbours.py too"),
            "dags/amy_b/neighbours.py": held("is claimed by dags/amy/neighbours.py too"),
        },
    ),
    one(
        "same_id_twice",
        HEAD + made("same_id_twice") + made("same_id_twice"),
        parsed("same_id_twice_one"),
    ),
    one("compiled", b"\0\0", held("compiled Python is not published"), file="x.pyc"),
    one("line_break", HEAD + made("line_break"), held("line break"), file="a\nb.py"),
    several(
        "bad_ignore",
        {".airflowignore": "[z-a]\n", "x.py": HEAD + made("bad_ignore")},
        {".airflowignore": held("is not a valid pattern"), "x.py": parsed("bad_ignore_one")},
    ),
)
"""They would hurt the others: their version that is live stays, or they are left out."""

CASES = (*GOOD, *WITHOUT, *BROKEN, *HELD)
