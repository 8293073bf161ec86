"""What a DAG file needs is held with it, and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.dependencies import affected
from deployer.core.model import ParseError, Tree
from tests.unit.test_plan import DAG, tree

TAXI, BIKES, FARES = "dags/lasse/taxi.py", "dags/maria/bikes.py", "dags/lasse/fares.py"
HELP = "dags/lasse/help.py"
SHARED = "include/shared.py"
USES = f"{DAG}from lasse.help import f\nfrom include.shared import g\n"
LIVE = {TAXI: USES, FARES: USES, BIKES: USES, HELP: "1", SHARED: "1"}


def held(moved: dict[str, str], *harmful: str, held: tuple[str, ...] = ()) -> dict[str, str]:
    there = tree({**LIVE, **dict.fromkeys(held, "0")}).files
    tip = tree({**LIVE, **moved})
    return affected.modules(tree(LIVE), tip, harmful, held=held, published=there)


@pytest.mark.parametrize("module", [HELP, SHARED])
@pytest.mark.parametrize("path", [TAXI, BIKES])
def test_a_module_under_a_file_that_did_not_move_is_to_blame(module: str, path: str) -> None:
    assert held({module: "2"}, path) == {module: path}


def test_a_module_that_did_not_move_is_not() -> None:
    assert held({TAXI: f"{USES}# 2\n"}, TAXI) == {}


def test_of_a_file_that_moved_itself_only_its_own_folder_is_held() -> None:
    moved = {TAXI: f"{USES}# 2\n", HELP: "2", SHARED: "2"}
    assert held(moved, TAXI) == {HELP: TAXI}


def test_a_file_that_moved_holds_nothing_of_another_folder() -> None:
    assert held({BIKES: f"{USES}# 2\n", HELP: "2", SHARED: "2"}, BIKES) == {}


def test_include_is_another_folder_than_that_of_a_file_in_none() -> None:
    top, beside = "dags/top.py", "dags/beside.py"
    files = {top: f"{USES}from beside import h\n", beside: "1", SHARED: "1"}
    before, tip = tree(files), tree({top: f"{files[top]}# 2\n", beside: "2", SHARED: "2"})
    found = affected.modules(before, tip, (top,), held=(), published=before.files)
    assert found == {beside: top}


def test_nothing_is_held_for_a_new_file() -> None:
    assert held({"dags/lasse/new.py": USES, HELP: "2"}, "dags/lasse/new.py") == {}


def test_what_a_harmful_file_does_not_need_goes_live() -> None:
    assert held({HELP: "2", "dags/lasse/other.py": "2"}, TAXI) == {HELP: TAXI}


def test_a_file_held_for_its_own_sake_blames_nobody_elses_module() -> None:
    assert held({HELP: "2"}, BIKES, held=(BIKES,)) == {}


def test_a_file_held_for_what_is_mended_blames_what_moved_meanwhile() -> None:
    assert held({SHARED: "2"}, BIKES, held=(BIKES, HELP)) == {HELP: BIKES}
    before = tree({**LIVE, HELP: "harm"})
    found = affected.modules(
        before,
        tree({**LIVE, SHARED: "2"}),
        (BIKES,),
        held=(BIKES, HELP),
        published=tree(LIVE).files,
    )
    assert found == {SHARED: BIKES}


def test_a_module_that_is_again_as_it_is_live_is_not_held() -> None:
    before = tree({**LIVE, HELP: "2"})
    there = tree(LIVE)
    found = affected.modules(before, there, (TAXI,), held=(TAXI, HELP), published=there.files)
    assert found == {}


def test_a_module_held_before_stays_to_blame() -> None:
    assert held({}, BIKES, held=(BIKES, HELP)) == {HELP: BIKES}


def test_a_module_held_before_stays_so_where_only_the_file_moves() -> None:
    moved = {BIKES: f"{USES}# 2\n"}
    assert held(moved, BIKES, held=(BIKES, SHARED)) == {SHARED: BIKES}
    assert held({**moved, SHARED: "2"}, BIKES, held=(BIKES, SHARED)) == {}


def test_a_harmful_file_is_no_module_of_another() -> None:
    files = {TAXI: f"{DAG}from lasse.fares import x\n", FARES: DAG}
    now = {**files, FARES: f"{DAG}# 2\n"}
    before = tree(files)
    found = affected.modules(before, tree(now), (TAXI, FARES), held=(), published=before.files)
    assert found == {}


def test_where_nothing_is_known_to_be_live_its_own_folder_is_held() -> None:
    there = tree({**LIVE, HELP: "0", SHARED: "0"}).files
    assert affected.modules(None, tree(LIVE), (TAXI,), held=(), published=there) == {HELP: TAXI}


def test_the_first_that_needs_a_module_is_named() -> None:
    assert held({HELP: "2"}, TAXI, FARES, BIKES) == {HELP: FARES}


def test_a_held_module_is_woken_by_whoever_needs_it() -> None:
    files = tree(LIVE).files
    assert affected.Held(files, files, [HELP, "dags/lasse/gone.py"]).woken([TAXI]) == {HELP}
    assert affected.Held(files, files, [HELP, TAXI]).woken(["dags/maria/other.py"]) == set()


def test_a_held_module_is_woken_by_who_needed_it_before() -> None:
    files = tree(LIVE).files
    now = tree({**LIVE, TAXI: DAG}).files
    assert affected.Held(files, now, [HELP]).woken([TAXI]) == {HELP}


def test_a_tree_without_modules_has_none_to_hold() -> None:
    bare = Tree("a" * 40, {TAXI: tree({TAXI: DAG}).files[TAXI]})
    assert affected.modules(bare, bare, (TAXI,), held=(), published=bare.files) == {}


# --- both directions --------------------------------------------------------

LINES = [
    *("import help", "from lasse import help", "from . import help", "import dags.maria.bikes"),
    *("from lasse.help import f", "from include.shared import g", "import shared", "import sql.q"),
    *("from include import *", "import_module('maria.bikes')", "import_module(x)", "x = 'maria'"),
    *("x = 'q.sql'", "x = 'sql/q.sql'", "x = 'include'", "x = 'include/sql'", "x = '*.sql'"),
    *("x = 'sql'", "x = 'help'", "glob('*')", "this is no Python", "from lasse.sql import q"),
]
PATHS = [
    *(TAXI, FARES, BIKES, HELP, SHARED, "dags/lasse/sql/q.sql", "dags/lasse/sql/q.py"),
    *("dags/maria/__init__.py", "dags/help.py", "dags/top.py", "include/sql/q.sql"),
    *("include/sql/__init__.py", "include/help.py", "dags/maria/q.sql", "dags/include/shared.py"),
]
TREES = st.dictionaries(
    st.sampled_from(PATHS), st.lists(st.sampled_from(LINES), max_size=3).map("\n".join)
)


@given(TREES)
def test_what_a_file_needs_is_what_stirs_it(texts: dict[str, str]) -> None:
    files = tree(texts).files
    for path in files:
        stirring = {other for other in files if path in affected.stirred(files, {other})}
        assert affected.Needs(files).of((path,), set()) - {path} == stirring - {path}


@given(TREES, st.sets(st.sampled_from(PATHS)))
def test_what_is_known_is_passed_over_with_all_that_it_needs(
    texts: dict[str, str], first: set[str]
) -> None:
    files = tree(texts).files
    needs, known = affected.Needs(files), set[str]()
    apart = [needs.of((path,), known) for path in sorted(first & files.keys())]
    assert set().union(*apart) == known == needs.of(first & files.keys(), set())


# --- what stands alone -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "trace", "alone"),
    [
        ("def (:", "SyntaxError", f'  File "/r/{TAXI}", line 1', True),
        ("def (:", "IndentationError", "", True),  # traces are not always at hand
        ("def (:", "SyntaxError", f'  File "/r/{TAXI}", line 1\n  File "/r/{HELP}", line 1', False),
        ("def (:", "ImportError", f'  File "/r/{TAXI}", line 1', False),
        ("import help", "SyntaxError", f'  File "/r/{TAXI}", line 1', False),
    ],
    ids=["no python", "no trace", "of what it imports", "newer than ours", "we can read it"],
)
def test_only_a_file_whose_own_text_is_no_python_stands_alone(
    *, text: str, kind: str, trace: str, alone: bool
) -> None:
    file = tree({TAXI: text}).files[TAXI]
    assert affected.stands_alone(TAXI, file, ParseError(kind, "", 1, trace)) is alone


def test_a_file_without_an_error_does_not_stand_alone() -> None:
    assert not affected.stands_alone(TAXI, tree({TAXI: "def (:"}).files[TAXI], None)
