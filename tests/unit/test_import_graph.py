"""Which files import what moved."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.dependencies import affected
from deployer.core.dependencies.import_graph import importers, outsiders
from deployer.core.model import File
from deployer.core.tree.facts import facts


def tree(**texts: str) -> dict[str, File]:
    """Return files by path; `dags__lasse__taxi` stands for `dags/lasse/taxi.py`."""
    named = {f"{name.replace('__', '/')}.py": text for name, text in texts.items()}
    return files_of(named)


def files_of(texts: dict[str, str]) -> dict[str, File]:
    return {path: File(text, facts(path, text.encode())) for path, text in texts.items()}


TAXI = "dags/lasse/taxi.py"


LOOKED_AT = [
    ("import helpers", "dags/helpers.py"),
    ("import helpers", "dags/helpers/__init__.py"),
    ("import lasse.helpers", "dags/lasse/helpers.py"),
    ("import lasse.helpers", "dags/lasse/helpers/__init__.py"),
    ("import lasse.helpers", "dags/lasse/__init__.py"),
    ("import lasse.a.b.c", "dags/lasse/a/__init__.py"),
    ("import lasse.a.b.c", "dags/lasse/a/b.py"),  # in place of the package
    ("import lasse.helpers", "dags/lasse/helpers.cpython-312-x86_64-linux-gnu.so"),
    ("import lasse.helpers", "dags/lasse/helpers.pyc"),
    ("from lasse import helpers", "dags/lasse/helpers.py"),
    ("from lasse.helpers import f", "dags/lasse/helpers.py"),
    ("from lasse.helpers import f", "dags/lasse/helpers/f.py"),
    ("from lasse import *", "dags/lasse/anything.py"),
    ("from lasse import *", "dags/lasse/anything/__init__.py"),
    ("import dags.lasse.helpers", "dags/lasse/helpers.py"),
    ("import dags.lasse.helpers", "dags/__init__.py"),
    ("from include.sql import text", "include/sql.py"),
    ("from include import sql", "include/__init__.py"),
    ("import include.sql", "dags/include/sql.py"),
    ("from .helpers import f", "dags/lasse/helpers.py"),
    ("from . import helpers", "dags/lasse/helpers.py"),
    ("from . import helpers", "dags/lasse/__init__.py"),
    ("from .. import shared", "dags/shared.py"),
    ("from ..maria.helpers import f", "dags/maria/helpers.py"),
    ("from .a.b import f", "dags/lasse/a/__init__.py"),
    ("def f():\n    import lasse.helpers", "dags/lasse/helpers.py"),
    ("importlib.import_module('lasse.helpers')", "dags/lasse/helpers.py"),
]


@pytest.mark.parametrize(("statement", "moved"), LOOKED_AT)
def test_what_an_import_looks_at_concerns_the_importer(statement: str, moved: str) -> None:
    # The moved file is not in the tree: that is how a deletion looks, and the place is
    # the same for an addition.
    assert importers(tree(dags__lasse__taxi=statement), [moved]) == {TAXI}


@pytest.mark.parametrize(
    ("statement", "moved"),
    [
        *LOOKED_AT,
        ("from include.a.b import c", "include/a/b/c.py"),
        ("from maria import helpers", "dags/maria/lib/helpers.py"),
        ("sys.path.append(f'{dags}/maria-b')\nimport helpers", "dags/maria-b/helpers.py"),
    ],
)
def test_so_it_is_where_the_text_cannot_be_parsed(statement: str, moved: str) -> None:
    newer = f"{statement}\ndef of_a_newer_python(:\n"
    assert TAXI in affected.stirred(tree(dags__lasse__taxi=newer), [moved])


def test_what_imports_something_of_others_is_an_outsider_and_so_is_what_cannot_be_parsed() -> None:
    files = tree(
        dags__lasse__taxi="import pandas",
        dags__lasse__fares="def of_a_newer_python(:",
        dags__lasse__bikes="import os\nfrom airflow.sdk import dag\nimport lasse.taxi",
    )
    assert outsiders(files) == {TAXI, "dags/lasse/fares.py"}


@pytest.mark.parametrize(
    ("statement", "moved"),
    [
        ("import helpers", "dags/maria/helpers.py"),
        ("HERE = 'helpers'", "dags/maria/helpers.py"),
        ("import lasse.helpers", "dags/maria/helpers.py"),
        ("import lasse.helpers", "dags/lasse/other.py"),
        ("import lasse.helpers", "dags/__init__.py"),
        ("import lasse.helpers", "dags/lasse/helpers/deeper.py"),
        ("import lasse.helpers", "dags/lasse/helpers.sql"),
        ("from lasse import *", "dags/lasse/a/deeper.py"),
        ("import lasse", "dags/lasse/helpers.py"),
        ("import pandas", "dags/lasse/helpers.py"),
        ("from .helpers import f", "dags/maria/helpers.py"),
        ("from .helpers import f", "dags/__init__.py"),
        ("from .... import helpers", "dags/lasse/helpers.py"),
        ("importlib.import_module('')", "dags/__init__.py"),
    ],
)
def test_anything_else_does_not(statement: str, moved: str) -> None:
    assert importers(tree(dags__lasse__taxi=statement), [moved]) == set()


def test_a_relative_import_in_a_package_starts_at_the_package() -> None:
    files = files_of({"dags/lasse/pkg/__init__.py": "from .a import f"})
    assert importers(files, ["dags/lasse/pkg/a.py"]) == {"dags/lasse/pkg/__init__.py"}


def test_importers_are_found_through_others() -> None:
    files = tree(
        dags__lasse__taxi="import lasse.a",
        dags__lasse__a="from . import b",
        dags__lasse__b="from include import c",
        include__c="",
        dags__maria__bikes="import maria.c",
    )
    assert importers(files, ["include/c.py"]) == {TAXI, "dags/lasse/a.py", "dags/lasse/b.py"}


def test_a_circle_of_imports_ends() -> None:
    files = tree(dags__a="import b", dags__b="import c", dags__c="import a")
    assert importers(files, ["dags/a.py"]) == {"dags/a.py", "dags/b.py", "dags/c.py"}


def test_a_file_outside_of_dags_and_include_concerns_nobody() -> None:
    files = tree(dags__a="import requirements", dags__b="import scripts.x")
    assert importers(files, ["requirements.txt", "README.md", "scripts/x.py"]) == set()


def test_nothing_moved_concerns_nobody() -> None:
    assert importers(tree(dags__a="import b", dags__b="import a"), []) == set()


def test_of_two_files_that_claim_one_name_both_concern_the_importer() -> None:
    files = tree(dags__lasse__taxi="import dags.helpers", dags__dags__helpers="")
    for path in ("dags/helpers.py", "dags/dags/helpers.py"):
        assert importers(files, [path]) == {TAXI}


def test_an_import_with_very_many_parts_costs_no_more_than_its_length() -> None:
    deep = ".".join(["lasse"] * 40)
    names = ", ".join(f"n{number}" for number in range(5_000))
    files = tree(dags__lasse__taxi=f"from {deep} import {names}")
    assert importers(files, ["dags/lasse/__init__.py"]) == {TAXI}


# --- against Python's own resolution ---------------------------------------

PATHS = [
    "dags/taxi.py",
    "dags/a.py",
    "dags/p/__init__.py",
    "dags/p/a.py",
    "dags/p/q/__init__.py",
    "dags/p/q/b.py",
    "include/__init__.py",
    "include/a.py",
]
STATEMENTS = [
    "import a",
    "import p.a",
    "import p.q.b",
    "from p import a",
    "from p import *",
    "from p.q import b",
    "from . import a",
    "from .a import x",
    "from .. import a",
    "from ..a import x",
    "from . import *",
    "from include import a",
    "import include.a",
    "import dags.p.a",
]
TEXTS = st.lists(st.sampled_from(STATEMENTS), max_size=3).map("\n".join)
TREES = st.dictionaries(st.sampled_from(PATHS), TEXTS).map(lambda t: {"dags/taxi.py": "", **t})


# Loads dags/taxi.py of each release named on standard input as Airflow does, and writes
# which files of the release Python has loaded for it.
LOAD = """
import contextlib, importlib.util, json, os, sys

sys.dont_write_bytecode = True
before, path = set(sys.modules), list(sys.path)
answers = []
for release in json.load(sys.stdin):
    sys.path[:] = [*path, release + "/dags", release]
    spec = importlib.util.spec_from_file_location("unusual_prefix_taxi", release + "/dags/taxi.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    files = [getattr(sys.modules.pop(name), "__file__", None) for name in {*sys.modules} - before]
    answers.append([os.path.relpath(file, release) for file in files if file])
print(json.dumps(answers))
"""


def test_whatever_python_loads_for_a_file_concerns_it(tmp_path: Path) -> None:
    rng = random.Random(5)  # noqa: S311 - test data, the same in each run
    cases = [
        {path: rng.sample(STATEMENTS, rng.randrange(4)) for path in sorted({"dags/taxi.py", *some})}
        for some in (rng.sample(PATHS, rng.randrange(2, len(PATHS))) for _ in range(200))
    ]
    releases = [tmp_path / str(number) for number in range(len(cases))]
    for release, case in zip(releases, cases, strict=True):
        for path, statements in case.items():
            file = release / path
            file.parent.mkdir(parents=True, exist_ok=True)
            # `suppress`: what fails must not keep the rest from being loaded.
            lines = (f"with suppress(ImportError): exec({line!r})" for line in statements)
            file.write_text("\n".join(["from contextlib import suppress", *lines]))
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=json.dumps([str(release) for release in releases]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    followed = 0
    for case, loaded in zip(cases, json.loads(done.stdout), strict=True):
        files = files_of({path: "\n".join(lines) for path, lines in case.items()})
        for path in loaded:
            assert "dags/taxi.py" in importers(files, [path]), (case, path)
            followed += 1
    assert followed > 200  # the comparison is not empty


@given(TREES, st.sets(st.sampled_from(PATHS)), st.sets(st.sampled_from(PATHS)))
def test_moving_more_concerns_more(texts: dict[str, str], one: set[str], more: set[str]) -> None:
    files = files_of(texts)
    assert importers(files, one | more) == importers(files, one) | importers(files, more)


@given(TREES, st.sets(st.sampled_from(PATHS)))
def test_importers_of_importers_are_importers(texts: dict[str, str], moved: set[str]) -> None:
    files = files_of(texts)
    found = importers(files, moved)
    assert importers(files, found) <= found
