"""The embedded parser: every kind of file on a real Airflow, and the parser as a process."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from deployer.core.model import Examined, Tree
from deployer.edges.parser import examiner, parser_process, warm_parser
from deployer.edges.parser.examiner import IsolatedExaminer
from deployer.edges.parser.parser_process import ParserProcess
from deployer.edges.parser.warm_parser import LocalParser
from deployer.errors import PreflightError
from tests.integration.examiner import unstorable
from tests.integration.examiner.files import GOOD, HARMFUL, HEAD, ORDINARY, holding, waiting_for
from tests.integration.examiner.unstorable import HELD
from tests.integration.examiner.world import PATIENT, SCRIPT, SHA, Disk, Real, all_of, until


def examiner_on(python: Path) -> IsolatedExaminer:
    parser = LocalParser(lambda: python, SCRIPT)
    return IsolatedExaminer(now=parser, built=parser, materialiser=Disk(python.parent))


def test_a_parser_that_is_not_there_says_nothing_about_files(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="can't be started"):
        examiner_on(tmp_path / "python").examine(Tree(SHA, {}), ["dags/a/one.py"])


def test_an_interpreter_without_airflow_is_named_as_the_cause(tmp_path: Path) -> None:
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    bare.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no airflow' >&2\nexit 1\n")
    bare.chmod(0o755)

    with pytest.raises(PreflightError, match="did not start: it died: ModuleNotFoundError"):
        examiner_on(bare).examine(Tree(SHA, {}), ["dags/a/one.py"])


def test_a_parser_that_takes_too_long_to_start_says_how_long_it_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_parser, "START_TIMEOUT_S", 0.05)
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec cat\n")
    slow.chmod(0o755)

    with pytest.raises(PreflightError, match=r"within 0\.05 s; is the machine busy\?"):
        examiner_on(slow).examine(Tree(SHA, {}), ["dags/a/one.py"])


def test_the_directories_of_workers_that_were_killed_are_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(("true",)) as dead:
        pass
    mine = os.getpid()
    gone = [
        tmp_path / f"preflight-{dead.pid}-x",
        tmp_path / f"preflight-{dead.pid}.17-x",
        tmp_path / f"preflight-{mine}.17-x",  # the number was given again
    ]
    kept = [
        tmp_path / f"preflight-{parser_process._owner()}-x",
        tmp_path / f"preflight-{mine}-x",  # of a deployer before
        tmp_path / "preflight-notes",
    ]
    for directory in (*gone, *kept):
        directory.mkdir()
    (gone[0] / "locked/inside").mkdir(parents=True)
    (gone[0] / "locked").chmod(0)

    with pytest.raises(PreflightError):
        examiner_on(tmp_path / "python").warm_up()

    assert sorted(tmp_path.iterdir()) == sorted(kept)


# More and more of them, and no look at them finds any.
UNCOUNTED = """
import os, time
import preflight_warden as warden
warden.prctl(warden.PR_SET_CHILD_SUBREAPER, 1)
warden.children = list
if (leader := os.fork()) == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.fork()
    time.sleep(1000)
os.waitpid(leader, 0)
print("killed:", warden.reap(grace_s=0, group=leader))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none is left")
"""


def test_processes_that_fork_faster_than_they_are_counted_end_with_their_group() -> None:
    env = {"PYTHONPATH": str(SCRIPT.parent)}
    argv = (sys.executable, "-c", UNCOUNTED)
    said = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.splitlines() == ["killed: True", "none is left"]


# The server dies while the warden forks the parser.
TOLD_AT_A_FORK = """
import os, signal, sys, time
from pathlib import Path
import preflight_warden as warden
scratch = sys.argv[1]
limits = warden.Limits(wall_s=20, memory_bytes=1 << 30, more_processes=None)
task = warden.Task(root="/", path="x.py", scratch=scratch, limits=limits)
result = os.memfd_create("result")
server = os.getpid()
os.register_at_fork(
    after_in_parent=lambda: os.getpid() == server or signal.raise_signal(signal.SIGTERM)
)
if os.fork() == 0:
    warden.watch_over(task, lambda *_: time.sleep(1000), result, server=server)
os.wait()
print(warden.read_report(result), Path(scratch).exists())
"""


def said_by_a_server(script: str, scratch: Path) -> str:
    scratch.mkdir()
    env = {"PYTHONPATH": str(SCRIPT.parent)}
    argv = (sys.executable, "-c", script, str(scratch))
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout


def test_a_parser_ends_whose_warden_is_told_to_while_it_forks_it(tmp_path: Path) -> None:
    assert said_by_a_server(TOLD_AT_A_FORK, tmp_path / "scratch") == "None False\n"


# And is told once more, by the server's death, while it kills the parser.
TOLD_TWICE = TOLD_AT_A_FORK.replace(
    "server = os.getpid()",
    """server = os.getpid()
warden.prctl(warden.PR_SET_CHILD_SUBREAPER, 1)
reap = warden.reap
warden.reap = lambda **kwargs: (signal.raise_signal(signal.SIGTERM), reap(**kwargs))[1]""",
).replace("Path(scratch).exists()", "Path(scratch).exists(), warden.children()")


def test_a_parser_ends_whose_warden_is_told_to_twice(tmp_path: Path) -> None:
    assert said_by_a_server(TOLD_TWICE, tmp_path / "scratch") == "None False []\n"


# --- every kind of file ----------------------------------------------------


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


@pytest.mark.airflow
@pytest.mark.parametrize(("content", "dag_ids"), GOOD)
def test_a_file_that_parses(local: Real, content: str, dag_ids: tuple[str, ...]) -> None:
    assert local.look_at(content) == Examined("dags/lasse/x.py", dag_ids)


@pytest.mark.airflow
@pytest.mark.parametrize(("content", "expected"), ORDINARY)
def test_an_ordinary_error_comes_with_the_line(
    local: Real, content: str, expected: tuple[str, str, int | None]
) -> None:
    found = local.look_at(content)

    assert (found.harm, found.dag_ids) == (None, ())
    assert found.error is not None
    assert (found.error.type, found.error.message, found.error.line) == expected


@pytest.mark.airflow
@pytest.mark.parametrize(("content", "harm"), HARMFUL)
def test_a_file_that_would_hurt_others(local: Real, content: str, harm: str) -> None:
    assert local.look_at(HEAD + content) == Examined("dags/lasse/x.py", harm=harm)


@pytest.mark.airflow
def test_an_error_message_that_would_burden_all_who_read_it_is_held(local: Real) -> None:
    found = local.look_at(f"{HEAD}raise ValueError('A' * (20 << 20))\n")

    said = r"has error messages of 2097\d{4} characters in all: 1000000 are allowed, shorten them"
    assert re.fullmatch(said, found.harm or ""), found.harm
    assert local.look_at(f"{HEAD}raise ValueError('A' * 900_000)\n").harm is None


@pytest.mark.airflow
def test_what_airflows_database_would_choke_on_is_held_and_said(local: Real) -> None:
    files = {f"dags/lasse/{name}.py": text for name, text in unstorable.files().items()}
    for path, text in files.items():
        local.disk.write(path, text)

    found = {one.path: one.harm for one in local.examine(*files) if one.harm}

    assert found == {f"dags/lasse/{name}.py": harm for name, (_, harm) in HELD.items()}


@pytest.mark.airflow
def test_a_helpers_missing_import_is_put_down_to_the_line_that_imports_it(local: Real) -> None:
    local.disk.write("dags/lasse/helper.py", "import os\nimport nosuchmodule\n")

    found = local.look_at(f"{HEAD}\n\nfrom lasse import helper\n")

    assert found.error is not None
    assert (found.error.type, found.error.line) == ("ModuleNotFoundError", 4)


@pytest.mark.airflow
def test_modules_of_dags_and_of_include_can_be_imported_as_in_airflow(local: Real) -> None:
    local.disk.write("dags/lasse/helper.py", "NAME = 'from_'\n")
    local.disk.write("include/names.py", "NAME = 'both'\n")

    found = local.look_at(
        "from lasse import helper\nfrom include import names\n"
        + holding("x").replace('"x"', "helper.NAME + names.NAME")
    )

    assert found == Examined("dags/lasse/x.py", ("from_both",))


@pytest.mark.airflow
def test_a_folder_that_is_called_as_what_a_package_can_do_without_is_not_taken_for_that(
    local: Real,
) -> None:
    local.disk.write("dags/simplejson/helper.py", "ONE = 1\n")  # requests looks for it
    text = f"import requests\nfrom simplejson.helper import ONE\n{holding('asks')}"
    found = local.look_at(text)
    assert (found.error, found.dag_ids) == (None, ("asks",))


@pytest.mark.airflow
def test_a_zip_holds_dags(local: Real) -> None:
    found = local.look_at(zipped("inner.py", holding("packed")), name="pack.zip")

    assert found == Examined("dags/lasse/pack.zip", ("packed",))


@pytest.mark.airflow
def test_a_zips_error_has_the_line_of_the_module_inside(local: Real) -> None:
    found = local.look_at(zipped("inner_bad.py", f"{HEAD}\nimport nosuchmodule\n"), name="pack.zip")

    assert found.error is not None
    assert (found.error.type, found.error.line) == ("ModuleNotFoundError", 3)


@pytest.mark.airflow
def test_a_file_that_is_gone_is_no_file_without_dags(local: Real) -> None:
    (found,) = local.examine("dags/lasse/gone.py")

    assert found.error is not None
    assert found.error.type == "FileNotFoundError"


@pytest.mark.airflow
def test_a_trace_shows_the_paths_of_the_repository(local: Real) -> None:
    found = local.look_at(f"{HEAD}1 / 0\n")

    assert found.error is not None
    assert 'File "dags/lasse/x.py", line 2' in found.error.trace
    assert str(local.disk.laid_out[-1]) not in found.error.trace


@pytest.mark.airflow
def test_the_neighbours_of_harmful_files_are_examined_all_the_same(local: Real) -> None:
    harmful = [
        "import os; os._exit(1)",
        "import ctypes; ctypes.string_at(0)",
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        "raise KeyboardInterrupt",
    ]
    paths = []
    for number, line in enumerate(harmful):
        paths.append(local.disk.write(f"dags/eve/bad{number}.py", f"{HEAD}{line}\n"))
        paths.append(local.disk.write(f"dags/amy/good{number}.py", holding(f"good{number}")))

    found = local.examine(*paths)

    assert [bool(result.harm) for result in found] == [True, False] * len(harmful)
    assert [result.dag_ids for result in found[1::2]] == [(f"good{n}",) for n in range(4)]


# --- the parser as a process -----------------------------------------------


def process_of(local: Real) -> ParserProcess:
    process = local.examiner._now._process
    assert process is not None
    return process


def server_pid(local: Real) -> int:
    return process_of(local)._process.pid


def wait_until(condition: Callable[[], bool], what: str, bound_s: float = 60.0) -> None:
    until = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < until, f"not within {bound_s} s: {what}"
        time.sleep(0.02)


def is_written(note: Path) -> bool:
    return note.exists() and note.stat().st_size > 0


def other_interpreter(place: Path, python: Path, setting: str = "") -> Path:
    """Return what runs the same one, at another place and with an environment variable."""
    other = place / "bin" / "python"
    other.parent.mkdir()
    other.write_text(f'#!/bin/sh\n{setting} exec "{python}" "$@"\n')
    other.chmod(0o755)
    return other


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or read
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.airflow
def test_a_daemon_that_a_file_left_behind_is_ended(local: Real, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    local.look_at(
        f"{HEAD}import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(1000)\n"
        "os.wait()\n"
        "while not "
        f"os.path.exists({str(note)!r}) or not os.path.getsize({str(note)!r}): time.sleep(0.01)\n"
    )

    wait_until(lambda: not is_alive(int(note.read_text())), "the daemon is gone")


@pytest.mark.airflow
def test_no_file_leaves_anything_in_the_parsers_directory(local: Real) -> None:
    local.look_at(f"{HEAD}import tempfile\nopen('junk', 'w')\ntempfile.mkdtemp()\n")

    assert not list(process_of(local)._home.glob("parse-*"))


@pytest.mark.airflow
def test_a_file_sees_neither_secrets_nor_the_parsers_pipes(
    local: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_WEBHOOK_SECRET", "do not tell this to students")
    local.examiner.close()

    found = local.look_at(
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
def test_a_parser_that_was_killed_is_started_again(local: Real) -> None:
    local.look_at(holding("before"))
    os.kill(server_pid(local), 9)

    assert local.look_at(holding("after")).dag_ids == ("after",)


KILL_THE_PARSER = """
import os, signal
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
os.kill(parent(os.getppid()), signal.SIGKILL)
signal.pause()
"""


@pytest.mark.airflow
def test_a_file_that_kills_the_parser_is_found_out_and_nobody_else_is_blamed(local: Real) -> None:
    paths = [
        local.disk.write("dags/eve/killer.py", HEAD + KILL_THE_PARSER),
        local.disk.write("dags/amy/one.py", holding("one")),
        local.disk.write("dags/amy/two.py", holding("two")),
    ]

    bad, one, two = local.examine(*paths)

    assert bad.harm == "takes down the process that watches its parser"
    assert (one.dag_ids, two.dag_ids) == (("one",), ("two",))


@pytest.mark.airflow
def test_a_file_that_kills_the_parser_spoils_no_other_examination_either(
    local: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.examiner, "_limits", PATIENT)
    kill, go = tmp_path / "kill", tmp_path / "go"
    notes = [tmp_path / name for name in ("one", "two", "killer")]
    others = [
        local.disk.write("dags/amy/one.py", waiting_for(go, "one", note=notes[0])),
        local.disk.write("dags/amy/two.py", waiting_for(go, "two", note=notes[1])),
        local.disk.write("dags/amy/three.py", holding("three")),
    ]
    killer = waiting_for(kill, "killer", note=notes[2]) + KILL_THE_PARSER
    own = [
        local.disk.write("dags/eve/killer.py", killer),
        local.disk.write("dags/eve/good.py", holding("good")),
    ]
    amy, eve = local.begin(*others), local.begin(*own)
    wait_until(lambda: all(map(is_written, notes)), "all three are being parsed")
    server = server_pid(local)

    kill.touch()
    wait_until(lambda: not is_alive(server), "the parser is dead")
    go.touch()

    assert {path: one.dag_ids for path, one in all_of(amy).items()} == {
        path: (Path(path).stem,) for path in others
    }
    found = all_of(eve)
    assert found[own[0]].harm == "takes down the process that watches its parser"
    assert found[own[1]] == Examined(own[1], ("good",))
    amy.end()
    eve.end()


@pytest.mark.airflow
def test_what_is_ended_is_killed_and_what_was_laid_out_is_gone(
    local: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.examiner, "_limits", PATIENT)
    never, notes = tmp_path / "never", [tmp_path / "one", tmp_path / "two"]
    paths = [
        local.disk.write(f"dags/amy/{note.name}.py", waiting_for(never, "x", note=note))
        for note in notes
    ]
    examination = local.begin(*paths, local.disk.write("dags/amy/three.py", holding("three")))
    wait_until(lambda: all(map(is_written, notes)), "both are being parsed")
    server = server_pid(local)

    examination.end()

    assert [is_alive(int(note.read_text())) for note in notes] == [False, False]
    assert not local.disk.laid_out[-1].exists()
    assert not list(process_of(local)._home.glob("parse-*"))
    assert local.look_at(holding("after")).dag_ids == ("after",)
    assert server_pid(local) == server


@pytest.mark.airflow
def test_what_was_laid_out_is_gone_once_all_is_known_and_who_waits_may_be_nudged_by_a_thread(
    local: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.examiner, "_limits", PATIENT)
    go = tmp_path / "go"
    examination = local.begin(local.disk.write("dags/amy/x.py", waiting_for(go, "x")))
    thread = Thread(target=local.examiner.nudge)
    thread.start()

    assert not examination.wait(120)

    thread.join()
    go.touch()
    assert all_of(examination)
    wait_until(lambda: not local.disk.laid_out[-1].exists(), "what was laid out is gone")


@pytest.mark.airflow
def test_an_examination_is_begun_anew_when_packages_move(
    local: Real, airflow_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.examiner, "_limits", PATIENT)
    go, note = tmp_path / "go", tmp_path / "note"
    waiting = local.disk.write("dags/amy/waits.py", waiting_for(go, "waits", note=note))
    moved = local.disk.write(
        "dags/amy/x.py",
        f"import os\n{holding('x')}".replace('"x"', "os.environ.get('PACKAGES', 'old')"),
    )
    examination = local.begin(moved, waiting)
    until(examination, lambda: moved in examination.results)
    assert examination.results[moved].dag_ids == ("old",)
    wait_until(lambda: is_written(note), "the other one is being parsed")
    other = other_interpreter(tmp_path, airflow_python, "PACKAGES=new")
    monkeypatch.setattr(local.examiner._now._where, "_python", lambda: other)

    local.examiner.warm_up()
    go.touch()

    found = all_of(examination)
    assert (found[moved].dag_ids, found[waiting].dag_ids) == (("new",), ("waits",))


def test_a_parser_that_is_not_there_is_said_to_who_waits(tmp_path: Path) -> None:
    examiner = examiner_on(tmp_path / "python")
    examination = examiner.begin(Tree(SHA, {}), ["dags/a/one.py"])

    with pytest.raises(PreflightError, match="can't be started"):
        all_of(examination)

    examination.end()
    assert not examination.done


@pytest.mark.airflow
def test_files_beyond_the_time_for_one_push_are_held_unexamined(
    local: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examiner, "BUDGET_S", 0.0)
    monkeypatch.setattr(examiner, "BUDGET_PER_FILE_S", 0.0)
    paths = [local.disk.write(f"dags/a/x{n}.py", holding(f"x{n}")) for n in range(6)]

    found = local.examine(*paths)

    unexamined = "was not examined: the files of this push take too long to parse"
    assert {result.harm for result in found} == {None, unexamined}
    assert found[-1].harm == unexamined


@pytest.mark.airflow
def test_another_interpreter_is_used_from_the_next_examination_on(
    local: Real, airflow_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = local.look_at(holding("before"))
    pid = server_pid(local)
    local.look_at(holding("before"))
    assert server_pid(local) == pid
    other = other_interpreter(tmp_path, airflow_python)
    monkeypatch.setattr(local.examiner._now._where, "_python", lambda: other)

    after = local.look_at(holding("before"))

    assert server_pid(local) != pid
    assert not is_alive(pid)
    assert after == before


@pytest.mark.airflow
def test_closing_ends_the_parser_and_removes_its_directory(local: Real) -> None:
    local.look_at(holding("x"))
    pid = server_pid(local)
    home = process_of(local)._home

    local.examiner.close()

    assert not is_alive(pid)
    assert not home.exists()
