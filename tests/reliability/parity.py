"""`scripts/soak parity N [--seed S]`: ask `deployer check` and a push of the same, N times."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from deployer.check import Checked, check
from deployer.core.model import REQUIREMENTS, Examined, Outcome, ParseError, Tree, Verdict
from deployer.core.planning.plan import Discovery
from deployer.core.tree import limits
from deployer.core.tree.limits import Weight
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.edges.git.working_copy import WorkingCopy
from deployer.errors import DeployerError
from deployer.ports import Release
from tests.fakes.clock import FakeClock
from tests.fakes.examiner import FakeExamination, FakeExaminer
from tests.fakes.feed import Broken, Contents
from tests.fakes.releases import FakeReleases
from tests.fakes.world import ServedReleases, World
from tests.reliability.simulation import silence
from tests.reliability.texts_decide import parsed, reached
from tests.reliability.working_copies import Draw

NO = ParseError("ImportError", "no", 2)
Content = Callable[[str], bytes]
"""Returns what a blob holds."""


def texts_of(files: Mapping[str, str], content: Content) -> dict[str, str]:
    """Return texts by path, of blobs by path."""
    return {path: content(blob).decode(errors="replace") for path, blob in files.items()}


class _Examiner(FakeExaminer):
    """An isolated parser that finds what the texts of a tree say."""

    def __init__(self, clock: FakeClock, content: Content) -> None:
        super().__init__(clock)
        self._content = content

    def begin(self, tree: Tree, paths: Sequence[str]) -> FakeExamination:
        self._read(tree, paths)
        return super().begin(tree, paths)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        self._read(tree, paths)
        return super().examine(tree, paths, on_built=on_built)

    def _read(self, tree: Tree, paths: Sequence[str]) -> None:
        texts = texts_of({p: file.blob for p, file in tree.files.items()}, self._content)
        for path in paths:
            result = parsed(path, texts, "")
            self.finds(
                path,
                dag_ids=result.dag_ids,
                error=NO if result.broken else None,
                harm="never ends" if result.harm else None,
            )


class _Releases(ServedReleases):
    """Releases whose texts decide what the dag-processor finds."""

    def __init__(self, world: PushedTo) -> None:
        super().__init__(world.feed, world.services)
        self._world = world

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        release = FakeReleases.publish(self, tree, touch=touch, held=held)
        texts = self._world.live()
        found: dict[str, Contents] = {}
        for path in filter(Discovery(tree).finds, texts):
            result = parsed(path, texts, "")
            found[path] = Broken("ImportError: no") if result.broken else result.dag_ids
        self._world.feed.serve(release.name, found)
        return release


class PushedTo(World):
    """A class with a real repository, whose texts decide."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__()
        self._mirror = Mirror(url, "main", directory)
        self.git = GitRepository(self._mirror)
        self.releases, self.examiner = _Releases(self), _Examiner(self.clock, self.content)
        self.parts = replace(
            self.parts, repository=self.git, releases=self.releases, examiner=self.examiner
        )
        self.reconciler = self.worker()

    def content(self, blob: str) -> bytes:
        return dict(self.git.blobs([blob]))[blob]

    def live(self) -> dict[str, str]:
        release = self.releases.live()
        blobs = dict(self.releases.blobs(release.name)) if release else {}
        blobs.pop(REQUIREMENTS, None)
        return texts_of(blobs, self.content)

    def close(self) -> None:
        self._mirror._objects.close()

    def settle(self) -> None:
        while (again_in_s := self.reconciler.reconcile()) is not None and again_in_s < 15:
            self.clock.sleep(max(again_in_s, 0.05))

    def verdicts(self) -> dict[str, Verdict]:
        """Return the newest verdict of each file."""
        return {v.path: v for record in self.journal.records.values() for v in record.verdicts}


class Clone:
    """A student's clone of a class's repository."""

    def __init__(self, place: Path) -> None:
        self.root, self.host = place / "clone", place / "host.git"
        self.root.mkdir()
        self._run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.host))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.host))

    def git(self, *args: str) -> str:
        who = ("-c", "user.name=Anna", "-c", "user.email=anna@class.example")
        return self._run("git", *who, "-c", "advice.addEmbeddedRepo=false", *args)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change")
        return self.git("rev-parse", "HEAD").strip()

    def push(self) -> str:
        sha = self.commit()
        self.git("push", "--quiet", "origin", "main")
        self.git("remote", "set-head", "origin", "main")
        return sha

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, check=True, capture_output=True)
        return os.fsdecode(done.stdout)


@dataclass(frozen=True)
class Both:
    """What came of a change.

    Attributes:
        before: the newest verdict of each file before the push.
        after: the same after it.
        told: its own verdicts, by path.
        red: the contexts of its commit that are.
        pushed: the texts of the commit.
        live: what is live in the end.
        refused: why its packages are not installed.
    """

    before: Mapping[str, Verdict]
    after: Mapping[str, Verdict]
    told: Mapping[str, Verdict]
    red: Mapping[str, str]
    pushed: Mapping[str, str]
    live: Mapping[str, str]
    refused: str | None


def differences(whole: Mapping[str, Verdict], both: Both) -> Iterator[str]:
    """What a check of everything says otherwise than the class's newest verdicts."""
    if both.red and all(verdict.good for verdict in whole.values()):
        yield f"the commit is red ({both.red}), and checked good"
    for path, verdict in both.told.items():
        if verdict.gone or path in whole:
            continue
        if not _is_beside(verdict, both):
            yield f"{path} is {_words(verdict)}, and not checked"
    for path, checked in whole.items():
        told = both.after.get(path)
        if path == REQUIREMENTS and both.refused:
            continue
        if (told is None or told.gone) and not _stays_hidden(both):
            yield f"{path} is checked {_words(checked)}, and told {told and told.outcome}"
        elif told and _words(checked) != _words(told) and not _excused(path, whole, told, both):
            yield f"{path} is checked {_words(checked)}, and told {_words(told)}"


def _is_beside(verdict: Verdict, both: Both) -> bool:
    """Tell whether it is of a module whose DAG file is told, or of what stays of before."""
    aside = verdict.error is not None and verdict.error.message.startswith("with it ")
    return aside or verdict.path not in both.pushed


def _stays_hidden(both: Both) -> bool:
    """Tell whether an ignore file can't be published, and one of before stays."""
    return any(path.endswith(".airflowignore") for path in both.live.keys() - both.pushed.keys())


def _excused(path: str, whole: Mapping[str, Verdict], told: Verdict, both: Both) -> bool:
    """Of claimants it is not known who was first; nor what is live below what is held."""
    if whole[path].outcome is Outcome.HELD and "dag_id" in _words(whole[path]):
        return told.outcome in {Outcome.HELD, Outcome.PARSED}
    if told.error and "dag_id" in _words(told) and both.live.keys() - both.pushed.keys():
        return True  # of what stays, perhaps
    if path not in both.pushed:  # left out, and judged as it stays
        return whole[path].outcome is Outcome.HELD
    needed = reached(path, both.pushed) | reached(path, both.live)
    return any(both.live.get(one) != both.pushed.get(one) for one in needed - {path})


def _words(verdict: Verdict) -> str:
    error = verdict.error
    said = f"{error.type}: {error.message}" if error else ", ".join(verdict.dag_ids)
    return f"{verdict.outcome} {said}"


def differences_of_places(
    found: Mapping[str, Verdict], both: Both, *, exact: bool
) -> Iterator[str]:
    """What a check of what was changed says otherwise than the commit."""
    for path, verdict in both.told.items():
        if not (verdict.gone or path in found or _is_beside(verdict, both)):
            yield f"{path} is {_words(verdict)}, and not checked with what was changed"
    if exact:
        for path, checked in found.items():
            if path not in both.told and "dag_id" not in _words(checked):
                yield f"{path} is checked with what was changed, and not told"
    bad = {
        path
        for path, verdict in found.items()
        if not verdict.good
        and ("dag_id" not in _words(verdict) or path in both.told)
        and not (path in both.before and not both.before[path].good)
    }
    if bad and not both.red:
        yield f"the commit is green, and checked bad: {', '.join(sorted(bad))}"
    if both.red and all(verdict.good for verdict in found.values()):
        yield f"the commit is red ({both.red}), and checked good"


def by_path(checked: Checked) -> dict[str, Verdict]:
    return {verdict.path: verdict for verdict in checked.verdicts}


def play(seed: int) -> tuple[list[str], list[str]]:
    """Return what differs, and what was done."""
    place = Path(tempfile.mkdtemp(prefix="parity-"))
    dice = random.Random(seed)  # noqa: S311 - for play
    bounds = dice.choice((limits.PER_FOLDER, limits.PER_FOLDER, Weight(5, 3, 60_000_000)))
    try:
        with mock.patch.object(limits, "PER_FOLDER", bounds):
            return _play(dice, place)
    finally:
        shutil.rmtree(place)


def _play(dice: random.Random, place: Path) -> tuple[list[str], list[str]]:
    clone = Clone(place)
    with closing(PushedTo(clone.host.as_uri(), place / "checkout")) as world:
        return _compared(dice, clone, world)


def _compared(dice: random.Random, clone: Clone, world: PushedTo) -> tuple[list[str], list[str]]:
    draw = Draw(dice, clone.root, clone.git)
    draw.begin()
    base = clone.push()
    world.deliver(base)
    world.settle()
    before = world.verdicts()
    draw.change()
    if dice.random() < 0.3:
        clone.commit()
        draw.story.append("(committed)")
        draw.change()
    copy = WorkingCopy.around(clone.root)
    places, exact = draw.places(base)
    examiner = _Examiner(FakeClock(), lambda blob: (copy.root / blob).read_bytes())
    wrong: list[str] = []
    try:
        whole = by_path(check(copy, examiner, ()))
        given = [copy.inside(one, clone.root) for one in places]
        found = by_path(check(copy, examiner, given)) if given else {}
    except DeployerError as exc:
        return [f"{type(exc).__name__}: {exc}"], draw.story
    sha = clone.push()
    if sha == base:
        return [], draw.story
    world.deliver(sha, base)
    world.settle()
    deployment = world.judging(sha)
    tree = world.git.tree(sha)
    both = Both(
        before,
        world.verdicts(),
        {verdict.path: verdict for verdict in deployment.verdicts},
        {c: words for c, (state, words) in world.said(sha).items() if state != "success"},
        texts_of({path: file.blob for path, file in tree.files.items()}, world.content),
        world.live(),
        deployment.ending.refused if deployment.ending else None,
    )
    wrong += differences(whole, both)
    if given:
        wrong += differences_of_places(found, both, exact=exact)
    return wrong, [*draw.story, f"asked for: {', '.join(places)}"]


def failing(seeds: range) -> Iterator[tuple[int, list[str], list[str]]]:
    with silence():
        for seed in seeds:
            wrong, story = play(seed)
            if wrong:
                yield seed, wrong, story


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak parity", description=__doc__)
    parser.add_argument("copies", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first working copy")
    asked = parser.parse_args(arguments)
    began, wrong = time.monotonic(), 0
    for seed, differ, story in failing(range(asked.seed, asked.seed + asked.copies)):
        wrong += 1
        print("\n  ".join((f"seed {seed}: {'; '.join(differ)}", *story)), flush=True)
    print(f"{asked.copies:,} working copies, {wrong} wrong; {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
