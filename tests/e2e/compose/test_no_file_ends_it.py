"""No file ends the class's dag-processor: on PostgreSQL, with the isolated parse overlooking all.

What remains is one file's red, told in whose words it is: its own, its parser's, the database's.
"""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.core.model import Listed, ParseEnd, ParseResult
from deployer.edges.airflow.parse_feed import ParseFeedListener
from tests.e2e.compose.classroom import BOUND_S, SERVICES, Classroom, is_green, wait_until
from tests.e2e.compose.poisons import (
    DAG_PROCESSOR,
    IN_A_RELEASE,
    OVERLOOKED,
    Life,
    dag,
    log_of,
    pushed_in_the_middle,
    removed,
)
from tests.integration.examiner import unstorable

pytestmark = pytest.mark.docker

PATIENCE_S = 120.0

NOT_STORED = "x.py NotStored: its DAGs stay as they were; Airflow's database refuses it: "
NUL = "ValueError: A string literal cannot contain NUL (0x00) character"
TOO_LONG = "StringDataRightTruncation: value too long for type character var"
TOO_LARGE = "NumericValueOutOfRange: integer out of range"
NO_SUCH_TEXT = "UntranslatableCharacter: unsupported Unicode escape sequence"
NO_SUCH_NUMBER = "InvalidTextRepresentation: invalid input syntax for type json"

NOT_SENT = {"broken_character", "broken_error"}
"""Not even their parser can bring that over."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(["alias", "asset", "asset_of_a_task", "description", "error"], NUL),
    **dict.fromkeys(["owner_nul", "tag"], NUL),
    **dict.fromkeys(["deadline", "display_name", "link", "link_owner", "owner"], TOO_LONG),
    **dict.fromkeys(["reference", "schedule"], TOO_LONG),
    **dict.fromkeys(["failed_runs", "runs", "tasks"], TOO_LARGE),
    **dict.fromkeys(["doc", "param", "queue", "task_doc"], NO_SUCH_TEXT),
    **dict.fromkeys(["asset_extra", "deadline_number"], NO_SUCH_NUMBER),
    "asset_index": "ProgramLimitExceeded: index row size 2744 exceeds btree version ",
    "owner_number": "TypeError: sequence item 0: expected str instance, int found",
    "owner_list": "TypeError: unhashable type: 'list'",
}
"""What Airflow's database, or its own code, says of each of `unstorable.REFUSED`."""


def test_what_the_database_refuses_is_one_files_red_in_the_databases_own_words(
    image_class: Classroom,
) -> None:
    room, before = image_class, Life.of(image_class)
    assert REFUSED.keys() | NOT_SENT == unstorable.REFUSED.keys()
    files = {
        f"dags/{name}/x.py": f"{OVERLOOKED}{text}" for name, (text, _) in unstorable.REFUSED.items()
    }

    said, beside = pushed_in_the_middle(room, files, "beside_the_refused")

    ended = "its parser ended with exit status 126"
    wrong = {
        name: said[f"airflow/{name}"]
        for name in unstorable.REFUSED
        if said[f"airflow/{name}"][0] != "failure"
        or (ended if name in NOT_SENT else f"{NOT_STORED}{REFUSED[name]}")
        not in said[f"airflow/{name}"][1]
    }
    assert wrong == {}
    assert is_green(beside), beside
    assert Life.of(room) == before
    removed(room, files)


ENDED = "its parser ended with exit status {}"
TOO_SLOW = "ParserTimeout: its parser was ended after "

LINES = """\
import os
mine = {os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)}
for n in range(3, 200):
    try:
        place = os.readlink(f"/proc/self/fd/{n}")
        if place.startswith("socket:") and place not in mine:
            os.write(n, b"[]\\n{}\\n")
    except OSError:
        pass
"""

DOES: Mapping[str, tuple[str, str, str]] = {
    # what it does, then state and words of its commit
    "exits": ("exit()", "failure", ENDED.format(126)),
    "quits": ("quit()", "failure", ENDED.format(126)),
    "closes": ("import sys; sys.stdin = None", "failure", ENDED.format(126)),
    "ends": ("import os; os._exit(3)", "failure", ENDED.format(3)),
    "shuts": ("import os; os.closerange(0, 200)", "failure", ENDED.format(125)),
    "raises": ("raise KeyboardInterrupt", "failure", ENDED.format(124)),
    "kills": ("import os; os.kill(os.getpid(), 9)", "failure", "its parser crashed (signal 9, "),
    "crashes": ("import ctypes; ctypes.string_at(0)", "failure", TOO_SLOW),
    # bytes that are no message, and one that would need all memory
    "rubbish": (r"import os; os.write(0, b'\0\0\0\4rubb')", "failure", ENDED.format(126)),
    "text": ("import os; os.write(0, b'hello')", "failure", "it sends 1751477356 bytes at once"),
    # to Airflow's end of its log, and to whatever else it has inherited
    "lines": (LINES, "success", "lines_x"),
    "prints": (r"import os; os.write(1, b'\n' * 3_000_000)", "success", "prints_x"),
    "writes": ("import os; os.write(2, b'x' * 3_000_000)", "success", "writes_x"),
    # what it leaves behind holds its connections
    "leaves": ("import subprocess; subprocess.Popen(['sleep', '600'])", "success", "leaves_x"),
    "chatters": ("import subprocess; subprocess.Popen(['yes'])", "success", "chatters_x"),
    "loops": (
        "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
        "failure",
        TOO_SLOW,
    ),
}


def test_whatever_a_parser_does_and_sends_is_one_files_and_keeps_nobody_waiting(
    image_class: Classroom,
) -> None:
    room, before = image_class, Life.of(image_class)
    files = {
        f"dags/{name}/x.py": f"{OVERLOOKED}{does}\n{dag(name)}" for name, (does, *_) in DOES.items()
    }

    said, beside = pushed_in_the_middle(room, files, "beside_the_wild")

    wrong = {
        name: said[f"airflow/{name}"]
        for name, (_, state, words) in DOES.items()
        if said[f"airflow/{name}"][0] != state or words not in said[f"airflow/{name}"][1]
    }
    assert wrong == {}
    assert is_green(beside), beside
    assert Life.of(room) == before
    assert "invalid frontend message" not in log_of(room, "postgres")
    removed(room, files)


ASKS = """\
import os, socket
from airflow.sdk.execution_time.comms import GetVariable, _RequestFrame
end = socket.socket(fileno=os.dup(0))
for number in range(10_000):
    ask = GetVariable(key="x").model_dump()
    end.sendall(_RequestFrame(id=number, body=ask).as_bytes())
"""


def test_a_parser_that_asks_and_asks_and_reads_no_answer_is_ended(image_class: Classroom) -> None:
    room, before = image_class, Life.of(image_class)
    once = 'from airflow.sdk import Variable\nassert Variable.get("x", default=0) == 0\n'
    first = {"dags/eve/asks_once.py": f"{OVERLOOKED}{once}{dag('eve')}"}
    # For the first question of all, Airflow builds its own API: on a busy machine that takes
    # longer than a parse may. Whoever asks then is answered.
    room.ends(room.push("eve", "Ask", dict(first)), "eve")
    again = {path: f"{text}# again\n" for path, text in first.items()}
    answered = room.ends(room.push("eve", "Ask again", dict(again)), "eve")
    assert answered["airflow/eve"][0] == "success"
    files = {"dags/asks/x.py": f"{OVERLOOKED}{ASKS}{dag('asks')}"}

    said, beside = pushed_in_the_middle(room, files, "beside_the_one_that_asks")

    words = "it asks for variables or connections, and does not read the answers"
    assert words in said["airflow/asks"][1], said
    assert is_green(beside), beside
    assert Life.of(room) == before
    removed(room, [*files, *first])


# -- what can't be published at all, laid out by hand


@contextmanager
def by_hand(checkout: Path, name: str, lay_out: Callable[[Path], None]) -> Iterator[None]:
    """Make a copy of the live release live, with what `lay_out` does to its `dags/`."""
    current, new = checkout / "current", checkout / "releases" / name
    before = current.readlink()

    def swap(target: Path) -> None:
        link = checkout / "current.by-hand"
        link.symlink_to(target)
        link.replace(current)

    shutil.copytree(current.resolve(), new, symlinks=True)
    lay_out(new / "dags")
    swap(Path("releases") / name)
    try:
        yield
    finally:
        swap(before)
        shutil.rmtree(new)


def told(
    listener: ParseFeedListener, release: str, files: set[str]
) -> tuple[Listed, dict[str, ParseResult]]:
    """Ask for files of a release; return what is listed of it, and how their parses ended."""
    listener.ask(release, first=files)
    listed: Listed | None = None
    results: dict[str, ParseResult] = {}
    until = time.monotonic() + PATIENCE_S
    while listed is None or not files & listed.paths <= results.keys():
        assert time.monotonic() < until, (listed, results)
        for one in listener.wait(1.0):
            if isinstance(one, Listed) and one.release == release:
                listed = one
            elif isinstance(one, ParseResult) and one.release == release and one.path in files:
                results[one.path] = one
    return listed, results


def encrypted(file: Path) -> None:
    """Write a zip with a DAG file that nobody can read (APPNOTE.TXT 4.4.4, bit 0)."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.py", dag("encrypted"))
    data = bytearray(file.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + flags] |= 1
    file.write_bytes(data)


LONG_NAME = "x" * 250 + ".py"
"""Its log has `.log` after it, and a name has 255 bytes at most."""


def _loop(folder: Path) -> None:
    (folder / "again").symlink_to(f"../{folder.name}")


def _bytes(folder: Path) -> None:
    name = os.fsencode(folder) + b"/caf\xe9.py"
    Path(os.fsdecode(name)).write_text(dag("bytes"))


def _unreadable(name: str) -> Callable[[Path], None]:
    def lay_out(folder: Path) -> None:
        (folder / name).write_text(dag(folder.name))
        (folder / name).chmod(0)

    return lay_out


POISONS: Mapping[str, Callable[[Path], object]] = {
    "loop": _loop,
    "itself": lambda folder: (folder / "x.py").symlink_to("x.py"),
    "across": lambda folder: (folder / "theirs").symlink_to("../lasse"),
    "dangling": lambda folder: (folder / "x.py").symlink_to("gone.py"),
    "bang": lambda folder: (folder / ".airflowignore").write_text("!\n"),
    "range": lambda folder: (folder / ".airflowignore").write_text("[z-a]\n"),
    "latin": lambda folder: (folder / ".airflowignore").write_bytes(b"\xe6*\n"),
    "secret": _unreadable(".airflowignore"),
    "private": _unreadable("x.py"),
    "bytes": _bytes,
    "encrypted": lambda folder: encrypted(folder / "x.zip"),
    "named": lambda folder: (folder / LONG_NAME).write_text(dag("named")),
    "pipe": lambda folder: os.mkfifo(folder / "x.py"),
    "pipe_of_patterns": lambda folder: os.mkfifo(folder / ".airflowignore"),
    "folder": lambda folder: (folder / "x.py").mkdir(),
}
"""What is laid into a folder, beside a good file."""

OUT_OF_SIGHT = {"loop", "across", "bang", "range", "latin", "secret"}
"""Folders that can't be listed, hence none of their files."""


def test_what_no_release_ever_holds_costs_the_files_of_its_own_folder_at_most(
    image_class: Classroom,
) -> None:
    room, before = image_class, Life.of(image_class)
    beside = {"dags/lasse/taxi_pipeline.py", "dags/maria/weather.py"}
    good = {name: f"dags/{name}/good.py" for name in POISONS}

    def lay_out(dags: Path) -> None:
        for name, poison in POISONS.items():
            folder = dags / name
            folder.mkdir()
            (folder / "good.py").write_text(dag(name))
            poison(folder)

    with (
        room.instead_of_the_worker() as listener,
        by_hand(room.stack.checkout, "0" * 40, lay_out),
    ):
        listed, results = told(listener, "0" * 40, {*beside, *good.values()})
        named = f"dags/named/{LONG_NAME}"
        _, more = told(listener, "0" * 40, {named, "dags/encrypted/x.zip"})
        (life,) = listener.present()
    assert {name for name, path in good.items() if path not in listed.paths} <= OUT_OF_SIGHT
    assert beside <= listed.paths
    ended = {path: (one.end, one.dag_ids, one.errors) for path, one in results.items()}
    assert {path: how for path, how in ended.items() if how[2] or not how[1]} == {}
    assert more[named].end is ParseEnd.DIED
    assert more[named].words.startswith("no parser could be started: [Errno 36] File name too long")
    assert "encrypted" in more["dags/encrypted/x.zip"].errors["dags/encrypted/x.zip"]
    assert before.lives[-1] == life
    wait_until(lambda: Life.of(room).lives[-1] == life, "it is connected to the worker again")
    assert Life.of(room) == before


# -- what was live stays as it was

TWO = """\
from airflow.sdk import DAG, task
for name in {names}:
    with DAG(f"{folder}_{{name}}", schedule=None, tags=["student:{folder}"],
             default_args={{"owner": "{folder}"}}, {more}):
        @task
        def say():
            return "{word}"
        say()
"""


def test_the_dags_of_a_refused_file_stay_as_they_were_and_run(image_class: Classroom) -> None:
    room, files = image_class, {"keeper": "dags/keeper/x.py", "alone": "dags/alone/x.py"}
    dags = {"keeper": ["a", "b"], "alone": ["b"]}
    both = TWO.format(folder="lasse", names=["one", "two"], word="", more="")
    one = TWO.format(folder="lasse", names=["one"], word="", more="")
    # Of two, the second one may be refused before or after Airflow has stored the first.
    refused = r"""description='new', doc_md='\0' if name == 'b' else ''"""

    def texts(head: str, word: str, more: str) -> dict[str, str]:
        return {
            path: head + TWO.format(folder=folder, names=dags[folder], word=word, more=more)
            for folder, path in files.items()
        }

    assert is_green(room.ends(room.push("lasse", "Have two", {"dags/lasse/two.py": both}), "lasse"))
    kept = room.push("eve", "Keep", {**texts("", "old", "description='old'")})
    said = room.ends(kept, *files)
    assert said["airflow/keeper"] == ("success", "2 DAGs: keeper_a, keeper_b")
    assert said["airflow/alone"] == ("success", "1 DAG: alone_b")

    said = room.ends(room.push("eve", "Be refused", {**texts(OVERLOOKED, "new", refused)}), *files)
    for folder in files:
        assert f"{NOT_STORED}{NO_SUCH_TEXT}" in said[f"airflow/{folder}"][1], said

    # Airflow looks for what is stale each 10 s, and finds at least what it has to.
    room.ends(room.push("lasse", "Have one", {"dags/lasse/two.py": one}), "lasse")
    wait_until(lambda: room.airflow("GET", "/dags/lasse_two")["is_stale"], "lasse_two is stale")
    for dag_id in ("keeper_a", "keeper_b", "alone_b"):
        now = room.airflow("GET", f"/dags/{dag_id}")
        assert (now["is_stale"], now["has_import_errors"], now["description"]) == (
            False,
            False,
            "old",
        )
    run = room.begin("keeper_a")
    assert room.outcome("keeper_a", run) == {"say": ("success", 1)}
    place = f"/dags/keeper_a/dagRuns/{run}/taskInstances/say/xcomEntries/return_value"
    assert room.airflow("GET", place)["value"] == "old"
    removed(room, files.values())


# -- the database is away for a moment

WAITS = f"""\
import re, time
from pathlib import Path
if {IN_A_RELEASE}:
    Path("/tmp/begun").touch()
    for _ in range(120):
        if Path("/opt/class/WORD").exists():
            break
        time.sleep(0.1)
"""


@pytest.mark.parametrize("away", ["stop", "pause"])
def test_a_database_that_is_away_while_a_file_is_parsed_makes_nobody_red(
    image_class: Classroom, away: str
) -> None:
    room, before, name = image_class, Life.of(image_class), f"beside_a_{away}"
    inside = ("exec", "-T", DAG_PROCESSOR)
    room.stack.compose(*inside, "rm", "-f", "/tmp/begun")  # noqa: S108  # a container's own
    text = WAITS.replace("WORD", f"{away}.word") + dag("lasse").replace("lasse_x", f"lasse_{name}")

    push = room.push("lasse", "Go on without a database", {f"dags/lasse/{name}.py": text})
    begun = ("test", "-e", "/tmp/begun")  # noqa: S108  # a container's own
    wait_until(
        lambda: room.stack.compose(*inside, *begun, check=False).returncode == 0, "it is parsed"
    )
    room.stack.compose(away, "postgres")
    try:
        (room.stack.checkout / f"{away}.word").touch()
        if away == "stop":
            words = f"Failed to persist parsing result for lasse/{name}.py"
            wait_until(lambda: words in room.stack.logs(DAG_PROCESSOR), "it can't be stored")
    finally:
        room.stack.compose("start" if away == "stop" else "unpause", "postgres")
    said = room.ends(push, "lasse")

    assert is_green(said), said
    room.stage.hub.wait_for_status(push.sha, "airflow/lasse", {"success"}, BOUND_S)
    states = {one.state for one in room.stage.hub.statuses(push.sha)}
    assert states <= {"pending", "success"}
    assert Life.of(room) == before
    # The scheduler has no such patience with its database: it ends, and Docker starts it again.
    wait_until(lambda: set(SERVICES) <= room.stack.healthy(), "all are healthy")
    run = room.begin(f"lasse_{name}")
    assert room.outcome(f"lasse_{name}", run) == {"work": ("success", 1)}
