"""What the check-up makes of the class repository and its mirror: real git, real faults."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from git import Repo

from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.settings import Secret
from deployer.demo.github import StandIn
from deployer.demo.stage import free_port
from deployer.doctor import git
from deployer.doctor.world import World
from deployer.edges.git import mirror as mirrors
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.errors import GitError
from tests.classrepo import ClassRepo
from tests.doctor_world import nothing_but
from tests.github_faults import Fault, Faults

NOBODY = 65_534
STACK = "services:\n  postgres:\n    image: postgres:16\n"


@pytest.fixture
def host(tmp_path: Path) -> ClassRepo:
    host = ClassRepo(tmp_path / "class.git")
    host.write("docker-compose.yaml", STACK)
    host.commit()
    return host


@pytest.fixture
def repository(host: ClassRepo, tmp_path: Path) -> Mirror:
    return Mirror(host.url, "main", tmp_path / "checkout")


@pytest.fixture
def mirrored(host: ClassRepo, repository: Mirror) -> Mirror:
    """Return the repository after the worker's first fetch."""
    GitRepository(Mirror(host.url, "main", repository.path.parent)).fetch()
    return repository


@pytest.fixture
def own(tmp_path: Path) -> Path:
    own = tmp_path / "docker-compose.yaml"
    own.write_text(STACK)
    return own


def seen(repository: Mirror, branch: str = "main", own: Path | None = None) -> World:
    return nothing_but(repository=repository, branch=branch, own_stack=own)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody who is bound by file modes: root is not."""
    me = os.geteuid()
    os.seteuid(NOBODY if me == 0 else me)
    try:
        yield
    finally:
        os.seteuid(me)


# --- its host --------------------------------------------------------------------


def test_a_branch_that_can_be_fetched_passes(host: ClassRepo, repository: Mirror) -> None:
    assert f"its tip is {(host.tip() or '')[:7]}" in git.host(seen(repository))


def test_a_branch_that_is_not_there_is_told(host: ClassRepo, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="no branch 'live'"):
        git.host(seen(Mirror(host.url, "live", tmp_path), "live"))
    assert "DEPLOYER_BRANCH" in git.FETCH


def test_a_repository_to_which_nothing_was_pushed_yet_is_no_ailment(tmp_path: Path) -> None:
    Repo.init(tmp_path / "new.git", bare=True)
    with pytest.raises(NotApplicable, match=r"nothing was pushed yet to .*: push the class's"):
        git.host(seen(Mirror(str(tmp_path / "new.git"), "main", tmp_path)))


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    nowhere = Mirror(str(tmp_path / "none.git"), "main", tmp_path)
    with pytest.raises(GitError, match="does not appear to be a git repository"):
        git.host(seen(nowhere))
    assert "DEPLOYER_REPO_URL" in git.FETCH


def test_a_host_that_refuses_is_told_without_the_token(tmp_path: Path) -> None:
    with StandIn(tmp_path, secret="s" * 16, token="x") as github:
        Faults(github).add(Fault(status=403, on="git", times=5))
        refused = Mirror(github.git_url, "main", tmp_path, token=lambda: Secret("tok-en-tok-en"))
        with pytest.raises(GitError, match="403") as told:
            git.host(seen(refused))
    assert "`Contents: read`" in git.FETCH
    assert "tok-en" not in str(told.value)
    assert "tok-en" not in repr(refused)


def test_a_host_that_is_away_is_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/class.git"
    with pytest.raises(GitError, match="can't fetch from"):
        git.host(seen(Mirror(url, "main", tmp_path)))


def test_a_host_that_does_not_answer_in_time_is_told(tmp_path: Path) -> None:
    with StandIn(tmp_path, secret="s" * 16, token="x") as github:
        Faults(github).add(Fault(delay_s=60, on="git", times=5))
        slow = Mirror(github.git_url, "main", tmp_path, silent_s=0.3)
        with pytest.raises(GitError, match=r"no answer within 0\.3 s"):
            git.host(seen(slow))
    assert "firewall" in git.FETCH


# --- the mirror ------------------------------------------------------------------


def test_a_mirror_that_is_whole_passes(host: ClassRepo, mirrored: Mirror) -> None:
    said = git.mirror(seen(mirrored))
    assert "is whole and writable" in said
    assert said.endswith((host.tip() or "")[:7])


def test_before_the_first_fetch_there_is_no_mirror_and_no_harm(
    repository: Mirror,
) -> None:
    assert "there is none yet" in git.mirror(seen(repository))
    assert not repository.path.parent.exists()


def test_a_mirror_with_a_lost_object_is_told(mirrored: Mirror) -> None:
    for folder in (mirrored.path / "objects").glob("??"):
        shutil.rmtree(folder)
    for pack in (mirrored.path / "objects" / "pack").iterdir():
        pack.unlink()
    with pytest.raises(Ailment, match="is damaged") as told:
        git.mirror(seen(mirrored))
    assert "deployer doctor --repair" in told.value.remedy


def test_a_mirror_without_the_branch_is_told(host: ClassRepo, mirrored: Mirror) -> None:
    other = Mirror(host.url, "live", mirrored.path.parent)
    with pytest.raises(Ailment, match="is damaged or lacks live"):
        git.mirror(seen(other, "live"))


def test_a_mirror_that_takes_too_long_to_read_is_told(
    mirrored: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_CHECK_S", 0.0001)
    with pytest.raises(GitError, match=r"no end within 0\.0001 s"):
        git.mirror(seen(mirrored))


def test_a_mirror_of_another_user_is_told(mirrored: Mirror) -> None:
    objects = mirrored.path / "objects"
    objects.chmod(0o500)
    with (
        unprivileged(),
        pytest.raises(Ailment, match=r"can't be (written|seen) by this user") as told,
    ):
        git.mirror(seen(mirrored))
    objects.chmod(0o700)
    assert "as the worker's user" in told.value.remedy


def test_a_place_where_no_mirror_can_be_made_is_told(host: ClassRepo, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    nowhere = Mirror(host.url, "main", closed / "deep")
    with (
        unprivileged(),
        pytest.raises(Ailment, match=r"can't be (written|seen) by this user") as told,
    ):
        git.mirror(seen(nowhere))
    assert "chown" in told.value.remedy


# --- its compose file --------------------------------------------------------------


def test_the_same_compose_file_passes(mirrored: Mirror, own: Path) -> None:
    assert git.compare_stack(seen(mirrored, own=own)) == f"the same as {own}"


def test_a_pushed_compose_file_is_told_and_where_to_see_the_difference(
    mirrored: Mirror, own: Path
) -> None:
    own.write_text(STACK.replace("16", "15"))
    with pytest.raises(Ailment, match="differs from") as told:
        git.compare_stack(seen(mirrored, own=own))
    assert "which stays in use" in told.value.detail
    assert f"show main:docker-compose.yaml | diff {own} -" in told.value.remedy


def test_a_repository_without_a_compose_file_passes(
    host: ClassRepo, repository: Mirror, own: Path
) -> None:
    host.remove("docker-compose.yaml")
    host.commit()
    GitRepository(Mirror(host.url, "main", repository.path.parent)).fetch()
    assert (
        git.compare_stack(seen(repository, own=own)) == "the repository has no docker-compose.yaml"
    )


def test_without_a_mirror_nothing_can_be_compared(repository: Mirror, own: Path) -> None:
    with pytest.raises(NotApplicable, match="see mirror"):
        git.compare_stack(seen(repository, own=own))


def test_without_a_copy_of_ones_own_nothing_can_be_compared(
    mirrored: Mirror, tmp_path: Path
) -> None:
    with pytest.raises(NotApplicable, match="see compose file"):
        git.compare_stack(seen(mirrored, own=tmp_path / "none.yaml"))
