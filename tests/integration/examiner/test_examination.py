"""Whom an examination blames, with a parser that ends as the test says; no Airflow."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from deployer.core.model import Examined, File, Tree
from deployer.edges.parser import parser_process
from deployer.edges.parser.examiner import MOST_IN_VAIN, IsolatedExaminer
from deployer.edges.parser.protocol import Limits
from deployer.edges.parser.warm_parser import LocalParser
from deployer.errors import PreflightError
from tests.integration.examiner.world import SHA, Disk, all_of

# The name of a file says how its parse ends, some only in the first parser of a test.
PARSER = """
import json, os, pathlib, sys
starts = pathlib.Path(os.environ["STARTS"])
with starts.open("a") as file:
    file.write("x")
first = starts.stat().st_size == 1

def say(**value):
    print(json.dumps(value), flush=True)

def outcome(name):
    if name == "hopeless" or (first and name == "crowded"):
        return {"ended": "setup", "what": "BlockingIOError(11)"}
    if name == "bomb" or (first and name == "starter"):
        trace = "Traceback (most recent call last):\\nBlockingIOError: [Errno 11] not now\\n"
        return {"ended": "reported", "errors": {"a": trace}}
    return {"ended": "reported", "dag_ids": [name]}

print("what an entrypoint prints")
print("[" * 5000)
say(ready=True)
for line in sys.stdin:
    asked = json.loads(line)
    names = [pathlib.Path(path).stem for path in asked["paths"]]
    if "never" in names:
        sys.exit()
    for path, name in zip(asked["paths"], names):
        say(id=asked["id"], started=path)
        if name == "nonsense":
            print("what?", flush=True)
        if name == "nested":
            print("[" * 5000, flush=True)
        if name == "killer":
            sys.exit()
        if name == "mute":
            sys.stdin.read()
        say(id=asked["id"], path=path, **outcome(name))
    say(id=asked["id"], done=True)
"""
TAKES_DOWN = "takes down the process that watches its parser"


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    return tmp_path / "starts"


@pytest.fixture
def examiner(tmp_path: Path, starts: Path) -> IsolatedExaminer:
    script = tmp_path / "parser.py"
    script.write_text(PARSER)
    parser = LocalParser(lambda: Path(sys.executable), script, {"STARTS": str(starts)})
    limits = Limits(wall_s=1.0)
    disk = Disk(tmp_path)
    return IsolatedExaminer(now=parser, built=parser, materialiser=disk, limits=limits)


def found(examiner: IsolatedExaminer, *names: str) -> dict[str, Examined]:
    paths = [f"dags/a/{name}.py" for name in names]
    with closing(examiner):
        results = examiner.examine(Tree(SHA, {path: File(SHA) for path in paths}), paths)
    return {Path(one.path).stem: one for one in results}


@pytest.mark.parametrize("name", ["crowded", "starter"])
def test_a_file_that_lacked_a_process_through_others_is_examined_alone(
    examiner: IsolatedExaminer, starts: Path, name: str
) -> None:
    results = found(examiner, "one", name, "two")

    assert {name: one.dag_ids for name, one in results.items()} == {
        name: (name,) for name in ("one", name, "two")
    }
    assert starts.stat().st_size == 2


def test_a_file_that_lacks_processes_alone_is_to_blame(examiner: IsolatedExaminer) -> None:
    assert found(examiner, "bomb")["bomb"].harm == "starts more processes than one file may have"


def test_if_no_parser_can_be_made_for_a_file_alone_then_no_file_is_to_blame(
    examiner: IsolatedExaminer,
) -> None:
    with pytest.raises(PreflightError, match=r"can't work here: BlockingIOError\(11\)"):
        found(examiner, "one", "hopeless")


@pytest.mark.parametrize("name", ["killer", "nonsense", "mute"])
def test_who_ran_when_the_parser_went_down_is_seen_alone(
    examiner: IsolatedExaminer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(parser_process, "SILENCE_MARGIN_S", 1.0)

    results = found(examiner, "one", name, "two")

    assert results.pop(name).harm == TAKES_DOWN
    assert {name: one.dag_ids for name, one in results.items()} == {
        "one": ("one",),
        "two": ("two",),
    }


def test_two_examinations_that_go_down_together_each_find_their_own(
    examiner: IsolatedExaminer,
) -> None:
    with closing(examiner):
        both = [
            examiner.begin(Tree(SHA, {path: File(SHA) for path in paths}), paths)
            for paths in (["dags/a/killer.py", "dags/a/one.py"], ["dags/b/killer.py"])
        ]
        harms = [{path: one.harm for path, one in all_of(each).items()} for each in both]
        for each in both:
            each.end()

    assert harms == [
        {"dags/a/killer.py": TAKES_DOWN, "dags/a/one.py": None},
        {"dags/b/killer.py": TAKES_DOWN},
    ]


def test_a_parser_that_never_begins_is_not_started_for_ever(
    examiner: IsolatedExaminer, starts: Path
) -> None:
    with pytest.raises(PreflightError, match="can't work here: it died"):
        found(examiner, "never")

    assert starts.stat().st_size == MOST_IN_VAIN
