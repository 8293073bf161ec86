"""What is laid out beside the files that are parsed in isolation."""

from __future__ import annotations

from deployer.core.dependencies.affected import parse_inputs
from deployer.core.model import Facts, File


def dag(*imports: str, mentions: tuple[str, ...] = ()) -> File:
    named = frozenset((0, name) for name in imports)
    return File("b", Facts(named, frozenset(mentions), may_hold_dag=True))


HELPER = File("b")


def test_helpers_and_data_are_always_there_and_dag_files_of_others_are_not() -> None:
    files = {
        "dags/lasse/taxi.py": dag(),
        "dags/lasse/other.py": dag(),
        "dags/amy/dag.py": dag(),
        "dags/amy/helper.py": HELPER,
        "include/q.sql": HELPER,
    }

    assert parse_inputs(files, ["dags/lasse/taxi.py"]) == files.keys() - {"dags/amy/dag.py"}


def test_large_data_of_others_is_there_only_if_it_or_its_folder_is_named() -> None:
    files = {
        "dags/lasse/taxi.py": dag(mentions=("rides.csv", "bo")),
        "dags/lasse/own.bin": HELPER,
        "dags/amy/rides.csv": HELPER,
        "dags/amy/other.csv": HELPER,
        "dags/bo/all.csv": HELPER,
        "include/huge.bin": HELPER,
    }

    needed = parse_inputs(files, ["dags/lasse/taxi.py"], large=files.keys())

    assert needed == files.keys() - {"dags/amy/other.csv", "include/huge.bin"}


def test_a_dag_file_that_is_imported_comes_along_with_what_it_imports_itself() -> None:
    files = {
        "dags/lasse/taxi.py": dag("amy.shared"),
        "dags/amy/shared.py": dag("bo.deeper"),
        "dags/bo/deeper.py": dag(),
        "dags/bo/unrelated.py": dag(),
    }

    needed = parse_inputs(files, ["dags/lasse/taxi.py"])

    assert needed == files.keys() - {"dags/bo/unrelated.py"}


def test_a_package_comes_along_by_its_own_name() -> None:
    files = {"dags/lasse/taxi.py": dag("amy"), "dags/amy/__init__.py": dag()}

    assert parse_inputs(files, ["dags/lasse/taxi.py"]) == files.keys()


def test_a_dag_file_comes_along_when_it_or_its_folder_is_named_in_a_string() -> None:
    files = {
        "dags/lasse/taxi.py": dag(mentions=("read.py", "bo")),
        "dags/amy/read.py": dag(),
        "dags/bo/globbed.py": dag(),
        "dags/cy/unrelated.py": dag(),
    }

    needed = parse_inputs(files, ["dags/lasse/taxi.py"])

    assert needed == files.keys() - {"dags/cy/unrelated.py"}


def test_a_path_that_the_tree_lacks_is_passed_over() -> None:
    assert parse_inputs({}, ["dags/lasse/gone.py"]) == frozenset()
