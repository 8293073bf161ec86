"""Which files use a data file, judged by the paths they mention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.dependencies.data_references import users
from deployer.core.model import Facts, File

TAXI = "dags/lasse/taxi.py"


def files(*mentions: str, at: str = TAXI, beside: tuple[str, ...] = ()) -> dict[str, File]:
    return {at: File("1", Facts(mentions=frozenset(mentions))), **{p: File("2") for p in beside}}


# --- include/ --------------------------------------------------------------

MODEL = "include/dbt_project/models/trips.sql"
THERE = (MODEL, "include/sql/q.sql", "include/helpers.py")


@pytest.mark.parametrize(
    ("mentions", "moved"),
    [
        (("include", "dbt_project"), MODEL),
        (("include", "dbt_project"), "include/dbt_project/new.yml"),
        (("include", "dbt_project", "sql"), MODEL),
        (("include", "settings.yaml"), "include/settings.yaml"),
        (("include", "helpers.py"), "include/helpers.py"),
        (("include",), MODEL),  # a computed name
        (("include", ".sql"), MODEL),
    ],
)
def test_a_file_under_include_concerns_who_mentions_it(
    mentions: tuple[str, ...], moved: str
) -> None:
    assert users(files(*mentions, beside=THERE), [moved]) == {TAXI}


@pytest.mark.parametrize(
    ("mentions", "moved"),
    [
        ((), MODEL),
        (("include", "sql"), MODEL),
        (("include", "helpers.py"), MODEL),
        (("dbt_project",), MODEL),
        (("include", "dbt_project"), "dags/lasse/x.sql"),
        (("Include", "dbt_project"), MODEL),
    ],
)
def test_a_file_under_include_concerns_nobody_else(mentions: tuple[str, ...], moved: str) -> None:
    assert users(files(*mentions, beside=THERE), [moved]) == set()


def test_the_last_file_of_a_folder_that_is_deleted_concerns_who_mentions_the_folder() -> None:
    assert users(files("include", "sql", beside=(MODEL,)), ["include/sql/q.sql"]) == {TAXI}
    assert users(files("include", "sql", beside=(MODEL,)), [MODEL]) == {TAXI}  # nothing it names


def test_a_module_under_include_that_mentions_data_is_a_user() -> None:
    loader = "include/sql/load.py"
    assert users(files("q.sql", at=loader, beside=THERE), ["include/sql/q.sql"]) == {loader}


# --- folders ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("mention", "moved"),
    [
        ("query.sql", "dags/lasse/query.sql"),
        ("query.sql", "dags/lasse/sql/deep/query.sql"),
        ("sql", "dags/lasse/sql/deep/query.sql"),
        ("deep", "dags/lasse/sql/deep/query.sql"),
        (".sql", "dags/lasse/query.sql"),
        ("Makefile", "dags/lasse/Makefile"),
        (".py", "dags/lasse/load.py"),
        ("load.py", "dags/lasse/etl/load.py"),
        ("etl", "dags/lasse/etl/load.py"),
    ],
)
def test_a_data_file_concerns_the_files_of_its_folder_that_mention_it(
    mention: str, moved: str
) -> None:
    assert users(files("other", mention), [moved]) == {TAXI}


@pytest.mark.parametrize(
    ("mention", "moved"),
    [
        ("query.sql", "dags/lasse/other.sql"),
        ("query.sql", "dags/maria/query.sql"),
        ("lasse", "dags/lasse/query.sql"),
        (".yaml", "dags/lasse/query.sql"),
        ("*", "dags/lasse/query.sql"),  # as in a cron expression
        ("other.py", "dags/maria/other.py"),
    ],
)
def test_a_data_file_concerns_nobody_else(mention: str, moved: str) -> None:
    assert users(files(mention), [moved]) == set()


def test_a_data_file_concerns_a_file_elsewhere_that_mentions_its_folder_too() -> None:
    assert users(files("maria", "query.sql"), ["dags/maria/query.sql"]) == {TAXI}


def test_a_data_file_of_no_folder_concerns_any_dag_file_that_mentions_it() -> None:
    assert users(files("class.yaml"), ["dags/class.yaml"]) == {TAXI}


def test_a_prefix_of_a_folders_name_is_another_folder() -> None:
    assert users(files("q.sql", at="dags/lasse2/taxi.py"), ["dags/lasse/q.sql"]) == set()


# --- named by an import ----------------------------------------------------

MARIA = "dags/maria/sql/q.sql"
SHARED = "include/sql/q.sql"


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("include.sql", SHARED),  # files("include.sql"), import include.sql
        ("include.sql.HERE", SHARED),
        ("include.sql.read.read", SHARED),
        ("include.sqlread", "include/q.sql"),
        ("include.sqlread.read", "include/q.sql"),
        ("include", "include/q.sql"),
        ("include.paths.SQL", SHARED),
        ("maria.sql", MARIA),
        ("maria.sql.HERE", MARIA),
        ("dags.maria.sql", MARIA),
        ("maria.paths.HERE", MARIA),
        ("maria", MARIA),
    ],
)
@pytest.mark.parametrize("spelled", [False, True])
def test_a_data_file_concerns_a_file_elsewhere_that_imports_what_is_in_its_folder(
    name: str,
    moved: str,
    spelled: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Or spells it, as in `import_module(f"include.sql.{name}")`."""
    imports = frozenset[tuple[int, str]]() if spelled else frozenset({(0, name)})
    reader = Facts(imports, frozenset({"q.sql", *([name] if spelled else [])}))
    there = (
        "include/__init__.py",
        "include/paths.py",
        "include/sqlread.py",
        "include/sql.py",
        "include/sql/__init__.py",
    )
    hers = ("dags/maria/__init__.py", "dags/maria/paths.py")
    tree = {TAXI: File("1", reader)} | dict.fromkeys((*there, *hers), File("2"))
    assert users(tree, [moved]) == {TAXI}


def test_the_last_file_of_a_folder_that_is_deleted_concerns_who_imports_the_folder() -> None:
    reader = Facts(frozenset({(0, "include.sql")}), frozenset({"q.sql"}))
    assert users({TAXI: File("1", reader)}, [SHARED]) == {TAXI}


def test_an_import_of_a_folder_concerns_nothing_there_that_is_not_named() -> None:
    reader = Facts(frozenset({(0, "include.sql")}), frozenset({"other.sql"}))
    assert users({TAXI: File("1", reader)}, [SHARED]) == set()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("airflow.models.DAG", "airflow"),
        ("airflow", "airflow"),
        ("json", "json"),
        ("pandas", "pandas"),
        ("pandas.DataFrame", "pandas"),
        ("utils.clean", "utils"),  # of the file's own folder
        ("mariah.models", "maria"),
        ("include.models", "models"),
    ],
)
def test_an_import_of_what_is_elsewhere_names_no_folder_called_so(name: str, folder: str) -> None:
    reader = Facts(frozenset({(0, name)}), frozenset({".sql"}))
    beside = ["load.py", "models/q.sql"]
    if name != "pandas":
        beside.append("__init__.py")
    tree = {TAXI: File("1", reader)} | {f"dags/{folder}/{path}": File("2") for path in beside}
    assert users(tree, [f"dags/{folder}/models/q.sql"]) == set()


WORDS = st.text(alphabet="ab*?[]!.-~&|", min_size=1, max_size=8)


@given(st.sets(WORDS), st.lists(WORDS, min_size=1, max_size=3))
def test_no_odd_mention_makes_it_raise(mentions: set[str], below: list[str]) -> None:
    tree = files("include", *mentions)
    assert users(tree, ["/".join(["dags", "lasse", *below])]) <= tree.keys()
    assert users(tree, ["/".join(["include", *below])]) <= tree.keys()
