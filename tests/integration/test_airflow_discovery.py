"""Airflow's own search for DAG files, beside ours, on the same trees."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from deployer.core.tree.facts import facts
from deployer.core.tree.ignores import NAME, Ignores, unreadable
from deployer.edges.disk import airflow_files

pytestmark = pytest.mark.airflow

# Reads the roots from standard input, writes for each what Airflow finds, or its error.
SEARCH = """
import json, os, sys
from airflow.utils.file import list_py_file_paths

def search(root):
    try:
        return sorted(os.path.relpath(p, root) for p in list_py_file_paths(root, safe_mode=True))
    except Exception as exc:
        return type(exc).__name__

print("\\n" + json.dumps([search(root) for root in json.load(sys.stdin)]))
"""

DAG = b"from airflow.sdk import DAG\n"
CONTENTS = [DAG, DAG, DAG, b"import airflow\n", b"PK\x05\x06" + bytes(18)]
NAMES = ["a", "b", "a_b", ".h", "__pycache__", "x y"]
ENDINGS = [".py", ".py", ".py", ".zip", ".txt", ""]
PIECES = [*"ab*?!//_# \\[]-", "**", "[ab]", ".py"]
PATTERNS = ["*.py", "!a.py", "a/", "/a", "a/b", "**/b.py", "a/**", "!b/", "*_b*", "/", "[b-a]", "!"]


KNOWN = """
import json, os, sys
from pathlib import Path
import class_listing

read, asked = class_listing.by_its_text, []
def by_its_text(path, *zips):
    asked.append(path)
    return read(path, *zips)
class_listing.by_its_text = by_its_text

root = Path(sys.argv[1])
dag, other, linked = root / "dag.py", root / "other.py", root / "linked.py"
dag.write_text("from airflow.sdk import DAG")
other.write_text("x = 1")
os.link(dag, linked)
first = [class_listing.might_contain_dag(str(path)) for path in (dag, other, linked, dag)]
read_of_four = len(asked)
replaced = root / "new.py"
replaced.write_text("from somewhere import thing")  # as long as before
os.replace(replaced, dag)
second = [class_listing.might_contain_dag(str(path)) for path in (dag, linked)]
print(json.dumps([first, read_of_four, second]))
"""


def a_pattern(rng: random.Random) -> str:
    return rng.choice([*PATTERNS, "".join(rng.choices(PIECES, k=rng.randrange(1, 5)))])


def a_tree(rng: random.Random) -> dict[str, bytes]:
    """Return files by path below `dags/`, with ignore files of any kind among them."""
    folders = [""]
    for _ in range(rng.randrange(5)):
        folders.append(f"{rng.choice(folders)}{rng.choice(NAMES)}/")
    files = {
        f"{rng.choice(folders)}{rng.choice(NAMES)}{rng.choice(ENDINGS)}": rng.choice(CONTENTS)
        for _ in range(rng.randrange(1, 9))
    }
    for _ in range(rng.randrange(3)):
        lines = (a_pattern(rng) for _ in range(rng.randrange(4)))
        text = rng.choice(["\n", "\r\n"]).join(lines).encode()
        if unreadable(text) is None:
            files[f"{rng.choice(folders)}{NAME}"] = text
    # A name can't be both a file's and a folder's.
    return {path: text for path, text in files.items() if f"{path}/" not in folders}


def ours(tree: dict[str, bytes]) -> list[str]:
    texts = {path: content for path, content in tree.items() if path.endswith(NAME)}
    ignores = Ignores({f"dags/{path}": content.decode() for path, content in texts.items()})
    return sorted(
        path
        for path, content in tree.items()
        if facts(path, content).may_hold_dag and not ignores.hides(f"dags/{path}")
    )


def theirs(python: Path, trees: list[dict[str, bytes]], tmp_path: Path) -> list[list[str] | str]:
    """Return for each tree what Airflow finds, or the name of the error that ends its search."""
    roots = [tmp_path / "trees" / str(number) for number in range(len(trees))]
    for root, tree in zip(roots, trees, strict=True):
        root.mkdir(parents=True)
        for path, content in tree.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    done = subprocess.run(
        [python, "-c", SEARCH],
        input=json.dumps([str(root) for root in roots]),
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[list[str] | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_airflow_finds_what_we_say_it_finds(airflow_python: Path, tmp_path: Path) -> None:
    rng = random.Random(3)  # noqa: S311 - test data, the same in each run
    trees = [a_tree(rng) for _ in range(400)]
    for tree, found in zip(trees, theirs(airflow_python, trees, tmp_path), strict=True):
        assert found == ours(tree), tree


def test_airflow_fails_on_what_we_call_unreadable(airflow_python: Path, tmp_path: Path) -> None:
    rng = random.Random(4)  # noqa: S311 - test data, the same in each run
    texts = [a_pattern(rng).encode() for _ in range(300)]
    # The bound on wildcards is our own: Airflow would not fail, but hang.
    texts = [text for text in texts if text.count(b"*") <= 4] + [b"\xe9", b"\xff\xfea\0", b"a\0"]
    trees = [{NAME: text, "a.py": DAG} for text in texts]
    found = theirs(airflow_python, trees, tmp_path)
    failed = {text for text, outcome in zip(texts, found, strict=True) if isinstance(outcome, str)}
    assert failed == {text for text in texts if unreadable(text) is not None}
    assert failed >= {b"!", b"[b-a]", b"\xe9"}
    assert len(failed) < len(set(texts))


def test_a_file_is_read_once_and_again_when_another_takes_its_place(
    airflow_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "dags").mkdir()
    done = subprocess.run(
        [airflow_python, "-c", KNOWN, str(tmp_path / "dags")],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(airflow_files()),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    first, read, second = json.loads(done.stdout.splitlines()[-1])
    assert first == [True, False, True, True]
    assert read == 2
    assert second == [False, True]
