"""One rule: not listed, no DAG; else the first result that was read from the release."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from deployer.core.model import (
    Listed,
    Outcome,
    ParseEnd,
    ParseError,
    ParseResult,
    Proof,
    Verdict,
)
from deployer.core.verdicts.watch import Watch

OLD, NEW = "a" * 40, "b" * 40
TAXI, BIKE, GONE, ZIP = "dags/x/taxi.py", "dags/x/bike.py", "dags/x/gone.py", "dags/x/all.zip"
TRACE = f"""\
Traceback (most recent call last):
  File "/srv/releases/{NEW}/dags/x/taxi.py", line 7, in <module>
    import pandas
ModuleNotFoundError: No module named 'pandas'
"""


def watch(
    *waiting: str, leaving: Iterable[str] = (), hints: dict[str, ParseError] | None = None
) -> Watch:
    return Watch(
        NEW, dict.fromkeys(waiting, frozenset({NEW})), frozenset(leaving), hints=hints or {}
    )


def result(path: str = TAXI, end: ParseEnd = ParseEnd.PARSED, **more: object) -> ParseResult:
    return ParseResult(**{"release": NEW, "path": path, "end": end, **more})  # type: ignore[arg-type]  # as given


def listing(*paths: str, release: str = NEW) -> Listed:
    return Listed(release, frozenset(paths))


def only(watched: Watch) -> Verdict:
    (verdict,) = watched.verdicts
    return verdict


def error_of(told: ParseResult, **more: ParseError) -> ParseError:
    error = only(
        watch(TAXI, hints={TAXI: more["hint"]} if more else {}).hear(told, waited_s=1)
    ).error
    assert error is not None
    return error


@pytest.mark.parametrize("errors", [{}, {TAXI: TRACE}])
def test_what_airflow_warns_of_is_kept_up_to_a_bound(errors: dict[str, str]) -> None:
    said = tuple(f"warning {number}" for number in range(30))
    told = result(dag_ids=("taxi",), errors=errors, warnings=said)
    assert only(watch(TAXI).hear(told, waited_s=0.1)).warnings == said[:20]


def test_the_first_result_that_was_read_from_the_release_is_the_verdict() -> None:
    heard = watch(TAXI).hear(result(dag_ids=("taxi",)), waited_s=0.1)
    assert only(heard) == Verdict(TAXI, Outcome.PARSED, ("taxi",), None, Proof.RELEASE, 0.1)
    again = heard.hear(result(errors={TAXI: TRACE}), waited_s=0.2)
    assert again.verdicts == heard.verdicts


def test_a_result_that_was_read_from_another_release_is_nobodys_verdict() -> None:
    waiting = watch(TAXI)
    assert waiting.hear(result(release=OLD, dag_ids=("taxi",)), waited_s=1) == waiting


def test_of_what_was_carried_over_an_earlier_release_with_the_same_text_counts_too() -> None:
    carried = Watch(NEW, {TAXI: frozenset({OLD, NEW})})
    heard = carried.hear(result(release=OLD, dag_ids=("taxi",)), waited_s=1)
    assert only(heard).dag_ids == ("taxi",)


def test_a_result_that_nobody_waits_for_changes_nothing() -> None:
    waiting = watch(TAXI)
    assert waiting.hear(result(BIKE, dag_ids=("bike",)), waited_s=1) == waiting


def test_what_the_listing_does_not_hold_has_no_dag() -> None:
    heard = watch(TAXI, BIKE).hear(listing(BIKE), waited_s=0.1)
    assert only(heard) == Verdict(TAXI, Outcome.NO_DAG, proof=Proof.LISTING, waited_s=0.1)
    assert not heard.done


def test_what_was_deleted_is_gone_once_the_listing_does_not_hold_it() -> None:
    heard = watch(leaving=[GONE]).hear(listing(TAXI), waited_s=0.1)
    assert only(heard) == Verdict(GONE, Outcome.DELETED, proof=Proof.LISTING, waited_s=0.1)
    assert heard.done


def test_what_was_deleted_and_is_listed_is_waited_for() -> None:
    heard = watch(leaving=[GONE]).hear(listing(GONE), waited_s=0.1)
    assert (heard.verdicts, heard.done) == ((), False)


def test_a_listing_of_another_release_says_nothing() -> None:
    waiting = watch(TAXI, leaving=[GONE])
    assert waiting.hear(listing(release=OLD), waited_s=1) == waiting


def test_nothing_is_over_before_the_listing_was_told() -> None:
    heard = watch(TAXI).hear(result(dag_ids=("taxi",)), waited_s=0.1)
    assert not heard.done
    assert heard.hear(listing(TAXI), waited_s=0.1).done


def test_a_file_that_parses_and_holds_no_dag_has_none() -> None:
    heard = watch(TAXI).hear(result(), waited_s=0.1)
    assert (only(heard).outcome, only(heard).proof) == (Outcome.NO_DAG, Proof.RELEASE)


def test_a_file_with_an_error_is_broken_though_it_has_dags_too() -> None:
    heard = watch(TAXI).hear(result(dag_ids=("taxi",), errors={TAXI: TRACE}), waited_s=0.1)
    verdict = only(heard)
    assert (verdict.outcome, verdict.dag_ids, verdict.proof) == (
        Outcome.BROKEN,
        (),
        Proof.RELEASE,
    )
    assert verdict.error == ParseError(
        "ModuleNotFoundError", "No module named 'pandas'", 7, trace=TRACE
    )


def test_a_zip_is_broken_by_any_of_its_modules_and_told_by_the_first() -> None:
    errors = {f"{ZIP}/b.py": "ValueError: b", f"{ZIP}/a.py": "ValueError: a"}
    heard = watch(ZIP).hear(result(ZIP, errors=errors), waited_s=0.1)
    assert only(heard).error == ParseError("ValueError", "a", trace="ValueError: a")


@pytest.mark.parametrize(
    ("told", "type_", "message"),
    [
        (
            result(end=ParseEnd.DIED, code=3),
            "ParserDied",
            "its parser ended with exit status 3, without a result",
        ),
        (
            result(end=ParseEnd.DIED, code=-11),
            "ParserDied",
            "its parser crashed (signal 11, segmentation fault), without a result",
        ),
        (
            result(end=ParseEnd.DIED, words="no parser could be started: File name too long"),
            "ParserDied",
            "no parser could be started: File name too long, without a result",
        ),
        (
            result(end=ParseEnd.TIMEOUT, seconds=25.2),
            "ParserTimeout",
            "its parser was ended after 25 s: do less while the file is read",
        ),
        (
            result(end=ParseEnd.REFUSED, words="DataError: integer out of range"),
            "NotStored",
            (
                "its DAGs stay as they were; Airflow's database refuses it: "
                "DataError: integer out of range"
            ),
        ),
    ],
    ids=["exit", "signal", "never started", "timeout", "refused"],
)
def test_a_parse_that_left_nothing_is_broken_in_words_of_its_own(
    told: ParseResult, type_: str, message: str
) -> None:
    assert error_of(told) == ParseError(type_, message)


def test_of_a_parser_that_died_the_line_is_that_of_the_isolated_parse_if_it_found_one() -> None:
    hint = ParseError("SystemExit", "done", 4, trace="…")
    assert error_of(result(end=ParseEnd.DIED, code=126), hint=hint) == ParseError(
        "SystemExit", "done; its parser ended with exit status 126", 4, trace="…"
    )
    killed = result(end=ParseEnd.DIED, code=-9, words="it reads no answers")
    assert error_of(killed, hint=hint) == ParseError(
        "SystemExit", "done; it reads no answers", 4, trace="…"
    )


def test_the_isolated_parse_has_no_say_where_airflow_read_the_file_itself() -> None:
    hint = {TAXI: ParseError("ValueError", "only in isolation", 4)}
    heard = watch(TAXI, hints=hint).hear(result(dag_ids=("taxi",)), waited_s=0.1)
    assert only(heard).outcome is Outcome.PARSED


def test_what_is_still_waiting_when_the_bound_has_passed_gets_its_end() -> None:
    given_up = (
        watch(TAXI, leaving=[GONE]).hear(listing(TAXI, GONE), waited_s=0.1).give_up(waited_s=9)
    )
    assert given_up.verdicts == (
        Verdict(GONE, Outcome.TIMEOUT, waited_s=9),
        Verdict(TAXI, Outcome.TIMEOUT, waited_s=9),
    )
    assert given_up.done
