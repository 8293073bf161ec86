"""What the journal stores as JSON comes back as it was."""

from __future__ import annotations

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from deployer.core.model import LeftOut, ParseError, Plan, RequirementsDiff
from deployer.edges.journal.codec import (
    clean,
    dumps,
    error_to_json,
    made,
    share_of_traces,
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
    installs=st.none() | texts,
)


@given(plans)
def test_a_plan_comes_back_from_its_json(plan: Plan) -> None:
    assert made(Plan, json.loads(dumps(asdict(plan)))) == plan


def test_a_plan_lacking_keys_reads_as_empty() -> None:
    assert made(Plan, {}) == Plan()


def test_what_a_later_deployer_adds_to_a_plan_is_passed_over() -> None:
    assert made(Plan, {"more": 1, "requirements": {"more": 1}}) == Plan()


def test_a_list_in_the_place_of_a_text_is_passed_on_as_it_is() -> None:
    assert made(ParseError, {"type": "A", "message": ["b"]}) == ParseError("A", ["b"])  # type: ignore[arg-type]


def test_of_a_trace_the_end_is_kept_the_less_the_more_files_are_broken() -> None:
    error = ParseError("ValueError", "no", trace="x" * 2_000_000 + "end")
    kept = {
        broken: len(error_to_json(error, share_of_traces(broken))["trace"])
        for broken in (0, 1, 10, 3_000)
    }
    assert kept == {0: 1_000_000, 1: 1_000_000, 10: 100_000, 3_000: 500}
    assert error_to_json(error, 3)["trace"] == "end"


def test_what_no_database_takes_as_text_is_replaced() -> None:
    assert clean("a\x00b\ud800c\udfff é \U0001f600") == "a\ufffdb\ufffdc\ufffd é \U0001f600"


def test_text_is_replaced_however_deep_in_json_it_is() -> None:
    assert json.loads(dumps({"a": [("\x00", {"b": "\ud800"}), None, 1]})) == {
        "a": [["\ufffd", {"b": "\ufffd"}], None, 1]
    }


@given(st.text(st.characters()))
def test_clean_text_is_utf8_and_stays_clean(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned.encode().decode()
    assert clean(cleaned) == cleaned
