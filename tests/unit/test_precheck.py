"""`deployer check`: what a push would have judged, and what it would say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deployer.core.model import (
    Examined,
    Facts,
    File,
    LeftOut,
    Outcome,
    ParseError,
    Proof,
    Tree,
    Verdict,
)
from deployer.core.precheck import REMEDIES, dag_files, judged, left_out, packages, remedy, within
from deployer.core.reporting.commit_status import of_file

X, Y, Z = "dags/amy/x.py", "dags/amy/y.py", "dags/bo/z.py"
DAG = Facts(may_hold_dag=True)
NO_PANDAS = ParseError("ModuleNotFoundError", "No module named 'pandas'", 12)


def tree(files: dict[str, Facts], requirements: str | None = None) -> Tree:
    of = {path: File("0", facts) for path, facts in files.items()}
    return Tree("0" * 40, of, requirements)


def test_all_dag_files_are_judged_and_nothing_else() -> None:
    given = tree({X: DAG, Z: DAG, "dags/amy/helper.py": Facts()})
    assert dag_files(given) == (X, Z)


def test_a_helper_has_the_dag_files_that_import_it_judged() -> None:
    uses = Facts(frozenset({(0, "amy.helper.NAME")}), may_hold_dag=True)
    given = tree({X: uses, Y: DAG, "dags/amy/helper.py": Facts()})
    assert dag_files(given, {"dags/amy/helper.py"}) == (X,)
    assert dag_files(given, {Y}) == (Y,)


def test_what_is_gone_and_a_link_to_what_moved_have_their_users_judged() -> None:
    uses = Facts(frozenset({(0, "amy.helper.NAME")}), may_hold_dag=True)
    given = replace(tree({X: DAG, Y: DAG, Z: uses}), links={Y: X})
    assert dag_files(given, set(), {"dags/amy/helper.py"}) == (Z,)
    assert dag_files(given, {X}) == (X, Y)


def test_requirements_that_cant_be_read_are_told_with_their_line() -> None:
    assert packages(tree({}, "pandas\n")) == packages(tree({})) == ()
    (told,) = packages(tree({}, "pandas\n-e nonsense\n"))
    assert (told.path, told.outcome, told.error and told.error.line) == (
        "requirements.txt",
        Outcome.BROKEN,
        2,
    )


def test_an_ignore_file_has_the_dag_files_below_its_folder_judged() -> None:
    ignores = {"dags/amy/.airflowignore": "y.py\n", "dags/bo/.airflowignore": ""}
    files = tree(
        {X: DAG, Y: DAG, Z: DAG, "dags/amy/deep/w.py": DAG, **dict.fromkeys(ignores, Facts())}
    )
    given = replace(files, ignores=ignores)
    assert dag_files(given, {"dags/amy/.airflowignore"}) == ("dags/amy/deep/w.py", X)
    assert dag_files(given, {X}) == (X,)


@pytest.mark.parametrize("requirements", [None, "pandas\n", "-e nonsense\n"])
def test_requirements_make_no_difference(requirements: str | None) -> None:
    assert dag_files(tree({X: DAG}, requirements), {X}) == (X,)


@pytest.mark.parametrize(
    ("path", "place", "is_within"),
    [
        (X, X, True),
        (X, "dags/amy", True),
        (X, "", True),
        (X, "dags/am", False),
        (X, "dags/amy/x", False),
        ("dags/amy/", X, True),
        ("dags/amy/", "dags/amy", True),
        ("dags/amy/", "dags/am", False),
    ],
)
def test_a_place_is_a_file_or_a_folder(path: str, place: str, *, is_within: bool) -> None:
    assert within(path, ["elsewhere", place]) is is_within


def test_what_is_not_published_is_held_as_a_deployment_holds_it() -> None:
    given = Tree("0" * 40, {}, left_out=(LeftOut(X, "too long"),))
    assert left_out(given) == (
        Verdict(X, Outcome.HELD, error=ParseError("Held", "too long"), proof=Proof.NONE),
    )


@pytest.mark.parametrize(
    ("examined", "verdict"),
    [
        (Examined(X, ("amy_x",)), Verdict(X, Outcome.PARSED, ("amy_x",), proof=Proof.PREFLIGHT)),
        (Examined(X), Verdict(X, Outcome.NO_DAG, proof=Proof.PREFLIGHT)),
        (
            Examined(X, ("amy_x",), advice=("has no owner",)),
            Verdict(
                X,
                Outcome.PARSED,
                ("amy_x",),
                proof=Proof.PREFLIGHT,
                warnings=("has no owner",),
            ),
        ),
        (
            Examined(X, ("amy_x",), error=NO_PANDAS),
            Verdict(X, Outcome.BROKEN, error=NO_PANDAS, proof=Proof.PREFLIGHT),
        ),
        (
            Examined(X, harm="ends"),
            Verdict(X, Outcome.HELD, error=ParseError("Held", "ends"), proof=Proof.PREFLIGHT),
        ),
    ],
)
def test_what_was_examined_is_a_verdict(examined: Examined, verdict: Verdict) -> None:
    assert judged([examined], beside=[]) == (verdict,)


def test_two_files_with_one_dag_id_are_told_of_each_other() -> None:
    both = judged([Examined(X, ("amy_one",)), Examined(Y, ("amy_one",))], beside=[])
    assert [(v.outcome, v.error and v.error.message) for v in both] == [
        (Outcome.HELD, f"dag_id 'amy_one' is claimed by {Y} too: choose another"),
        (Outcome.HELD, f"dag_id 'amy_one' is claimed by {X} too: choose another"),
    ]


def test_assets_in_each_others_way_are_told_and_no_matter_of_colour() -> None:
    files = [
        Examined(X, ("amy_x",), assets=(("trips", "s3://a"), ("rides", "s3://b"))),
        Examined(Y, ("amy_y",), assets=(("trips", "s3://a"), ("rides", "s3://c"))),
        Examined(Z, ("amy_z",), assets=(("cabs", "s3://a"), ("others", "s3://d"))),
    ]
    found = judged(files, beside=[])
    assert all(verdict.good for verdict in found)
    told = [[re.findall(r"='(\w+)'.* of (\S+):", text) for text in v.warnings] for v in found]
    assert told == [
        [[("trips", Z)], [("rides", Y)]],
        [[("trips", Z)], [("rides", X)]],
        [[("cabs", X)]],
    ]


def test_a_file_beside_is_named_only_if_it_claims_an_id_too() -> None:
    beside = [Examined(Y, ("amy_y",)), Examined(Z, ("one", "bo_z"))]
    found = judged([Examined(X, ("one",))], beside=beside)
    assert [v.path for v in found] == [X, Z]
    assert not any(v.good for v in found)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (Verdict(X, Outcome.PARSED, ("amy_x",)), f"{X}  1 DAG: amy_x"),
        (Verdict(X, Outcome.NO_DAG), f"{X}  no DAG in it"),
        (
            Verdict(X, Outcome.BROKEN, error=NO_PANDAS),
            f"{X}:12 ModuleNotFoundError: No module named 'pandas'",
        ),
        (
            Verdict(X, Outcome.HELD, error=ParseError("Held", "ends its parser")),
            f"{X} is held: ends its parser",
        ),
    ],
)
def test_one_file_is_told_in_the_words_of_a_status(verdict: Verdict, line: str) -> None:
    assert of_file(verdict) == line


@pytest.mark.parametrize(
    ("requirements", "module"),
    [
        ("pandas>=2\n", "pandas"),
        ("Scikit_Learn\n", "sklearn"),
        ("beautifulsoup4\n", "bs4"),
        ("biopython\n", "Bio"),
        ("python-telegram-bot\n", "telegram"),
        ("PyYAML\n", "yaml"),
        ("python-dotenv\n", "dotenv"),
        ("psycopg2-binary\n", "psycopg2"),
        ("google-cloud-storage\n", "google.cloud.storage"),
        ("google-cloud-storage\n", "google"),
        ("apache-airflow-providers-http\n", "airflow.providers.http"),
        ("apache-airflow-providers-apache-spark\n", "airflow.providers.apache"),
    ],
)
def test_a_package_that_requirements_ask_for_is_no_fault_where_it_is_not_installed(
    requirements: str, module: str
) -> None:
    error = ParseError("ModuleNotFoundError", f"No module named '{module}'", 3)
    (found,) = judged([Examined(X, error=error)], beside=[], requirements=requirements)
    assert found == Verdict(X, Outcome.NO_DAG, error=error)
    assert found.good
    assert of_file(found) == f"{X}:3 ModuleNotFoundError: No module named '{module}'"
    told = remedy(found)
    assert told is not None
    assert "stands in requirements.txt and is not installed here" in told


@pytest.mark.parametrize(
    ("requirements", "kind", "message"),
    [
        ("pandas\n", "ModuleNotFoundError", "No module named 'pandaz'"),
        ("pandas\n", "ModuleNotFoundError", "No module named 'pandas.nosuch'"),
        ("pandas\n", "ModuleNotFoundError", "nothing that says which"),
        ("pandas\n", "ImportError", "cannot import name 'x' from 'pandas'"),
        ("pandas=2\n", "ModuleNotFoundError", "No module named 'pandas'"),
        ("", "ModuleNotFoundError", "No module named 'pandas'"),
    ],
)
def test_any_other_import_that_fails_is_a_fault(requirements: str, kind: str, message: str) -> None:
    examined = Examined(X, error=ParseError(kind, message, 3))
    (found,) = judged([examined], beside=[], requirements=requirements)
    assert found.outcome is Outcome.BROKEN


def test_a_known_error_comes_with_its_mending() -> None:
    told = remedy(Verdict(X, Outcome.BROKEN, error=NO_PANDAS))
    assert told == REMEDIES["ModuleNotFoundError"]
    assert "requirements.txt" in told


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("ModuleNotFoundError", "No module named 'airflow.operators.bash_operator'"),
        ("ModuleNotFoundError", "No module named 'airflow.contrib'"),
        ("ModuleNotFoundError", "No module named 'airflow.providers.standard.operators.dummy'"),
        ("ImportError", "cannot import name 'days_ago' from 'airflow.utils.dates' (/x/dates.py)"),
        ("ImportError", "cannot import name 'SubDag' from 'airflow' (/x/__init__.py)"),
        ("TypeError", "DAG.__init__() got an unexpected keyword argument 'schedule_interval'"),
    ],
)
def test_what_only_airflow_2_has_is_in_no_package(kind: str, message: str) -> None:
    told = remedy(Verdict(X, Outcome.BROKEN, error=ParseError(kind, message, 1)))
    assert told is not None
    assert "Examples for Airflow 2" in told
    assert "requirements.txt" not in told


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("http", "apache-airflow-providers-http:"),
        ("apache_x", "apache-airflow-providers-apache-x:"),
        ("apache.spark", "apache-airflow-providers-apache-spark:"),
        ("cncf", "apache-airflow-providers-cncf-…:"),  # that is all that Python says
    ],
)
def test_a_provider_that_is_not_there_is_a_package(module: str, package: str) -> None:
    message = f"No module named 'airflow.providers.{module}'"
    error = ParseError("ModuleNotFoundError", message, 1)
    told = remedy(Verdict(X, Outcome.BROKEN, error=error))
    assert told is not None
    assert f"in a package of its own, {package}" in told
    assert "requirements.txt" in told


def test_a_module_of_ones_own_that_is_not_utf_8_is_to_be_saved_so() -> None:
    message = "(unicode error) 'utf-8' codec can't decode byte 0xe9 in position 2: invalid"
    error = ParseError("SyntaxError", message, 1)
    assert remedy(Verdict(X, Outcome.BROKEN, error=error)) == REMEDIES["UnicodeDecodeError"]


def test_who_reads_a_command_line_is_told_where_it_may_be_read() -> None:
    told = remedy(Verdict(X, Outcome.BROKEN, error=ParseError("SystemExit", "2", 1)))
    assert told is not None
    assert 'argparse and the like only under `if __name__ == "__main__":`' in told


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(X, Outcome.PARSED, ("amy_x",)),
        Verdict(X, Outcome.BROKEN),
        Verdict(X, Outcome.BROKEN, error=ParseError("OwnError", "x")),
        Verdict(X, Outcome.HELD, error=ParseError("Held", "x")),
    ],
)
def test_where_nothing_is_known_nothing_is_advised(verdict: Verdict) -> None:
    assert remedy(verdict) is None
