"""What every Releases does: the shared fake, and `ReleaseStore` on a real disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer.core.model import Tree
from deployer.edges.releases.directory import blob_id
from deployer.edges.releases.store import ReleaseStore
from deployer.errors import DiskError
from deployer.ports import Release, Releases
from tests.fakes.releases import FakeReleases
from tests.fakes.repository import FakeRepository


@dataclass(frozen=True)
class Rig:
    """A store, and a look into it.

    Attributes:
        stamps: by path, what tells that a file was written anew: equal, or not.
        blobs: by path, the ids of what a release's files hold.
    """

    releases: Releases
    stamps: Callable[[str], Mapping[str, object]]
    blobs: Callable[[str], Mapping[str, str]]
    full_disk: Callable[[], AbstractContextManager[None]]
    little_room: Callable[[], AbstractContextManager[object]]
    repository: FakeRepository = field(default_factory=FakeRepository)

    def tree(self, changes: Mapping[str, str | None]) -> Tree:
        """Push `changes` and return the new tip's tree."""
        sha = self.repository.push(changes)
        self.repository.fetch()
        return self.repository.tree(sha)

    def publish(
        self, tree: Tree, touch: Collection[str] = (), held: Collection[str] = ()
    ) -> Release:
        return self.releases.publish(tree, touch=touch, held=held)


def fake(_: Path) -> Rig:
    releases = FakeReleases()

    @contextmanager
    def full_disk() -> Iterator[None]:
        releases.full = True
        yield
        releases.full = False

    return Rig(
        releases,
        stamps=lambda name: dict(releases.whole[name]),
        blobs=lambda name: {path: file.blob for path, file in releases.whole[name].items()},
        full_disk=full_disk,
        little_room=full_disk,
    )


def real(directory: Path) -> Rig:
    repository = FakeRepository()

    def files(name: str) -> dict[str, Path]:
        root = directory / "releases" / name
        found = (path for folder in ("dags", "include") for path in (root / folder).rglob("*"))
        return {str(path.relative_to(root)): path for path in found if path.is_file()}

    def stamp(path: Path) -> object:
        status = path.stat()
        return status.st_ino, status.st_mtime_ns

    return Rig(
        ReleaseStore(directory, repository),
        stamps=lambda name: {path: stamp(at) for path, at in files(name).items()},
        blobs=lambda name: {path: blob_id(at.read_bytes()) for path, at in files(name).items()},
        full_disk=no_file_over_100_bytes,
        little_room=lambda: disk(blocks=1_000, free=50),
        repository=repository,
    )


@contextmanager
def no_file_over_100_bytes() -> Iterator[None]:
    """Have the kernel refuse to write more (EFBIG), as it would on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def disk(*, blocks: int, free: int) -> AbstractContextManager[object]:
    """Have the kernel tell of a disk of so many blocks of 4,096 bytes."""
    told = SimpleNamespace(f_frsize=4_096, f_blocks=blocks, f_bavail=free)
    return mock.patch("os.statvfs", return_value=told)


@pytest.fixture(params=[fake, real])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    make: Callable[[Path], Rig] = request.param
    return make(tmp_path)


def of(tree: Tree) -> dict[str, str]:
    return {path: file.blob for path, file in tree.files.items()}


def test_before_the_first_release_nothing_is_live(rig: Rig) -> None:
    assert rig.releases.live() is None
    assert rig.releases.prune(1, ()) == ()


def test_the_first_release_is_named_by_its_commit_and_writes_every_file(rig: Rig) -> None:
    tree = rig.tree({"dags/a/x.py": "1", "include/q.sql": "2"})

    release = rig.publish(tree)

    assert release == Release(tree.sha, tree.sha, 2)
    live = rig.releases.live()
    assert live is not None
    assert (live.name, live.sha) == (tree.sha, tree.sha)
    assert rig.blobs(release.name) == of(tree)


def test_only_what_changed_is_written_and_the_rest_keeps_its_stamp(rig: Rig) -> None:
    first = rig.publish(rig.tree({f"dags/a/d{number}.py": str(number) for number in range(9)}))
    second = rig.publish(rig.tree({"dags/a/d3.py": "changed", "dags/a/d5.py": None}))

    assert second.written == 1
    before, after = rig.stamps(first.name), rig.stamps(second.name)
    assert {path for path in after if before[path] != after[path]} == {"dags/a/d3.py"}
    assert before.keys() - after.keys() == {"dags/a/d5.py"}


def test_a_touched_file_gets_a_new_stamp_and_the_release_before_keeps_its_own(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1", "dags/a/helper.py": "1"}))
    stamps = rig.stamps(first.name)
    tree = rig.tree({"dags/a/helper.py": "2"})

    second = rig.publish(tree, touch=["dags/a/x.py", "dags/a/helper.py", "dags/a/gone.py"])

    assert second.written == 2
    assert rig.stamps(second.name)["dags/a/x.py"] != stamps["dags/a/x.py"]
    assert rig.stamps(first.name) == stamps
    assert rig.blobs(second.name) == of(tree)


def test_the_same_again_with_nothing_to_touch_is_the_release_that_is_live(rig: Rig) -> None:
    tree = rig.tree({"dags/a/x.py": "1"})
    first = rig.publish(tree)

    assert rig.publish(tree) == Release(first.name, first.sha, 0)


def test_the_same_commit_with_other_contents_gets_a_name_of_its_own(rig: Rig) -> None:
    tree = rig.tree({"dags/a/x.py": "1", "dags/b/y.py": "1"})

    names = [
        rig.publish(tree).name,
        rig.publish(tree, touch=["dags/a/x.py"]).name,
        rig.publish(tree, held=["dags/b/y.py"], touch=["dags/a/x.py"]).name,
    ]

    assert names == [tree.sha, f"{tree.sha}-2", f"{tree.sha}-3"]


def test_another_commit_with_the_same_files_is_another_release(rig: Rig) -> None:
    rig.publish(rig.tree({"dags/a/x.py": "1"}))
    tree = rig.tree({"README.md": "only this"})

    assert rig.publish(tree) == Release(tree.sha, tree.sha, 0)


def test_a_held_file_stays_as_it_is_live(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "good", "dags/a/y.py": "1"}))
    tree = rig.tree({"dags/a/x.py": "harmful", "dags/a/y.py": "2"})

    second = rig.publish(tree, touch=["dags/a/y.py"], held=["dags/a/x.py"])

    assert second.written == 1
    assert rig.stamps(second.name)["dags/a/x.py"] == rig.stamps(first.name)["dags/a/x.py"]
    assert rig.blobs(second.name)["dags/a/y.py"] == tree.files["dags/a/y.py"].blob


def test_a_held_file_that_is_to_be_touched_is_the_live_one_written_anew(rig: Rig) -> None:
    good = rig.tree({"dags/a/x.py": "good"})
    first = rig.publish(good)
    tree = rig.tree({"dags/a/x.py": "harmful"})

    second = rig.publish(tree, touch=["dags/a/x.py"], held=["dags/a/x.py"])

    assert rig.blobs(second.name) == of(good)
    assert rig.stamps(second.name)["dags/a/x.py"] != rig.stamps(first.name)["dags/a/x.py"]


def test_a_held_file_that_is_not_live_is_left_out(rig: Rig) -> None:
    rig.publish(rig.tree({"dags/a/x.py": "1"}))
    tree = rig.tree({"dags/a/new.py": "harmful"})

    release = rig.publish(tree, touch=["dags/a/new.py"], held=["dags/a/new.py"])

    assert list(rig.blobs(release.name)) == ["dags/a/x.py"]


def test_a_held_file_that_the_commit_lacks_is_gone_all_the_same(rig: Rig) -> None:
    rig.publish(rig.tree({"dags/a/x.py": "1", "dags/a/y.py": "1"}))

    release = rig.publish(rig.tree({"dags/a/x.py": None}), held=["dags/a/x.py"])

    assert list(rig.blobs(release.name)) == ["dags/a/y.py"]


def test_a_file_held_over_two_releases_is_still_the_good_one(rig: Rig) -> None:
    good = rig.tree({"dags/a/x.py": "good"})
    rig.publish(good)
    for text in ("harmful", "worse"):
        last = rig.publish(rig.tree({"dags/a/x.py": text}), held=["dags/a/x.py"])

    assert rig.blobs(last.name) == of(good)


def test_restore_makes_an_older_release_live(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1"}))
    rig.publish(rig.tree({"dags/a/x.py": "2"}))

    rig.releases.restore(first.name)

    live = rig.releases.live()
    assert live is not None
    assert live.name == first.name


@pytest.mark.parametrize("name", ["f" * 40, "../../etc", "", "."])
def test_restore_of_what_is_no_release_changes_nothing(rig: Rig, name: str) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1"}))

    with pytest.raises(DiskError, match="no release"):
        rig.releases.restore(name)

    live = rig.releases.live()
    assert live is not None
    assert live.name == first.name


def test_after_a_restore_the_next_release_is_made_from_what_is_live(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1", "dags/a/y.py": "1"}))
    rig.publish(rig.tree({"dags/a/x.py": "2"}))
    rig.releases.restore(first.name)

    third = rig.publish(rig.tree({"dags/a/x.py": "1"}))

    assert third.written == 0
    assert rig.stamps(third.name) == rig.stamps(first.name)


def test_prune_keeps_the_newest_the_live_one_and_those_in_use(rig: Rig) -> None:
    names = [rig.publish(rig.tree({"dags/a/x.py": str(n)})).name for n in range(6)]
    rig.releases.restore(names[1])

    assert rig.releases.beyond(2) == (names[0], names[2], names[3])
    assert rig.releases.prune(2, [names[0]]) == (names[2], names[3])
    assert rig.releases.prune(2, []) == (names[0],)
    assert rig.releases.prune(0, []) == (names[4], names[5])
    live = rig.releases.live()
    assert live is not None
    assert live.name == names[1]


def test_the_name_of_a_pruned_release_is_never_given_again(rig: Rig) -> None:
    tree = rig.tree({"dags/a/x.py": "1"})
    rig.publish(tree)
    rig.publish(rig.tree({"dags/a/x.py": "2"}))
    rig.releases.prune(1, ())

    assert rig.publish(tree).name == f"{tree.sha}-2"


def test_a_full_disk_leaves_live_what_was_and_the_next_try_may_work(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1"}))
    tree = rig.tree({"dags/a/x.py": "2" * 200})

    with rig.full_disk(), pytest.raises(DiskError, match="stays live"):
        rig.publish(tree)

    live = rig.releases.live()
    assert live is not None
    assert live.name == first.name
    assert rig.blobs(rig.publish(tree).name) == of(tree)


def test_a_disk_without_reserve_leaves_live_what_was_and_the_next_try_may_work(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1"}))
    tree = rig.tree({"dags/a/x.py": "2"})

    with rig.little_room(), pytest.raises(DiskError):
        rig.publish(tree)

    live = rig.releases.live()
    assert live is not None
    assert live.name == first.name
    assert rig.publish(tree).name == tree.sha


def test_without_a_release_to_go_back_to_nothing_is_live(rig: Rig) -> None:
    rig.publish(rig.tree({"dags/a/x.py": "1"}))

    rig.releases.restore(None)

    assert rig.releases.live() is None


def test_what_a_release_holds_is_told_and_not_what_its_commit_does(rig: Rig) -> None:
    first = rig.publish(rig.tree({"dags/a/x.py": "1", "dags/b/y.py": "1"}))
    tip = rig.tree({"dags/a/x.py": "2", "dags/a/new.py": "1"})
    held = rig.publish(tip, held=["dags/a/x.py", "dags/a/new.py"])
    assert rig.releases.blobs(held.name) == rig.releases.blobs(first.name)
    assert rig.releases.blobs(held.name).keys() == {"dags/a/x.py", "dags/b/y.py"}
    assert rig.releases.blobs("0" * 40) == {}


def test_the_release_confirmed_last_is_the_proven_one_and_is_never_pruned(rig: Rig) -> None:
    assert rig.releases.proven() is None
    names = [rig.publish(rig.tree({"dags/a/x.py": text})).name for text in "1234"]
    for name in names[:2]:
        rig.releases.confirm(name)

    assert rig.releases.proven() == names[1]
    assert rig.releases.prune(1, ()) == (names[0], names[2])
    assert rig.releases.proven() == names[1]
