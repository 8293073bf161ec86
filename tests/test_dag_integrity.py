"""The class's rules, kept by every DAG file of the tree: one test a file and rule.

Runs wherever Airflow is installed: `astro dev pytest`, plain pytest, `scripts/test`. It needs no
database. The rules are those that Airflow itself applies (include/airflow/class_rules.py); one
of level `warn` shows as pytest's warning. An empty tree is a failure. A file without a DAG, a
helper, need only be importable; of one that could not be parsed the first test fails. Neither
has a rule to keep: those tests are skipped.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import time
import warnings
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("airflow", reason="runs in Airflow's environment")

from airflow import settings
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.file import list_py_file_paths

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "dags"
RULES = ROOT / "include" / "airflow"

# As a student's clone has them, unless this Airflow has loaded its own already.
sys.path.insert(0, str(RULES))
import class_dags
import class_levels
import class_rules

sys.path.remove(str(RULES))

AGREED = class_levels.read(RULES / "class_rules.toml")
with warnings.catch_warnings(action="ignore"):  # Airflow's own, about itself
    # As its dag-processor lists them: those with its words, none that .airflowignore hides, zips.
    FILES = sorted(map(Path, list_py_file_paths(DAGS, safe_mode=True)))
FORK = multiprocessing.get_context("fork")
LONGEST_S = 60
"""Airflow's own time-out interrupts a file earlier, unless the file withstands it."""

# A warning is for reading, however strict the repository's own settings are.
pytestmark = pytest.mark.filterwarnings("default")


class ClassRule(UserWarning):
    """A rule of level `warn` is broken."""


class Parsed(NamedTuple):
    """What a file came to: its DAGs, also those against the rules, and what Airflow says of it."""

    dags: list[class_rules.Dag]
    errors: list[str]
    warnings: list[str]


@cache
def parse(path: Path) -> Parsed:
    """Parse a file as Airflow does: in a process of its own, where no other's modules are."""
    here, there = FORK.Pipe(duplex=False)
    child = FORK.Process(target=parse_and_tell, args=(path, there))
    child.start()
    there.close()
    until = time.monotonic() + LONGEST_S
    try:
        # A process that the file has started may keep the pipe open.
        while not here.poll(0.2) and child.is_alive() and time.monotonic() < until:
            pass
        if not here.poll():
            return Parsed([], [ending(child.exitcode)], [])
        dags, errors, said = json.loads(here.recv_bytes())
    except (EOFError, OSError):  # os._exit, a crash
        child.join(LONGEST_S)
        return Parsed([], [ending(child.exitcode)], [])
    finally:
        child.kill()
        child.join()
    return Parsed([class_rules.Dag(**with_sets(dag)) for dag in dags], errors, said)


def parse_and_tell(path: Path, there: Connection) -> None:
    # Airflow handles a fault of the memory, so it would be met again and again: now it is the end.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})
    # As in the class's Airflow: installed modules first, then the repository's.
    sys.path += [str(ROOT), str(DAGS)]
    # A policy that is active here would keep DAGs from the tests that are to name its rules.
    found = {}
    settings.dag_policy = lambda dag: found.setdefault(id(dag), dag)
    bag = DagBag(dag_folder=str(path), safe_mode=True)
    dags = [class_dags.read(dag, within(dag.fileloc, ROOT)) for dag in found.values()]
    said = [text for texts in bag.captured_warnings.values() for text in texts]
    # JSON, since whoever reads it has none of the file's own classes.
    told = [list(map(asdict, dags)), list(bag.import_errors.values()), said]
    there.send_bytes(json.dumps(told, default=list).encode())


def with_sets(told: dict) -> dict:
    return {key: frozenset(it) if isinstance(it, list) else it for key, it in told.items()}


def ending(exitcode: int | None) -> str:
    """Return the error of a file whose process told nothing; None: it did not end."""
    if exitcode is None:
        how = f"was ended after {LONGEST_S} s: do less while the file is read"
        return f"ParserTimeout: its parser {how}"
    how = f"ended with exit status {exitcode}" if exitcode >= 0 else f"crashed (signal {-exitcode})"
    return f"ParserDied: its parser {how}, without a result"


def within(path: Path | str, top: Path) -> str:
    return Path(path).relative_to(top).as_posix()


def name(path: Path) -> str:
    return within(path, DAGS)


def test_the_tree_holds_dag_files():
    assert FILES, f"no DAG file below {DAGS}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_parses(path: Path):
    parsed = parse(path)
    for text in parsed.warnings:
        warnings.warn(text, stacklevel=1)
    assert not parsed.errors, "\n".join(parsed.errors)


@pytest.mark.parametrize("rule", class_levels.RULES)
@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_keeps(path: Path, rule: str):
    dags, errors, _ = parse(path)
    if errors or not dags:
        pytest.skip("not parsed: test_file_parses tells why" if errors else "no DAG in it")
    if rule == class_levels.DUPLICATE:
        tree = [dag for file in FILES for dag in parse(file).dags]
        own = {dag.path for dag in dags}
        found = [one for one in class_rules.duplicates(tree, AGREED) if one.path in own]
    else:
        found = [one for dag in dags for one in class_rules.violations(dag, AGREED)]
        found = [one for one in found if one.rule == rule]
    for one in found:
        if one.level is class_levels.Level.WARN:
            warnings.warn(ClassRule(one.sentence), stacklevel=1)
    wrong = [one.sentence for one in found if one.level is class_levels.Level.ERROR]
    assert not wrong, "\n".join(wrong)
