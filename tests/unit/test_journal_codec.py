"""What the journal stores as JSON comes back as it was."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from deployer.core.model import LeftOut, ParseError, Plan, Publish, RequirementsDiff
from deployer.edges.journal.codec import (
    clean,
    error_from_json,
    error_to_json,
    plan_from_json,
    plan_to_json,
)

# hypothesis leaves surrogates out of `text()` unless told otherwise.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
many = st.lists(texts).map(tuple)
plans = st.builds(
    Plan,
    dag_files=many,
    deleted=many,
    requirements=st.builds(RequirementsDiff, added=many, removed=many, changed=many),
    recreate=many,
    refused=st.none() | texts,
    left_out=st.lists(st.builds(LeftOut, texts, texts)).map(tuple),
    steps=st.just(()),
)
errors = st.builds(ParseError, texts, texts, line=st.none() | st.integers(1), trace=texts)


@given(plans)
def test_a_plan_comes_back_from_its_json(plan: Plan) -> None:
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_a_plans_steps_are_not_kept() -> None:
    plan = Plan(dag_files=("dags/a/x.py",), steps=(Publish(touch=("dags/a/x.py",)),))
    assert plan_from_json(plan_to_json(plan)) == Plan(dag_files=("dags/a/x.py",))


def test_a_plan_lacking_keys_reads_as_empty() -> None:
    assert plan_from_json({}) == Plan()


@given(st.none() | errors)
def test_an_error_comes_back_from_its_json(error: ParseError | None) -> None:
    assert error_from_json(json.loads(json.dumps(error_to_json(error)))) == error


def test_what_no_database_takes_as_text_is_replaced() -> None:
    assert clean("a\x00b\ud800c\udfff é \U0001f600") == "a\ufffdb\ufffdc\ufffd é \U0001f600"


@given(st.text(st.characters()))
def test_clean_text_is_utf8_and_stays_clean(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned.encode().decode()
    assert clean(cleaned) == cleaned
