"""What the class has agreed on: values in, sentences out; and the file that says how serious."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[2] / "include" / "airflow"

with pytest.MonkeyPatch.context() as patched:
    # As Airflow's processes have them: from a directory on their path.
    patched.syspath_prepend(str(FILES))
    rules = import_module("class_rules")
    levels = import_module("class_levels")

AGREED = levels.read()
"""The agreement as it is shipped."""
GOOD = rules.Dag(
    path="dags/lasse/taxi.py",
    dag_id="lasse_taxi",
    tags=frozenset({"week1", "student:lasse"}),
    owners=frozenset({"lasse"}),
    catchup=False,
    max_active_runs=16,
    shortest_interval_s=900,
)
"""A DAG that reaches every limit and breaks no rule."""


def told(**change: Any) -> list[tuple[str, str]]:  # noqa: ANN401  # values of any field
    """Return rule and sentence of each violation of the good DAG, changed so."""
    found = rules.violations(replace(GOOD, **change), AGREED)
    return [(one.rule, one.sentence) for one in found]


def test_a_dag_within_all_limits_keeps_every_rule() -> None:
    assert told() == []


SENTENCES = [
    pytest.param(
        {"path": "dags/taxi.py"},
        ("folder", "dags/taxi.py lies in nobody's folder: move it to dags/<your folder>/taxi.py"),
        id="a file right under dags/",
    ),
    pytest.param(
        {"path": "dags/pack.zip/taxi.py"},
        (
            "folder",
            (
                "dags/pack.zip/taxi.py lies in nobody's folder: "
                "move it to dags/<your folder>/pack.zip/taxi.py"
            ),
        ),
        id="a zip right under dags/",
    ),
    pytest.param(
        {"path": "dags/la sse/x.py", "tags": frozenset({"student:la sse"})},
        (
            "folder",
            (
                "no dag_id can begin with the folder's name 'la sse': "
                "rename it with letters, digits, '_', '-' and '.' alone"
            ),
        ),
        id="a folder that can't begin a dag_id",
    ),
    pytest.param(
        {"dag_id": "taxi"},
        ("dag_id", "dag_id 'taxi' must begin with 'lasse_': call it 'lasse_taxi'"),
        id="dag_id without the folder",
    ),
    pytest.param(
        {"dag_id": "lasse-taxi"},
        ("dag_id", "dag_id 'lasse-taxi' must begin with 'lasse_': call it 'lasse_taxi'"),
        id="dag_id with a hyphen",
    ),
    pytest.param(
        {"dag_id": "lasse"},
        ("dag_id", "dag_id 'lasse' must begin with 'lasse_': call it 'lasse_dag'"),
        id="dag_id that is the folder",
    ),
    pytest.param(
        {"dag_id": "lassen_alps"},
        ("dag_id", "dag_id 'lassen_alps' must begin with 'lasse_': call it 'lasse_lassen_alps'"),
        id="dag_id that begins alike",
    ),
    pytest.param(
        {"tags": frozenset({"student:maria"})},
        ("tag", "DAG 'lasse_taxi' has no tag 'student:lasse': add it to its tags=[…]"),
        id="another student's tag",
    ),
    pytest.param(
        {"shortest_interval_s": 300},
        (
            "schedule",
            (
                "DAG 'lasse_taxi' runs every 5 min: "
                "choose a schedule with at least 15 min between two runs"
            ),
        ),
        id="too often",
    ),
    pytest.param(
        {"shortest_interval_s": 30},
        (
            "schedule",
            (
                "DAG 'lasse_taxi' runs every 30 s: "
                "choose a schedule with at least 15 min between two runs"
            ),
        ),
        id="seconds",
    ),
    pytest.param(
        {"shortest_interval_s": 0},
        (
            "schedule",
            (
                "DAG 'lasse_taxi' runs nonstop: "
                "choose a schedule with at least 15 min between two runs"
            ),
        ),
        id="@continuous",
    ),
    pytest.param(
        {"shortest_interval_s": None, "schedule_fault": "has no next run: mend it"},
        (
            "schedule",
            "the schedule of DAG 'lasse_taxi' has no next run: mend it",
        ),
        id="30 February",
    ),
    pytest.param(
        {"catchup": True},
        (
            "runs_at_once",
            (
                "DAG 'lasse_taxi' catches up with max_active_runs=16: "
                "set it from 1 to 3, or catchup=False"
            ),
        ),
        id="catches up, the runs left to the default",
    ),
    pytest.param(
        {"max_active_runs": 17},
        ("runs_at_once", "DAG 'lasse_taxi' has max_active_runs=17: set it from 1 to 16"),
        id="more runs than the default",
    ),
    pytest.param(
        {"max_active_runs": 0},
        ("runs_at_once", "DAG 'lasse_taxi' has max_active_runs=0: set it from 1 to 16"),
        id="no limit of runs",
    ),
    pytest.param(
        {"owners": frozenset({"airflow", " "})},
        ("owner", "DAG 'lasse_taxi' has no owner: add default_args={'owner': 'lasse'}"),
        id="Airflow's own default owner",
    ),
]
"""What is changed of the good DAG, then the rule it breaks and what is said of it."""


@pytest.mark.parametrize(("change", "expected"), SENTENCES)
def test_each_violation_is_one_sentence_that_says_how_to_mend_it(
    change: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert told(**change) == [expected]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"path": "dags/lasse/deep/er/x.py"}, id="a folder's folder"),
        pytest.param({"path": "dags/lasse/pack.zip/x.py"}, id="a zip in the folder"),
        pytest.param({"shortest_interval_s": None}, id="no schedule by time"),
        pytest.param({"catchup": True, "max_active_runs": 3}, id="catches up within the limit"),
        pytest.param({"owners": frozenset({"airflow", "lasse"})}, id="some tasks have an owner"),
    ],
)
def test_what_is_no_violation(change: dict[str, Any]) -> None:
    assert told(**change) == []


def test_several_violations_are_told_in_the_order_of_the_rules() -> None:
    found = told(dag_id="x", tags=frozenset(), owners=frozenset(), catchup=True)
    assert [rule for rule, _ in found] == [
        "dag_id",
        "tag",
        "runs_at_once",
        "owner",
    ]


def test_a_file_in_nobodys_folder_has_no_owner_to_suggest() -> None:
    (*_, (_, said)) = told(path="dags/x.py", owners=frozenset())
    assert said.endswith("add default_args={'owner': '<your name>'}")


def test_a_dag_id_in_two_files_is_told_to_both() -> None:
    other, third = replace(GOOD, path="dags/lasse/a.py"), replace(GOOD, dag_id="lasse_other")
    found = rules.duplicates([GOOD, third, other], AGREED)
    assert [(one.path, one.rule, one.dag_id, one.sentence) for one in found] == [
        (
            path,
            "duplicate",
            "lasse_taxi",
            f"dag_id 'lasse_taxi' is also in {also}: rename one, Airflow runs only one",
        )
        for path, also in [
            ("dags/lasse/a.py", "dags/lasse/taxi.py"),
            ("dags/lasse/taxi.py", "dags/lasse/a.py"),
        ]
    ]


def test_a_dag_id_twice_in_one_file_is_told_once() -> None:
    (found,) = rules.duplicates([GOOD, GOOD], AGREED)
    assert found.sentence == (
        "dag_id 'lasse_taxi' is made 2 times in dags/lasse/taxi.py: rename all but one"
    )


def test_a_rule_that_is_off_is_broken_by_nobody() -> None:
    off = levels.Agreement(levels=levels.Levels(**dict.fromkeys(levels.RULES, "off")))
    assert rules.violations(replace(GOOD, dag_id="x"), off) == ()
    assert rules.duplicates([GOOD, GOOD], off) == ()


def test_a_violation_has_the_level_of_its_rule() -> None:
    (found,) = rules.violations(replace(GOOD, dag_id="x"), levels.ADVICE)
    assert found.level is levels.Level.WARN
    assert {one.level for one in rules.duplicates([GOOD, GOOD], levels.ADVICE)} == {found.level}


# --- the levels file -------------------------------------------------------


def test_the_shipped_file_states_the_limits_that_the_code_assumes() -> None:
    assert AGREED.limits == levels.Limits()
    assert levels.Agreement() == AGREED
    assert {name for name, level in AGREED.levels if level != "error"} == {"owner"}


def changed(tmp_path: Path, old: str, new: str) -> tuple[Path, int]:
    """Return a copy of the shipped file with one place changed, and the line of the change."""
    text = levels.FILE.read_text()
    assert text.count(old) == 1
    file = tmp_path / "class_rules.toml"
    file.write_text(text.replace(old, new))
    return file, text[: text.index(old)].count("\n") + 1 + new.startswith("\n")


def test_levels_and_limits_are_those_of_the_file(tmp_path: Path) -> None:
    file, _ = changed(tmp_path, 'tag = "error"', 'tag = "off"')
    assert levels.read(file).levels.tag is levels.Level.OFF
    file, _ = changed(tmp_path, "runs = 15", "runs = 0.5")
    assert levels.read(file).limits.least_minutes_between_runs == 0.5


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('tag = "error"', 'tag = "eror"', "levels.tag: Input should be 'error', 'warn' or 'off'"),
        ('tag = "error"', "tag = true", "levels.tag: Input should be 'error', 'warn' or 'off'"),
        ('tag = "error"', 'tags = "error"', "levels.tags: Extra inputs are not permitted"),
        ("\n[limits]", "\n[limit]", "limit: Extra inputs are not permitted"),
        (
            "runs = 15",
            "runs = 0",
            "limits.least_minutes_between_runs: Input should be greater than 0",
        ),
        (
            "up = 3",
            "up = true",
            "limits.most_runs_at_once_catching_up: Input should be a valid number",
        ),
        ("up = 3", 'up = "3"', "limits.most_runs_at_once_catching_up: Input should be a valid"),
        (
            "runs = 15",
            "runs = inf",
            "limits.least_minutes_between_runs: Input should be a finite number",
        ),
        (
            "once = 16 ",
            "once = 0.5 ",
            "limits.most_runs_at_once: Input should be greater than or equal to 1",
        ),
        (
            "up = 3",
            "up = 0.5",
            "limits.most_runs_at_once_catching_up: Input should be greater than or equal to 1",
        ),
        ("once = 16 ", "once = nan ", "limits.most_runs_at_once: Input should be a finite number"),
        ('tag = "error"', f"tag = {'[' * 5_000}", "is nested too deeply"),
        ("once = 16 ", f"once = 0x{'f' * 4_000} ", "limits.most_runs_at_once: Input should be"),
    ],
    ids=lambda text: text[:20],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, old: str, new: str, what: str) -> None:
    file, _ = changed(tmp_path, old, new)
    with pytest.raises(levels.BrokenLevels) as caught:
        levels.read(file)
    assert f"{file}: {what}" in str(caught.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "class_rules.toml"
    file.write_text('[levels]\ntags = "warn"\nowner = 1\n[limit]\n')
    with pytest.raises(levels.BrokenLevels) as caught:
        levels.read(file)
    assert all(name in str(caught.value) for name in ("levels.tags: ", "levels.owner: ", "limit: "))


def test_what_an_older_file_does_not_name_has_the_shipped_value(tmp_path: Path) -> None:
    file = tmp_path / "class_rules.toml"
    file.write_text('[levels]\ntag = "warn"\n[limits]\nmost_runs_at_once = 4\n')
    shipped, found = levels.read(), levels.read(file)
    assert found.levels == shipped.levels.model_copy(update={"tag": levels.Level.WARN})
    assert found.limits == shipped.limits.model_copy(update={"most_runs_at_once": 4})


def test_the_mark_that_notepad_begins_a_file_with_is_none_of_its_text(tmp_path: Path) -> None:
    file = tmp_path / "class_rules.toml"
    file.write_text('[levels]\ntag = "off"\n', encoding="utf-8-sig")
    assert levels.read(file).levels.tag is levels.Level.OFF


def test_text_that_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    file, line = changed(tmp_path, 'tag = "error"', "tag = error")
    with pytest.raises(levels.BrokenLevels, match=f"class_rules.toml: .*line {line}"):
        levels.read(file)


@pytest.mark.parametrize("content", [None, b"\xff", b"levels = 3\n"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "class_rules.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(levels.BrokenLevels, match=str(file)):
        levels.read(file)
