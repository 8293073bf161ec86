"""The command line on a real journal: what it prints, and with which status it ends."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployer import app, logs
from deployer.app import airflow_version
from deployer.cli import COMMANDS, deploy, main
from deployer.cli.logs import unread
from deployer.config import Settings
from deployer.core.access import Purpose, fingerprint
from deployer.core.airflow_version import BY
from deployer.core.doctor import Finding, Mark
from deployer.core.model import (
    Ending,
    Live,
    Outcome,
    ParseError,
    Proof,
    Running,
    State,
    Status,
    StatusState,
    StepName,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.core.reporting.render import as_json
from deployer.demo.stage import free_port
from deployer.edges.journal import SqlJournal
from deployer.edges.processes.doorbell import PLACE as DOORBELL
from deployer.edges.processes.doorbell import DoorbellListener
from deployer.edges.processes.lock import TELLER, only_airflow_version, only_worker
from deployer.errors import DeployerError, OperatorError
from tests.integration.answering import Said, answering

BOUND_S = 60.0
"""How long something that must happen is waited for on a busy machine."""
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
A, B, C = "a1b2c3d" + "0" * 33, "b" * 40, "1234567" + "c" * 33
REASON = "No module named 'nothing_of_that_name', " + "which is told at length " * 12


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state's folder; the settings are the least that is needed."""
    for name in [name for name in os.environ if name.startswith("DEPLOYER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DEPLOYER_GITHUB_REPO", "class/airflow-class")
    monkeypatch.setenv("DEPLOYER_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(deploy, "LOOK_EVERY_S", 0.01)
    return tmp_path


@pytest.fixture
def run(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Return what runs a command in this process, its output in a pipe.

    A command leaves its journal and its bell to the end of the process: closed here.
    """
    opened: list[Any] = []

    def kept(make: Callable[..., object]) -> Callable[..., object]:
        def made(settings: Settings, **how: bool) -> object:
            opened.append(make(settings, **how))
            return opened[-1]

        return made

    monkeypatch.setattr(app, "open_journal", kept(app.open_journal))
    monkeypatch.setattr(app, "doorbell", kept(app.doorbell))

    def do(*args: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(args)
        said = capsys.readouterr()
        code = exited.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, said.out, said.err)

    yield do
    for thing in opened:
        thing.close()


@pytest.fixture
def journal(state_dir: Path) -> Iterator[SqlJournal]:
    journal = SqlJournal.open(f"sqlite:///{state_dir}/deployer.db", migrate=True)
    yield journal
    journal.close()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def deployed(
    journal: SqlJournal,
    sha: str,
    state: State,
    *,
    verdicts: tuple[Verdict, ...] = (),
    statuses: tuple[Status, ...] = (),
    reason: str = "",
) -> int:
    """Write a deployment as the worker does; return its id."""
    number = journal.queue(
        sha, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW
    )
    journal.start(number, at=NOW, base_sha=None, covers=[sha])
    journal.add_step(number, StepRecord(StepName.FETCH, "ok", NOW, at(0.25), "tip"))
    ending = Ending(sha, state, verdicts=verdicts, reason=reason)
    journal.end(number, ending, at=at(1.5), statuses=statuses)
    return number


def broken(journal: SqlJournal) -> int:
    """Write a deployment of which a file does not parse, for a reason of many words."""
    return deployed(
        journal,
        A,
        State.BROKEN,
        verdicts=(
            Verdict(
                "dags/maria/weather.py",
                Outcome.BROKEN,
                error=ParseError("ModuleNotFoundError", REASON, 12),
                proof=Proof.RELEASE,
            ),
            Verdict("dags/lasse/taxi.py", Outcome.PARSED, ("lasse_taxi",), proof=Proof.RELEASE),
        ),
        statuses=(Status(A, "airflow/maria", StatusState.FAILURE, "weather.py:12 No module"),),
    )


def line_with(text: str, *words: str) -> str:
    """Return the one line that holds all `words`."""
    (line,) = [line for line in text.splitlines() if all(word in line for word in words)]
    return line


# --- help, and wrong use ---------------------------------------------------------


def test_a_shell_is_told_all_commands_by_a_process_of_its_own() -> None:
    asked = {"_DEPLOYER_COMPLETE": "bash_complete", "COMP_WORDS": "deployer ", "COMP_CWORD": "1"}
    said = subprocess.run(
        [sys.executable, "-m", "deployer"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.removeprefix("plain,") for line in said.stdout.splitlines()] == list(COMMANDS)


def test_python_m_deployer_lists_all_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "--help"], check=True, capture_output=True, text=True
    )
    named = [line.split()[0] for line in done.stdout.partition("Commands:")[2].split("\n") if line]
    assert named == [
        *("web", "worker", "deploy", "rollback", "freeze", "unfreeze", "status", "show", "explain"),
        *("logs", "check", "doctor", "github", "notify", "backup", "restore", "airflow-version"),
        *("new-class", "login", "demo"),
    ]


@pytest.mark.parametrize("service", ["web", "worker"])
def test_a_service_loads_nothing_that_draws_tables(service: str) -> None:
    code = f"import sys; from deployer import cli; cli.imported({service!r})"
    code += "; import structlog, httpx; print([n for n in sys.modules if n.startswith('rich.')])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "[]\n"


def test_help_needs_none_of_the_libraries_that_work_does() -> None:
    code = "import sys; from deployer.cli import main\ntry: main(['-h'])\nexcept SystemExit: pass\n"
    heavy = {"rich", "pydantic", "structlog", "sqlalchemy", "git", "httpx", "flask"}
    done = subprocess.run(
        [sys.executable, "-c", code + f"assert not {heavy} & set(sys.modules), 'imported'"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_how_it_is_used(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"Usage: deployer {command} ")


@pytest.mark.parametrize(
    "args",
    [
        ("nope",),
        ("show",),
        ("status", "--yaml"),
        ("logs", "--deployment", "x"),
        ("deploy", "abc"),
        ("airflow-version", "latest"),
        ("new-class", "x" * 300),
        ("login", "--revoke", "--token"),
        ("logs", "--deployment", "-1"),
        ("doctor", "--repair", "--json"),
        ("backup", "--keep", "1", "not_a_directory"),
        ("backup", "/etc/passwd"),
        ("backup", "/nonexistent/dir/x"),
        ("restore", "/etc"),
        ("restore", "/none"),
    ],
)
def test_wrong_use_ends_with_2(run: Run, args: tuple[str, ...]) -> None:
    ended = run(*args)
    assert ended.status == 2
    assert "Usage: deployer" in ended.err


@pytest.mark.parametrize(
    "args", [("backup",), ("restore",), ("check", "dags/a.py"), ("explain",), ("new-class",)]
)
def test_an_empty_name_is_wrong_use(run: Run, args: tuple[str, ...]) -> None:
    ended = run(*args, "")
    assert ended.status == 2
    assert "it is empty" in ended.err


def test_a_backup_goes_back_only_when_that_is_agreed_to(
    run: Run, state_dir: Path, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_SERVICES", "local")
    monkeypatch.setenv("DEPLOYER_CHECKOUT_DIR", str(state_dir / "srv"))
    deployed(journal, A, State.SUCCEEDED)
    file = str(state_dir / "kept.tar.gz")
    made = run("backup", file)
    assert made.status == 0
    assert made.out.startswith(f"wrote {file} (0.0 MB): journal\nleft out: the trial's Airflow")
    deployed(journal, B, State.SUCCEEDED)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    refused = run("restore", file)
    assert (refused.status, len(journal.deployments(limit=9))) == (1, 2)
    assert f"will be replaced, and kept aside: the journal in {state_dir}" in refused.out
    restored = run("restore", file, "--yes")
    assert (restored.status, len(journal.deployments(limit=9))) == (0, 1)
    assert "restart web and start the worker" in restored.out


def test_a_backup_of_too_long_a_name_is_told(run: Run, state_dir: Path) -> None:
    ended = run("backup", str(state_dir / ("x" * 300)))
    assert ended.status == 3
    assert "File name too long" in line_with(ended.err, "can't be written")


def test_what_is_no_backup_or_damaged_ends_with_1(run: Run, state_dir: Path) -> None:
    (state_dir / "file").write_text("no backup")
    ended = run("restore", str(state_dir / "file"))
    assert ended.status == 1
    assert "is damaged, or no backup" in ended.err


def test_a_shell_takes_the_commands_that_new_class_prints(run: Run, state_dir: Path) -> None:
    place = state_dir / "it's"
    ended = run("new-class", str(place))
    command = shlex.split(line_with(ended.out, "remote add"))
    assert command[:3] == ["git", "-C", str(place)]


def test_the_trials_airflow_has_no_other_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYER_SERVICES", "local")
    ended = run("airflow-version", "3.3.3")
    assert ended.status == 2
    assert "comes with the deployer" in ended.err


def test_a_second_change_of_airflow_changes_nothing_and_ends_with_3(
    run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Settings] = []
    monkeypatch.setattr(airflow_version, "in_compose", used.append)
    with only_airflow_version(state_dir):
        ended = run("airflow-version", "3.3.3")
    assert ended.status == 3
    assert "another `deployer airflow-version` is at work" in ended.err
    assert used == []


@pytest.mark.parametrize("command", ["web", "worker", "status", "deploy", "logs"])
def test_all_mistakes_of_the_settings_are_listed_and_end_with_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("DEPLOYER_GITHUB_REPO")
    monkeypatch.setenv("DEPLOYER_KEEP_RELEASES", "0")
    monkeypatch.setenv("DEPLOYER_BRNACH", "main")
    ended = run(command)
    assert ended.status == 2
    said = [
        "deployer: DEPLOYER_BRNACH is not a setting of the deployer; did you mean DEPLOYER_BRANCH?",
        "deployer: DEPLOYER_GITHUB_REPO is required",
        "deployer: DEPLOYER_KEEP_RELEASES must be a whole number from 1 to 10000",
    ]
    needed = ["deployer: DEPLOYER_WEBHOOK_SECRET is required"]
    assert ended.err.splitlines() == said + (needed if command == "web" else [])
    assert ended.out == ""


def test_a_journal_out_of_reach_ends_with_3(
    run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state_dir / "file").write_text("")
    monkeypatch.setenv("DEPLOYER_STATE_DIR", str(state_dir / "file"))
    ended = run("status")
    assert ended.status == 3
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("args", [("--help",), ("status",), ("show", "1", "--json")])
def test_an_output_that_takes_nothing_is_one_line_and_ends_with_3(
    journal: SqlJournal, args: tuple[str, ...]
) -> None:
    broken(journal)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "deployer", *args],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (3, "deployer: No space left on device\n")


@pytest.mark.parametrize(
    ("args", "status"),
    [(("nosuch",), 3), (("show", "1"), 1), (("status",), 2), (("login", "--token"), 3)],
)
def test_messages_that_nobody_takes_end_as_they_would_or_with_3(
    journal: SqlJournal, args: tuple[str, ...], status: int
) -> None:
    environ = dict(os.environ)
    if status == 2:
        del environ["DEPLOYER_GITHUB_REPO"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "deployer", *args],
            check=False,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=full,
        )
    assert ended.returncode == status


def test_a_file_that_no_command_expects_to_be_closed_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/x")

    monkeypatch.setattr(app, "open_journal", closed)
    ended = run("status")
    assert (ended.status, ended.err) == (3, "deployer: Permission denied: /srv/x\n")


def test_a_command_without_an_output_does_its_work(journal: SqlJournal) -> None:
    command = f"exec '{sys.executable}' -m deployer status >&-"
    ended = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_second_worker_refuses_to_start_and_names_the_first(state_dir: Path) -> None:
    with only_worker(state_dir, state_dir):
        second = subprocess.run(
            [sys.executable, "-m", "deployer", "worker"],
            check=False,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
        )
    assert second.returncode == 3
    assert f"pid {os.getpid()} on " in line_with(second.stderr, "deployer: another worker holds")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_tells_the_worker_to_stop_wakes_it(
    run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handlers: dict[int, Callable[..., object]] = {}
    woken: list[bool] = []

    @contextmanager
    def worker(_: Settings, signals: Any, __: object) -> Iterator[Any]:  # noqa: ANN401 - its own
        def work() -> None:
            handlers[number]()
            woken.extend([signals.stop.is_set(), bell.wait(0)])

        with closing(DoorbellListener(state_dir / DOORBELL)) as bell:
            yield SimpleNamespace(run=work)

    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    monkeypatch.setattr(logs, "set_up", lambda *_, **__: str)
    monkeypatch.setattr(app, "_worker", worker)
    assert run("worker").status == 0
    assert woken == [True, True]


def test_a_checkup_of_an_embedded_airflow_that_never_ran_makes_nothing(
    run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_dir / "never"
    monkeypatch.setenv("DEPLOYER_STATE_DIR", str(state))
    monkeypatch.setenv("DEPLOYER_CHECKOUT_DIR", str(state_dir / "srv"))
    monkeypatch.setenv("DEPLOYER_REPO_URL", str(state_dir / "none.git"))
    monkeypatch.setenv("DEPLOYER_SERVICES", "local")
    monkeypatch.setenv("DEPLOYER_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    ended = run("doctor")
    assert ended.status == 1
    assert line_with(ended.out, "Airflow health", "has never run", "`deployer demo`")
    assert list(state_dir.iterdir()) == []


# --- status ----------------------------------------------------------------------


def test_status_of_a_state_on_which_nothing_ran_makes_no_journal(run: Run, state_dir: Path) -> None:
    ended = run("status")
    assert ended.status == 3
    assert "the journal" in ended.err
    assert not list(state_dir.rglob("*.db"))


def test_status_before_the_first_deployment(run: Run, journal: SqlJournal) -> None:
    ended = run("status")
    assert ended.status == 0
    assert line_with(ended.out, "live") == "live     not known yet"
    assert line_with(ended.out, "ready").startswith("ready    no: the worker has never run; ")


def test_status_tells_what_is_live_and_what_came_last(run: Run, journal: SqlJournal) -> None:
    broken(journal)
    (owed,) = journal.due(NOW + timedelta(days=1))
    journal.posted(owed.id, at=NOW, target_url=None)
    deployed(journal, B, State.SUCCEEDED)
    journal.set_live(Live(B))
    now = datetime.now(UTC)
    journal.beat(at=now, tip=B, tip_checked_at=now)
    ended = run("status")
    assert ended.status == 0
    assert [" ".join(line.split()) for line in ended.out.splitlines()] == [
        "live bbbbbbb",
        "tip bbbbbbb",
        "outbox 0 statuses owed",
        "ready yes",
        "id commit state by queued (UTC) took folders",
        "2 bbbbbbb succeeded webhook 2026-03-01 09:15:00 1.5 s",
        "1 a1b2c3d broken webhook 2026-03-01 09:15:00 1.5 s lasse maria",
    ]


def test_status_as_json(run: Run, journal: SqlJournal) -> None:
    number = deployed(journal, B, State.SUCCEEDED)
    journal.set_live(Live(B))
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    found = json.loads(run("status", "--json").out)
    record = journal.deployment(number)
    assert record is not None
    reasons = found.pop("reasons")
    assert found == {
        "ready": False,
        "live_sha": B,
        "tip": A,
        "drift": None,
        "frozen": None,
        "worker_beat_at": "2026-03-01T09:15:00.000Z",
        "statuses_owed": 0,
        "deployments": [as_json(record)],
    }
    assert reasons[0].startswith("the worker's last heartbeat was ")


def test_status_tells_of_packages_that_are_not_those_of_what_is_live(
    run: Run, journal: SqlJournal
) -> None:
    journal.beat(at=NOW, drift="packages differ")
    assert "packages differ" in run("status").out
    assert json.loads(run("status", "--json").out)["drift"] == "packages differ"


# --- notify ----------------------------------------------------------------------


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Return the titles of what reached the teacher; the check-up finds a full disk."""
    full = Finding("disk", Mark.FAILED, "0.1 GiB free", "make room")
    monkeypatch.setattr(app, "checkup", lambda _settings, _lines: (full,))
    with answering({"POST /": Said(200)}) as server:
        url = f"json://{server.url.removeprefix('http://')}/a-token-0123456789"
        monkeypatch.setenv("DEPLOYER_NOTIFY_URLS", url)
        yield lambda: [json.loads(asked.body)["title"] for asked in server.asked]


def test_notify_tells_what_is_new_and_then_nothing(
    run: Run, journal: SqlJournal, chat: Callable[[], list[str]]
) -> None:
    broken(journal)
    first, second = run("notify"), run("notify")
    assert (first.status, second.status) == (0, 0)
    assert (
        first.out == "told of 5 things\n"
    )  # file, disk; no heartbeat, no look at the tip, old statuses
    assert second.out == "nothing new to tell\n"
    assert chat() == ["class/airflow-class: 5 to look at"]


def healthy(journal: SqlJournal, *, drift: str = "") -> None:
    """Let a worker be at work, for as long as the test takes."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    journal.beat(at=soon, tip=A, tip_checked_at=soon, drift=drift)


def test_notify_tells_what_is_mended_once_and_what_comes_back_anew(
    run: Run, journal: SqlJournal, chat: Callable[[], list[str]]
) -> None:
    said = []
    for drift in ("", "packages differ", "", "packages differ"):
        healthy(journal, drift=drift)
        said += [run("notify").out for _ in range(2)]
    assert said == ["told of 1 thing\n", "nothing new to tell\n"] * 4
    assert chat() == [
        "class/airflow-class: 1 to look at",  # the disk
        "class/airflow-class: 1 to look at",
        "class/airflow-class: 1 mended",
        "class/airflow-class: 1 to look at",
    ]


def test_what_nobody_took_is_told_by_the_next_notify(
    run: Run, journal: SqlJournal, chat: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(journal)
    address = os.environ["DEPLOYER_NOTIFY_URLS"]
    monkeypatch.setenv("DEPLOYER_NOTIFY_URLS", f"json://127.0.0.1:{free_port()}/nobody")
    ended = run("notify")
    assert ended.status == 3
    assert "the teacher could not be told" in ended.err
    monkeypatch.setenv("DEPLOYER_NOTIFY_URLS", address)
    assert [run("notify").out for _ in range(2)] == ["told of 1 thing\n", "nothing new to tell\n"]
    assert chat() == ["class/airflow-class: 1 to look at"]


def test_notify_tells_of_a_journal_that_fails_once_and_when_it_works(
    run: Run, state_dir: Path, chat: Callable[[], list[str]]
) -> None:
    file = state_dir / "deployer.db"
    file.write_bytes(b"no database" * 100)
    assert [run("notify").status, run("notify").status] == [0, 0]
    file.unlink()
    SqlJournal.open(f"sqlite:///{file}", migrate=True).close()
    assert run("notify").status == 0
    assert chat() == [
        "class/airflow-class: 2 to look at",
        "class/airflow-class: 2 to look at, 1 mended",
    ]


@pytest.mark.parametrize(
    "damaged",
    [b"", b'{"doctor: di', b"\xff", b"[]", b"null", b'{"a": 1}', b"[" * 100_000],
    ids=["nothing", "half", "no text", "a list", "null", "a number", "deep"],
)
def test_notify_tells_once_more_what_its_damaged_memory_does_not_hold(
    run: Run, state_dir: Path, journal: SqlJournal, chat: Callable[[], list[str]], damaged: bytes
) -> None:
    healthy(journal)
    (state_dir / "told.json").write_bytes(damaged)
    assert [run("notify").out for _ in range(2)] == ["told of 1 thing\n", "nothing new to tell\n"]
    assert chat() == ["class/airflow-class: 1 to look at"]


def test_notify_on_a_full_disk_tells_once_an_hour_and_says_why(
    run: Run, state_dir: Path, journal: SqlJournal, chat: Callable[[], list[str]]
) -> None:
    healthy(journal)
    (state_dir / "told.new").symlink_to("/dev/full")
    assert run("notify").out == "told of 1 thing\n"
    (state_dir / "told.new").symlink_to("/dev/full")
    again = run("notify")
    assert again.status == 3
    assert "told.json can't be written: No space left on device; until it can" in again.err
    assert chat() == ["class/airflow-class: 1 to look at"]
    os.utime(state_dir / "told.json", (0, 0))
    (state_dir / "told.new").symlink_to("/dev/full")
    assert run("notify").status == 0
    assert chat() == ["class/airflow-class: 1 to look at"] * 2


def test_notify_tells_of_a_state_in_which_nothing_can_be_written(
    run: Run, state_dir: Path, journal: SqlJournal, chat: Callable[[], list[str]]
) -> None:
    healthy(journal)
    for name in (TELLER, "told.new"):  # for root too, whom no mode keeps from writing
        (state_dir / name).mkdir()
    assert run("notify").out == "told of 1 thing\n"
    assert chat() == ["class/airflow-class: 1 to look at"]


def test_notify_that_can_not_read_what_it_told_says_so(
    run: Run, state_dir: Path, journal: SqlJournal, chat: Callable[[], list[str]]
) -> None:
    healthy(journal)
    (state_dir / "told.json").mkdir()
    assert "told.json can't be read: Is a directory" in run("notify").err
    assert chat() == []


def test_notify_looks_while_no_other_one_can(
    run: Run, state_dir: Path, chat: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def checkup(*_: object) -> tuple[Finding, ...]:
        with (state_dir / TELLER).open() as file, pytest.raises(BlockingIOError) as raised:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(raised)
        return ()

    monkeypatch.setattr(app, "checkup", checkup)
    assert run("notify").out == "told of 1 thing\n"
    assert len(held) == len(chat()) == 1


def test_notify_without_an_address_says_so_and_is_no_failure(run: Run) -> None:
    ended = run("notify")
    assert ended.status == 0
    assert "DEPLOYER_NOTIFY_URLS is not set" in ended.out


def test_a_test_message_needs_an_address_and_no_journal(
    run: Run, chat: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("notify", "--test").out == "sent to 1 address\n"
    assert chat() == ["class/airflow-class: a test"]
    monkeypatch.delenv("DEPLOYER_NOTIFY_URLS")
    assert run("notify", "--test").status == 2


def test_a_test_message_says_which_address_took_none(
    run: Run, chat: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"json://127.0.0.1:{free_port()}/a-token-0123456789"
    monkeypatch.setenv("DEPLOYER_NOTIFY_URLS", f"{os.environ['DEPLOYER_NOTIFY_URLS']}, {nobody}")
    ended = run("notify", "--test")
    assert (ended.status, ended.out) == (1, "sent to 1 address\n")
    assert "address 2 (json://…): " in ended.err
    monkeypatch.setenv("DEPLOYER_NOTIFY_URLS", nobody)
    ended = run("notify", "--test")
    assert ended.status == 3
    assert "a-token" not in ended.err


# --- freeze, unfreeze ------------------------------------------------------------


def test_what_the_output_s_encoding_does_not_have_is_replaced(
    run: Run, monkeypatch: pytest.MonkeyPatch, journal: SqlJournal
) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(kept, "ascii", write_through=True))
    assert run("freeze", "--why", "prøve").status == 0
    assert kept.getvalue().startswith(b"frozen: pr?ve")
    assert journal.frozen(datetime.now(UTC))


def test_a_freeze_is_in_the_journal_and_in_status_with_who_made_it(
    run: Run, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "lasse")
    ended = run("freeze", "--why", " exam\nweek ", "--until", "2099-03-01T18:00Z")
    assert ended.status == 0
    assert ended.out.startswith("frozen: exam week, until 2099-03-01 18:00 UTC; ")
    made = journal.frozen(datetime.now(UTC))
    assert made is not None
    assert (made.why, made.by) == ("exam week", "lasse")
    told = line_with(run("status").out, "frozen ")
    assert told.startswith("frozen   exam week, until 2099-03-01 18:00 UTC (by lasse, ")
    found = json.loads(run("status", "--json").out)["frozen"]
    assert (found["by"], found["until"]) == ("lasse", "2099-03-01T18:00:00.000Z")


def test_freezing_and_unfreezing_wake_the_worker(
    run: Run, journal: SqlJournal, state_dir: Path
) -> None:
    listener = DoorbellListener(state_dir / DOORBELL)
    try:
        run("freeze", "--why", "exam")
        assert listener.wait(BOUND_S)
        run("unfreeze")
        assert listener.wait(BOUND_S)
    finally:
        listener.close()
    assert journal.frozen(datetime.now(UTC)) is None


def test_unfreezing_says_what_it_ended_or_that_nothing_was_frozen(
    run: Run, journal: SqlJournal
) -> None:
    journal.freeze("exam", by="lasse", until=None)
    assert "no longer frozen (exam)" in run("unfreeze").out
    ended = run("unfreeze")
    assert (ended.status, ended.out) == (0, "nothing was frozen\n")
    journal.roll_back(A, "", by="lasse")
    assert "no longer frozen (rolled back to a1b2c3d)" in run("unfreeze").out


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_a_freeze_ends_so_long_from_now(
    run: Run, journal: SqlJournal, text: str, ahead: timedelta
) -> None:
    run("freeze", "--why", "exam", "--until", text)
    made = journal.frozen(datetime.now(UTC))
    assert made is not None
    assert made.until is not None
    assert abs(made.until - made.since - ahead) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["00:00", "23:59"])
def test_a_time_of_day_is_the_next_one_of_this_machine_s_clock(
    run: Run, journal: SqlJournal, text: str
) -> None:
    run("freeze", "--why", "exam", "--until", text)
    made = journal.frozen(datetime.now(UTC))
    assert made is not None
    assert made.until is not None
    assert f"{made.until.astimezone():%H:%M}" == text
    assert timedelta(0) < made.until - made.since <= timedelta(hours=25)


@pytest.mark.parametrize("text", ["tomorrow", "25:00", "2020-01-01 18:00", "9999999999999d"])
def test_an_end_that_is_over_or_no_time_is_wrong_use(
    run: Run, journal: SqlJournal, text: str
) -> None:
    assert run("freeze", "--why", "exam", "--until", text).status == 2
    assert journal.frozen(datetime.now(UTC)) is None


@pytest.mark.parametrize("args", [(), ("--why", "  ")])
def test_a_freeze_without_a_reason_is_wrong_use(run: Run, args: tuple[str, ...]) -> None:
    assert run("freeze", *args).status == 2


def test_a_message_steers_no_terminal(run: Run, journal: SqlJournal) -> None:
    journal.freeze("a\x1b[31mRED", by="lasse", until=None)
    assert "frozen by lasse: a?[31mRED; " in run("deploy").err


@pytest.mark.parametrize("args", [(), ("--wait",)])
def test_a_deployment_by_hand_while_frozen_says_so(
    run: Run, journal: SqlJournal, args: tuple[str, ...]
) -> None:
    journal.freeze("exam", by="lasse", until=None)
    ended = run("deploy", *args)
    assert ended.status == 1
    assert ended.err == ("deployer: frozen by lasse: exam; `deployer unfreeze` deploys the tip\n")
    assert journal.unseen() == ()


def test_a_request_that_a_freeze_overtakes_is_kept_and_not_waited_for(
    journal: SqlJournal,
) -> None:
    request = journal.request_deploy(None, Trigger.MANUAL)
    journal.freeze("exam", by="lasse", until=None)
    with pytest.raises(DeployerError, match="frozen by lasse: exam; the request is kept"):
        deploy._wait(journal, request)
    assert len(journal.unseen()) == 1


def test_a_request_that_a_rollback_overtakes_is_kept_and_not_waited_for(
    journal: SqlJournal,
) -> None:
    request = journal.request_deploy(None, Trigger.MANUAL)
    journal.roll_back(A, "exam", by="lasse")
    with pytest.raises(DeployerError, match=r"frozen .*: rolled back .*; the request is kept"):
        deploy._wait(journal, request)


def test_a_deployment_by_hand_while_another_airflow_is_put_in_is_not_sent_to_unfreeze(
    run: Run, journal: SqlJournal
) -> None:
    journal.freeze("Airflow 3.3.3 is installed", by=BY, until=None)
    ended = run("deploy")
    assert ended.status == 1
    assert ended.err == (
        "deployer: frozen by deployer airflow-version: Airflow 3.3.3 is installed;"
        " wait until that has ended\n"
    )
    assert run("unfreeze").status == 1


# --- rollback --------------------------------------------------------------------


def test_a_rollback_goes_to_the_last_good_commit_and_freezes(
    run: Run, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "lasse")
    deployed(journal, A, State.SUCCEEDED)
    deployed(journal, B, State.BROKEN)
    journal.set_live(Live(B))
    ended = run("rollback", "--why", "exam")
    assert ended.status == 0
    assert ended.out == (
        "asked the worker to roll back to a1b2c3d; frozen until `deployer unfreeze`\n"
    )
    made = journal.frozen(NOW)
    assert made is not None
    assert (made.sha, made.by, made.words) == (A, "lasse", "rolled back to a1b2c3d: exam")
    (request,) = journal.unseen()
    assert (request.sha, request.trigger) == (A, Trigger.ROLLBACK)
    assert run("deploy").status == 1


def test_a_rollback_to_what_was_never_live_changes_nothing(run: Run, journal: SqlJournal) -> None:
    deployed(journal, A, State.FAILED)
    ended = run("rollback", A[:7])
    assert ended.status == 1
    assert f"{A[:7]} was not live" in ended.err
    assert "nothing good was live before" in run("rollback").err
    assert journal.frozen(NOW) is None
    assert journal.unseen() == ()


def test_a_rollback_to_the_beginning_of_several_says_so(run: Run, journal: SqlJournal) -> None:
    deployed(journal, C, State.SUCCEEDED)
    deployed(journal, C[:7] + "d" * 33, State.SUCCEEDED)
    ended = run("rollback", C[:7])
    assert ended.status == 1
    assert "1234567 is the beginning of several commits" in ended.err


@pytest.mark.parametrize("what", ["zzz", A[:6], A + "0", ""])
def test_a_rollback_to_what_is_no_commit_is_wrong_use(run: Run, what: str) -> None:
    ended = run("rollback", "--", what)
    assert ended.status == 2
    assert "7 to 40 hex digits" in ended.err


def test_a_rollback_can_be_waited_for(run: Run, state_dir: Path, journal: SqlJournal) -> None:
    deployed(journal, B, State.SUCCEEDED)
    with worker(state_dir, journal, State.SUCCEEDED):
        ended = run("rollback", B[:7], "--wait")
    assert ended.status == 0
    assert line_with(ended.out, "deployment 2", "succeeded")


# --- login -----------------------------------------------------------------------


def admitted(journal: SqlJournal, purpose: Purpose, secret: str, *, after: timedelta) -> bool:
    return journal.admitted(fingerprint(purpose, secret), datetime.now(UTC) + after)


@pytest.mark.parametrize(
    ("setting", "page"),
    [
        ("PUBLIC_URL=https://class.example/deployer", "https://class.example/deployer/login"),
        ("BIND=127.0.0.1:9001", "http://127.0.0.1:9001/login"),
        ("BIND=0.0.0.0:9001", "http://127.0.0.1:9001/login"),
        ("BIND=[::]:9001", "http://127.0.0.1:9001/login"),
    ],
)
def test_login_prints_a_link_that_is_valid_for_ten_minutes(
    run: Run,
    journal: SqlJournal,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    page: str,
) -> None:
    monkeypatch.setenv(*f"DEPLOYER_{setting}".split("=", 1))
    ended = run("login")
    address, _, secret = ended.out.strip().partition("?token=")
    assert (ended.status, address) == (0, page)
    assert "within 10 minutes; it works once" in ended.err
    assert admitted(journal, Purpose.LOGIN, secret, after=timedelta(minutes=9))
    assert not admitted(journal, Purpose.LOGIN, secret, after=timedelta(minutes=10))
    assert not admitted(journal, Purpose.BEARER, secret, after=timedelta())


def test_login_prints_a_bearer_token_that_is_valid_until_it_is_revoked(
    run: Run, journal: SqlJournal
) -> None:
    secret = run("login", "--token").out.strip()
    assert admitted(journal, Purpose.BEARER, secret, after=timedelta(days=999))
    assert not admitted(journal, Purpose.LOGIN, secret, after=timedelta())
    run("login")
    assert "ended: 2 logins" in run("login", "--revoke").out
    assert not admitted(journal, Purpose.BEARER, secret, after=timedelta())


def test_the_journal_keeps_no_secret_of_a_login(
    run: Run, state_dir: Path, journal: SqlJournal
) -> None:
    link, token = run("login").out, run("login", "--token").out
    kept = b"".join(file.read_bytes() for file in state_dir.glob("deployer.db*"))
    assert link.strip().partition("?token=")[2].encode() not in kept
    assert token.strip().encode() not in kept
    assert fingerprint(Purpose.BEARER, token.strip()).encode() in kept
    assert journal.admitted(fingerprint(Purpose.BEARER, token.strip()), NOW)


def test_login_gives_each_time_another_secret(run: Run, journal: SqlJournal) -> None:
    assert len({run("login", "--token").out for _ in range(3)}) == 3


def test_links_of_statuses_are_closed_by_another_key(run: Run, journal: SqlJournal) -> None:
    key = journal.link_key()
    ended = run("login", "--revoke-links")
    assert "closed: the links of all statuses so far" in ended.out
    assert journal.link_key() != key


def test_no_link_leads_to_a_socket(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYER_BIND", "unix:/run/deployer/web.sock")
    ended = run("login")
    assert (ended.status, ended.out) == (2, "")
    assert "DEPLOYER_PUBLIC_URL is required" in ended.err


# --- explain ---------------------------------------------------------------------


def delivered(journal: SqlJournal, guid: str, sha: str) -> None:
    journal.record_delivery(
        guid=guid,
        event="push",
        result="queued",
        reason="",
        payload={"after": sha, "pusher": "lasse"},
    )


def test_explain_tells_what_became_of_a_delivery(run: Run, state_dir: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{state_dir}/deployer.db", migrate=True, now=lambda: NOW)
    delivered(journal, "72d3162e-cc78", A)
    (announced,) = journal.unseen()
    status = Status(A, "airflow/deploy", StatusState.SUCCESS, "live")
    journal.attach(announced.id, deployed(journal, A, State.SUCCEEDED, statuses=(status,)))
    (owed,) = journal.due(at(9))
    journal.posted(owed.id, at=at(2), target_url=None)
    journal.close()
    ended = run("explain", "72d3162e-cc78")
    assert ended.status == 0
    assert [" ".join(line.split()) for line in ended.out.splitlines()[1:]] == [
        "2026-03-01 09:15:00 0.00 s 1 push of a1b2c3d by lasse, delivery 72d3162e-cc78, accepted",
        "2026-03-01 09:15:00 0.00 s 1 queued",
        "2026-03-01 09:15:00 0.00 s 1 begun with tip a1b2c3d",
        "2026-03-01 09:15:00 0.25 s 1 fetch ok: tip",
        "2026-03-01 09:15:01 1.50 s 1 succeeded",
        "2026-03-01 09:15:02 2.00 s GitHub told: airflow/deploy success: live",
    ]


def test_explain_as_json_of_a_shortened_commit(run: Run, journal: SqlJournal) -> None:
    deployed(journal, A, State.FAILED, reason="no")
    found = json.loads(run("explain", A[:7], "--json").out)
    assert found["sha"] == A
    assert found["events"][-1] == {
        "at": "2026-03-01T09:15:01.500Z",
        "what": "failed: no",
        "deployment": 1,
    }


def test_explain_of_what_never_came_says_where_to_look(run: Run, journal: SqlJournal) -> None:
    ended = run("explain", "72d3162e-cc78")
    assert ended.status == 1
    assert "the journal knows no 72d3162e-cc78: " in ended.err
    assert "Recent Deliveries" in ended.err


# --- show ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.SUCCEEDED, 0),
        (State.SUPERSEDED, 0),
        (State.BROKEN, 1),
        (State.FAILED, 1),
        (State.ERROR, 1),
    ],
)
def test_show_ends_with_1_if_the_deployment_failed(
    run: Run, journal: SqlJournal, state: State, status: int
) -> None:
    number = deployed(journal, B, state, reason="the disk is full")
    ended = run("show", str(number))
    assert ended.status == status
    assert line_with(ended.out, "deployment 1", str(state), "bbbbbbb", "main", "1.5 s")
    assert line_with(ended.out, "the disk is full")


@pytest.mark.parametrize("what", [A, A[:7], A[:9].upper()])
def test_show_finds_the_deployment_that_judged_a_commit(
    run: Run, journal: SqlJournal, what: str
) -> None:
    deployed(journal, B, State.SUCCEEDED)
    broken(journal)
    assert line_with(run("show", what).out, "deployment 2", "broken")


def test_show_takes_seven_digits_for_a_commit_and_fewer_for_an_id(
    run: Run, journal: SqlJournal
) -> None:
    deployed(journal, C, State.SUCCEEDED)
    assert run("show", "1234567").status == 0
    assert run("show", "1").status == 0
    assert run("show", "123456").status == 1
    assert line_with(run("show", "0000001").out, "deployment 1", "1234567")
    for unknown in ("9" * 10, "9" * 39):
        assert run("show", unknown).status == 1


@pytest.mark.parametrize("command", ["show", "explain"])
def test_the_beginning_of_several_commits_is_not_unknown(
    run: Run, journal: SqlJournal, command: str
) -> None:
    deployed(journal, C, State.SUCCEEDED)
    deployed(journal, C[:7] + "d" * 33, State.SUCCEEDED)
    ended = run(command, C[:7])
    assert ended.status == 1
    assert "1234567 is the beginning of several commits: give more" in ended.err


def test_show_as_json_is_the_contracts(run: Run, journal: SqlJournal) -> None:
    record = journal.deployment(broken(journal))
    assert record is not None
    ended = run("show", "1", "--json")
    assert ended.status == 1
    assert json.loads(ended.out) == as_json(record)


@pytest.mark.parametrize("what", ["7", "0" * 40, "dddddddd"])
def test_what_the_journal_does_not_know_ends_with_1_and_one_line(
    run: Run, journal: SqlJournal, what: str
) -> None:
    ended = run("show", what)
    assert (ended.status, ended.out) == (1, "")
    assert (
        ended.err
        == f"deployer: the journal knows no {what}; `deployer status` lists the last ones\n"
    )


@pytest.mark.parametrize("what", [A, A[:7]], ids=["whole", "shortened"])
def test_show_knows_a_push_that_the_worker_has_not_taken_in(
    run: Run, journal: SqlJournal, what: str
) -> None:
    delivered(journal, "72d3162e-cc78", A)
    ended = run("show", what)
    assert ended.status == 1
    assert "the worker has not taken it in yet: `deployer explain" in ended.err


@pytest.mark.parametrize("what", ["main", "a1b", "-1", "", "a" * 41])
def test_what_is_neither_id_nor_commit_ends_with_2(run: Run, what: str) -> None:
    assert run("show", "--", what).status == 2


def test_in_a_pipe_each_row_is_one_plain_line(run: Run, journal: SqlJournal) -> None:
    broken(journal)
    out = run("show", "1").out
    assert "\x1b" not in out
    words = f"line 12: ModuleNotFoundError: {REASON.strip()}"
    assert line_with(out, "dags/maria/weather.py", "broken", "release", words)
    assert line_with(out, "dags/lasse/taxi.py", "parsed", "lasse_taxi")
    assert line_with(out, "fetch", "ok", "0.25")
    assert line_with(out, "a1b2c3d", "airflow/maria", "failure", "weather.py:12", "owed")


def test_what_students_write_is_shown_as_it_is_and_steers_nothing(
    run: Run, journal: SqlJournal
) -> None:
    deployed(
        journal,
        A,
        State.BROKEN,
        verdicts=(
            Verdict(
                "dags/[red]:smile:/a.py",
                Outcome.BROKEN,
                error=ParseError("E", "\x1b[2Jtwo\nlines [bold]\tx"),
            ),
        ),
        statuses=(Status(A, "airflow/[red]:smile:", StatusState.FAILURE, "[link=x]"),),
    )
    out = run("show", "1").out
    assert line_with(out, "dags/[red]:smile:/a.py", "E: ?[2Jtwo lines [bold] x")
    assert line_with(out, "airflow/[red]:smile:", "[link=x]")
    assert line_with(run("status").out, "a1b2c3d", "[red]:smile:")


@pytest.mark.parametrize(("no_color", "before"), [("", "\x1b[32m"), ("1", "  ")])
def test_on_a_terminal_there_are_colours_unless_nobody_wants_them(
    journal: SqlJournal, monkeypatch: pytest.MonkeyPatch, no_color: str, before: str
) -> None:
    deployed(journal, B, State.SUCCEEDED)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with pytest.raises(SystemExit):
            main(["show", "1"])
        shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert f"{before}succeeded" in shown
    assert ("\x1b" in shown) is (no_color == "")


# --- deploy ----------------------------------------------------------------------


def test_deploy_leaves_a_request_in_the_journal(run: Run, journal: SqlJournal) -> None:
    ended = run("deploy")
    assert ended.status == 0
    assert ended.out.startswith("asked the worker to deploy")
    (request,) = journal.unseen()
    assert (request.sha, request.trigger) == (None, Trigger.MANUAL)


def test_who_asks_where_no_worker_is_alive_is_told_so(run: Run, journal: SqlJournal) -> None:
    ended = run("deploy")
    assert ended.err == (
        "deployer: the worker has never run; start `deployer worker`: what you asked for is kept"
        " in the journal\n"
    )
    journal.beat(at=datetime.now(UTC))
    assert run("deploy").err == ""


@pytest.mark.parametrize("typed", ["statsu", "deplyo", "doctr"])
def test_a_mistyped_command_is_told_which_one_was_meant(run: Run, typed: str) -> None:
    ended = run(typed)
    assert ended.status == 2
    meant = {"statsu": "status", "deplyo": "deploy", "doctr": "doctor"}[typed]
    assert "Did you mean" in ended.err
    assert meant in ended.err


def test_deploy_of_a_commit_asks_for_that_one(run: Run, journal: SqlJournal) -> None:
    ended = run("deploy", A.upper())
    assert ended.status == 0
    assert f"`deployer show {A[:7]}`" in ended.out
    assert [request.sha for request in journal.unseen()] == [A]


@contextmanager
def worker(state_dir: Path, journal: SqlJournal, state: State) -> Iterator[None]:
    """Be a worker that is woken once and ends what is wished for in `state`."""

    def work(bell: DoorbellListener) -> None:
        if not bell.wait(BOUND_S):
            return
        (request,) = journal.unseen()
        number = journal.queue(
            B, base_sha=None, ref="refs/heads/main", trigger=Trigger.MANUAL, at=NOW
        )
        journal.attach(request.id, number)
        journal.start(number, at=NOW, base_sha=None, covers=[B])
        journal.add_step(number, StepRecord(StepName.FETCH, "ok", NOW, at(1), "b" * 7))
        journal.add_step(number, StepRecord(StepName.BUILD, "failed", at(1), at(2)))
        journal.end(number, Ending(B, state), at=at(2))

    with closing(DoorbellListener(state_dir / DOORBELL)) as bell:
        thread = threading.Thread(target=work, args=(bell,))
        thread.start()
        try:
            yield
        finally:
            thread.join(BOUND_S)


@pytest.mark.parametrize(
    ("state", "status"), [(State.SUCCEEDED, 0), (State.BROKEN, 1), (State.ERROR, 3)]
)
def test_deploy_rings_waits_for_the_end_and_ends_as_that(
    run: Run, state_dir: Path, journal: SqlJournal, state: State, status: int
) -> None:
    with worker(state_dir, journal, state):
        ended = run("deploy", "--wait")
    assert ended.status == status
    assert line_with(ended.out, "deployment 1", str(state))
    assert ended.err.splitlines() == [
        "deployer: asked the worker to deploy; it takes its turn",
        "deployer: fetch ok after 1.0 s: bbbbbbb",
        "deployer: build failed after 1.0 s",
    ]


def test_who_waits_is_told_once_at_which_long_step_a_deployment_is(
    journal: SqlJournal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = journal.request_deploy(None, Trigger.MANUAL)
    number = journal.queue(B, base_sha=None, ref="refs/heads/main", trigger=Trigger.MANUAL, at=NOW)
    journal.attach(request, number)
    journal.start(number, at=NOW, base_sha=None, covers=[B])
    journal.doing(number, Running(StepName.BUILD, NOW, "2 packages"))
    looks = iter(range(3))

    def look(_seconds: float) -> None:
        if next(looks) == 2:
            journal.add_step(number, StepRecord(StepName.BUILD, "ok", NOW, at(47), "six==1"))
            journal.end(number, Ending(B, State.SUCCEEDED), at=at(48))

    monkeypatch.setattr("deployer.cli.deploy.time.sleep", look)
    assert deploy._wait(journal, request).state is State.SUCCEEDED
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"deployer: build since {NOW:%H:%M:%S} UTC: 2 packages",
        "deployer: build ok after 47.0 s: six==1",
    ]


def test_who_waits_is_told_now_and_then_why_nothing_begins(
    journal: SqlJournal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]

    def passes(_seconds: float) -> None:
        clock[0] += 10
        journal.beat(at=datetime.now(UTC))

    monkeypatch.setattr(deploy, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=passes))
    monkeypatch.setattr(deploy, "LONGEST_WAIT_S", 100.0)
    with pytest.raises(OperatorError, match="no end after 100 s"):
        deploy._wait(journal, journal.request_deploy(None, Trigger.MANUAL))
    told = capsys.readouterr().err.splitlines()[1:]
    reason = "the branch's tip was never checked"
    assert told == 2 * [f"deployer: the worker has not begun: {reason}; `deployer logs` says why"]


def test_deploy_waits_for_no_worker_that_is_silent(
    run: Run, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "SILENCE", timedelta(0))
    journal.beat(at=NOW, tip=None, tip_checked_at=None)
    ended = run("deploy", "--wait")
    assert ended.status == 3
    assert "deployer: no worker answers; " in ended.err
    assert len(journal.unseen()) == 1, "the request is kept"


def test_deploy_does_not_wait_for_ever(
    run: Run, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "LONGEST_WAIT_S", 0.0)
    ended = run("deploy", "--wait")
    assert ended.status == 3
    assert "no end after 0 s" in ended.err


# --- logs ------------------------------------------------------------------------


def event(name: str, second: int, **more: object) -> str:
    return json.dumps({"event": name, "timestamp": f"2026-03-01T09:15:{second:02}Z", **more}) + "\n"


def names(out: str) -> list[str]:
    """Return the events printed: the word after the time."""
    return [line.split()[1] for line in out.splitlines()]


@pytest.fixture
def folder(state_dir: Path) -> Path:
    folder = state_dir / "logs"
    folder.mkdir()
    return folder


def test_logs_shows_all_processes_in_the_order_of_time(run: Run, folder: Path) -> None:
    (folder / "worker.jsonl.1").write_text(event("first", 1))
    (folder / "worker.jsonl").write_text(event("third", 3, sha="abc") + event("fifth", 5))
    (folder / "web.jsonl").write_text(event("second", 2) + event("fourth", 4))
    ended = run("logs")
    assert ended.status == 0
    assert names(ended.out) == ["first", "second", "third", "fourth", "fifth"]
    assert line_with(ended.out, "third", "sha=abc")
    assert "\x1b" not in ended.out


def test_logs_of_one_deployment(run: Run, folder: Path) -> None:
    (folder / "worker.jsonl").write_text(
        event("mine", 1, deployment=12) + event("other", 2, deployment=13) + event("none", 3)
    )
    assert names(run("logs", "--deployment", "12").out) == ["mine"]
    none = run("logs", "--deployment", "99")
    assert (none.status, none.out) == (1, "")
    assert "holds nothing of deployment 99" in none.err


def test_a_renderer_for_people_has_colours_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = {"event": "one", "level": "info"}
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in str(logs.human(colours=True)(None, "", dict(line)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(logs.human(colours=True)(None, "", dict(line)))


def test_lines_that_are_no_events_are_passed_over(run: Run, folder: Path) -> None:
    (folder / "worker.jsonl").write_bytes(
        b"plain words\n[1]\n\xff\n\n" + event("whole", 1).encode() + b'{"event": "half'
    )
    assert names(run("logs").out) == ["whole"]


def test_logs_without_any_log_ends_with_3(run: Run) -> None:
    ended = run("logs")
    assert ended.status == 3
    assert "nothing has run on this state yet" in ended.err


def test_a_log_folder_that_cannot_be_read_is_named(run: Run, state_dir: Path) -> None:
    (state_dir / "logs").touch()
    ended = run("logs")
    assert ended.status == 3
    assert (
        ended.err == f"deployer: the log folder {state_dir}/logs can't be read: Not a directory\n"
    )


@contextmanager
def following() -> Iterator[subprocess.Popen[str]]:
    """Run `deployer logs -f`."""
    with (
        subprocess.Popen(
            # A shell's background job, as these tests may be, passes on that Ctrl-C is ignored.
            ["env", "--default-signal=INT", sys.executable, "-m", "deployer", "logs", "-f"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        watched(process),
    ):
        yield process


def test_logs_follows_lines_rotation_and_new_processes(folder: Path) -> None:
    log = folder / "worker.jsonl"
    log.write_text(event("before", 1))
    with following() as process:
        assert process.stdout is not None
        assert process.stderr is not None

        def next_name() -> str:
            assert process.stdout is not None
            (name,) = names(process.stdout.readline())
            return name

        assert next_name() == "before"
        with log.open("a") as file:
            file.write(event("written", 2))
        assert next_name() == "written"
        with log.open("a") as file:
            file.write(event("last", 3))
        log.rename(folder / "worker.jsonl.1")
        log.write_text(event("rotated", 4))
        assert [next_name(), next_name()] == ["last", "rotated"]
        (folder / "web.jsonl").write_text(event("new", 5))
        assert next_name() == "new"
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND_S) == 0
        assert process.stderr.read() == ""


def test_logs_that_nobody_reads_any_more_end_though_no_line_comes(folder: Path) -> None:
    (folder / "worker.jsonl").write_text(event("first", 1))
    with following() as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert names(process.stdout.readline()) == ["first"]
        process.stdout.close()
        assert process.wait(BOUND_S) == 0
        assert process.stderr.read() == ""


@contextmanager
def watched(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that outlives the bound, so that nobody reads from it for ever."""
    guard = threading.Timer(BOUND_S, process.kill)
    guard.start()
    try:
        yield
    finally:
        guard.cancel()
        process.kill()


# --- a log file that is being written ----------------------------------------------


@pytest.fixture
def new(folder: Path) -> Callable[[], list[str]]:
    """Return what looks for events that are new, and tells their names."""
    read: dict[int, int] = {}
    return lambda: [found["event"] for found in unread(folder, read)]


def test_a_half_written_line_is_read_once_it_is_whole(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    line = event("halved", 1)
    with (folder / "web.jsonl").open("w") as file:
        file.write(line[:20])
        file.flush()
        assert new() == []
        file.write(line[20:] + event("next", 2)[:9])
        file.flush()
        assert new() == ["halved"]
        file.write(event("next", 2)[9:])
        file.flush()
        assert new() == ["next"]
        assert new() == []


def test_what_was_written_before_and_after_a_rotation_is_read(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    path = folder / "web.jsonl"
    path.write_text(event("one", 1))
    assert new() == ["one"]
    with path.open("a") as file:
        file.write(event("two", 2))
    path.rename(folder / "web.jsonl.1")
    assert new() == ["two"], "its successor is not there yet"
    path.write_text(event("three", 3) + event("four", 4))
    assert new() == ["three", "four"]


def test_lines_written_between_the_last_look_and_a_rotation_are_read_in_their_order(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    path = folder / "web.jsonl"
    path.write_text(event("early", 1))
    assert new() == ["early"]
    with path.open("a") as file:
        file.write(event("late", 2))
    path.rename(folder / "web.jsonl.1")
    path.write_text(event("rotated", 3))
    assert new() == ["late", "rotated"]
    assert new() == []


def test_a_log_that_is_rotated_during_a_look_is_read_once(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    path = folder / "web.jsonl"
    path.write_text(event("one", 1))
    (folder / "web.jsonl.1").hardlink_to(path)  # opened by its old name, then by its new one
    assert new() == ["one"]


def test_a_log_that_goes_during_a_look_is_passed_over(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    (folder / "web.jsonl").symlink_to("removed")
    (folder / "worker.jsonl").write_text(event("one", 1))
    assert new() == ["one"]


def test_a_log_that_somebody_emptied_is_read_from_its_start(
    folder: Path, new: Callable[[], list[str]]
) -> None:
    path = folder / "web.jsonl"
    path.write_text(event("one", 1) + event("two", 2))
    assert new() == ["one", "two"]
    path.write_text(event("three", 3))
    assert new() == ["three"]


def test_a_log_that_cannot_be_read_is_named(folder: Path, new: Callable[[], list[str]]) -> None:
    (folder / "web.jsonl").mkdir()
    with pytest.raises(OperatorError, match=r"web\.jsonl can't be read: Is a directory"):
        new()
