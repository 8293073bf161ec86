"""Which trees of a repository are kept in memory."""

from __future__ import annotations

from deployer.edges.git.objects import GitTrees


def test_a_tree_that_two_commits_in_a_row_do_not_hold_is_let_go() -> None:
    asked: list[str] = []

    def read(tree: str) -> bytes:
        asked.append(tree)
        return b"100644 a.py\0" + bytes(20)

    trees = GitTrees(read)
    for kept in ("one", "two", "one"):
        trees.age()
        trees.entries(kept)
        trees.entries(kept)
    assert asked == ["one", "two", "one"]
    trees.age()
    trees.entries("one")
    assert asked == ["one", "two", "one"]
