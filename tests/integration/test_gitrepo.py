"""`GitRepository` where only real git can be hurt: hostile commits, crashes, secrets."""

from __future__ import annotations

import base64
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from git.cmd import Git

from deployer.core.model import Authored, History, Tree, folder_of
from deployer.core.settings import Secret
from deployer.core.tree import contents
from deployer.core.tree.contents import Read
from deployer.edges.git import command, mirror
from deployer.edges.git import repository as gitrepo
from deployer.edges.git.command import GitRunner
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.errors import GitError, UnknownCommit
from tests.classrepo import ClassRepo

TOKEN = "ghs_made/up+secret"


@pytest.fixture
def host(tmp_path: Path) -> ClassRepo:
    return ClassRepo(tmp_path / "class.git")


@pytest.fixture
def repository(host: ClassRepo, tmp_path: Path) -> GitRepository:
    return GitRepository(Mirror(host.url, "main", tmp_path / "checkout"))


@pytest.fixture
def mirrored(tmp_path: Path) -> Path:
    return tmp_path / "checkout" / "mirror.git"


def fetched(host: ClassRepo, repository: GitRepository) -> Tree:
    sha = host.commit()
    assert repository.fetch() == sha
    return repository.tree(sha)


def reasons(tree: Tree) -> dict[str, str]:
    return {left.path: left.reason for left in tree.left_out}


# --- hostile commits


def test_what_would_stop_airflow_for_all_is_left_out_and_the_rest_stays(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/lasse/fine.py", "fine")
    host.write(b"dags/amy/\xe6.py", "latin-1 name")
    host.write("dags/amy/a\nb.py", "")
    host.write("dags/amy/.airflowignore", "[z-a]\n")
    host.write("dags/maria/.airflowignore", b"\xff\n")
    host.write("dags/amy/__pycache__/x.cpython-312.pyc", b"\x00")
    host.submodule("dags/amy/lib")
    host.link("dags/amy/loop", "loop")
    host.link("dags/amy/passwd.py", "/etc/passwd")
    host.link("dags/amy/up.py", "../../../../etc/passwd")
    host.link("dags/amy/folder", "../lasse")
    host.link("dags/amy/dangling.py", "gone.py")

    tree = fetched(host, repository)

    assert list(tree.files) == ["dags/lasse/fine.py"]
    assert set(reasons(tree)) == {
        "dags/amy/.airflowignore",
        "dags/amy/__pycache__/x.cpython-312.pyc",
        r"dags/amy/\xe6.py",
        r"dags/amy/a\nb.py",
        "dags/amy/dangling.py",
        "dags/amy/folder",
        "dags/amy/lib",
        "dags/amy/loop",
        "dags/amy/passwd.py",
        "dags/amy/up.py",
        "dags/maria/.airflowignore",
    }
    assert tree.ignores == {}


def test_a_link_to_a_file_comes_out_with_that_files_blob_and_facts(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("include/lib/real.py", "import pandas\n")
    host.link("dags/amy/linked.py", "../../include/lib/real.py")

    files = fetched(host, repository).files

    assert files["dags/amy/linked.py"] == files["include/lib/real.py"]
    assert (0, "pandas") in files["dags/amy/linked.py"].facts.imports


def test_a_linked_requirements_file_is_read_through_the_link(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("include/requirements.txt", "pandas\n")
    host.link("requirements.txt", "include/requirements.txt")

    assert fetched(host, repository).requirements == "pandas\n"


def test_a_compose_file_that_is_a_link_or_a_folder_counts_as_none_and_reddens_nobody(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("include/stack.yaml", "services: {}\n")
    host.link("docker-compose.yaml", "include/stack.yaml")
    linked = fetched(host, repository)
    host.remove("docker-compose.yaml")
    host.write("docker-compose.yaml/inner.yaml", "services: {}\n")
    folder = fetched(host, repository)

    assert [(tree.compose, tree.left_out) for tree in (linked, folder)] == [(None, ())] * 2


def test_a_roster_that_is_a_link_counts_as_none_and_reddens_nobody(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("include/roster.yaml", "teachers: [lasse]\n")
    host.link("roster.yaml", "include/roster.yaml")
    tree = fetched(host, repository)

    assert (tree.roster, tree.left_out) == (None, ())


def test_a_merge_has_no_author_and_what_it_brings_has_its_own(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/lasse/a.py", "1")
    base = host.commit()
    host.write("dags/lasse/a.py", "2")
    topic = host.commit(author="lasse@class.example")
    host.reset(base)
    host.write("dags/maria/b.py", "1")
    main = host.commit(author="maria@class.example")
    host.write("dags/lasse/a.py", "2")
    whole = host.commit()
    merge = host.git("commit-tree", "-m", "Merge", "-p", main, "-p", topic, f"{whole}^{{tree}}")
    sha = merge.decode().strip()
    host.reset(sha)
    assert repository.fetch() == sha

    by_lasse = Authored("lasse@class.example", ("dags/lasse/a.py",))
    assert repository.history(main, sha) == History(main, ("dags/lasse/a.py",), (by_lasse,))


def test_what_a_merge_itself_changed_is_told_beside_what_its_commits_did(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/lasse/a.py", "1")
    base = host.commit()
    host.write("dags/lasse/a.py", "2")
    topic = host.commit(author="lasse@class.example")
    host.write("dags/maria/b.py", "1")
    whole = host.commit()
    merge = host.git("commit-tree", "-m", "Merge", "-p", base, "-p", topic, f"{whole}^{{tree}}")
    sha = merge.decode().strip()
    host.reset(sha)
    repository.fetch()

    by_lasse = Authored("lasse@class.example", ("dags/lasse/a.py",))
    changed = ("dags/lasse/a.py", "dags/maria/b.py")
    assert repository.history(base, sha) == History(base, changed, (by_lasse,))


def test_odd_names_and_empty_commits_are_told_apart_in_a_history(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("README.md", "1")
    base = host.commit()
    host.write(b"dags/\xe6.py", "")
    host.write("dags/a\nb.py", "")
    host.write("\nc", "")
    host.commit(author="")
    tip = host.commit(author="amy@class.example")
    repository.fetch()

    assert repository.history(base, tip).commits == (
        Authored("amy@class.example", ()),
        Authored("", (r"\nc", r"dags/\xe6.py", r"dags/a\nb.py")),
    )


def test_a_history_of_more_commits_than_a_person_pushes_names_none(
    host: ClassRepo, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitrepo, "MAX_COMMITS", 2)
    base, *others = [host.commit() for _ in range(4)]
    repository.fetch()

    assert len(repository.history(base, others[1]).commits) == 2
    assert repository.history(base, others[2]) == History(base)


def test_requirements_that_are_no_utf8_come_out_as_text_with_the_bad_byte_marked(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("requirements.txt", b"\xef\xbb\xbfpandas\nnum\xffpy\n")

    assert fetched(host, repository).requirements == "pandas\nnum\ufffdpy\n"


def test_attributes_of_the_repository_neither_hide_nor_filter_a_file(
    host: ClassRepo, repository: GitRepository, tmp_path: Path
) -> None:
    ran = tmp_path / "the-filter-ran"
    host.git("config", "filter.evil.smudge", f"touch {ran}")
    host.write(".gitattributes", "dags/** export-ignore filter=evil ident text eol=crlf\n")
    host.write("dags/lasse/a.py", "x = '$Id$'\n")

    tree = fetched(host, repository)
    [(_, content)] = repository.blobs([tree.files["dags/lasse/a.py"].blob])

    assert content == b"x = '$Id$'\n"
    assert not ran.exists()


def test_no_hook_runs_neither_the_hosts_nor_one_in_the_mirror(
    host: ClassRepo, repository: GitRepository, mirrored: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "a-hook-ran"
    host.write("dags/a.py", "1")
    fetched(host, repository)
    for git_dir in (host.bare, mirrored):
        for name in ("reference-transaction", "post-update", "pre-auto-gc", "post-checkout"):
            hook = git_dir / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
            hook.chmod(0o755)

    subprocess.run(["git", "--git-dir", mirrored, "update-ref", "refs/x", "main"], check=True)
    assert ran.exists(), "the hooks are such that plain git runs them"
    ran.unlink()
    sha = host.git("commit-tree", "-m", "next", "main^{tree}").decode().strip()
    (host.bare / "refs/heads/main").write_text(sha)

    assert repository.fetch() == sha
    assert not ran.exists()


def test_a_file_past_the_bound_is_left_out(
    host: ClassRepo, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MAX_FILE_MB", 1)
    host.write("dags/a/big.csv", b"x" * 1_000_001)
    host.write("dags/a/fits.csv", b"x" * 1_000_000)

    tree = fetched(host, repository)

    assert list(tree.files) == ["dags/a/fits.csv"]
    assert "larger than 1 MB" in reasons(tree)["dags/a/big.csv"]


def test_a_tree_that_only_a_forger_could_make_does_not_stop_the_class(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/lasse/a.py", "1")
    host.commit()
    blob = host.git("rev-parse", "main:dags/lasse/a.py").decode().strip()
    names = [b"..", b".git", b"good.py", b"good.py"]
    evil = b"".join(b"100644 %s\0%s" % (name, bytes.fromhex(blob)) for name in names)
    sub = host.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=evil)
    root = host.git("mktree", stdin=b"040000 tree " + sub.strip() + b"\tdags\n")
    sha = host.git("commit-tree", "-m", "forged", root.decode().strip()).decode().strip()
    host.reset(sha)

    assert repository.fetch() == sha
    tree = repository.tree(sha)

    assert list(tree.files) == ["dags/good.py"]
    assert sorted(reasons(tree)) == ["dags/..", "dags/.git", "dags/good.py"]


# --- more than a release can hold


def test_a_folder_that_unpacks_to_a_million_files_is_left_out_and_its_neighbours_are_whole(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/anna/fine.py", "fine")
    host.write("dags/otto/fine.py", "fine")
    host.tree("dags/otto/data", host.bomb(6))

    tree = fetched(host, repository)

    assert list(tree.files) == ["dags/anna/fine.py"]
    [left] = tree.left_out
    assert left.path == "dags/otto/"
    assert left.reason.startswith("dags/otto/data has 1,000,000 files, more than 5,000 files: ")
    assert left.blob == host.git("rev-parse", "main:dags/otto").decode().strip()


def test_a_bomb_without_any_file_is_told_by_its_folders(
    host: ClassRepo, repository: GitRepository
) -> None:
    name = host.git("mktree", stdin=b"").strip()
    for _ in range(6):
        listed = b"".join(b"040000 tree %s\td%d\n" % (name, number) for number in range(10))
        name = host.git("mktree", stdin=listed).strip()
    host.tree("include/deep", name.decode())

    assert reasons(fetched(host, repository))["include/"].startswith(
        "include/deep has 1,111,111 folders, more than 1,000 folders: "
    )


def test_many_copies_of_one_large_file_are_too_many_bytes_without_one_being_read(
    host: ClassRepo, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.tree("dags/otto/data", host.bomb(2, b"x" * 6_000_000))
    host.write("dags/anna/fine.py", "fine")
    read: list[str] = []

    def counted(kind: str, _: bytes) -> Read:
        read.append(kind)
        return Read()

    monkeypatch.setattr(contents, "read", counted)

    tree = fetched(host, repository)

    assert reasons(tree)["dags/otto/"].startswith("dags/otto/data has 600 MB, more than 500 MB: ")
    assert (list(tree.files), len(read)) == (["dags/anna/fine.py"], 1)


def test_links_weigh_what_they_come_out_as(host: ClassRepo, repository: GitRepository) -> None:
    host.write("include/big.csv", b"x" * 6_000_000)
    for number in range(100):
        host.link(f"dags/otto/data/{number}.csv", "../../../include/big.csv")

    tree = fetched(host, repository)

    assert list(tree.files) == ["include/big.csv"]
    assert "dags/otto/data has 600 MB" in reasons(tree)["dags/otto/"]


@pytest.mark.parametrize("place", ["dags", "requirements.txt", "docker-compose.yaml", "docs"])
def test_a_bomb_anywhere_else_is_never_unpacked(
    host: ClassRepo, repository: GitRepository, place: str
) -> None:
    host.tree(place, host.bomb(7))

    tree = fetched(host, repository)

    assert (dict(tree.files), tree.refused) == ({}, None)
    assert len(tree.left_out) == {"dags": 10, "requirements.txt": 1}.get(place, 0)


def test_a_folder_in_place_of_the_requirements_keeps_the_packages(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("requirements.txt/a.txt", "pandas")

    assert reasons(fetched(host, repository)) == {
        "requirements.txt": "requirements.txt must be a file"
    }


def test_a_commit_with_too_many_files_in_no_folder_is_refused_as_a_whole(
    host: ClassRepo, repository: GitRepository
) -> None:
    blob = host.git("hash-object", "-w", "--stdin", stdin=b"x").strip()
    listed = b"".join(b"100644 blob %s\tf%d.py\n" % (blob, number) for number in range(50_001))
    host.tree("dags", host.git("mktree", stdin=listed).decode().strip())
    host.write("roster.yaml", "teachers: [lasse]\n")

    tree = fetched(host, repository)

    assert tree.refused is not None
    assert "more than 50,000 files" in tree.refused
    assert (dict(tree.files), tree.roster) == ({}, "teachers: [lasse]\n")


def test_folders_without_end_are_left_out_where_their_path_gets_too_long(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/otto/" + "deep/" * 110 + "x.py", "x")
    host.write("dags/otto/fine.py", "fine")

    tree = fetched(host, repository)

    assert list(tree.files) == ["dags/otto/fine.py"]
    [left] = tree.left_out
    assert left.reason.startswith("the name is too long")


def test_a_history_with_a_bomb_in_it_names_folders_in_place_of_its_files(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/anna/x.py", "1")
    base = host.commit()
    host.tree("bomb", host.bomb(7))
    host.tree("dags/otto/data", host.bomb(6))
    host.write("dags/anna/x.py", "2")
    host.write("requirements.txt", "pandas")
    tip = host.commit()
    repository.fetch()

    history = repository.history(base, tip)

    assert {"dags/anna/x.py", "requirements.txt"} <= set(history.changed)
    assert {folder_of(path) for path in history.changed} == {None, "anna", "otto"}
    assert len(history.changed) < 2 * gitrepo.MAX_PATHS
    assert history.commits[0].paths == history.changed


def test_a_history_never_lists_a_folder_of_more_files_than_are_looked_into(
    host: ClassRepo, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitrepo, "MAX_PATHS", 3)
    base = host.commit()
    for number in range(4):
        host.write(f"dags/otto/{number}.py", "")
        host.write(f"a{number}.txt", "")
    host.write("requirements.txt", "")
    tip = host.commit()
    repository.fetch()

    assert repository.history(base, tip).changed == (
        *("a0.txt", "a1.txt", "dags/", "requirements.txt"),
    )


@pytest.mark.parametrize("sha", ["--output=x", "HEAD", "main", "A" * 40, "a" * 39, "", "a" * 41])
def test_what_is_no_full_commit_id_never_reaches_git(
    host: ClassRepo, repository: GitRepository, sha: str
) -> None:
    host.write("dags/a.py", "1")
    tip = fetched(host, repository).sha

    for ask in (repository.tree, lambda s: repository.contains(tip, s)):
        with pytest.raises(UnknownCommit):
            ask(sha)
    with pytest.raises(UnknownCommit):
        repository.history(None, sha)


def test_the_id_of_something_that_is_no_commit_is_an_unknown_commit(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/a.py", "1")
    tree = fetched(host, repository)
    blob = tree.files["dags/a.py"].blob

    for other in (blob, host.git("rev-parse", "main^{tree}").decode().strip()):
        with pytest.raises(UnknownCommit):
            repository.tree(other)


# --- what a tree costs


def test_the_tree_that_was_the_last_tip_is_not_read_again(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    first = fetched(host, repository)
    second = fetched(host, repository)
    mirrored.rename(mirrored.with_name("away"))
    assert repository.tree(second.sha) == second
    assert repository.tree(first.sha) == first


def test_a_second_tree_reads_only_what_changed(
    host: ClassRepo, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        host.write(f"dags/a/d{number}.py", f"x = {number}")
    host.link("dags/a/link.py", "d1.py")
    before = fetched(host, repository)
    asked: list[str] = []
    content = mirror.Mirror.content

    def counted(self: mirror.Mirror, kind: str, name: str) -> bytes:
        asked.extend([name] * (kind == "blob"))
        return content(self, kind, name)

    monkeypatch.setattr(mirror.Mirror, "content", counted)
    host.write("dags/a/d3.py", "changed")

    after = fetched(host, repository)
    repository.tree(before.sha)

    assert asked == [after.files["dags/a/d3.py"].blob]


# --- crashes


@pytest.mark.parametrize(
    "lock",
    [
        *("refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "config.lock"),
        *("shallow.lock", "objects/info/commit-graphs/commit-graph-chain.lock"),
    ],
)
def test_a_lock_left_by_a_killed_git_does_not_stop_the_fetch(
    host: ClassRepo, repository: GitRepository, mirrored: Path, lock: str
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    (mirrored / lock).parent.mkdir(exist_ok=True)
    (mirrored / lock).touch()
    inode = mirrored.stat().st_ino
    host.write("dags/a.py", "2")

    fetched(host, repository)

    assert not (mirrored / lock).exists()
    assert mirrored.stat().st_ino == inode, "mended, not made anew"


def emptied_ref(git_dir: Path) -> None:
    (git_dir / "refs/heads/main").write_text("")


def gone_objects(git_dir: Path) -> None:
    shutil.rmtree(git_dir / "objects")
    (git_dir / "objects").mkdir()


def gone_refs(git_dir: Path) -> None:
    shutil.rmtree(git_dir / "refs")


def emptied_config(git_dir: Path) -> None:
    (git_dir / "config").write_text("[core")


def emptied_objects(git_dir: Path) -> None:
    for path in git_dir.glob("objects/??/*"):
        path.chmod(0o644)
        path.write_bytes(b"")


def half_cloned(git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    (git_dir / "objects").mkdir(parents=True)


def a_file_in_its_place(git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    git_dir.touch()


def a_link_to_nowhere(git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    git_dir.symlink_to("nowhere")


@pytest.mark.parametrize(
    "damage",
    [
        emptied_ref,
        gone_objects,
        gone_refs,
        emptied_config,
        emptied_objects,
        half_cloned,
        a_file_in_its_place,
        a_link_to_nowhere,
    ],
)
def test_a_damaged_mirror_is_made_anew(
    host: ClassRepo,
    repository: GitRepository,
    mirrored: Path,
    damage: object,
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    assert callable(damage)
    damage(mirrored)
    host.write("dags/b.py", "2")

    tree = fetched(host, repository)

    assert list(tree.files) == ["dags/a.py", "dags/b.py"]
    assert sorted(path.name for path in mirrored.parent.iterdir()) == ["mirror.git"]


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_damage_that_only_reading_finds_is_mended_at_once(
    host: ClassRepo, repository: GitRepository, mirrored: Path, content: bytes | None
) -> None:
    host.write("dags/a.py", "one text")
    sha = fetched(host, repository).sha
    blob = host.git("rev-parse", "main:dags/a.py").decode().strip()
    loose = mirrored / "objects" / blob[:2] / blob[2:]
    loose.unlink()
    if content is not None:
        loose.write_bytes(content)
    anew = GitRepository(Mirror(host.url, "main", mirrored.parent))

    assert anew.fetch() == sha
    assert list(anew.tree(sha).files) == ["dags/a.py"]
    assert list(anew.blobs([blob])) == [(blob, b"one text")]


def test_what_a_power_cut_took_of_the_mirror_is_fetched_again(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    shas = []
    for text in ("1", "2", "3"):
        host.write("dags/a.py", text)
        shas.append(fetched(host, repository).sha)
    first, second, tip = shas
    blob = host.git("rev-parse", "main:dags/a.py").decode().strip()
    reads: list[Callable[[GitRepository], object]] = [
        lambda anew: anew.tree(tip),
        lambda anew: anew.contains(tip, first),
        lambda anew: anew.history(first, tip),
        lambda anew: anew.sizes([blob]),
        lambda anew: list(anew.blobs([blob])),
    ]
    lost = [tip, second, f"{second}^{{tree}}", f"{tip}^{{tree}}", blob]
    for read in reads:
        whole = read(repository)
        for revision in lost:
            name = host.git("rev-parse", revision).decode().strip()
            (mirrored / "objects" / name[:2] / name[2:]).unlink()
            anew = GitRepository(Mirror(host.url, "main", mirrored.parent))
            assert anew.fetch() == tip
            assert read(anew) == whole
            shutil.rmtree(mirrored)
            assert repository.fetch() == tip


def test_a_damaged_mirror_of_a_host_that_is_gone_says_so_and_stays(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    host.write("dags/a.py", "1")
    sha = fetched(host, repository).sha
    blob = host.git("rev-parse", "main:dags/a.py").decode().strip()
    (mirrored / "objects" / blob[:2] / blob[2:]).unlink()
    anew = GitRepository(Mirror(host.url, "main", mirrored.parent))
    host.bare.rename(host.bare.with_name("away.git"))
    with pytest.raises(GitError, match="does not appear to be a git repository"):
        anew.tree(sha)
    host.bare.with_name("away.git").rename(host.bare)
    assert list(anew.tree(sha).files) == ["dags/a.py"]


def test_a_host_that_is_gone_costs_no_mirror(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    inode = mirrored.stat().st_ino
    host.bare.rename(host.bare.with_name("away.git"))

    with pytest.raises(GitError, match=r"^does not appear to be a git repository; git can't fetch"):
        repository.fetch()

    assert mirrored.stat().st_ino == inode


# --- what is neither the host's fault nor the mirror's


def program(directory: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program before all others in the PATH."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


LIMITED = """#!/bin/sh
case " $* " in *" {command} "*) {limit} ;; esac
exec {git} "$@"
"""
FULL = "trap '' XFSZ; ulimit -f 10"
FEW_FILES = "ulimit -n 5"


@pytest.mark.parametrize("limit", [(FULL, "File too large"), (FEW_FILES, "Too many open files")])
def test_a_machine_that_keeps_git_from_fetching_is_named_and_costs_no_mirror(
    host: ClassRepo,
    repository: GitRepository,
    mirrored: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: tuple[str, str],
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    inode = mirrored.stat().st_ino
    host.write("dags/b.py", os.urandom(50_000))
    sha = host.commit()
    git = shutil.which("git")
    with monkeypatch.context() as limited:
        text = LIMITED.format(command="fetch", limit=limit[0], git=git)
        program(host.bare.parent / "bin", "git", text, limited)
        for _ in range(2):
            with pytest.raises(GitError, match=f"{limit[1]}.*; git can't fetch into"):
                repository.fetch()

    assert not list(mirrored.glob("objects/pack/tmp_*"))
    assert repository.fetch() == sha
    assert mirrored.stat().st_ino == inode


def test_a_machine_that_keeps_git_from_reading_is_named_and_costs_no_mirror(
    host: ClassRepo, repository: GitRepository, mirrored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("dags/a.py", "1")
    sha = fetched(host, repository).sha
    inode = mirrored.stat().st_ino
    anew = GitRepository(Mirror(host.url, "main", mirrored.parent))
    git = shutil.which("git")
    with monkeypatch.context() as limited:
        text = LIMITED.format(command="cat-file", limit="kill -9 $$", git=git)
        program(host.bare.parent / "bin", "git", text, limited)
        with pytest.raises(GitError, match=r"so the mirror .* can't be read"):
            anew.tree(sha)

    assert anew.fetch() == sha
    assert mirrored.stat().st_ino == inode


def test_a_worker_that_can_start_no_git_names_why_and_costs_no_mirror(
    host: ClassRepo, repository: GitRepository, mirrored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("dags/a.py", "1")
    sha = fetched(host, repository).sha
    inode = mirrored.stat().st_ino
    anew = GitRepository(Mirror(host.url, "main", mirrored.parent))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open")

    with monkeypatch.context() as limited:
        limited.setattr(Git, "execute", refuse)
        for ask in (lambda: anew.tree(sha), lambda: anew.contains(sha, "a" * 40), anew.fetch):
            with pytest.raises(GitError, match=r"^Too many open; "):
                ask()

    assert anew.fetch() == sha
    assert mirrored.stat().st_ino == inode


def test_a_clone_that_finds_no_room_is_named_and_leaves_nothing(
    host: ClassRepo, repository: GitRepository, mirrored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("dags/a.py", os.urandom(50_000))
    host.commit()
    text = LIMITED.format(command="fetch", limit=FULL, git=shutil.which("git"))
    program(host.bare.parent / "bin", "git", text, monkeypatch)

    with pytest.raises(GitError, match=r"File too large; the mirror .* can't be made"):
        repository.fetch()

    assert list(mirrored.parent.iterdir()) == []


# What git calls to reach a host: here one whose link is slow, or ends in the middle.
LINK = """#!{python}
import signal, subprocess, sys, time
host = subprocess.Popen(sys.argv[-1], shell=True, stdin=sys.stdin, stdout=subprocess.PIPE)
sent = 0
while part := host.stdout.read1(20_000):
    if sent > {stalls_after}:
        signal.pause()
    if sent > 20_000:
        time.sleep(0.1)
    sent += len(part)
    sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
"""


def test_a_slow_link_is_given_its_time(
    host: ClassRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("dags/a.py", os.urandom(700_000))
    sha = host.commit()
    text = LINK.format(python=sys.executable, stalls_after=10**9)
    program(tmp_path / "bin", "ssh", text, monkeypatch)

    # Longer in all than the silence that is allowed.
    slow = GitRepository(
        Mirror(f"ssh://host{host.bare}", "main", tmp_path / "checkout", silent_s=2.0)
    )

    assert slow.fetch() == sha


def test_a_host_that_stalls_in_the_middle_is_named_and_costs_no_mirror(
    host: ClassRepo, tmp_path: Path, mirrored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("dags/a.py", "1")
    host.commit()
    text = LINK.format(python=sys.executable, stalls_after=50_000)
    program(tmp_path / "bin", "ssh", text, monkeypatch)
    url = f"ssh://host{host.bare}"
    repository = GitRepository(Mirror(url, "main", tmp_path / "checkout", silent_s=1.0))
    repository.fetch()
    inode = mirrored.stat().st_ino
    host.write("dags/b.py", os.urandom(200_000))
    host.commit()

    with pytest.raises(GitError, match=r"^nothing came for 1 s from"):
        repository.fetch()

    assert mirrored.stat().st_ino == inode
    assert not list(mirrored.glob("objects/pack/tmp_*"))


def test_a_mirror_that_cannot_be_written_is_a_git_error(host: ClassRepo, tmp_path: Path) -> None:
    host.write("dags/a.py", "1")
    host.commit()
    (tmp_path / "file").touch()

    with pytest.raises(GitError, match=r"^Not a directory; the mirror .* can't be written"):
        GitRepository(Mirror(host.url, "main", tmp_path / "file" / "checkout")).fetch()


def test_a_year_of_fetches_is_packed_when_nothing_comes(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    # Each fetch a pack of its own, and three of them are many.
    for key, value in (("fetch.unpackLimit", "1"), ("gc.autoPackLimit", "3")):
        subprocess.run(["git", "--git-dir", mirrored, "config", key, value], check=True)
    for number in range(5):
        host.write(f"dags/d{number}.py", f"{number}")
        fetched(host, repository)
    assert len(list(mirrored.glob("objects/pack/*.pack"))) == 5

    sha = repository.fetch()

    assert len(list(mirrored.glob("objects/pack/*.pack"))) == 1
    assert "dags/d4.py" in repository.tree(sha).files


def test_what_a_killed_worker_left_beside_the_mirror_goes_when_nothing_comes(
    host: ClassRepo, repository: GitRepository, mirrored: Path
) -> None:
    host.write("dags/a.py", "1")
    fetched(host, repository)
    left = [mirrored.with_name("mirror.git.new"), mirrored.with_name("mirror.git.old")]
    for directory in left:
        directory.mkdir()
    (mirrored / "objects/pack/tmp_pack_x").touch()
    [*folders] = mirrored.glob("objects/??")
    (folders[0] / "tmp_obj_x").touch()  # of a full disk

    repository.fetch()

    assert [path.name for path in mirrored.parent.iterdir()] == ["mirror.git"]
    assert not list(mirrored.glob("objects/*/tmp_*"))


# --- bounds and secrets


class _Host(BaseHTTPRequestHandler):
    """An HTTP host that asks for a password, and remembers what it was given."""

    given: ClassVar[list[str]] = []
    stall: ClassVar[threading.Event | None] = None

    def do_GET(self) -> None:
        self.given.append(self.headers.get("Authorization", ""))
        if self.stall is not None:
            self.stall.wait(30)
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def locked_host() -> Iterator[tuple[str, type[_Host]]]:
    class Handler(_Host):
        given: ClassVar[list[str]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/class.git", Handler
    if Handler.stall is not None:
        Handler.stall.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_token_is_given_to_the_host_that_asks_and_stands_in_no_error(
    locked_host: tuple[str, type[_Host]], tmp_path: Path
) -> None:
    url, handler = locked_host
    repository = GitRepository(Mirror(url, "main", tmp_path, token=lambda: Secret(TOKEN)))

    with pytest.raises(GitError) as caught:
        repository.fetch()

    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert f"Basic {basic}" in handler.given
    assert TOKEN not in str(caught.value)
    assert str(caught.value).startswith("Authentication failed; git can't fetch from")


def test_a_token_that_was_renewed_is_given_with_the_next_fetch(
    locked_host: tuple[str, type[_Host]], tmp_path: Path
) -> None:
    url, handler = locked_host
    now = Secret(TOKEN)
    repository = GitRepository(Mirror(url, "main", tmp_path, token=lambda: now))

    for token in (TOKEN, "another-token"):
        now = Secret(token)
        handler.given.clear()
        with pytest.raises(GitError) as caught:
            repository.fetch()
        given = [base64.b64decode(basic.partition(" ")[2]).decode() for basic in handler.given]
        assert {password.partition(":")[2] for password in given if password} == {token}
        assert token not in str(caught.value)


def test_without_a_token_git_asks_nobody_and_fails(
    locked_host: tuple[str, type[_Host]], tmp_path: Path
) -> None:
    url, handler = locked_host

    with pytest.raises(GitError, match="terminal prompts disabled"):
        GitRepository(Mirror(url, "main", tmp_path)).fetch()

    assert set(handler.given) == {""}


def test_a_password_in_the_url_stands_in_no_error(
    locked_host: tuple[str, type[_Host]], tmp_path: Path
) -> None:
    url = locked_host[0].replace("://", "://bot:hush-hush@")

    with pytest.raises(GitError) as caught:
        GitRepository(Mirror(url, "main", tmp_path)).fetch()

    assert "hush-hush" not in str(caught.value)


def test_a_host_that_never_answers_is_given_up_within_the_bound(
    locked_host: tuple[str, type[_Host]], tmp_path: Path
) -> None:
    url, handler = locked_host
    handler.stall = threading.Event()
    repository = GitRepository(Mirror(url, "main", tmp_path, silent_s=0.5))

    with pytest.raises(GitError, match=r"^nothing came for 0\.5 s from"):
        repository.fetch()


def test_git_sees_neither_the_workers_secrets_nor_its_git_variables(
    host: ClassRepo, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "environment"
    real_git = shutil.which("git")
    fake_bin = tmp_path / "bin"
    fake_bin.mkdir()
    (fake_bin / "git").write_text(f'#!/bin/sh\nenv > {seen}\nexec {real_git} "$@"\n')
    (fake_bin / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake_bin}:{os.environ['PATH']}")
    for name in ("DEPLOYER_GITHUB_TOKEN", "DEPLOYER_DATABASE_URL", "GIT_DIR", "GIT_TRACE_CURL"):
        monkeypatch.setenv(name, "leaked")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/etc/ca.pem")
    host.write("dags/a.py", "1")

    fetched(host, repository)

    text = seen.read_text()
    assert "leaked" not in text
    assert "GIT_SSL_CAINFO=/etc/ca.pem" in text
    assert "GIT_TERMINAL_PROMPT=0" in text


@pytest.mark.parametrize("place", [".gitconfig", ".config/git/config"])
def test_a_repository_of_another_user_is_fetched_once_git_is_told_that_it_is_safe(
    host: ClassRepo,
    repository: GitRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    # git's own tests do it so: only root may give files away.
    another = "GIT_TEST_ASSUME_DIFFERENT_OWNER"
    monkeypatch.setattr(command, "_PASSED", command._PASSED | {another})
    monkeypatch.setenv(another, "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    host.write("dags/a.py", "1")
    tip = host.commit()

    with pytest.raises(GitError, match=r"safe\.directory"):
        repository.fetch()

    config = tmp_path / "home" / place
    config.parent.mkdir(parents=True)
    config.write_text("[safe]\n\tdirectory = *\n")
    assert repository.fetch() == tip


def test_the_ordinary_configuration_changes_nothing_in_what_is_read(
    host: ClassRepo, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(
        "[log]\n\tshowRoot = false\n\tshowSignature = true\n[diff]\n\trelative = true\n"
        "[transfer]\n\tfsckObjects = true\n[color]\n\tui = always\n[fetch]\n\tprune = true\n"
    )
    host.write("dags/a.py", "1")

    tree = fetched(host, repository)

    assert set(tree.files) == {"dags/a.py"}
    assert repository.history(None, tree.sha).changed == ("dags/a.py",)


def test_the_token_is_given_to_no_helper_of_the_ordinary_configuration(
    locked_host: tuple[str, type[_Host]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = locked_host
    told = tmp_path / "told"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f'[credential]\n\thelper = "!cat >> {told}; true"\n')

    with pytest.raises(GitError):
        GitRepository(
            Mirror(url, "main", tmp_path / "checkout", token=lambda: Secret(TOKEN))
        ).fetch()

    assert any(handler.given)
    assert not told.exists()


def test_a_machine_without_git_is_told_so(
    host: ClassRepo, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("env", "timeout"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))

    with pytest.raises(GitError, match="git is not installed"):
        repository.fetch()


def test_only_the_protocol_of_the_url_is_allowed(host: ClassRepo) -> None:
    host.write("dags/a.py", "1")
    host.commit()

    for url, works in ((host.url, True), ("https://host/x.git", False)):
        ran = GitRunner(url).run("ls-remote", host.url, timeout_s=20)
        assert (ran.status == 0) is works


def test_objects_are_read_on_after_somebody_ended_the_process_that_reads_them(
    host: ClassRepo, repository: GitRepository
) -> None:
    host.write("dags/a.py", "1")
    blob = fetched(host, repository).files["dags/a.py"].blob
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    *_, reader = [p for p in children if b"cat-file" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(int(reader), signal.SIGKILL)

    assert list(repository.blobs([blob])) == [(blob, b"1")]
