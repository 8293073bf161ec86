"""`ReleaseStore` where only a real disk can be hurt: links, modes, crashes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployer.core.model import File, Tree
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.edges.releases import directory
from deployer.edges.releases.directory import blob_id
from deployer.edges.releases.store import LARGE_BYTES, ReleaseStore
from deployer.errors import DiskError, UnknownCommit
from deployer.ports import Release
from tests.classrepo import ClassRepo
from tests.fakes.repository import FakeRepository


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkout"


@pytest.fixture
def store(root: Path, repository: FakeRepository) -> ReleaseStore:
    return ReleaseStore(root, repository)


def pushed(repository: FakeRepository, changes: dict[str, str | None]) -> Tree:
    sha = repository.push(changes)
    repository.fetch()
    return repository.tree(sha)


def publish(store: ReleaseStore, tree: Tree, *touch: str) -> Release:
    return store.publish(tree, touch=touch, held=())


def leftovers(root: Path) -> list[str]:
    return [path.name for path in (root / "releases").iterdir() if path.name.startswith(".tmp")]


# --- what is on the disk


def test_current_is_a_relative_link_so_that_it_holds_where_the_folder_is_mounted(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    tree = pushed(repository, {"dags/a/x.py": "1", "requirements.txt": "pandas\n"})
    publish(store, tree)
    moved = root.with_name("mounted-elsewhere")
    root.rename(moved)

    assert (moved / "current").readlink() == Path("releases", tree.sha)
    assert (moved / "current/dags/a/x.py").read_text() == "1"
    assert (moved / "current/requirements.txt").read_text() == "pandas\n"


def test_a_release_keeps_the_executable_bit_and_a_commit_that_changes_it_alone(
    tmp_path: Path, root: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    repository = GitRepository(Mirror(host.url, "main", tmp_path / "mirror"))
    store = ReleaseStore(root, repository)
    gen, run, read = "dags/lasse/gen.sh", "dags/lasse/run.sh", "dags/lasse/read.txt"

    def modes(executable: str) -> list[str]:
        host.write(gen, "date\n", mode=executable)
        host.write(read, "date\n")
        host.link(run, "gen.sh")
        host.commit()
        publish(store, repository.tree(repository.fetch()))
        places = [root / "current" / path for path in (gen, run, read)]
        return [f"{place.stat().st_mode & 0o777:o}" for place in places]

    assert modes("100755") == ["755", "755", "644"]
    assert modes("100644") == ["644", "644", "644"]
    before = (root / "current" / gen).stat().st_ino
    assert modes("100755") == ["755", "755", "644"]
    assert (root / "current" / gen).stat().st_ino != before
    assert store.publish(repository.tree(repository.fetch()), touch=(), held=()).written == 0


def test_what_is_examined_and_what_is_held_keep_the_executable_bit_too(
    tmp_path: Path, root: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    repository = GitRepository(Mirror(host.url, "main", tmp_path / "mirror"))
    store = ReleaseStore(root, repository)
    gen = "dags/lasse/gen.sh"
    host.write(gen, "1", mode="100755")
    host.commit()
    tree = repository.tree(repository.fetch())
    with store.lay_out(tree, [gen]) as place:
        assert os.access(place / gen, os.X_OK)
    publish(store, tree)
    host.write(gen, "2", mode="100644")
    host.commit()
    store.publish(repository.tree(repository.fetch()), touch=(), held=[gen])
    assert (root / "current" / gen).read_text() == "1"
    assert (root / "current" / gen).stat().st_mode & 0o777 == 0o755


def test_a_release_of_before_modes_were_kept_gets_them_when_it_is_deployed_again(
    tmp_path: Path, root: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    repository = GitRepository(Mirror(host.url, "main", tmp_path / "mirror"))
    store = ReleaseStore(root, repository)
    host.write("dags/lasse/gen.sh", "1", mode="100755")
    host.commit()
    tree = repository.tree(repository.fetch())
    publish(store, tree)
    manifest = root / "current" / ".manifest.json"
    said = json.loads(manifest.read_text())
    del said["executable"]
    manifest.write_text(json.dumps(said))
    (root / "current/dags/lasse/gen.sh").chmod(0o644)

    publish(store, tree)

    assert os.access(root / "current/dags/lasse/gen.sh", os.X_OK)


def test_an_unchanged_file_is_the_same_inode_and_a_changed_one_has_the_newest_time(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    first = publish(store, pushed(repository, {f"dags/a/{name}.py": name for name in "xyz"}))
    second = publish(
        store, pushed(repository, {"dags/a/x.py": "new", "dags/a/n.py": "n"}), "dags/a/y.py"
    )

    before, after = (root / "releases" / release.name / "dags/a" for release in (first, second))
    assert (before / "z.py").samefile(after / "z.py")
    assert not (before / "y.py").samefile(after / "y.py")
    times = {(after / name).stat().st_mtime_ns for name in ("x.py", "y.py", "n.py")}
    assert len(times) == 1
    assert times.pop() > max(path.stat().st_mtime_ns for path in before.iterdir())


def test_everything_can_be_read_by_airflows_user_whatever_the_umask(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    tree = pushed(repository, {"dags/a/b/x.py": "1", "include/q.sql": ""})
    before = os.umask(0o077)
    try:
        publish(store, tree)
        with store.lay_out(tree, ["dags/a/b/x.py"]) as laid_out:
            whole = (
                *(root, root / "releases"),
                *((root / "current").resolve(), *(root / "current").resolve().rglob("*")),
                *(laid_out, *laid_out.rglob("*")),
            )
            modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in whole}
    finally:
        os.umask(before)

    assert modes == {(True, 0o755), (False, 0o644)}


def test_a_commit_with_nothing_in_it_still_has_the_folders_that_airflow_expects(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    publish(store, pushed(repository, {"README.md": ""}))

    assert (root / "current/dags").is_dir()
    assert (root / "current/include").is_dir()
    assert not (root / "current/requirements.txt").exists()


def test_links_of_a_real_commit_come_out_plain_and_executable_files_as_they_are(
    root: Path, tmp_path: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    host.write("dags/a/real.py", "x = '$Id$'\r\n")
    host.write("dags/a/run.sh", "#!/bin/sh\n", mode="100755")
    host.link("dags/b/linked.py", "../a/real.py")
    host.write(".gitattributes", "* text eol=lf ident export-ignore\n")
    sha = host.commit()
    repository = GitRepository(Mirror(host.url, "main", root))
    repository.fetch()

    release = ReleaseStore(root, repository).publish(repository.tree(sha), touch=(), held=())

    dags = root / "releases" / release.name / "dags"
    assert not (dags / "b/linked.py").is_symlink()
    assert (dags / "b/linked.py").read_bytes() == b"x = '$Id$'\r\n"
    assert (dags / "a/run.sh").stat().st_mode & 0o777 == 0o755
    assert release.written == 3


def test_airflows_user_can_enter_a_directory_that_the_mirror_made_whatever_the_umask(
    root: Path, tmp_path: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    host.write("dags/a/x.py", "1")
    host.commit()
    before = os.umask(0o077)
    try:
        GitRepository(Mirror(host.url, "main", root)).fetch()
    finally:
        os.umask(before)

    assert root.stat().st_mode & 0o777 == 0o755
    assert (root / "mirror.git").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_became_too_large_stays_as_it_is_live_beside_its_neighbours(
    root: Path, tmp_path: Path
) -> None:
    host = ClassRepo(tmp_path / "class.git")
    host.write("dags/otto/x.py", "1")
    host.write("dags/anna/y.py", "1")
    first = host.commit()
    host.write("dags/otto/x.py", "2")
    host.write("dags/anna/y.py", "2")
    host.tree("dags/otto/.venv", host.bomb(6))
    second = host.commit()
    repository = GitRepository(Mirror(host.url, "main", root))
    repository.fetch()
    store = ReleaseStore(root, repository)
    publish(store, repository.tree(first))

    release = publish(store, repository.tree(second), "dags/anna/y.py")

    dags = root / "releases" / release.name / "dags"
    texts = {str(p.relative_to(dags)): p.read_text() for p in dags.rglob("*") if p.is_file()}
    assert texts == {"otto/x.py": "1", "anna/y.py": "2"}


# --- damage


def test_a_file_that_somebody_removed_from_the_live_release_is_written_again(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1", "dags/a/y.py": "1"}))
    (root / "current/dags/a/x.py").unlink()

    release = publish(store, pushed(repository, {"dags/a/y.py": "2"}))

    assert (root / "current/dags/a/x.py").read_text() == "1"
    assert release.written == 2


@pytest.mark.parametrize("text", ["", "{}", '{"sha": 1, "files": 2}', "[]", "\x00", "[" * 100_000])
def test_a_release_with_a_spoilt_manifest_lends_no_file(
    store: ReleaseStore, repository: FakeRepository, root: Path, text: str
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1"}))
    (root / "current/.manifest.json").write_text(text)

    release = publish(store, pushed(repository, {"dags/a/y.py": "2"}))

    assert release.written == 2


def test_a_link_that_leads_nowhere_is_no_release(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1"}))
    shutil.rmtree((root / "current").resolve())

    assert store.live() is None
    assert publish(store, pushed(repository, {"dags/a/y.py": "2"})).written == 2


def test_a_disk_that_takes_no_links_gets_copies(
    store: ReleaseStore, repository: FakeRepository, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1"}))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    release = publish(store, pushed(repository, {"dags/a/y.py": "2"}))

    assert release.written == 2
    assert (root / "current/dags/a/x.py").read_text() == "1"


def test_a_name_torn_off_by_a_crash_does_not_swallow_the_next_one(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    first = pushed(repository, {"dags/a/x.py": "1"})
    publish(store, first)
    with (root / "releases/.published").open("a") as log:
        log.write("0123")
    second = pushed(repository, {"dags/a/x.py": "2"})
    publish(store, second)

    lines = (root / "releases/.published").read_text().splitlines()

    assert lines == [first.sha, "0123", second.sha]


def test_a_commit_whose_contents_are_gone_changes_nothing(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    live = publish(store, pushed(repository, {"dags/a/x.py": "1"}))
    lost = Tree("e" * 40, {"dags/a/x.py": File("d" * 40)})

    with pytest.raises(UnknownCommit):
        publish(store, lost)

    assert store.live() == Release(live.name, live.sha)
    assert leftovers(root) == []


@pytest.mark.parametrize("path", ["../x", "dags/../../x", "/etc/x", "README.md", "releases/x"])
def test_a_path_outside_a_release_is_never_written(
    store: ReleaseStore, repository: FakeRepository, path: str
) -> None:
    [file] = pushed(repository, {"dags/a/x.py": "1"}).files.values()
    with pytest.raises(ValueError, match="outside a release"):
        publish(store, Tree("e" * 40, {path: file}))


def test_a_place_that_cannot_be_written_is_a_disk_error_that_names_it(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    root.mkdir()
    (root / "releases").touch()

    with pytest.raises(DiskError, match="releases"):
        publish(store, pushed(repository, {"dags/a/x.py": "1"}))


def test_a_folder_in_the_place_of_the_link_is_a_disk_error_and_nothing_stays_behind(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    (root / "current/important").mkdir(parents=True)

    said = f"^Is a directory: {root}/current; the release before stays live$"
    with pytest.raises(DiskError, match=said):
        publish(store, pushed(repository, {"dags/a/x.py": "1"}))

    assert (root / "current/important").is_dir()
    assert [path.name for path in (root / "releases").iterdir()] == [".published"]


# --- pruning


def test_prune_removes_what_a_crash_left_and_spares_what_is_not_ours(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    release = publish(store, pushed(repository, {"dags/a/x.py": "1"}))
    torn = "c" * 40
    (root / "releases" / torn / "dags").mkdir(parents=True)
    (root / "releases/.tmp-look").mkdir()
    (root / "releases/notes").mkdir()

    assert sorted(store.prune(1, ())) == [".tmp-look", torn]

    names = {path.name for path in (root / "releases").iterdir()}
    assert names == {".live", ".published", "notes", release.name}


def test_one_that_cannot_be_removed_keeps_no_other_from_being_pruned(
    store: ReleaseStore, repository: FakeRepository, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, live = (publish(store, pushed(repository, {"dags/a/x.py": str(n)})) for n in range(2))
    (root / "releases/.tmp-stuck").mkdir()
    remove = shutil.rmtree

    def refused(path: Path) -> None:
        if path.name == ".tmp-stuck":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        remove(path)

    monkeypatch.setattr("deployer.edges.releases.store.shutil.rmtree", refused)

    with pytest.raises(DiskError, match="tmp-stuck"):
        store.prune(1, ())

    names = {path.name for path in (root / "releases").iterdir()}
    assert names == {".live", ".published", ".tmp-stuck", live.name}
    assert old.name != live.name


def test_prune_spares_what_is_laid_out_and_in_use(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    tree = pushed(repository, {"dags/a/x.py": "from airflow.sdk import DAG"})

    with store.lay_out(tree, ["dags/a/x.py"]) as laid_out:
        assert store.prune(1, ()) == ()
        assert (laid_out / "dags/a/x.py").is_file()

    assert leftovers(root) == []


# --- room on the disk


def told(monkeypatch: pytest.MonkeyPatch, *, blocks: int, free: int) -> None:
    """Have the kernel tell of a disk of so many blocks of 4,096 bytes."""
    disk = SimpleNamespace(f_frsize=4_096, f_blocks=blocks, f_bavail=free)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)


@pytest.mark.parametrize(("free", "fits"), [(52, True), (51, False)])
def test_what_is_written_leaves_a_twentieth_of_a_small_disk_free(
    store: ReleaseStore,
    repository: FakeRepository,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    free: int,
    fits: bool,
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1" * 40_960}))
    before = sorted(root.rglob("*"))
    told(monkeypatch, blocks=1_000, free=free)
    tree = pushed(repository, {"dags/a/y.py": "1", "dags/a/z.py": "1"})

    if fits:
        assert publish(store, tree).written == 2
        return
    with pytest.raises(DiskError, match="0 MB free; 0 MB to write and 0 MB in reserve do not fit"):
        publish(store, tree)
    assert sorted(root.rglob("*")) == before


def test_what_is_written_leaves_500_mb_of_a_large_disk_free(
    store: ReleaseStore, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = pushed(repository, {"dags/a/x.py": "1"})
    told(monkeypatch, blocks=10**9, free=122_071)
    with pytest.raises(DiskError, match="500 MB in reserve"):
        publish(store, tree)
    told(monkeypatch, blocks=10**9, free=122_072)
    publish(store, tree)


def test_a_release_of_links_alone_needs_no_room(
    store: ReleaseStore, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, pushed(repository, {"dags/a/x.py": "1", "dags/a/y.py": "1"}))
    told(monkeypatch, blocks=1_000, free=0)

    assert publish(store, pushed(repository, {"dags/a/y.py": None})).written == 0


def test_a_look_before_publishing_leaves_the_reserve_too(
    store: ReleaseStore,
    repository: FakeRepository,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = pushed(repository, {"dags/a/x.py": "from airflow.sdk import DAG"})
    told(monkeypatch, blocks=1_000, free=50)

    with pytest.raises(DiskError, match="in reserve"), store.lay_out(tree, ["dags/a/x.py"]):
        pytest.fail("entered")

    assert leftovers(root) == []


# --- a look before publishing


def test_what_is_laid_out_is_like_a_release_but_shares_no_file_with_a_live_one(
    store: ReleaseStore, repository: FakeRepository, root: Path
) -> None:
    dag = "from airflow.sdk import DAG"
    first = {"dags/a/x.py": dag, "dags/a/help.py": "1", "dags/b/y.py": dag, "include/q": "1"}
    first["dags/b/rides.csv"] = "1" * (LARGE_BYTES + 1)  # which would keep all others waiting
    publish(store, pushed(repository, dict(first)))
    tree = pushed(repository, {"dags/a/x.py": dag + "\n"})

    with store.lay_out(tree, ["dags/a/x.py"]) as laid_out:
        files = {p.relative_to(laid_out).as_posix(): p for p in laid_out.rglob("*") if p.is_file()}
        assert sorted(files) == ["dags/a/help.py", "dags/a/x.py", "include/q"]
        assert files["dags/a/x.py"].read_text() == dag + "\n"
        assert {path.stat().st_nlink for path in files.values()} == {1}

    assert leftovers(root) == []
    assert (root / "current/dags/a/x.py").read_text() == dag


def test_a_tree_that_cannot_be_laid_out_leaves_nothing_behind(
    store: ReleaseStore, root: Path
) -> None:
    lost = Tree("e" * 40, {"dags/a/x.py": File("d" * 40)})

    with pytest.raises(UnknownCommit), store.lay_out(lost, ["dags/a/x.py"]):
        pytest.fail("entered")

    assert leftovers(root) == []


# --- dying


_EFFECTS = frozenset(
    {
        *("open", "os.mkdir", "os.chmod", "os.link", "os.rename", "os.symlink", "os.utime"),
        *("os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "tempfile.mkdtemp"),
    }
)


def dies_at(effect: int, work: object) -> bool:
    """Do `work` in a child that is gone, as by `kill -9`, right before its n-th effect.

    Returns whether it died; otherwise it had fewer effects and did the work.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, _: object) -> None:
            nonlocal count
            count += event in _EFFECTS
            if count == effect:
                os._exit(9)

        sys.addaudithook(hook)
        assert callable(work)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 9}
    return code == 9


def held_by(root: Path, name: str) -> dict[str, str]:
    """Return what a release holds, read off the disk; it must be whole."""
    release = root / "releases" / name
    contents = directory.contents(release)
    assert contents is not None
    on_disk = {path: blob_id((release / path).read_bytes()) for path in contents.files}
    assert on_disk == dict(contents.files)
    return on_disk


def stamps(root: Path, name: str) -> dict[str, tuple[int, int]]:
    release = root / "releases" / name
    found = [path for path in release.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_killed_at_any_effect_of_publishing_what_is_live_is_whole_and_the_next_try_works(
    tmp_path: Path, repository: FakeRepository
) -> None:
    old = pushed(repository, {"dags/a/x.py": "1", "dags/a/y.py": "1", "requirements.txt": "a"})
    new = pushed(repository, {"dags/a/x.py": "2", "dags/b/z.py": "1", "include/q.sql": "1"})
    effect, died = 0, True
    while died:
        effect += 1
        root = tmp_path / str(effect)
        store = ReleaseStore(root, repository)
        first = publish(store, old)
        before = stamps(root, first.name)

        died = dies_at(effect, lambda store=store: publish(store, new, "dags/a/y.py"))

        live = store.live()
        assert live is not None
        assert held_by(root, live.name)
        assert stamps(root, first.name) == before
        again = publish(store, new, "dags/a/y.py")
        assert held_by(root, again.name).keys() == {*new.files, "requirements.txt"}
        assert store.live() == Release(again.name, new.sha)
        store.prune(1, ())
        assert leftovers(root) == []
        assert held_by(root, again.name)
    assert effect > 20


def test_killed_at_any_effect_of_pruning_a_release_is_whole_or_gone(
    tmp_path: Path, repository: FakeRepository
) -> None:
    trees = [pushed(repository, {"dags/a/x.py": str(number)}) for number in range(3)]
    effect, died = 0, True
    while died:
        effect += 1
        root = tmp_path / str(effect)
        store = ReleaseStore(root, repository)
        names = [publish(store, tree).name for tree in trees]

        died = dies_at(effect, lambda store=store: store.prune(1, ()))

        for name in names:
            try:
                store.restore(name)
            except DiskError:
                assert not (root / "releases" / name).exists()
            else:
                assert held_by(root, name)
        store.restore(names[-1])
        store.prune(1, ())
        assert {p.name for p in (root / "releases").iterdir()} == {".live", ".published", names[-1]}
    assert effect > 3


# --- changed by hand


@pytest.fixture
def live(store: ReleaseStore, repository: FakeRepository) -> Tree:
    """Return what is live: one release after another, so that files are shared."""
    files: dict[str, str | None] = {"dags/a/x.py": "1", "dags/a/y.py": "1", "include/q.sql": "1"}
    publish(store, pushed(repository, files))
    tree = pushed(repository, {"dags/a/y.py": "2"})
    publish(store, tree)
    assert store.edits() is None
    return tree


def appended(root: Path) -> None:
    with (root / "current/dags/a/x.py").open("a") as file:
        file.write("# by hand")


def replaced(root: Path) -> None:
    (root / "new").write_text("another")
    (root / "new").rename(root / "current/dags/a/x.py")


def removed(root: Path) -> None:
    (root / "current/dags/a/x.py").unlink()


def hidden(root: Path) -> None:
    (root / "current/dags/a/x.py").chmod(0)


def linked(root: Path) -> None:
    removed(root)
    (root / "current/dags/a/x.py").symlink_to("y.py")


def made_a_folder(root: Path) -> None:
    removed(root)
    (root / "current/dags/a/x.py").mkdir()
    (root / "current/dags/a/x.py/inside").write_text("inside")


EDITS = [appended, replaced, removed, hidden, linked, made_a_folder]


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_changed_by_hand_is_named_and_written_anew(
    store: ReleaseStore, live: Tree, root: Path, edit: Callable[[Path], None]
) -> None:
    name = (root / "current").readlink().name
    edit(root)

    edits = store.edits()
    publish(store, live, "dags/a/x.py")

    assert edits is not None
    assert edits.paths == frozenset({"dags/a/x.py"})
    assert "1 file of the live release was changed by hand: dags/a/x.py" in edits.words
    assert held_by(root, (root / "current").readlink().name)["dags/a/x.py"] == blob_id(b"1")
    assert (root / "current/dags/a/x.py").stat().st_mode & 0o444 == 0o444
    assert os.path.lexists(root / "releases/edited" / name / "dags/a/x.py") is (edit != removed)
    assert store.edits() is None


def test_the_text_of_an_edit_is_kept_aside_and_survives_pruning(
    store: ReleaseStore, repository: FakeRepository, live: Tree, root: Path
) -> None:
    name = (root / "current").readlink().name
    appended(root)
    publish(store, live)
    publish(store, pushed(repository, {"dags/a/x.py": "3"}))
    store.prune(1, ())

    assert not (root / "releases" / name).exists()
    assert (root / "releases/edited" / name / "dags/a/x.py").read_text() == "1# by hand"


def test_an_edit_goes_into_no_later_release_though_nobody_looked(
    store: ReleaseStore, repository: FakeRepository, live: Tree, root: Path
) -> None:
    assert live.files
    appended(root)
    publish(store, pushed(repository, {"dags/a/y.py": "3"}))
    assert (root / "current/dags/a/x.py").read_text() == "1"


def test_an_edit_while_no_worker_ran_is_found_by_the_next(
    live: Tree, root: Path, repository: FakeRepository
) -> None:
    assert live.files
    before = (root / "current/dags/a/x.py").stat()
    (root / "current/dags/a/x.py").write_text("2")
    os.utime(root / "current/dags/a/x.py", ns=(before.st_atime_ns, before.st_mtime_ns))

    edits = ReleaseStore(root, repository).edits()

    assert edits is not None
    assert edits.paths == frozenset({"dags/a/x.py"})


def test_a_dag_file_that_nobody_pushed_is_put_aside_and_a_cache_is_not(
    store: ReleaseStore, live: Tree, root: Path
) -> None:
    name = (root / "current").readlink().name
    (root / "current/dags/a/__pycache__").mkdir()
    (root / "current/dags/a/__pycache__/x.pyc").touch()
    (root / "current/include/output.csv").touch()
    assert store.edits() is None
    (root / "current/dags/extra.py").write_text("by hand")

    edits = store.edits()
    publish(store, live)

    assert edits is not None
    assert edits.paths == frozenset({"dags/extra.py"})
    assert not (root / "current/dags/extra.py").exists()
    assert (root / "releases/edited" / name / "dags/extra.py").read_text() == "by hand"


def unlinked(root: Path) -> None:
    (root / "current").unlink()


def led_back(root: Path) -> None:
    others = [path for path in (root / "releases").iterdir() if len(path.name) == 40]
    old = next(path for path in others if path.name != (root / "current").readlink().name)
    (root / "current").unlink()
    (root / "current").symlink_to(f"releases/{old.name}")


def led_astray(root: Path) -> None:
    (root / "current").unlink()
    (root / "current").symlink_to("nowhere")


def copied(root: Path) -> None:
    copy = root / "copy"
    shutil.copytree(root / "current", copy)
    (root / "current").unlink()
    copy.rename(root / "current")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (unlinked, "was removed"),
        (led_back, "led to"),
        (led_astray, "led to nowhere"),
        (copied, "was replaced"),
    ],
)
def test_a_link_that_was_moved_by_hand_leads_back_at_once(
    store: ReleaseStore, live: Tree, root: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(root)

    edits = store.edits()

    assert edits is not None
    assert edits.paths == frozenset()
    assert f"`current` {says}" in edits.words
    assert store.live() == Release(live.sha, live.sha)
    assert store.edits() is None
    kept = root / "releases/edited"
    assert [path.name[:8] for path in kept.glob("*")] == ["current-"] * (damage == copied)


@pytest.mark.parametrize("part", ["", "/.manifest.json"])
def test_of_a_release_that_was_removed_nothing_is_known(
    store: ReleaseStore, live: Tree, root: Path, part: str
) -> None:
    gone = Path(f"{(root / 'current').resolve()}{part}")
    if part:
        gone.unlink()
    else:
        shutil.rmtree(gone)

    edits = store.edits()
    publish(store, live)

    assert edits is not None
    assert edits.paths is None
    assert held_by(root, (root / "current").readlink().name)
    assert store.edits() is None


def test_before_the_first_release_nothing_has_drifted(store: ReleaseStore) -> None:
    assert store.edits() is None
    store.restore(None)
    assert store.edits() is None
