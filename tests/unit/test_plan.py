"""From what is live to what is wanted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.dependencies.affected import parse_inputs
from deployer.core.model import (
    Duplicate,
    File,
    LeftOut,
    Plan,
    Refusal,
    RequirementsDiff,
    Tree,
)
from deployer.core.planning.plan import ROUNDS, in_words, plan
from deployer.core.requirements import meaning as requirements
from deployer.core.tree.facts import facts
from deployer.errors import OperatorError

DAG = "from airflow.sdk import DAG\n"
SERVICES = ("airflow-scheduler", "airflow-dag-processor")

TAXI = "dags/lasse/taxi.py"
BIKES = "dags/maria/bikes.py"
HELPERS = "dags/lasse/helpers.py"
CLASS = {
    TAXI: f"{DAG}from lasse.helpers import f\n",
    HELPERS: "from include.sql import text\n",
    BIKES: f"{DAG}DBT = 'include/dbt_project'\n",
    "include/sql.py": "",
    "include/dbt_project/trips.sql": "select 1",
}


def tree(files: dict[str, str], *, requirements: str | None = None, sha: str = "a") -> Tree:
    """Return a tree of these texts; `.airflowignore` files among them are obeyed."""
    return Tree(
        sha=sha * 40,
        files={path: File(text, facts(path, text.encode())) for path, text in files.items()},
        requirements=requirements,
        ignores={path: text for path, text in files.items() if path.endswith(".airflowignore")},
    )


def planned(
    live: Tree | None,
    tip: Tree,
    *,
    installed: str | None = "",
    refusals: dict[str, Refusal] | None = None,
) -> Plan:
    return plan(live, tip, installed=installed, refusals=refusals or {}, services=SERVICES)


def pushed(*without: str, **changes: str) -> Plan:
    """Return the plan for the class's tree with `changes`, `without` these paths."""
    files = {path: text for path, text in CLASS.items() if path not in without}
    return planned(tree(CLASS), tree({**files, **changes}, sha="b"))


# --- which DAG files -------------------------------------------------------


def test_a_changed_dag_file_is_parsed_and_no_other() -> None:
    result = pushed(**{TAXI: f"{DAG}# changed"})
    assert result == Plan(dag_files=(TAXI,))


def test_a_new_dag_file_is_parsed() -> None:
    assert pushed(**{"dags/lasse/new.py": DAG}).dag_files == ("dags/lasse/new.py",)


def test_a_deleted_dag_file_is_waited_for_and_touches_nothing() -> None:
    result = pushed(TAXI)
    assert result == Plan(deleted=(TAXI,))


def test_a_moved_dag_file_is_parsed_in_its_new_place_and_gone_from_the_old() -> None:
    result = pushed(TAXI, **{"dags/lasse/cab.py": CLASS[TAXI]})
    assert (result.dag_files, result.deleted) == (("dags/lasse/cab.py",), (TAXI,))


@pytest.mark.parametrize(
    ("path", "importer"),
    [(HELPERS, TAXI), ("include/sql.py", TAXI), ("include/dbt_project/trips.sql", BIKES)],
)
@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "changed"])
def test_who_uses_a_file_that_moved_is_parsed(path: str, importer: str, *, deleted: bool) -> None:
    result = pushed(path) if deleted else pushed(**{path: "# changed"})
    assert (result.dag_files, result.deleted) == ((importer,), ())


HERE = "import os, sys\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
REACHED = {
    # by what a DAG file holds, a helper that it reaches
    "sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\nimport utils": "utils.py",
    "sys.path.append(str(HERE / 'lib'))\nimport tools": "lib/tools.py",
    "sys.path.append(str(HERE / 'lib'))\nfrom pkg import tools": "lib/pkg/__init__.py",
    "spec_from_file_location('x', HERE / 'tools.py')": "tools.py",
    "BashOperator(bash_command=f'python {HERE}/etl/load.py')": "etl/load.py",
    "BashOperator(bash_command=f'cd {HERE} && python -m load')": "load.py",
    "runpy.run_path(os.path.join(HERE, 'load.py'))": "load.py",
    "runpy.run_path(HERE.joinpath('etl', 'load.py'))": "etl/load.py",
    "runpy.run_path(str(Path(HERE, 'etl', 'load.py')))": "etl/load.py",
    "exec(open('%s/etl' % HERE + '/load.py').read())": "etl/load.py",
    "importlib.import_module('lasse.helpers')": "helpers.py",
    "importlib.import_module(NAME := 'helpers')": "helpers.py",
    "for part in HERE.iterdir(): exec(part.read_text())": "parts/a.py",
    "for part in HERE.glob('parts/*.py'): exec(part.read_text())": "parts/a.py",
    "for part in os.listdir(HERE / 'parts'): load(part)": "parts/a.py",
    "from . import helpers": "helpers.py",
    "from .lib.tools import f": "lib/tools.py",
    "import random": "random.py",  # a file of the own folder that shadows another's
}


@pytest.mark.parametrize("how", ["changed", "new", "deleted"])
@pytest.mark.parametrize(("text", "name"), REACHED.items())
def test_who_reaches_own_code_in_whatever_way_is_parsed_when_it_moves(
    text: str, name: str, how: str
) -> None:
    helper = f"dags/lasse/{name}"
    with_it, without = (
        {TAXI: f"{DAG}{HERE}{text}\n", helper: "x = 1"},
        {TAXI: f"{DAG}{HERE}{text}\n"},
    )
    live = without if how == "new" else with_it
    tip = without if how == "deleted" else {**with_it, helper: "x = 2"}
    assert planned(tree(live), tree(tip, sha="b")).dag_files == (TAXI,)


@pytest.mark.parametrize(("text", "name"), REACHED.items())
def test_the_isolated_parse_has_what_a_dag_file_reaches(text: str, name: str) -> None:
    helper = f"dags/lasse/{name}"
    files = tree({TAXI: f"{DAG}{HERE}{text}\n", helper: f"{DAG}x = 1", BIKES: DAG}).files
    assert parse_inputs(files, [TAXI]) == {TAXI, helper}


def test_a_script_s_helper_and_the_sql_that_it_reads_reach_the_dag_that_runs_it() -> None:
    files = {
        TAXI: f"{DAG}{HERE}BashOperator(bash_command=f'python {{HERE}}/etl/load.py')\n",
        "dags/lasse/etl/load.py": "from tools import f",
        "dags/lasse/etl/tools.py": "open('trips.sql')",
        "dags/lasse/etl/trips.sql": "select 1",
        BIKES: DAG,
    }
    for path in files.keys() - {BIKES}:
        moved = {
            **files,
            path: f"{files[path]} -- changed" if path.endswith("sql") else files[path] + "\n#",
        }
        assert planned(tree(files), tree(moved, sha="b")).dag_files == (TAXI,), path


@pytest.mark.parametrize("word", ["data", "utils", "sql", "a"])
def test_a_common_name_reaches_nobody_elses_files(word: str) -> None:
    uses = f"{DAG}{HERE}import {word}\nopen(HERE / '{word}')\n"
    for moved in (f"dags/lasse/{word}.py", f"dags/lasse/{word}/x.csv", f"dags/lasse/{word}/x.py"):
        live = tree({TAXI: uses, BIKES: uses, moved: "x = 1"})
        tip = tree({TAXI: uses, BIKES: uses, moved: "x = 2"}, sha="b")
        assert planned(live, tip).dag_files == (TAXI,)


def test_a_new_file_that_an_import_was_missing_parses_the_importer() -> None:
    assert pushed(**{"dags/lasse/__init__.py": ""}).dag_files == (TAXI,)


def test_a_module_that_reads_data_passes_the_change_on_to_its_importers() -> None:
    files = {"dags/lasse/dag.py": f"{DAG}import lasse.sql", "dags/lasse/sql.py": "Q = 'q.sql'"}
    live = tree({**files, "dags/lasse/q.sql": "1"})
    tip = tree({**files, "dags/lasse/q.sql": "2"})
    assert planned(live, tip).dag_files == ("dags/lasse/dag.py",)


@pytest.mark.parametrize(
    "path", ["dags/lasse/notes.md", "dags/lasse/unused.py", "include/other/x.sql"]
)
def test_a_file_that_no_dag_uses_is_published_and_nothing_is_parsed(path: str) -> None:
    assert pushed(**{path: "x"}) == Plan()


@pytest.mark.parametrize(("pending", "parsed"), [(TAXI, TAXI), (HELPERS, TAXI), ("gone", None)])
def test_what_nobody_has_judged_is_parsed_though_it_did_not_move(
    pending: str, parsed: str | None
) -> None:
    """A module that waits for those that need it has them parsed."""
    same = tree(CLASS)
    found = plan(same, same, installed="", refusals={}, services=SERVICES, pending=(pending,))
    assert found.dag_files == ((parsed,) if parsed else ())
    assert found.deleted == ()


def test_a_commit_that_moves_no_file_is_published_all_the_same() -> None:
    assert pushed() == Plan()


def test_dag_files_are_looked_for_under_dags_alone() -> None:
    assert pushed(**{"include/sql.py": DAG}).dag_files == (TAXI,)


def test_a_file_that_became_a_dag_file_is_parsed_and_one_that_ceased_to_be_is_deleted() -> None:
    result = pushed(**{HELPERS: DAG, BIKES: "x = 1"})
    assert (result.dag_files, result.deleted) == ((HELPERS, TAXI), (BIKES,))


def test_a_deleted_helper_is_no_deleted_dag_file() -> None:
    assert pushed(HELPERS).deleted == ()


# --- .airflowignore --------------------------------------------------------

IGNORE = "dags/.airflowignore"


def test_what_may_be_executed_from_now_on_has_changed() -> None:
    files = {TAXI: f"{DAG}RUN = 'gen.sh'\n", "dags/lasse/gen.sh": "date"}
    live = tree(files)
    gen = replace(live.files["dags/lasse/gen.sh"], executable=True)
    tip = replace(live, sha="b" * 40, files={**live.files, "dags/lasse/gen.sh": gen})
    assert planned(live, tip).dag_files == (TAXI,)
    assert planned(tip, live).dag_files == (TAXI,)
    assert planned(tip, replace(tip, sha="c" * 40)).dag_files == ()


def test_a_newly_ignored_dag_file_counts_as_deleted() -> None:
    result = pushed(**{IGNORE: "taxi.py"})
    assert (result.dag_files, result.deleted) == ((), (TAXI,))


def test_a_dag_file_that_is_ignored_no_longer_is_parsed_though_it_did_not_change() -> None:
    result = planned(tree({**CLASS, IGNORE: "taxi.py"}), tree(CLASS))
    assert (result.dag_files, result.deleted) == ((TAXI,), ())


def test_an_ignored_dag_file_may_change_or_go_without_a_word() -> None:
    live = tree({**CLASS, IGNORE: "lasse"})
    changed = tree({**CLASS, IGNORE: "lasse", TAXI: DAG})
    gone = tree({path: text for path, text in CLASS.items() if path != TAXI} | {IGNORE: "lasse"})
    for tip in (changed, gone):
        assert planned(live, tip) == Plan()


# --- nothing known ---------------------------------------------------------


def test_with_nothing_known_to_be_live_every_dag_file_is_parsed() -> None:
    tip = tree({**CLASS, IGNORE: "old.py", "dags/maria/old.py": DAG})
    assert planned(None, tip) == Plan(dag_files=(TAXI, BIKES))


def test_an_empty_tree_is_published() -> None:
    assert planned(None, tree({})) == Plan()


def test_what_was_left_out_is_told() -> None:
    left_out = (LeftOut("dags/lasse/.airflowignore", "byte 1 is not UTF-8"),)
    assert planned(None, replace(tree({}), left_out=left_out)).left_out == left_out


# --- requirements ----------------------------------------------------------


def wanting(wanted: str | None, **known: object) -> Plan:
    tip = tree(CLASS, requirements=wanted)
    return planned(tip, tip, **known)  # type: ignore[arg-type]  # passed on as they are


def test_packages_that_move_are_installed_and_services_recreated() -> None:
    wanted = "pandas==2.2\nscipy\n"
    live, tip = tree(CLASS), tree({**CLASS, TAXI: DAG}, requirements=wanted)
    result = planned(live, tip, installed="pandas==2.1\nnumpy\n")
    assert result.requirements == RequirementsDiff(("scipy",), ("numpy",), ("pandas==2.2",))
    assert result.recreate == SERVICES
    assert result.refused is None
    assert result.installs == wanted


def test_packages_that_move_have_all_judged_anew_that_imports_packages() -> None:
    packaged = {"dags/maria/frames.py": "import pandas\n", BIKES: f"{DAG}import maria.frames\n"}
    plain = {TAXI: f"{DAG}import json\nfrom airflow.sdk import task\nimport lasse.helpers\n"}
    same = tree({**CLASS, **packaged, **plain}, requirements="pandas")
    assert planned(same, same, installed="").dag_files == (BIKES,)
    assert planned(same, same, installed="pandas").dag_files == ()


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("Pandas == 2.2  # why\n\nnumpy", "numpy\npandas==2.2.0"),
        ("", None),
        ("# none", ""),
    ],
)
def test_texts_that_install_the_same_move_nothing(installed: str, wanted: str | None) -> None:
    assert wanting(wanted, installed=installed) == Plan()


def test_a_deleted_requirements_file_removes_what_it_asked_for() -> None:
    result = wanting(None, installed="pandas")
    assert result.requirements == RequirementsDiff(removed=("pandas",))
    assert (result.installs, result.recreate) == ("", SERVICES)


@pytest.mark.parametrize("installed", [None, "== nonsense"], ids=["unknown", "unreadable"])
def test_with_nothing_known_to_be_installed_everything_is_made_anew(installed: str | None) -> None:
    result = wanting("pandas", installed=installed)
    assert result.requirements == RequirementsDiff(added=("pandas",))
    assert (result.installs, result.recreate) == ("pandas", SERVICES)


def test_with_nothing_known_even_an_empty_file_is_proven() -> None:
    result = wanting(None, installed=None)
    assert (result.installs, result.recreate) == ("", SERVICES)


def test_requirements_that_were_refused_before_are_not_tried_again() -> None:
    refusals = {requirements.parse("pandas==99").fingerprint: Refusal("there is no pandas 99")}
    result = wanting("pandas ==99  # again", installed="numpy", refusals=refusals)
    assert result == Plan(
        requirements=RequirementsDiff(("pandas==99",), ("numpy",)),
        refused="there is no pandas 99",
    )


def test_what_is_installed_is_not_held_against_anybody_though_it_was_refused_once() -> None:
    refusals = {requirements.parse("pandas").fingerprint: Refusal("the index was broken")}
    assert wanting("pandas", installed="pandas", refusals=refusals).refused is None


def test_requirements_that_cannot_be_read_keep_the_packages_and_name_the_line() -> None:
    result = wanting("pandas\nnum py\n", installed="pandas")
    assert result.refused is not None
    assert result.refused.startswith("requirements.txt:2 ")
    assert replace(result, refused=None) == Plan()


def test_requirements_refused_as_a_whole_name_no_line() -> None:
    result = wanting("#" * 2_000_000, installed="pandas")
    assert result.refused is not None
    assert result.refused.startswith("requirements.txt: ")


def test_moving_packages_without_services_to_recreate_is_the_operators_mistake() -> None:
    tip = tree({}, requirements="pandas")
    with pytest.raises(OperatorError, match="RECREATE_SERVICES"):
        plan(None, tip, installed="", refusals={}, services=())
    assert plan(None, tip, installed="pandas", refusals={}, services=()).recreate == ()


# --- for any two trees -----------------------------------------------------

PATHS = st.sampled_from(
    [TAXI, BIKES, HELPERS, "dags/x.py", "dags/maria/x.py", "include/sql.py", "dags/lasse/q.sql"]
)
TEXTS = st.sampled_from([DAG, CLASS[TAXI], CLASS[HELPERS], CLASS[BIKES], "", f"{DAG}Q = 'q.sql'"])
IGNORES = st.dictionaries(
    st.sampled_from([IGNORE, "dags/lasse/.airflowignore"]),
    st.sampled_from(["", "taxi.py", "lasse/", "*.py", "!taxi.py"]),
)
TREES = st.builds(
    lambda files, ignores: tree({**files, **ignores}), st.dictionaries(PATHS, TEXTS), IGNORES
)


def found(at: Tree) -> set[str]:
    return set(planned(None, at).dag_files)


@given(TREES)
def test_a_tree_that_is_live_needs_nothing_but_its_name(same: Tree) -> None:
    assert planned(same, same) == Plan()


@given(TREES, TREES)
def test_each_dag_file_that_changed_is_parsed_and_each_that_went_is_deleted(
    live: Tree, tip: Tree
) -> None:
    result = planned(live, tip)
    changed = {path for path, file in tip.files.items() if live.files.get(path) != file}
    assert set(result.dag_files) >= found(tip) & changed
    assert set(result.dag_files) >= found(tip) - found(live)
    assert set(result.dag_files) <= found(tip)
    assert set(result.deleted) == found(live) - found(tip)


@given(TREES, TREES)
def test_a_plan_is_sorted(live: Tree, tip: Tree) -> None:
    result = planned(live, tip)
    assert list(result.dag_files) == sorted(set(result.dag_files))
    assert list(result.deleted) == sorted(set(result.deleted))


def test_a_held_module_that_one_file_needs_is_judged_under_all_that_need_it() -> None:
    live = tree({**CLASS, BIKES: f"{DAG}import lasse.helpers\n"})
    files = {**CLASS, BIKES: f"{DAG}import lasse.helpers\n"}
    tip = tree({**files, TAXI: files[TAXI] + "# moved\n"})
    held = plan(
        live, tip, installed="", refusals={}, services=SERVICES, held=(BIKES, HELPERS)
    ).dag_files
    assert held == (TAXI, BIKES)
    assert planned(live, tip).dag_files == (TAXI,)


def test_what_stood_in_the_place_of_a_link_to_nothing_is_judged_once_it_is_there_again() -> None:
    refused = (LeftOut(BIKES, "the link leads to nothing", "dags/gone.py"),)
    tip = tree(CLASS)
    assert planned(replace(tip, left_out=refused), tip).dag_files == (BIKES,)
    assert planned(replace(tip, left_out=refused), replace(tip, left_out=refused)).dag_files == ()


@pytest.mark.parametrize(("links", "judged"), [(3, 3), (ROUNDS + 5, ROUNDS + 20)])
def test_who_waits_for_an_id_is_judged_with_whoever_has_it_and_in_the_end_all_are(
    links: int, judged: int
) -> None:
    """Each waits for the id of the one before; `links` of them hang on the file that moves."""
    paths = [f"dags/s{number:02}/d.py" for number in range(ROUNDS + 20)]
    live = tree(dict.fromkeys(paths, DAG))
    tip = tree({**dict.fromkeys(paths, DAG), paths[0]: f"{DAG}# moved\n"})
    claims = [Duplicate(path, path, other) for other, path in pairwise(paths[:links])]
    rest = [Duplicate(path, path, path) for path in paths[links:]]
    result = plan(
        live,
        tip,
        installed="",
        refusals={},
        services=SERVICES,
        held=paths[1:],
        duplicates=(*claims, *rest),
    )
    assert len(result.dag_files) == judged


def test_requirements_refused_for_a_file_that_is_gone_are_tried_again_whatever_is_live() -> None:
    asked = "pandas==2.0"
    key = requirements.parse(asked).fingerprint
    refusals = {key: Refusal("with it a file no longer parses", TAXI)}
    without = tree({BIKES: CLASS[BIKES]}, requirements=asked)
    assert planned(None, without, refusals=refusals).lapsed == (key,)
    assert planned(None, tree(CLASS, requirements=asked), refusals=refusals).lapsed == ()


@pytest.mark.parametrize(
    ("the_plan", "said"),
    [
        (Plan(), "0 to parse"),
        (Plan(dag_files=(TAXI, BIKES), deleted=(HELPERS,)), "2 to parse, 1 gone"),
        (Plan(recreate=SERVICES), "0 to parse, recreate airflow-scheduler, airflow-dag-processor"),
        (Plan(refused="no such package"), "0 to parse, packages kept: no such package"),
    ],
)
def test_what_a_plan_comes_to_is_said_in_a_few_words(the_plan: Plan, said: str) -> None:
    assert in_words(the_plan, None, None) == said


def test_what_else_is_to_be_said_stands_behind_what_a_plan_comes_to() -> None:
    refused = Plan(refused="no such package")
    assert in_words(refused, "they differ", "the copy differs", "a note", "another") == (
        "0 to parse, they differ, packages kept: no such package, the copy differs, a note, another"
    )
