"""What Airflow reads before a deployment changes it: in the live release, and as git has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property

from deployer.core.model import Live, Tree
from deployer.core.planning import held as rules
from deployer.core.tree.facts import facts
from deployer.deployment.parts import Parts
from deployer.errors import UnknownCommit


class Published:
    """What is published, each part of it read once.

    Attributes:
        live: how it is live, as far as that is known and was judged.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._release = parts.releases.live()
        self.live = parts.journal.live()

    @cached_property
    def blobs(self) -> Mapping[str, str]:
        """Return what the live release holds: blob ids by path."""
        return self._parts.releases.blobs(self._release.name) if self._release else {}

    @cached_property
    def last(self) -> Live | None:
        """Return `live`, or of which commit the release is; None: nothing is published."""
        if self.live or not self._release:
            return self.live
        return Live(self._release.sha, stays=self._parts.journal.stays())

    @cached_property
    def tree(self) -> Tree | None:
        """Return the tree of `last`, with what stays in it of older commits; None: it is lost."""
        if self.last is None:
            return None
        try:
            trees = {
                sha: self._parts.repository.tree(sha)
                for sha in {self.last.sha, *dict(self.last.stays).values()}
            }
        except UnknownCommit:  # the mirror was made anew after a forced push
            return None
        bare = trees[self.last.sha]
        if not self.last.stays:
            return bare
        return self._as_it_stays(rules.live_tree(self.last, trees, self.blobs.keys()), bare)

    def completed(self, bare: Tree, old: Tree | None) -> tuple[Tree, tuple[tuple[str, str], ...]]:
        """Return a commit with what stays where it can't be published, and its `Live.stays`.

        `old`: what is live, as far as it is as published; None: that is not known.
        """
        stood = old or self.tree
        if self.last is None or stood is None:
            return bare, ()
        there, paths = self._as_it_stays(stood, bare), self.blobs.keys()
        return rules.with_what_stays(there, bare, paths), rules.places_that_stay(
            self.last, stood, bare, paths
        )

    def _as_it_stays(self, tree: Tree, bare: Tree) -> Tree:
        """Return `tree` with what only stays beside the commit `bare` as it is published.

        Its own text may be held, which nobody can mend where something else is in its place.
        """
        staying = rules.stays_live(bare, tree.files.keys() & self.blobs.keys())
        other = {p: self.blobs[p] for p in staying if tree.files[p].blob != self.blobs[p]}
        try:
            texts = dict(self._parts.repository.blobs(frozenset(other.values())))
        except UnknownCommit:  # as above
            return tree
        files = {
            path: replace(tree.files[path], blob=blob, facts=facts(path, texts[blob]))
            for path, blob in other.items()
        }
        return replace(tree, files={**tree.files, **files})

    def of(self, tip: Tree) -> Tree | None:
        """Return what is published of the files of a tip, judged or not; None: nothing is."""
        there = {path: file for path, file in tip.files.items() if path in self.blobs}
        files = {path: replace(file, blob=self.blobs[path]) for path, file in there.items()}
        return replace(tip, files=files) if files else None

    def deployed(self, tip: Tree) -> tuple[Tree | None, Collection[str]]:
        """Return the tree whose release it is, though nobody judged it, and what it holds.

        Where that is lost: what is published of a tip.
        """
        try:
            tree = self._parts.repository.tree(self._release.sha) if self._release else None
        except UnknownCommit:  # as above
            tree = None
        if tree is None:
            return self.of(tip), ()
        return tree, [p for p, file in tree.files.items() if self.blobs.get(p) != file.blob]
