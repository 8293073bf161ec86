"""A class with a worker, in which the texts decide what its parsers find (`texts_decide`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from deployer.core.model import REQUIREMENTS, ROSTER, Examined, LeftOut, ParseError, Tree
from deployer.ports import Release
from tests.fakes.examiner import FakeExamination, FakeExaminer
from tests.fakes.feed import Broken, Contents
from tests.fakes.releases import FakeReleases
from tests.fakes.repository import FakeRepository
from tests.fakes.world import TEACHER, ServedReleases, World
from tests.reliability.texts_decide import (
    COMMON_IDS,
    DAG_FILES,
    REFUSED,
    SICK,
    Publication,
    Standing,
    kind_of,
    links,
    parsed,
    plain,
    seen,
)


class _Repository(FakeRepository):
    """Commits in which a text may be a link."""

    def tree(self, sha: str) -> Tree:
        texts = self._files.get(sha, {})
        leads, there = links(texts), plain(texts)
        nowhere = leads.keys() - there.keys()
        self.links = {path: target for path, target in leads.items() if path in there}
        tree = super().tree(sha)
        return replace(
            tree,
            files={path: file for path, file in tree.files.items() if path not in nowhere},
            ignores={path: text for path, text in tree.ignores.items() if path not in nowhere},
            left_out=tuple(
                LeftOut(path, "the link leads to nothing", texts[path]) for path in sorted(nowhere)
            ),
        )


class _Releases(ServedReleases):
    """Releases whose texts decide what the dag-processor finds."""

    def __init__(self, world: TextWorld) -> None:
        super().__init__(world.feed, world.services)
        self._world = world
        self.shown: list[Publication] = []

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        before = self.live()
        stood = self._world.texts_of(self.blobs(before.name)) if before else {}
        release = FakeReleases.publish(self, tree, touch=touch, held=held)
        texts, packages = self._world.texts_of(self.blobs(release.name)), self._world.packages
        found: dict[str, Contents] = {}
        for path in seen(texts):
            result = parsed(path, texts, packages)
            found[path] = Broken() if result.harm or result.broken else result.dag_ids
        self._world.feed.serve(release.name, found)
        self.shown.append(Publication(texts, stood, self._world.texts_of_tree(tree), packages))
        return release


class _Examiner(FakeExaminer):
    """An isolated parser that finds what the texts of the tree say."""

    def __init__(self, world: TextWorld) -> None:
        super().__init__(world.clock)
        self._world = world

    def begin(self, tree: Tree, paths: Sequence[str]) -> FakeExamination:
        self._read(tree, self._world.packages)
        return super().begin(tree, paths)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        self._read(tree, self._world.built if on_built else self._world.packages)
        return super().examine(tree, paths, on_built=on_built)

    def _read(self, tree: Tree, packages: str) -> None:
        texts = self._world.texts_of_tree(tree)
        for path in DAG_FILES:
            if path in texts:
                result = parsed(path, texts, packages)
                self.finds(
                    path,
                    dag_ids=result.dag_ids,
                    error=ParseError("ImportError", "no") if result.broken else None,
                    harm="never ends" if result.harm else None,
                )


class TextWorld(World):
    """A class whose texts decide; `shown`: all that was published."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = _Repository()
        self.repository.push({ROSTER: f"teachers: [{TEACHER}]\n"})
        self.services.refuses[REFUSED] = "no such version"
        self.services.breaks.add(SICK)
        releases = _Releases(self)
        self.releases, self.examiner = releases, _Examiner(self)
        self.shown = releases.shown
        self.parts = replace(
            self.parts,
            repository=self.repository,
            releases=self.releases,
            examiner=self.examiner,
        )
        self.reconciler = self.worker()

    @property
    def packages(self) -> str:
        return self.services.text or ""

    @property
    def built(self) -> str:
        return self.services._built or ""

    def texts_of(self, blobs: Mapping[str, str]) -> dict[str, str]:
        """Return the texts below dags/ and include/, given their blobs by path."""
        contents = dict(
            self.repository.blobs({b for path, b in blobs.items() if path != REQUIREMENTS})
        )
        return {path: contents[b].decode() for path, b in blobs.items() if b in contents}

    def texts_of_tree(self, tree: Tree) -> dict[str, str]:
        return self.texts_of({path: file.blob for path, file in tree.files.items()})

    def pushed(self, sha: str) -> dict[str, str]:
        """Return the texts of a commit below dags/ and include/, links among them."""
        files = self.repository._files[sha]
        return {p: text for p, text in files.items() if p.startswith(("dags/", "include/"))}

    def asked(self, sha: str) -> str:
        """Return the requirements of a commit."""
        return self.repository._files[sha].get(REQUIREMENTS, "")

    def standing(self) -> Standing:
        """Return how the class stands, by its journal and its release."""
        assert self.repository.tip is not None
        tip, live, release = self.repository.tip, self.journal.live(), self.releases.live()
        newest = {}
        for record in self.journal.records.values():
            newest.update({verdict.path: verdict for verdict in record.verdicts})
        said = [line.record.status for line in self.journal.lines]
        commits = [plain(self.pushed(sha)) for sha in self.repository._files]
        live_texts = self.texts_of(self.releases.blobs(release.name)) if release else {}
        there, leads = plain(self.pushed(tip)), links(self.pushed(tip))
        nowhere = leads.keys() - there.keys()
        return Standing(
            tip=tip,
            # In the place of a link that leads nowhere what is live stays, if anything.
            pushed={path: live_texts[path] for path in nowhere & live_texts.keys()} | there,
            asked=self.asked(tip),
            live=live_texts,
            live_sha=live.sha if live else None,
            pending=tuple(sorted(live.pending)) if live else (),
            held=frozenset(live.held) if live else frozenset(),
            packages=self.packages,
            verdicts=newest,
            said={(one.sha, one.context): (one.state.value, one.description) for one in said},
            claimed={
                dag_id: frozenset(
                    path
                    for texts in commits
                    for path in DAG_FILES
                    if path in texts and kind_of(texts[path]) is kind
                )
                for kind, dag_id in COMMON_IDS.items()
            },
            links=leads,
            nowhere=frozenset(nowhere),
        )

    def settle(self) -> bool:
        """Let the worker work until it has nothing to do; tell whether it comes to that."""
        idle = 0
        for _ in range(400):
            again_in_s = self.reconciler.reconcile()
            if again_in_s is None or again_in_s >= 15:
                idle += 1
                if idle > 1:
                    return True
                self.clock.sleep(1)
            else:
                idle = 0
                self.clock.sleep(max(again_in_s, 0.05))
        return False
