"""`deployer doctor --repair`: real files damaged, and what is made of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from deployer.cli import main
from deployer.core.model import Live, StatusState
from deployer.demo.github import StandIn
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.edges.journal import SqlJournal
from deployer.edges.processes.lock import only_worker
from deployer.edges.releases.store import ReleaseStore
from tests.classrepo import ClassRepo
from tests.github.watched import watched

REPO, TOKEN = "class/airflow-class", "a-token-of-the-class"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def host(tmp_path: Path) -> ClassRepo:
    return ClassRepo(tmp_path / "class.git")


@pytest.fixture
def github(tmp_path: Path) -> Iterator[StandIn]:
    there = StandIn(tmp_path / "github", repo=REPO, secret="a-webhook-secret-1", token=TOKEN)
    with there, watched(there):
        yield there


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def shas(host: ClassRepo, github: StandIn, state: Path, checkout: Path) -> list[str]:
    """Three commits, the last of them live, and all of it whole."""
    made = []
    for number in range(3):
        host.write(f"dags/anna/{number}.py", f"x = {number}\n")
        made.append(host.commit())
    shutil.rmtree(github.repository.path)
    shutil.copytree(host.bare, github.repository.path)
    repository = GitRepository(Mirror(host.url, "main", checkout))
    tree = repository.tree(repository.fetch())
    ReleaseStore(checkout, repository).publish(tree, touch=(), held=())
    state.mkdir()
    with closing(SqlJournal.open(url(state), migrate=True)) as journal:
        journal.set_live(Live(made[-1]))
    return made


@pytest.fixture
def settings(
    host: ClassRepo, github: StandIn, state: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DEPLOYER_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GITHUB_REPO": REPO,
        "GITHUB_API_URL": github.url,
        "GITHUB_TOKEN": TOKEN,
        "REPO_URL": host.url,
        "STATE_DIR": str(state),
        "CHECKOUT_DIR": str(checkout),
    }.items():
        monkeypatch.setenv(f"DEPLOYER_{name}", value)


@pytest.fixture
def repair(settings: None, shas: list[str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command, and its exit status and output."""

    def run(*args: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(("doctor", "--repair", *args))
        said = capsys.readouterr()
        return int(exited.value.code or 0), said.out + said.err

    return run


def url(state: Path) -> str:
    return f"sqlite:///{state}/deployer.db"


def journal_of(state: Path) -> SqlJournal:
    return SqlJournal.open(url(state), migrate=False)


def post(github: StandIn, sha: str, context: str, state: str) -> None:
    body = json.dumps({"state": state, "context": context, "description": "said"}).encode()
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "User-Agent": "test",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "Content-Type": "application/json",
    }
    urlopen(Request(f"{github.url}/repos/{REPO}/statuses/{sha}", body, headers)).close()


def truncate(file: Path) -> None:
    with file.open("r+b") as there:
        there.truncate(there.seek(0, os.SEEK_END) // 2)


def overwrite(file: Path) -> None:
    file.write_bytes(b"no journal at all\n" * 1000)


def lose_an_object(checkout: Path) -> None:
    for pack in (checkout / "mirror.git" / "objects").rglob("*"):
        if pack.is_file() and pack.suffix != ".idx":
            pack.unlink()


def mislead(checkout: Path) -> None:
    (checkout / "current").unlink()
    (checkout / "current").symlink_to("releases/nowhere")


def lose_the_release(checkout: Path) -> None:
    shutil.rmtree((checkout / "current").resolve())


def leave_a_socket(state: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(state / "doorbell.sock"))


def test_where_all_is_well_nothing_is_repaired(repair: Run) -> None:
    assert repair("--yes") == (0, "all is well\n")


@pytest.mark.parametrize("damage", [truncate, overwrite, Path.unlink])
def test_a_lost_journal_is_kept_aside_and_made_anew(
    repair: Run, state: Path, damage: Callable[[Path], None]
) -> None:
    (file,) = state.glob("deployer.db")
    damage(file)
    was = file.read_bytes() if file.exists() else None
    status, said = repair("--yes")
    assert (status, "the journal is rebuilt" in said) == (0, True), said
    kept = [path.read_bytes() for path in state.glob("deployer.db.before_*Z")]
    assert kept == ([was] if was else [])
    with closing(journal_of(state)) as journal:
        assert journal.live() is None
    assert repair("--yes") == (0, "all is well\n")


def test_a_rebuilt_journal_knows_what_github_was_told(
    repair: Run, state: Path, github: StandIn, shas: list[str]
) -> None:
    first, second, third = shas
    for sha, told in ((first, "failure"), (second, "pending"), (third, "success")):
        post(github, sha, "airflow/deploy", "pending")
        post(github, sha, "airflow/deploy", told)
        post(github, sha, "airflow/anna", told)
    post(github, second, "lint", "failure")
    (file,) = state.glob("deployer.db")
    file.unlink()
    assert repair("--yes")[0] == 0
    with closing(journal_of(state)) as journal:
        shown = [journal.shown(sha, "airflow/Anna") for sha in shas]
        assert shown == [StatusState.FAILURE, StatusState.PENDING, StatusState.SUCCESS]
        assert journal.shown(second, "lint") is None
        waiting = [(row.sha, row.base_sha) for row in journal.unfinished()]
        assert waiting == [(second, first)]
        owed = journal.deployments()[0].statuses
        assert owed
        assert all(record.posted_at for record in owed)


def test_a_commit_of_which_only_a_folder_waits_is_told_whole(
    repair: Run, state: Path, github: StandIn, shas: list[str]
) -> None:
    post(github, shas[0], "airflow/deploy", "success")
    post(github, shas[0], "airflow/anna", "pending")
    (file,) = state.glob("deployer.db")
    file.unlink()
    assert repair("--yes")[0] == 0
    with closing(journal_of(state)) as journal:
        assert journal.shown(shas[0], "airflow/deploy") is StatusState.PENDING
        assert [row.sha for row in journal.unfinished()] == [shas[0]]


def test_nothing_is_rebuilt_while_github_does_not_tell(
    repair: Run, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = state.glob("deployer.db")
    overwrite(file)
    was = file.read_bytes()
    monkeypatch.setenv("DEPLOYER_GITHUB_TOKEN", "another-token")
    status, said = repair("--yes")
    assert (status, file.read_bytes()) == (1, was)
    assert "not repaired: GitHub answered 401" in said


def test_a_damaged_mirror_is_cloned_anew(repair: Run, host: ClassRepo, checkout: Path) -> None:
    lose_an_object(checkout)
    status, said = repair("--yes")
    assert (status, "cloned anew" in said) == (0, True), said
    assert Mirror(host.url, "main", checkout).check() == host.tip()
    assert repair("--yes") == (0, "all is well\n")


def test_a_current_that_leads_nowhere_is_led_back(
    repair: Run, checkout: Path, state: Path, shas: list[str]
) -> None:
    mislead(checkout)
    assert repair("--yes")[0] == 0
    assert (checkout / "current").readlink() == Path("releases", shas[-1])
    with closing(journal_of(state)) as journal:
        assert journal.live() == Live(shas[-1])
    assert repair("--yes") == (0, "all is well\n")


def test_a_release_that_is_gone_is_left_to_the_next_deployment(
    repair: Run, checkout: Path, state: Path
) -> None:
    lose_the_release(checkout)
    assert repair("--yes")[0] == 0
    with closing(journal_of(state)) as journal:
        assert journal.live() is None
    assert repair("--yes") == (0, "all is well\n")


def test_what_a_dead_worker_left_is_removed(
    repair: Run, checkout: Path, state: Path, shas: list[str]
) -> None:
    leave_a_socket(state)
    (checkout / "releases" / ".tmp-half").mkdir()
    assert repair("--yes")[0] == 0
    assert not (state / "doorbell.sock").exists()
    assert not (checkout / "releases" / ".tmp-half").exists()
    assert (checkout / "current").resolve().name == shas[-1]
    assert repair("--yes") == (0, "all is well\n")


def test_without_consent_nothing_is_repaired(repair: Run, checkout: Path, state: Path) -> None:
    lose_an_object(checkout)
    mislead(checkout)
    leave_a_socket(state)
    (file,) = state.glob("deployer.db")
    status, said = repair()
    assert status == 1
    assert len(said.splitlines()) == 4, said
    assert (checkout / "current").readlink() == Path("releases/nowhere")
    assert (state / "doorbell.sock").exists()
    overwrite(file)
    assert repair()[0] == 1
    assert file.read_bytes().startswith(b"no journal")


def test_it_is_refused_while_the_worker_runs(repair: Run, checkout: Path, state: Path) -> None:
    leave_a_socket(state)
    with only_worker(state, checkout):
        status, said = repair("--yes")
    assert (status, "another worker holds" in said) == (3, True)
    assert (state / "doorbell.sock").exists()
