"""What is read out of one file without running it."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.core.model import ANYTHING, WHOLE_DIRECTORY, Facts
from deployer.core.tree.facts import LARGEST_PARSED, facts

PATH = "dags/lasse/taxi.py"
UNPARSABLE = b"def f(:\n"


def imports(text: str) -> set[tuple[int, str]]:
    return set(facts(PATH, text.encode()).imports)


def mentions(text: str) -> set[str]:
    return set(facts(PATH, text.encode()).mentions)


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("dag.py", "from airflow.sdk import dag")
    return held.getvalue()


# --- imports ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a.b.c", {(0, "a.b.c")}),
        ("import a, b as c", {(0, "a"), (0, "b")}),
        ("from a import b", {(0, "a"), (0, "a.b")}),
        ("from a.b import c, d as e", {(0, "a.b"), (0, "a.b.c"), (0, "a.b.d")}),
        ("from a import *", {(0, "a"), (0, "a.*")}),
        ("from .a import b", {(1, "a"), (1, "a.b")}),
        ("from . import b", {(1, ""), (1, "b")}),
        ("from ...a import b", {(3, "a"), (3, "a.b")}),
        ("from a import (\n  b,\n  c,\n)", {(0, "a"), (0, "a.b"), (0, "a.c")}),
    ],
)
def test_each_form_of_import_statement_is_found(text: str, found: set[tuple[int, str]]) -> None:
    assert imports(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import a",
        "try:\n    import a\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    import a",
        "class C:\n    async def f(self):\n        with x:\n            import a",
    ],
)
def test_imports_are_found_wherever_they_stand(text: str) -> None:
    assert imports(text) == {(0, "a")}


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("importlib.import_module('a.b')", {(0, "a.b")}),
        ("import_module('a', package=None)", {(0, "a")}),
        ("import_module('..a', __package__)", {(2, "a")}),
        ("import_module('.a', 'lasse.jobs')", {(0, "lasse.jobs.a")}),
        ("import_module('.a', package='lasse.jobs')", {(0, "lasse.jobs.a")}),
        ("import_module(name='..a.b', package='lasse.jobs')", {(0, "lasse.a.b")}),
        ("import_module('.', 'lasse.jobs')", {(0, "lasse.jobs")}),
        ("import_module('....a', 'lasse')", {(0, "lasse.a")}),
        ("import_module('a', 'lasse.jobs')", {(0, "a")}),
        ("__import__('a')", {(0, "a")}),
        ("importlib.import_module(name)", set()),
        ("importlib.import_module()", set()),
        ("load('a')", set()),
        ("loader.load('a')", set()),
    ],
)
def test_modules_imported_by_a_plain_string_are_found(
    call: str, found: set[tuple[int, str]]
) -> None:
    assert imports(call) == found


def test_an_import_in_a_comment_or_a_string_is_none() -> None:
    assert imports("# import a\nx = 'import b'\n") == set()


def test_a_name_longer_than_any_file_name_is_passed_over() -> None:
    assert imports(f"import a, {'b.' * 200}c") == {(0, "a")}


# --- encodings and hopeless text -------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfimport a",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\nimport a",
        b"import a\r\nx = 1\r\n",
    ],
    ids=["byte order mark", "declared encoding", "line ends of Windows"],
)
def test_encodings_are_read_as_python_does(content: bytes) -> None:
    assert facts(PATH, content).imports == {(0, "a")}


@pytest.mark.parametrize(
    "rest",
    [
        UNPARSABLE,
        b"x = 'a\0b'",
        b"x = '\xe9'",
        b"x = " + b"-" * 100_000 + b"1",
        b"x = a" + b".b" * 20_000,
        b"x = " + b"(" * 1_000,
        b"x = " + b"9" * 5_000,
        b"x = 1\n" * LARGEST_PARSED,
    ],
    ids=[
        "syntax error",
        "null byte",
        "not UTF-8",
        "parser out of memory",
        "deeper than the stack",
        "too many parentheses",
        "number too long",
        "huge",
    ],
)
def test_text_that_cannot_be_parsed_may_import_and_read_whatever_it_names(rest: bytes) -> None:
    start = b"\xef\xbb\xbffrom airflow.sdk import DAG\nfrom .a import b\nP = 'x/my-sql/q.sql'\n"
    read = facts(PATH, start + rest)
    assert read.imports == {ANYTHING}
    assert read.mentions >= {"airflow.sdk", "airflow", "sdk", "a", "b", "x", "my-sql", "q.sql"}
    assert read.mentions >= {WHOLE_DIRECTORY, "include"}
    assert read.may_hold_dag


def test_an_unknown_encoding_does_not_raise() -> None:
    assert facts(PATH, b"# coding: klingon\nimport a").imports == {ANYTHING}


def test_odd_escapes_of_a_student_raise_no_warning() -> None:
    # pytest turns warnings into errors here.
    assert facts(PATH, b"import a\nx = '\\d' is 1").imports == {(0, "a")}


@given(st.binary() | st.text().map(str.encode))
@example(b"\xff\xfei\0m\0p\0o\0r\0t\0 \0a\0")
@example(b"PK\x05\x06")
@example(b"# coding: undefined\n")
def test_no_content_makes_it_raise(content: bytes) -> None:
    assert isinstance(facts(PATH, content), Facts)
    assert isinstance(facts("dags/lasse/archive", content), Facts)


# --- mentions --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("'include/dbt_project'", {"include", "dbt_project"}),
        ("ROOT / 'include' / 'sql'", {"include", "sql"}),
        ("'/opt/airflow/include/q.sql'", {"opt", "airflow", "include", "q.sql"}),
        ("'cd /x/include && dbt run'", {"x", "include"}),
        ("'dbt run --project-dir=/x/dbt'", {"x", "dbt"}),
        ("'psql -f \"query.sql\"'", {"query.sql"}),
        ("f'include/{name}.sql'", {"include", ".sql"}),
        ("'include/{}.sql'.format(x)", {"include", ".sql"}),
        ("name + '.sql'", {".sql"}),
        ("Path(x).glob('*.yaml')", {".yaml"}),
        ("glob('sql/q_[0-9].sql')", {"sql", ".sql"}),
        ("glob('load_?.py')", {".py"}),
        ("glob('query_*')", {WHOLE_DIRECTORY}),
        ("glob('*ql')", {WHOLE_DIRECTORY}),
        ("fnmatch(x, '*.sql*')", {WHOLE_DIRECTORY}),
        ("'Really?'", {"Really?"}),
        ("'*/5'", {"*", "5"}),
        ("'These include tests.'", {"These include tests."}),
        ("ROOT / 'my data' / 'q 1.sql'", {"my data", "q 1.sql", "1.sql"}),
        ("'./my data/q.sql'", {".", "my data", "my", "data", "q.sql"}),
        ("'sh run && python -c \"import tools\"'", {"run", "-c", "tools"}),
        ("'Include'", {"Include"}),
        ("b'include'", set()),
        ("''", set()),
        ("# 'include'", set()),
    ],
)
def test_path_components_in_strings_are_mentions(text: str, found: set[str]) -> None:
    assert mentions(text) == found


@pytest.mark.parametrize(
    ("text", "all_of_it"),
    [
        ("glob(os.path.join(HERE, '*'))", True),
        ("glob.iglob(str(HERE / '**' / '*'), recursive=True)", True),
        ("HERE.iterdir()", True),
        ("HERE.glob(PATTERN)", True),
        ("HERE.rglob(pattern='*')", True),
        ("HERE.glob('*.sql')", False),
        ("import_module(f'lasse.step{number}')", True),
        ("__import__(name)", True),
        ("import_module('lasse.step1')", False),
    ],
)
def test_a_listed_directory_or_a_computed_module_may_mean_all_that_is_there(
    text: str,
    all_of_it: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert (WHOLE_DIRECTORY in mentions(text)) is all_of_it


def test_strings_and_names_longer_than_any_path_are_no_mentions() -> None:
    assert mentions(f"x = 'include/{'y ' * 10_000}'\nz = 'sql/{'z' * 256}'") == {"sql"}


# --- may it hold a DAG -----------------------------------------------------


@pytest.mark.parametrize(
    ("content", "may"),
    [
        (b"from airflow.sdk import DAG", True),
        (b"from airflow.sdk import Asset", True),
        (b"AIRFLOW and a dag, if only in a comment", True),
        (b"from airflow.sdk import Variable", False),
        (b"import dagster", False),
        (b"", False),
    ],
)
def test_a_python_file_may_hold_a_dag_as_in_safe_mode(content: bytes, may: bool) -> None:  # noqa: FBT001 - a table's column
    assert facts(PATH, content).may_hold_dag is may


@pytest.mark.parametrize("path", ["dags/x.txt", "dags/x.PY", "dags/x.pyc", "dags/.py", "dags/py"])
def test_only_a_file_that_ends_in_py_is_read_as_python(path: str) -> None:
    assert facts(path, b"from airflow.sdk import DAG") == Facts(
        mentions=frozenset({"airflow.sdk", "DAG", "from airflow.sdk import DAG"})
    )


def test_a_script_or_settings_mention_what_they_name() -> None:
    script = b"#!/bin/sh\ncd $(dirname $0)\nsh step.sh\npython -m etl.load\n"
    assert facts("dags/l/run", script).mentions >= {"step.sh", "etl.load"}
    assert "q.sql" in facts("dags/l/conf.yaml", b"sql: q.sql\n").mentions
    assert facts("dags/l/x.parquet", b"PAR1\0sql: q.sql\n") == Facts()
    assert "q.sql" not in facts("dags/l/big.csv", b"x\n" * 15_000 + b"a/q.sql\n").mentions
    assert facts("dags/l/urls.csv", b"".join(b"%d.sql\n" % n for n in range(300))) == Facts()


@pytest.mark.parametrize("path", ["dags/lasse/pack.zip", "dags/lasse/pack", "dags/lasse/pack.py"])
def test_a_zip_may_hold_a_dag_whatever_its_name(path: str) -> None:
    assert facts(path, zipped()) == Facts(
        mentions=frozenset({WHOLE_DIRECTORY, "include"}), may_hold_dag=True
    )


def test_a_zip_that_python_refuses_to_look_at_holds_none() -> None:
    spanning_two_disks = (
        b"PK\x06\x07" + bytes(4 + 8) + (2).to_bytes(4, "little") + b"PK\x05\x06" + bytes(18)
    )
    assert facts("dags/lasse/pack.zip", spanning_two_disks) == Facts()


@pytest.mark.parametrize("path", ["dags/my dir/q.sql", "dags/an@na/q.sql"])
def test_a_text_that_can_not_be_parsed_mentions_the_parts_of_its_strings(path: str) -> None:
    found = facts("any.py", f"open('{path}')\nthis is no Python".encode())
    assert set(path.split("/")) <= found.mentions


# --- bounds ----------------------------------------------------------------


def numbered(form: str, count: int) -> str:
    return ", ".join(form.format(number) for number in range(count))


@pytest.mark.parametrize("text", ["import {}", "from x import {}"])
def test_what_imports_very_much_may_use_whatever_is_near(text: str) -> None:
    found = facts(PATH, text.format(numbered("a{}", 5_000)).encode())
    assert ANYTHING in found.imports
    assert len(found.imports) < 1_000
    assert found.mentions == {WHOLE_DIRECTORY, "include"}


@pytest.mark.parametrize("text", ["x = [{}]", "x = [{}] of a newer Python"])
def test_what_names_very_much_may_use_whatever_is_near(text: str) -> None:
    found = facts(PATH, text.format(numbered("'a{}.sql'", 5_000)).encode())
    assert found.imports == {ANYTHING}
    assert found.mentions >= {WHOLE_DIRECTORY, "include", "a0.sql"}
    assert len(found.mentions) < 3_000


def test_of_calls_in_calls_the_outermost_are_looked_at() -> None:
    depth = 80
    nested = "glob(" * depth + "'*'" + ")" * depth
    assert WHOLE_DIRECTORY in mentions(nested)
    assert mentions(f"glob(f({nested.replace('glob', 'f')}, 'x.sql'))") == {"x.sql", "*"}
