"""What the check-up makes of the class repository and its mirror: real git, real faults."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.demo.github import StandIn
from deployer.demo.github.faults import Fault
from deployer.demo.ports import free_port
from deployer.doctor import git
from deployer.doctor.git import ClassRepository
from deployer.edges.git.repository import GitRepository
from tests.classrepo import ClassRepo

NOBODY = 65_534
STACK = "services:\n  postgres:\n    image: postgres:16\n"


@pytest.fixture
def host(tmp_path: Path) -> ClassRepo:
    host = ClassRepo(tmp_path / "class.git")
    host.write("docker-compose.yaml", STACK)
    host.commit()
    return host


@pytest.fixture
def repository(host: ClassRepo, tmp_path: Path) -> ClassRepository:
    return ClassRepository(host.url, "main", tmp_path / "checkout" / "mirror.git")


@pytest.fixture
def mirrored(host: ClassRepo, repository: ClassRepository) -> ClassRepository:
    """Return the repository after the worker's first fetch."""
    GitRepository(host.url, "main", repository.mirror.parent).fetch()
    return repository


@pytest.fixture
def own(tmp_path: Path) -> Path:
    own = tmp_path / "docker-compose.yaml"
    own.write_text(STACK)
    return own


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


def test_a_branch_that_can_be_fetched_passes(host: ClassRepo, repository: ClassRepository) -> None:
    assert f"its tip is {(host.tip() or '')[:7]}" in repository.ask_host()


def test_a_branch_that_is_not_there_is_told(host: ClassRepo, tmp_path: Path) -> None:
    with pytest.raises(Ailment, match="has no branch live") as told:
        ClassRepository(host.url, "live", tmp_path / "mirror.git").ask_host()
    assert "DEPLOYER_BRANCH" in told.value.remedy


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    nowhere = ClassRepository(str(tmp_path / "none.git"), "main", tmp_path / "mirror.git")
    with pytest.raises(Ailment, match="does not appear to be a git repository") as told:
        nowhere.ask_host()
    assert "DEPLOYER_REPO_URL" in told.value.remedy


def test_a_host_that_refuses_is_told_without_the_token(tmp_path: Path) -> None:
    with StandIn(tmp_path, secret="s" * 16, token="x") as github:
        github.faults.add(Fault(status=403, on="git", times=5))
        refused = ClassRepository(github.git_url, "main", tmp_path / "mirror.git", "tok-en-tok-en")
        with pytest.raises(Ailment, match="403") as told:
            refused.ask_host()
    assert "`Contents: read`" in told.value.remedy
    assert "tok-en" not in str(told.value)
    assert "tok-en" not in repr(refused)


def test_a_host_that_is_away_is_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/class.git"
    with pytest.raises(Ailment, match="can't fetch from"):
        ClassRepository(url, "main", tmp_path / "mirror.git").ask_host()


def test_a_host_that_does_not_answer_in_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "ASK_S", 0.3)
    with StandIn(tmp_path, secret="s" * 16, token="x") as github:
        github.faults.add(Fault(delay_s=60, on="git", times=5))
        with pytest.raises(Ailment, match=r"did not answer within 0\.3 s") as told:
            ClassRepository(github.git_url, "main", tmp_path / "mirror.git").ask_host()
    assert "firewall" in told.value.remedy


# --- the mirror ------------------------------------------------------------------


def test_a_mirror_that_is_whole_passes(host: ClassRepo, mirrored: ClassRepository) -> None:
    said = mirrored.check_mirror()
    assert "is whole and writable" in said
    assert said.endswith((host.tip() or "")[:7])


def test_before_the_first_fetch_there_is_no_mirror_and_no_harm(
    repository: ClassRepository,
) -> None:
    assert "there is none yet" in repository.check_mirror()
    assert not repository.mirror.parent.exists()


def test_a_mirror_with_a_lost_object_is_told(mirrored: ClassRepository) -> None:
    for folder in (mirrored.mirror / "objects").glob("??"):
        shutil.rmtree(folder)
    for pack in (mirrored.mirror / "objects" / "pack").iterdir():
        pack.unlink()
    with pytest.raises(Ailment, match="is damaged") as told:
        mirrored.check_mirror()
    assert f"remove {mirrored.mirror}" in told.value.remedy


def test_a_mirror_without_the_branch_is_told(mirrored: ClassRepository) -> None:
    other = ClassRepository(mirrored.url, "live", mirrored.mirror)
    with pytest.raises(Ailment, match="is damaged or lacks live"):
        other.check_mirror()


def test_a_mirror_that_takes_too_long_to_read_is_told(
    mirrored: ClassRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "LOCAL_S", 0.0001)
    with pytest.raises(Ailment, match="could not be read through") as told:
        mirrored.check_mirror()
    assert "disk" in told.value.remedy


def test_a_mirror_of_another_user_is_told(mirrored: ClassRepository) -> None:
    objects = mirrored.mirror / "objects"
    objects.chmod(0o500)
    with (
        unprivileged(),
        pytest.raises(Ailment, match=r"can't be (written|seen) by this user") as told,
    ):
        mirrored.check_mirror()
    objects.chmod(0o700)
    assert "as the worker's user" in told.value.remedy


def test_a_place_where_no_mirror_can_be_made_is_told(host: ClassRepo, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    nowhere = ClassRepository(host.url, "main", closed / "deep" / "mirror.git")
    with (
        unprivileged(),
        pytest.raises(Ailment, match=r"can't be (written|seen) by this user") as told,
    ):
        nowhere.check_mirror()
    assert "chown" in told.value.remedy


# --- its compose file --------------------------------------------------------------


def test_the_same_compose_file_passes(mirrored: ClassRepository, own: Path) -> None:
    assert mirrored.compare_stack(own) == f"the same as {own}"


def test_a_pushed_compose_file_is_told_and_where_to_see_the_difference(
    mirrored: ClassRepository, own: Path
) -> None:
    own.write_text(STACK.replace("16", "15"))
    with pytest.raises(Ailment, match="differs from") as told:
        mirrored.compare_stack(own)
    assert "which stays in use" in told.value.detail
    assert f"show main:docker-compose.yaml | diff {own} -" in told.value.remedy


def test_a_repository_without_a_compose_file_passes(
    host: ClassRepo, repository: ClassRepository, own: Path
) -> None:
    host.remove("docker-compose.yaml")
    host.commit()
    GitRepository(host.url, "main", repository.mirror.parent).fetch()
    assert repository.compare_stack(own) == "the repository has no docker-compose.yaml"


def test_without_a_mirror_nothing_can_be_compared(repository: ClassRepository, own: Path) -> None:
    with pytest.raises(NotApplicable, match="see mirror"):
        repository.compare_stack(own)


def test_without_a_copy_of_ones_own_nothing_can_be_compared(
    mirrored: ClassRepository, tmp_path: Path
) -> None:
    with pytest.raises(NotApplicable, match="see compose file"):
        mirrored.compare_stack(tmp_path / "none.yaml")
