"""The isolated parser: what the fake promises, and every kind of file on a real Airflow."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from deployer.core.model import Examined, File, ParseError, Tree
from deployer.edges import preflight
from deployer.edges.preflight import LocalExaminer
from deployer.edges.preflight_process import Limits
from deployer.errors import PreflightError
from deployer.ports import Examiner
from tests.fakes.examiner import FakeExaminer

SCRIPT = Path(__file__).parents[2] / "include" / "airflow" / "preflight.py"
SHA = "0" * 40
# Airflow's own bound (here 3 s instead of 15), then the parser's (5 s instead of 25).
SLOW_S = "3"
LIMITS = Limits(wall_s=5.0, memory_mb=300)
POLICY = """
from airflow.exceptions import AirflowClusterPolicyViolation

def dag_policy(dag):
    if "forbidden" in dag.tags:
        raise AirflowClusterPolicyViolation(f"{dag.dag_id}: a tag that is not for students")
"""

HEAD = "from airflow.sdk import DAG, task\n"


def holding(dag_id: str) -> str:
    """Return a file's text with one small DAG."""
    return f'{HEAD}with DAG("{dag_id}"):\n    @task\n    def f(): ...\n    f()\n'


class Disk:
    """Implements `Materialiser` for files that a test writes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.laid_out: list[Path] = []

    def write(self, path: str, content: str | bytes) -> str:
        self.files[path] = content.encode() if isinstance(content, str) else content
        return path

    @contextmanager
    def lay_out(self, tree: Tree, paths: Sequence[str]) -> Iterator[Path]:
        root = Path(tempfile.mkdtemp(prefix="examine-")).resolve()
        self.laid_out.append(root)
        try:
            for path, content in self.files.items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            yield root
        finally:
            shutil.rmtree(root)


class Real:
    """A real examiner with the files it looks at."""

    def __init__(self, examiner: LocalExaminer, disk: Disk) -> None:
        self.examiner = examiner
        self.disk = disk

    def examine(self, *paths: str) -> tuple[Examined, ...]:
        files = {path: File("0" * 40) for path in self.disk.files}
        return self.examiner.examine(Tree(SHA, files), paths)

    def look_at(self, content: str | bytes, *, name: str = "x.py") -> Examined:
        """Write one file and examine it."""
        (found,) = self.examine(self.disk.write(f"dags/lasse/{name}", content))
        return found


@pytest.fixture(scope="module")
def warm(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExaminer]:
    """One warm parser for all tests, with a policy of the class's."""
    class_files = tmp_path_factory.mktemp("class_files")
    (class_files / "airflow_local_settings.py").write_text(POLICY)
    disk = Disk()
    with LocalExaminer(
        python=lambda: airflow_python,
        script=SCRIPT,
        materialiser=disk,
        env={
            "PYTHONPATH": str(class_files),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": SLOW_S,
        },
        limits=LIMITS,
    ) as examiner:
        yield examiner


@pytest.fixture
def real(warm: LocalExaminer, monkeypatch: pytest.MonkeyPatch) -> Real:
    disk = Disk()
    monkeypatch.setattr(warm, "_materialiser", disk)
    return Real(warm, disk)


# --- the contract ----------------------------------------------------------


class Subject(Protocol):
    """An examiner, and the means to make it meet each kind of file."""

    @property
    def examiner(self) -> Examiner: ...
    def good(self, path: str, dag_id: str) -> None: ...
    def broken(self, path: str) -> None: ...
    def harmful(self, path: str) -> None: ...
    def empty(self, path: str) -> None: ...


class FakeSubject:
    def __init__(self) -> None:
        self.examiner = FakeExaminer()

    def good(self, path: str, dag_id: str) -> None:
        self.examiner.finds(path, dag_ids=(dag_id,))

    def broken(self, path: str) -> None:
        self.examiner.finds(path, error=ParseError("NameError", "name 'x' is not defined", 2))

    def harmful(self, path: str) -> None:
        self.examiner.finds(path, harm="ends its parser with os._exit(3)")

    def empty(self, path: str) -> None:
        self.examiner.finds(path)


class RealSubject:
    def __init__(self, real: Real) -> None:
        self.examiner = real.examiner
        self._disk = real.disk

    def good(self, path: str, dag_id: str) -> None:
        self._disk.write(path, holding(dag_id))

    def broken(self, path: str) -> None:
        self._disk.write(path, f"{HEAD}x\n")

    def harmful(self, path: str) -> None:
        self._disk.write(path, f"{HEAD}import os\nos._exit(3)\n")

    def empty(self, path: str) -> None:
        self._disk.write(path, "# neither a dag nor airflow\n")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.airflow)])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "fake":
        return FakeSubject()
    return RealSubject(request.getfixturevalue("real"))


def test_there_is_one_result_a_path_in_the_order_asked_for(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.broken("dags/b/two.py")
    subject.harmful("dags/c/three.py")
    subject.empty("dags/d/four.py")
    paths = ["dags/d/four.py", "dags/b/two.py", "dags/a/one.py", "dags/c/three.py"]

    four, two, one, three = subject.examiner.examine(Tree(SHA, {}), paths)

    assert one == Examined("dags/a/one.py", ("one",))
    assert two.error is not None
    assert (two.error.type, two.error.line, two.dag_ids, two.harm) == ("NameError", 2, (), None)
    assert (three.harm, three.error) == ("ends its parser with os._exit(3)", None)
    assert four == Examined("dags/d/four.py")


def test_nothing_asked_is_nothing_answered(subject: Subject) -> None:
    assert subject.examiner.examine(Tree(SHA, {}), ()) == ()


def test_the_same_files_can_be_examined_again(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.harmful("dags/c/three.py")
    paths = ("dags/a/one.py", "dags/c/three.py")

    first = subject.examiner.examine(Tree(SHA, {}), paths)

    assert subject.examiner.examine(Tree(SHA, {}), paths) == first


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_a_parser_that_does_not_work_says_nothing_about_files(kind: str, tmp_path: Path) -> None:
    examiner: Examiner
    if kind == "fake":
        examiner = fake = FakeExaminer()
        fake.down = "no Airflow"
    else:
        examiner = LocalExaminer(
            python=lambda: tmp_path / "bin" / "python", script=SCRIPT, materialiser=Disk()
        )

    with pytest.raises(PreflightError):
        examiner.examine(Tree(SHA, {}), ["dags/a/one.py"])


def test_an_interpreter_without_airflow_is_named_as_the_cause(tmp_path: Path) -> None:
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    bare.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no airflow' >&2\nexit 1\n")
    bare.chmod(0o755)
    examiner = LocalExaminer(python=lambda: bare, script=SCRIPT, materialiser=Disk())

    with pytest.raises(PreflightError, match="did not start: it died: ModuleNotFoundError"):
        examiner.examine(Tree(SHA, {}), ["dags/a/one.py"])


# --- every kind of file ----------------------------------------------------


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


@pytest.mark.airflow
@pytest.mark.parametrize(
    ("content", "dag_ids"),
    [
        pytest.param(holding("one"), ("one",), id="good"),
        pytest.param(holding("b") + holding("a"), ("a", "b"), id="two DAGs"),
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
    ],
)
def test_a_file_that_parses(real: Real, content: str, dag_ids: tuple[str, ...]) -> None:
    assert real.look_at(content) == Examined("dags/lasse/x.py", dag_ids)


@pytest.mark.airflow
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            f"{HEAD}\nx = f(1,\n", ("SyntaxError", "'(' was never closed", 3), id="syntax"
        ),
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
                "DagBag import timeout for dags/lasse/x.py after 3.0s.",
                2,
            ),
            id="slower than Airflow's import timeout",
        ),
    ],
)
def test_an_ordinary_error_comes_with_the_line(
    real: Real, content: str, expected: tuple[str, str, int | None]
) -> None:
    found = real.look_at(content)

    assert (found.harm, found.dag_ids) == (None, ())
    assert found.error is not None
    assert (found.error.type, found.error.message, found.error.line) == expected


@pytest.mark.airflow
@pytest.mark.parametrize(
    ("content", "harm"),
    [
        pytest.param("import os\nos._exit(3)\n", "ends its parser with os._exit(3)", id="os._exit"),
        pytest.param(
            "import os\nos._exit(0)\n", "ends its parser with os._exit(0)", id="os._exit(0)"
        ),
        pytest.param(
            "import ctypes\nctypes.string_at(0)\n",
            "crashes its parser (signal 11, segmentation fault)",
            id="segfault",
        ),
        pytest.param(
            "import os\nos.abort()\n", "crashes its parser (signal 6, aborted)", id="abort"
        ),
        pytest.param(
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
            "crashes its parser (signal 9, killed)",
            id="killed",
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
            "with DAG('big', max_active_runs=10**30): pass\n",
            "ends its parser with OverflowError, which Airflow does not catch",
            id="a number that does not fit into the parser's message",
        ),
        pytest.param(
            "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass\n",
            "did not finish parsing within 5 s",
            id="endless, ignores the alarm",
        ),
        pytest.param(
            "import atexit, time\natexit.register(time.sleep, 1000)\n" + holding("late"),
            "did not finish parsing within 5 s",
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
    ],
)
def test_a_file_that_would_hurt_others(real: Real, content: str, harm: str) -> None:
    assert real.look_at(HEAD + content) == Examined("dags/lasse/x.py", harm=harm)


@pytest.mark.airflow
def test_a_helpers_missing_import_is_put_down_to_the_line_that_imports_it(real: Real) -> None:
    real.disk.write("dags/lasse/helper.py", "import os\nimport nosuchmodule\n")

    found = real.look_at(f"{HEAD}\n\nfrom lasse import helper\n")

    assert found.error is not None
    assert (found.error.type, found.error.line) == ("ModuleNotFoundError", 4)


@pytest.mark.airflow
def test_modules_of_dags_and_of_include_can_be_imported_as_in_airflow(real: Real) -> None:
    real.disk.write("dags/lasse/helper.py", "NAME = 'from_'\n")
    real.disk.write("include/names.py", "NAME = 'both'\n")

    found = real.look_at(
        "from lasse import helper\nfrom include import names\n"
        + holding("x").replace('"x"', "helper.NAME + names.NAME")
    )

    assert found == Examined("dags/lasse/x.py", ("from_both",))


@pytest.mark.airflow
def test_a_zip_holds_dags(real: Real) -> None:
    found = real.look_at(zipped("inner.py", holding("packed")), name="pack.zip")

    assert found == Examined("dags/lasse/pack.zip", ("packed",))


@pytest.mark.airflow
def test_a_zips_error_has_the_line_of_the_module_inside(real: Real) -> None:
    found = real.look_at(zipped("inner_bad.py", f"{HEAD}\nimport nosuchmodule\n"), name="pack.zip")

    assert found.error is not None
    assert (found.error.type, found.error.line) == ("ModuleNotFoundError", 3)


@pytest.mark.airflow
def test_a_file_that_is_gone_is_no_file_without_dags(real: Real) -> None:
    (found,) = real.examine("dags/lasse/gone.py")

    assert found.error is not None
    assert found.error.type == "FileNotFoundError"


@pytest.mark.airflow
def test_a_trace_shows_the_paths_of_the_repository(real: Real) -> None:
    found = real.look_at(f"{HEAD}1 / 0\n")

    assert found.error is not None
    assert 'File "dags/lasse/x.py", line 2' in found.error.trace
    assert str(real.disk.laid_out[-1]) not in found.error.trace


@pytest.mark.airflow
def test_the_neighbours_of_harmful_files_are_examined_all_the_same(real: Real) -> None:
    harmful = [
        "import os; os._exit(1)",
        "import ctypes; ctypes.string_at(0)",
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        "raise KeyboardInterrupt",
    ]
    paths = []
    for number, line in enumerate(harmful):
        paths.append(real.disk.write(f"dags/eve/bad{number}.py", f"{HEAD}{line}\n"))
        paths.append(real.disk.write(f"dags/amy/good{number}.py", holding(f"good{number}")))

    found = real.examine(*paths)

    assert [bool(result.harm) for result in found] == [True, False] * len(harmful)
    assert [result.dag_ids for result in found[1::2]] == [(f"good{n}",) for n in range(4)]


# --- the parser as a process -----------------------------------------------


def server_pid(real: Real) -> int:
    assert real.examiner._process is not None
    return real.examiner._process._process.pid


def wait_until(condition: Callable[[], bool], what: str, bound_s: float = 15.0) -> None:
    until = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < until, f"not within {bound_s} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.airflow
def test_a_daemon_that_a_file_left_behind_is_ended(real: Real, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    real.look_at(
        f"{HEAD}import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(1000)\n"
        "os.wait()\n"
        "while not "
        f"os.path.exists({str(note)!r}): time.sleep(0.01)\n"
    )

    wait_until(lambda: not is_alive(int(note.read_text())), "the daemon is gone")


@pytest.mark.airflow
def test_no_file_leaves_anything_in_the_parsers_directory(real: Real) -> None:
    real.look_at(f"{HEAD}import tempfile\nopen('junk', 'w')\ntempfile.mkdtemp()\n")

    assert real.examiner._process is not None
    assert not list(real.examiner._process._home.glob("parse-*"))


@pytest.mark.airflow
def test_a_file_sees_neither_secrets_nor_the_parsers_pipes(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_WEBHOOK_SECRET", "do not tell this to students")
    real.examiner.close()

    found = real.look_at(
        f"{HEAD}import os\n"
        "bad = [name for name in os.environ if 'DEPLOYER' in name]\n"
        "bad += [fd for fd in os.listdir('/proc/self/fd') if int(fd) < 3 and "
        "os.readlink(f'/proc/self/fd/{fd}') != os.devnull]\n"
        "bad += [fd for fd in os.listdir('/proc/self/fd') if int(fd) > 3 and "
        "os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "assert not bad, bad\n" + holding("blind")
    )

    assert found == Examined("dags/lasse/x.py", ("blind",))


@pytest.mark.airflow
def test_a_parser_that_was_killed_is_started_again(real: Real) -> None:
    real.look_at(holding("before"))
    os.kill(server_pid(real), 9)

    assert real.look_at(holding("after")).dag_ids == ("after",)


@pytest.mark.airflow
def test_a_file_that_kills_the_parser_is_found_out_and_nobody_else_is_blamed(real: Real) -> None:
    killer = f"""{HEAD}
import os, signal
def parent(pid):
    return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
os.kill(parent(os.getppid()), signal.SIGKILL)
signal.pause()
"""
    paths = [
        real.disk.write("dags/eve/killer.py", killer),
        real.disk.write("dags/amy/one.py", holding("one")),
        real.disk.write("dags/amy/two.py", holding("two")),
    ]

    bad, one, two = real.examine(*paths)

    assert bad.harm == "takes down the process that watches its parser"
    assert (one.dag_ids, two.dag_ids) == (("one",), ("two",))


@pytest.mark.airflow
def test_files_beyond_the_time_for_one_push_are_held_unexamined(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "BUDGET_S", -10_000.0)
    paths = [real.disk.write(f"dags/a/x{n}.py", holding(f"x{n}")) for n in range(6)]

    found = real.examine(*paths)

    unexamined = "was not examined: the files of this push take too long to parse"
    assert {result.harm for result in found} == {None, unexamined}
    assert found[-1].harm == unexamined


@pytest.mark.airflow
def test_another_interpreter_is_used_from_the_next_examination_on(
    real: Real, airflow_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = real.look_at(holding("before"))
    pid = server_pid(real)
    real.look_at(holding("before"))
    assert server_pid(real) == pid
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.write_text(f'#!/bin/sh\nexec "{airflow_python}" "$@"\n')
    other.chmod(0o755)
    monkeypatch.setattr(real.examiner, "_python", lambda: other)

    after = real.look_at(holding("before"))

    assert server_pid(real) != pid
    assert not is_alive(pid)
    assert after == before


@pytest.mark.airflow
def test_closing_ends_the_parser_and_removes_its_directory(real: Real) -> None:
    real.look_at(holding("x"))
    pid = server_pid(real)
    assert real.examiner._process is not None
    home = real.examiner._process._home

    real.examiner.close()

    assert not is_alive(pid)
    assert not home.exists()
