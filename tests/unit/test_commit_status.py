"""What a commit shows: contexts, states and at most 140 characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.model import (
    Ending,
    Outcome,
    ParseError,
    Proof,
    State,
    Status,
    StatusState,
    Verdict,
)
from deployer.core.reporting.commit_status import Commit, cut, final, gone, pending

TIP, OVERTAKEN = "a" * 40, "b" * 40
TAXI, WEATHER = "dags/lasse/taxi.py", "dags/maria/weather.py"
PARSED = Verdict(TAXI, Outcome.PARSED, ("lasse_taxi",), proof=Proof.RELEASE)
NO_PANDAS = ParseError("ModuleNotFoundError", "No module named 'pandas'", 12)
BROKEN = Verdict(WEATHER, Outcome.BROKEN, error=NO_PANDAS, proof=Proof.RELEASE)


def ended(state: State = State.SUCCEEDED, *verdicts: Verdict, **more: object) -> Ending:
    return Ending(TIP, state, 1.23, verdicts, **more)  # type: ignore[arg-type]  # a test's shorthand


def said(statuses: tuple[Status, ...]) -> dict[str, tuple[str, str]]:
    return {s.context: (s.state.value, s.description) for s in statuses}


def test_a_commit_has_a_context_for_itself_and_each_folder_that_differs() -> None:
    commit = Commit(TIP, (WEATHER, TAXI, "dags/lasse/sql/a.sql", "dags/common.py", "README.md"))
    assert [s.context for s in pending(commit)] == [
        "airflow/deploy",
        "airflow/lasse",
        "airflow/maria",
    ]
    assert {s.state for s in pending(commit)} == {StatusState.PENDING}


def test_a_good_push_says_how_many_files_in_how_many_seconds_and_which_dags() -> None:
    assert said(final(Commit(TIP, (TAXI,)), ended(State.SUCCEEDED, PARSED))) == {
        "airflow/deploy": ("success", "live: 1 file parsed in 1.2 s"),
        "airflow/lasse": ("success", "1 DAG: lasse_taxi"),
    }


def test_folders_that_differ_in_case_alone_have_one_status_and_the_worst_wins() -> None:
    gone = Verdict("dags/maria/old.py", Outcome.DELETED)
    bad = Verdict("dags/Maria/weather.py", Outcome.BROKEN, error=NO_PANDAS)
    commit = Commit(TIP, (gone.path, bad.path))
    assert [s.context for s in pending(commit)] == ["airflow/deploy", "airflow/Maria"]
    assert said(final(commit, ended(State.BROKEN, bad, gone)))["airflow/Maria"] == (
        "failure",
        "Maria/weather.py:12 ModuleNotFoundError: No module named 'pandas'",
    )


def test_a_folder_under_another_case_of_its_name_shows_what_is_there_now() -> None:
    gone = Verdict("dags/Maria/weather.py", Outcome.DELETED)
    here = Verdict(WEATHER, Outcome.PARSED, ("maria_weather",))
    shown = said(final(Commit(TIP, (gone.path, here.path)), ended(State.SUCCEEDED, gone, here)))
    assert shown["airflow/Maria"] == ("success", "1 DAG: maria_weather")


def test_a_folder_named_deploy_leaves_the_commits_own_status_alone() -> None:
    path = "dags/deploy/a.py"
    broken = Verdict(path, Outcome.BROKEN, error=NO_PANDAS)
    shown = said(final(Commit(TIP, (path,)), ended(State.BROKEN, broken)))
    (other,) = shown.keys() - {"airflow/deploy"}
    assert shown["airflow/deploy"][0] == "success"
    assert shown[other] == ("failure", "a.py:12 ModuleNotFoundError: No module named 'pandas'")


def test_a_commit_that_is_gone_is_told_so_in_the_contexts_that_were_pending() -> None:
    commit = Commit(TIP, ("dags/deploy/a.py", "dags/Maria/a.py", "dags/maria/a.py"))
    assert {s.context for s in gone(commit, "main")} == {s.context for s in pending(commit)}


# --- files in no folder ----------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (
            Verdict("dags/hello.py", Outcome.BROKEN, error=NO_PANDAS),
            "dags/hello.py:12 ModuleNotFoundError: No module named 'pandas'",
        ),
        (
            Verdict("dags/.airflowignore", Outcome.HELD, error=ParseError("Held", "hides all")),
            "dags/.airflowignore is held: hides all",
        ),
        (
            Verdict("include/big.csv", Outcome.HELD, error=ParseError("Held", "is too large")),
            "include/big.csv is held: is too large",
        ),
        (
            Verdict("dags/hello.py", Outcome.TIMEOUT, waited_s=90.0),
            "dags/hello.py: no verdict from Airflow within 90 s",
        ),
    ],
)
def test_a_bad_file_in_no_folder_reddens_its_own_commit(verdict: Verdict, text: str) -> None:
    end = ended(State.BROKEN, PARSED, verdict)
    assert said(final(Commit(TIP, (verdict.path, TAXI)), end)) == {
        "airflow/deploy": ("failure", text),
        "airflow/lasse": ("success", "1 DAG: lasse_taxi"),
    }
    assert said(final(Commit(OVERTAKEN, (verdict.path,)), end)) == {
        "airflow/deploy": ("failure", f"deployed as part of aaaaaaa: {text}")
    }


def test_a_bad_file_in_no_folder_reddens_no_commit_that_did_not_touch_it() -> None:
    bad = Verdict("dags/hello.py", Outcome.BROKEN, error=NO_PANDAS)
    shown = said(final(Commit(OVERTAKEN, (TAXI,)), ended(State.BROKEN, PARSED, bad)))
    assert {state for state, _ in shown.values()} == {"success"}


def test_a_folder_that_is_held_as_a_whole_reddens_its_own_context() -> None:
    held = Verdict("dags/otto/", Outcome.HELD, error=ParseError("Held", "it has 6,000 files"))
    commit = Commit(TIP, ("dags/otto/.venv/bin/x", TAXI))
    assert said(final(commit, ended(State.BROKEN, held, PARSED))) == {
        "airflow/deploy": ("success", "live: 1 of 2 files parsed in 1.2 s; 1 held"),
        "airflow/lasse": ("success", "1 DAG: lasse_taxi"),
        "airflow/otto": ("failure", "dags/otto/ is held: it has 6,000 files"),
    }


@pytest.mark.parametrize("changed", ["include/a/b.sql", "include/data/"])
def test_a_folder_of_nobodys_that_is_held_reddens_the_commit_that_changed_it(changed: str) -> None:
    held = Verdict("include/", Outcome.HELD, error=ParseError("Held", "it has 6,000 files"))
    ending = ended(State.BROKEN, held)
    assert said(final(Commit(TIP, (changed,)), ending))["airflow/deploy"] == (
        "failure",
        "include/ is held: it has 6,000 files",
    )
    assert said(final(Commit(TIP, (TAXI,)), ending))["airflow/deploy"][0] == "success"


@pytest.mark.parametrize("place", ["dags", "dags/lasse", "dags/lasse/"])
def test_what_stands_in_the_place_of_a_folder_reddens_the_folder(place: str) -> None:
    held = Verdict(place, Outcome.HELD, error=ParseError("Held", "no file of ours"))
    found = said(final(Commit(TIP, (place, TAXI)), ended(State.BROKEN, held, PARSED)))
    assert found["airflow/lasse"] == ("failure", f"{place} is held: no file of ours")


def test_refused_requirements_hide_no_bad_file_in_no_folder() -> None:
    bad = Verdict("dags/hello.py", Outcome.BROKEN, error=NO_PANDAS)
    commit = Commit(TIP, (bad.path, "requirements.txt"))
    end = ended(State.BROKEN, bad, refused="requirements.txt:3 no such package")
    assert said(final(commit, end))["airflow/deploy"] == (
        "failure",
        (
            "requirements.txt:3 no such package; packages kept; "
            "dags/hello.py:12 ModuleNotFoundError: No module named 'pandas'"
        ),
    )


def test_several_dags_are_listed() -> None:
    two = Verdict(TAXI, Outcome.PARSED, ("lasse_b", "lasse_a"))
    assert said(final(Commit(TIP, (TAXI,)), ended(State.SUCCEEDED, two)))["airflow/lasse"] == (
        "success",
        "2 DAGs: lasse_a, lasse_b",
    )


def test_a_broken_file_reddens_its_own_folder_with_file_line_and_error() -> None:
    commit = Commit(TIP, (WEATHER,))
    assert said(final(commit, ended(State.BROKEN, PARSED, BROKEN))) == {
        "airflow/deploy": ("success", "live: 1 of 2 files parsed in 1.2 s; 1 broken"),
        "airflow/maria": ("failure", "weather.py:12 ModuleNotFoundError: No module named 'pandas'"),
    }


def test_a_broken_file_of_another_reddens_no_commit_that_did_not_touch_it() -> None:
    overtaken = said(final(Commit(OVERTAKEN, (TAXI,)), ended(State.BROKEN, PARSED, BROKEN)))
    assert {state for state, _ in overtaken.values()} == {"success"}


def test_a_folder_broken_through_a_shared_helper_is_named_on_the_commit_that_did_it() -> None:
    commit = Commit(TIP, ("dags/common.py",))
    assert said(final(commit, ended(State.BROKEN, BROKEN)))["airflow/deploy"] == (
        "success",
        (
            "live; 1 file broken, in 1.2 s;"
            " maria/weather.py:12 ModuleNotFoundError: No module named 'pandas'"
        ),
    )


def test_an_overtaken_commit_ends_as_the_one_that_overtook_it() -> None:
    overtaken = said(final(Commit(OVERTAKEN, (TAXI,)), ended(State.SUCCEEDED, PARSED)))
    assert overtaken["airflow/deploy"] == (
        "success",
        "deployed as part of aaaaaaa: live: 1 file parsed in 1.2 s",
    )


def test_a_commit_that_a_forced_push_removed_says_so_in_every_context() -> None:
    assert said(gone(Commit(TIP, (TAXI,)), "main")) == {
        "airflow/deploy": ("error", "no longer on main"),
        "airflow/lasse": ("error", "no longer on main"),
    }


def test_who_was_told_before_what_differs_was_taken_anew_is_answered_too() -> None:
    told = ("airflow/deploy", "airflow/Lasse", "airflow/maria", "airflow/nobody")
    commit = Commit(TIP, (TAXI,), open=told)
    assert [s.context for s in pending(commit)] == [
        "airflow/deploy",
        "airflow/lasse",
        "airflow/maria",
        "airflow/nobody",
    ]
    assert said(final(commit, ended(State.BROKEN, PARSED, BROKEN))) == {
        "airflow/deploy": (
            "success",
            (
                "live: 1 of 2 files parsed in 1.2 s; 1 broken; maria/weather.py:12 "
                "ModuleNotFoundError: No module named 'pandas'"
            ),
        ),
        "airflow/lasse": ("success", "1 DAG: lasse_taxi"),
        "airflow/maria": ("failure", "weather.py:12 ModuleNotFoundError: No module named 'pandas'"),
        "airflow/nobody": ("success", "live; no DAG in what changed"),
    }


def test_refused_requirements_redden_the_commit_that_touched_them() -> None:
    end = ended(State.BROKEN, refused="requirements.txt:3 no such package")
    assert said(final(Commit(TIP, ("requirements.txt",)), end))["airflow/deploy"] == (
        "failure",
        "requirements.txt:3 no such package; packages kept",
    )


def test_refused_requirements_stay_a_note_on_other_commits() -> None:
    end = ended(State.SUCCEEDED, PARSED, refused="requirements.txt:3 no such package")
    assert said(final(Commit(TIP, (TAXI,)), end))["airflow/deploy"] == (
        "success",
        "live: 1 file parsed in 1.2 s; packages kept",
    )


@pytest.mark.parametrize(("state", "shown"), [(State.FAILED, "failure"), (State.ERROR, "error")])
def test_a_deployment_that_did_not_go_live_says_why_in_every_context(
    state: State, shown: str
) -> None:
    end = ended(state, reason="Airflow did not answer")
    assert said(final(Commit(TIP, (TAXI,)), end)) == {
        "airflow/deploy": (shown, "Airflow did not answer"),
        "airflow/lasse": (shown, "Airflow did not answer"),
    }


def test_a_deployment_under_way_has_no_final_status() -> None:
    with pytest.raises(ValueError, match="running is no end"):
        final(Commit(TIP), ended(State.RUNNING))


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ((Verdict(TAXI, Outcome.DELETED),), "deleted: taxi.py"),
        ((Verdict(TAXI, Outcome.NO_DAG),), "live; no DAG in what changed"),
        ((Verdict(TAXI, Outcome.NO_DAG, proof=Proof.LISTING),), "gone from Airflow: taxi.py"),
        (
            (
                Verdict(TAXI, Outcome.NO_DAG, proof=Proof.LISTING),
                Verdict("dags/lasse/b.py", Outcome.DELETED, proof=Proof.LISTING),
                Verdict("dags/lasse/a.py", Outcome.DELETED, proof=Proof.LISTING),
            ),
            "deleted: a.py, b.py; gone from Airflow: taxi.py",
        ),
        ((), "live; no DAG in what changed"),
    ],
)
def test_a_folder_without_dags_to_name_is_green(verdicts: tuple[Verdict, ...], text: str) -> None:
    shown = said(final(Commit(TIP, (TAXI,)), ended(State.SUCCEEDED, *verdicts)))
    assert shown["airflow/lasse"] == ("success", text)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (
            Verdict(TAXI, Outcome.HELD, error=ParseError("Held", "crashes its parser")),
            "taxi.py is held: crashes its parser",
        ),
        (
            Verdict(TAXI, Outcome.TIMEOUT, waited_s=90.2),
            "taxi.py: no verdict from Airflow within 90 s",
        ),
        (Verdict(TAXI, Outcome.BROKEN), "taxi.py: broken"),
        (
            Verdict(TAXI, Outcome.BROKEN, error=ParseError("Violation", "needs a tag")),
            "taxi.py Violation: needs a tag",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(verdict: Verdict, text: str) -> None:
    shown = said(final(Commit(TIP, (TAXI,)), ended(State.BROKEN, verdict)))
    assert shown["airflow/lasse"] == ("failure", text)


def test_further_broken_files_of_a_folder_are_counted() -> None:
    other = Verdict("dags/lasse/z.py", Outcome.BROKEN, error=NO_PANDAS)
    first = Verdict("dags/lasse/sub/a.py", Outcome.BROKEN, error=NO_PANDAS)
    shown = said(final(Commit(TIP, (TAXI,)), ended(State.BROKEN, other, first)))
    assert shown["airflow/lasse"][1].startswith("sub/a.py:12 ModuleNotFoundError")
    assert shown["airflow/lasse"][1].endswith("(+1 more)")


HELD = Outcome.HELD
LATE = Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([Outcome.BROKEN], "live; 1 file broken, in 1.2 s"),
        ([Outcome.BROKEN] * 2, "live; 2 files broken, in 1.2 s"),
        ([HELD], "live; 1 file held, in 1.2 s"),
        ([LATE], "live; 1 file without a verdict, in 1.2 s"),
        (
            [HELD, LATE, Outcome.BROKEN],
            "live; 1 file broken, 1 held, 1 without a verdict, in 1.2 s",
        ),
        ([Outcome.PARSED, HELD], "live: 1 of 2 files parsed in 1.2 s; 1 held"),
        (
            [Outcome.PARSED, Outcome.NO_DAG, HELD, Outcome.BROKEN, LATE],
            "live: 2 of 5 files parsed in 1.2 s; 1 broken, 1 held, 1 without a verdict",
        ),
        ([Outcome.DELETED, Outcome.BROKEN], "live; 1 file broken, in 1.2 s"),
        ([Outcome.DELETED], "live: no DAG file to parse, in 1.2 s"),
    ],
)
def test_what_is_live_is_counted_by_how_the_files_ended(
    outcomes: list[Outcome], words: str
) -> None:
    verdicts = [Verdict(f"dags/lasse/{n}.py", out) for n, out in enumerate(outcomes)]
    commit = Commit(TIP, tuple(v.path for v in verdicts))
    shown = said(final(commit, ended(State.BROKEN, *verdicts)))
    assert shown["airflow/deploy"] == ("success", words)


def test_a_push_without_dag_files_says_so() -> None:
    assert said(final(Commit(TIP, ("README.md",)), ended())) == {
        "airflow/deploy": ("success", "live: no DAG file to parse, in 1.2 s")
    }


@given(st.text(max_size=400))
def test_a_description_is_one_line_of_at_most_140_characters(text: str) -> None:
    line = cut(text)
    assert len(line) <= 140
    assert "\n" not in line
    assert line.endswith("…") or len(line) == len(" ".join(text.split()))


def test_a_description_holds_no_character_that_github_refuses() -> None:
    assert cut("moo \N{COW} moo") == "moo ? moo"


def test_what_would_turn_or_colour_a_line_is_replaced() -> None:
    assert cut("a.py:1 E: \u202eevil\u2069 \x1b[2J\x00") == "a.py:1 E: ?evil? ?[2J?"
