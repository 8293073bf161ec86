"""`deployer doctor` as a whole: its lines, its JSON, its exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deployer import doctor as checkup
from deployer.app import doctor as app_doctor
from deployer.cli import main
from deployer.core.model import Ending, Live, ProcessorCame, State, Trigger
from deployer.demo.github import StandIn
from deployer.demo.stage import free_port
from deployer.edges import http
from deployer.edges.compose import runner
from deployer.edges.git import mirror
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.edges.journal import SqlJournal
from tests.github.watched import watched
from tests.integration.answering import Answering, Said, answering

REPO = "class/airflow-class"
TOKEN, PASSWORD, SECRET = "a-token-of-the-class", "a password of Airflow's", "a-webhook-secret-1"
PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
LINES = re.findall(r"^\| `(.+?)` \|", PAGE.read_text(), re.MULTILINE)
"""The names of all lines, in their order, as the documentation has them."""
WITHOUT_HOOKS = "failed deliveries"
"""The stand-in shows no webhooks, as GitHub to a token without that right."""
SERVICE = {
    "build": {"context": ".", "args": {"AIRFLOW_IMAGE_NAME": "class-deployer/airflow:test"}},
    "entrypoint": ["sleep", "600"],
    "init": True,
    "stop_grace_period": "90s",
    "environment": {"DUMB_INIT_SETSID": "0"},
    "healthcheck": {"test": ["CMD", "true"], "interval": "2s"},
}


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    status: int
    out: str
    err: str

    def line(self, name: str) -> list[str]:
        """Return the parts of the line of that name."""
        (line,) = [
            parts for row in self.out.splitlines() if (parts := row.split("\t"))[1:2] == [name]
        ]
        return line


Doctor = Callable[..., Ended]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever is asked answer in his own time: all that is asked runs on this machine."""
    monkeypatch.setattr(http, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(runner, "_ASK_S", 60.0)
    monkeypatch.setattr(app_doctor, "HOST_ANSWERS_S", 60.0)
    monkeypatch.setattr(mirror, "_CHECK_S", 60.0)
    monkeypatch.setattr(checkup, "run", partial(checkup.run, bound_s=300.0))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets settings; at first nothing but dead addresses."""
    for name in [name for name in os.environ if name.startswith("DEPLOYER_")]:
        monkeypatch.delenv(name)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"DEPLOYER_{name}", value)

    nobody = f"http://127.0.0.1:{free_port()}"
    put(
        GITHUB_REPO=REPO,
        GITHUB_API_URL=nobody,
        REPO_URL=f"{nobody}/class.git",
        AIRFLOW_URL=nobody,
        PUBLIC_URL=nobody,
        STATE_DIR=str(tmp_path / "state"),
        CHECKOUT_DIR=str(tmp_path / "srv"),
        COMPOSE_FILE=str(tmp_path / "etc" / "docker-compose.yaml"),
        COMPOSE_PROJECT=f"e-doctor-{uuid.uuid4().hex[:8]}",
    )
    return put


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not a socket in the file system: docker-py leaves one unclosed that does not connect.
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def doctor(settings: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Return what runs the command in this process, its output in a pipe."""

    def run(*args: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(("doctor", *args))
        said = capsys.readouterr()
        return Ended(int(exited.value.code or 0), said.out, said.err)

    return run


# --- where nothing is set up -----------------------------------------------------------


@pytest.mark.usefixtures("no_engine")
def test_where_nothing_is_there_each_line_fails_with_what_to_do(doctor: Doctor) -> None:
    ended = doctor()
    assert (ended.status, ended.err) == (1, "")
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [row[1] for row in rows[:-1]] == LINES
    assert all(len(row) == (4 if row[0] == "failed" else 3) for row in rows[:-1])
    assert all(row[3].startswith("-> ") for row in rows if row[0] == "failed")
    failed = {row[1] for row in rows if row[0] == "failed"}
    assert {"engine", "compose file", "Airflow health", "GitHub token", "journal"} < failed
    count = Counter(row[0] for row in rows[:-1])
    assert rows[-1] == [
        f"{count['passed']} passed, {len(failed)} failed, {count['skipped']} skipped"
    ]


@pytest.mark.usefixtures("no_engine")
def test_what_follows_from_another_line_is_skipped_and_says_from_which(doctor: Doctor) -> None:
    ended = doctor()
    for name, cause in (
        ("compose file: stopping", "compose file"),
        ("compose file: checkout", "compose file"),
        ("compose file of the repository", "mirror"),
        ("services", "engine"),
        ("packages", "journal"),
        ("Airflow rights", "Airflow account"),
        ("webhook deliveries", "journal"),
        ("worker", "journal"),
    ):
        assert ended.line(name)[0] == "skipped"
        assert ended.line(name)[2].endswith(f"see {cause}")


@pytest.mark.usefixtures("no_engine")
def test_doctor_leaves_nothing_behind(doctor: Doctor, tmp_path: Path) -> None:
    doctor()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_engine")
def test_json_holds_the_lines_of_the_documentation_in_its_order(doctor: Doctor) -> None:
    ended = doctor("--json")
    assert ended.status == 1
    found = json.loads(ended.out)
    assert found["passed"] is False
    assert [check["name"] for check in found["checks"]] == LINES
    for check in found["checks"]:
        assert set(check) == {"name", "state", "passed", "detail", "remedy"}
        assert (check["state"] == "failed") == (not check["passed"]) == bool(check["remedy"])


def test_mistakes_in_the_settings_end_with_2(doctor: Doctor, settings: Callable[..., None]) -> None:
    settings(SERVICES="kubernetes", KEEP_RELEASES="0")
    ended = doctor()
    assert ended.status == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 2


def test_on_a_terminal_there_are_colours_and_what_to_do_stands_below(
    settings: Callable[..., None], no_engine: None
) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "deployer", "doctor"],
        stdout=its,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
    ) as running:
        os.close(its)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert running.returncode == 1
    assert b"\x1b[1;31mfailed" in shown
    lines = shown.decode().splitlines()
    (at,) = [number for number, line in enumerate(lines) if "there is no token" in line]
    assert any("make a fine-grained" in line for line in lines[at + 1 : at + 4])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side is closed
        return b""


# --- the embedded Airflow ---------------------------------------------------------------


def test_the_embedded_airflow_needs_no_docker(
    doctor: Doctor, settings: Callable[..., None]
) -> None:
    settings(SERVICES="local")
    ended = doctor()
    for name in LINES[: LINES.index("services")]:
        assert ended.line(name)[0] == "skipped"
        assert "SERVICES=local" in ended.line(name)[2]
    state, _, detail, remedy = ended.line("services")
    assert (state, remedy) == ("failed", "-> start the embedded Airflow: `deployer demo`")
    assert "no process of airflow-apiserver" in detail
    assert ended.line("Airflow account")[0] == "failed"
    assert "an admin's" in ended.line("Airflow rights: excess")[2]
    assert "Docker" not in ended.line("disk")[2]


# --- where all is well --------------------------------------------------------------------


@pytest.fixture
def airflow() -> Iterator[Answering]:
    def beat(part: str) -> dict[str, str]:
        return {f"latest_{part}_heartbeat": datetime.now(UTC).isoformat()}

    health = {
        "metadatabase": {"status": "healthy"},
        "scheduler": beat("scheduler"),
        "dag_processor": beat("dag_processor"),
    }
    refused, nothing = Said(403, {"detail": "Forbidden"}), Said(200, {"total_entries": 0})
    with answering(
        {
            "GET /healthz": Said(200),  # it stands in for the web process, too
            "GET /api/v2/monitor/health": Said(200, health),
            "POST /auth/token": Said(201, {"access_token": "of-a-day"}),
            "GET /api/v2/connections": refused,
            "GET /api/v2/variables": refused,
            "PATCH /api/v2/dags/": refused,
            "POST /api/v2/dags/": refused,
            "GET /api/v2/": nothing,
        }
    ) as served:
        yield served


@pytest.fixture
def well(settings: Callable[..., None], airflow: Answering, tmp_path: Path) -> Iterator[StandIn]:
    """Set everything up but Docker."""
    state, checkout = tmp_path / "state", tmp_path / "srv"
    state.mkdir()
    github = StandIn(tmp_path / "github", repo=REPO, secret=SECRET, token=TOKEN)
    with github, watched(github):
        _first_commit(github.repository.path)
        settings(
            GITHUB_API_URL=github.url,
            GITHUB_TOKEN=TOKEN,
            REPO_URL=github.git_url,
            WEBHOOK_SECRET=SECRET,
            AIRFLOW_URL=airflow.url,
            AIRFLOW_USERNAME="deployer",
            AIRFLOW_PASSWORD=PASSWORD,
            PUBLIC_URL=airflow.url,
        )
        tip = GitRepository(Mirror(github.git_url, "main", checkout)).fetch()
        journal = SqlJournal.open(f"sqlite:///{state}/deployer.db", migrate=True)
        journal.record_delivery(guid="1", event="ping", result="ignored", reason="", payload={})
        now = datetime.now(UTC)
        number = journal.queue(tip, base_sha=None, ref="main", trigger=Trigger.WEBHOOK, at=now)
        journal.start(number, at=now, base_sha=None, covers=[tip])
        journal.end(number, Ending(tip, State.SUCCEEDED), at=now, live=Live(tip))
        journal.set_packages("# none\n")
        journal.beat(
            at=datetime.now(UTC),
            tip=tip,
            tip_checked_at=datetime.now(UTC),
            processors=[ProcessorCame("a life", "3.3.2")],
        )
        journal.close()
        yield github


def _first_commit(bare: Path) -> None:
    message = "data 5\nfirst\nM 100644 inline README.md\ndata 2\nhi\n"
    stream = f"commit refs/heads/main\ncommitter A <a@example.org> 1 +0000\n{message}"
    git = ["git", f"--git-dir={bare}", "fast-import", "--quiet"]
    subprocess.run(git, input=stream.encode(), check=True)


@pytest.mark.usefixtures("well", "no_engine")
def test_without_docker_all_else_passes_and_no_secret_is_shown(doctor: Doctor) -> None:
    ended = doctor()
    assert ended.status == 1
    for name in LINES[LINES.index("Airflow health") :]:
        state = "skipped" if name == WITHOUT_HOOKS else "passed"
        assert ended.line(name)[0] == state, ended.line(name)
    assert ended.line("clock")[2] == "within 30 s of GitHub"
    for secret in (TOKEN, PASSWORD, SECRET, "of-a-day"):
        assert secret not in ended.out


@pytest.mark.docker
@pytest.mark.usefixtures("stack", "well")  # heartbeats get old while containers start
def test_where_all_is_well_each_line_passes(doctor: Doctor) -> None:
    ended = doctor("--json")
    found: dict[str, Any] = json.loads(ended.out)
    others = [check["name"] for check in found["checks"] if check["state"] != "passed"]
    assert others == [WITHOUT_HOOKS]
    assert (ended.status, found["passed"]) == (0, True)


@pytest.fixture
def stack(settings: Callable[..., None], docker_is_there: None, tmp_path: Path) -> Iterator[None]:
    """Run the containers of the class."""
    file, project = (
        Path(os.environ["DEPLOYER_COMPOSE_FILE"]),
        os.environ["DEPLOYER_COMPOSE_PROJECT"],
    )
    names = ("airflow-scheduler", "airflow-apiserver", "airflow-dag-processor")
    checkout = tmp_path / "srv"
    checkout.mkdir()
    image = f"{project}:current"  # it holds no package of the class
    service = {**SERVICE, "image": image, "volumes": [f"{checkout}:/opt/class:ro"]}
    file.parent.mkdir()
    file.write_text(json.dumps({"services": dict.fromkeys(names, service)}))  # JSON is YAML
    command = ["docker", "compose", "--project-name", project, "--file", str(file)]
    _run("docker", "tag", "class-deployer/postgres:test", image)
    try:
        _run(*command, "up", "--detach", "--no-build", "--wait")
        yield
    finally:
        _run(*command, "down", "--volumes", "--timeout", "0")
        _run("docker", "image", "rm", "--no-prune", "--force", image)


@pytest.fixture
def docker_is_there() -> None:
    if subprocess.run(["docker", "info"], check=False, capture_output=True).returncode != 0:
        reason = "no Docker engine runs; scripts/docker up starts one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
