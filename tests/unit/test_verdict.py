"""A verdict is about this release, proven: what Airflow said before proves nothing."""

from __future__ import annotations

from deployer.core.model import (
    CANARY,
    CANARY_DAG_ID,
    Observation,
    Outcome,
    Proof,
    SeenDag,
    SeenError,
    Verdict,
)
from deployer.core.verdict import QUIET_S, Watch

OLD, NEW = "a" * 40, "b" * 40
TAXI = "dags/lasse/taxi.py"
BIKES = "dags/maria/bikes.py"


def dag(
    path: str, release: str, *, dag_id: str = "lasse_taxi", stamp: str = "t1", stale: bool = False
) -> SeenDag:
    return SeenDag(dag_id, path, f"/srv/class/releases/{release}/{path}", stamp, stale)


def canary(release: str, stamp: str = "t1") -> SeenDag:
    return dag(CANARY, release, dag_id=CANARY_DAG_ID, stamp=stamp)


def error(path: str, release: str | None, stamp: str = "t1") -> SeenError:
    if release is None:
        return SeenError(path, "AirflowClusterPolicyViolation: needs a tag", stamp)
    return SeenError(
        path,
        "Traceback (most recent call last):\n"
        f'  File "/srv/class/releases/{release}/{path}", line 12, in <module>\n'
        "    import pandas\n"
        "ModuleNotFoundError: No module named 'pandas'\n",
        stamp,
    )


def watch(*waiting: str, **more: object) -> Watch:
    return Watch(NEW, frozenset(waiting), **more)  # type: ignore[arg-type]  # a test's shorthand


def only(watched: Watch) -> Verdict:
    (verdict,) = watched.verdicts
    return verdict


def test_a_dag_read_from_the_release_is_parsed() -> None:
    seen = Observation(dags=(canary(NEW), dag(TAXI, NEW)))
    after = watch(TAXI).look(seen, waited_s=0.8)
    assert after.done
    assert only(after) == Verdict(
        TAXI, Outcome.PARSED, ("lasse_taxi",), proof=Proof.RELEASE, waited_s=0.8
    )


def test_all_dags_of_a_file_are_named() -> None:
    seen = Observation(dags=(dag(TAXI, NEW, dag_id="b"), dag(TAXI, NEW, dag_id="a")))
    assert only(watch(TAXI).look(seen, waited_s=1)).dag_ids == ("a", "b")


def test_an_error_without_a_path_does_not_show_that_airflow_looked_at_the_release() -> None:
    after = watch(TAXI)
    for stamp in ("t1", "t2"):
        after = after.look(Observation(errors=(error(TAXI, None, stamp),)), waited_s=1)
    assert not after.looked


def test_a_fresh_stamp_on_the_release_before_is_no_verdict() -> None:
    seen = Observation(dags=(canary(NEW), dag(TAXI, OLD, stamp="t9")))
    after = watch(TAXI).look(seen, waited_s=1)
    assert after.waiting == {TAXI}
    assert after.looked


def test_a_release_whose_name_only_starts_alike_is_another() -> None:
    seen = Observation(dags=(dag(TAXI, f"{NEW}-2"),))
    assert watch(TAXI).look(seen, waited_s=1).waiting == {TAXI}


def test_a_stale_dag_is_no_verdict() -> None:
    seen = Observation(dags=(dag(TAXI, NEW, stale=True),))
    assert watch(TAXI).look(seen, waited_s=1).waiting == {TAXI}


def test_an_error_whose_trace_names_the_release_is_broken() -> None:
    after = watch(TAXI).look(Observation(errors=(error(TAXI, NEW),)), waited_s=0.9)
    verdict = only(after)
    assert verdict.outcome is Outcome.BROKEN
    assert verdict.proof is Proof.RELEASE
    assert verdict.error is not None
    assert (verdict.error.type, verdict.error.line) == ("ModuleNotFoundError", 12)
    assert after.done  # it was read from the release, so Airflow has looked


def test_an_error_of_the_release_before_is_no_verdict() -> None:
    seen = Observation(dags=(canary(NEW),), errors=(error(TAXI, OLD, stamp="t9"),))
    assert watch(TAXI).look(seen, waited_s=1).waiting == {TAXI}


def test_an_error_wins_over_a_dag_of_the_same_file() -> None:
    seen = Observation(dags=(dag(TAXI, NEW),), errors=(error(TAXI, NEW),))
    assert only(watch(TAXI).look(seen, waited_s=1)).outcome is Outcome.BROKEN


def test_an_error_without_a_path_needs_two_stamps_since_airflow_reads_the_release() -> None:
    after = watch(TAXI)
    # The first two come before that is known, the third may be of a parse that began before.
    for stamp in ("t0", "t1", "t1", "t2", "t2"):
        after = after.look(Observation((canary(NEW),), (error(TAXI, None, stamp),)), waited_s=1)
        assert after.waiting == {TAXI}
        assert after.verdicts == ()
    after = after.look(Observation((canary(NEW),), (error(TAXI, None, "t3"),)), waited_s=2)
    assert only(after).proof is Proof.STAMPS
    assert only(after).outcome is Outcome.BROKEN


def test_an_error_without_a_path_asks_for_another_parse() -> None:
    after = watch(TAXI, "dags/lasse/other.py")
    for _ in range(2):
        after = after.look(Observation((canary(NEW),), (error(TAXI, None),)), waited_s=1)
    assert after.unproven == {TAXI}


def test_a_file_that_holds_no_dag_is_settled_when_airflow_has_looked_and_says_no_more() -> None:
    start = watch(TAXI, holds_no_dag=frozenset({TAXI}))
    assert start.look(Observation(), waited_s=1).waiting == {TAXI}
    looked = start.look(Observation(dags=(canary(NEW),)), waited_s=2)
    assert looked.waiting == {TAXI}
    after = looked.look(Observation(dags=(canary(NEW),)), waited_s=2 + QUIET_S)
    assert only(after) == Verdict(TAXI, Outcome.NO_DAG, proof=Proof.PREFLIGHT, waited_s=2 + QUIET_S)


def test_an_error_that_only_the_live_airflow_finds_is_waited_for() -> None:
    start = watch(TAXI, holds_no_dag=frozenset({TAXI}))
    looked = start.look(Observation(dags=(canary(NEW),)), waited_s=2)
    after = looked.look(Observation((canary(NEW),), (error(TAXI, NEW),)), waited_s=3)
    assert only(after).outcome is Outcome.BROKEN


def test_a_file_that_holds_no_dag_waits_for_those_before_it_in_the_queue() -> None:
    start = watch(TAXI, BIKES, holds_no_dag=frozenset({TAXI}))
    looked = start.look(Observation(dags=(canary(NEW),)), waited_s=1)
    still = looked.look(Observation(dags=(canary(NEW),)), waited_s=9)
    assert still.verdicts == ()
    other = Observation(dags=(canary(NEW), dag(BIKES, NEW)))
    first = still.look(other, waited_s=10)
    assert first.waiting == {TAXI}
    assert first.look(other, waited_s=10 + QUIET_S).done


def test_giving_up_believes_the_isolated_parse_where_it_found_no_dag() -> None:
    after = watch(TAXI, BIKES, holds_no_dag=frozenset({TAXI})).give_up(waited_s=90)
    assert {v.path: v.outcome for v in after.verdicts} == {
        TAXI: Outcome.NO_DAG,
        BIKES: Outcome.TIMEOUT,
    }


def test_a_file_said_to_hold_no_dag_is_parsed_if_airflow_shows_one() -> None:
    start = watch(TAXI, holds_no_dag=frozenset({TAXI}))
    after = start.look(Observation(dags=(canary(NEW), dag(TAXI, NEW))), waited_s=1)
    assert only(after).outcome is Outcome.PARSED


def test_a_deleted_file_is_settled_when_airflow_shows_nothing_of_it() -> None:
    start = watch(leaving=frozenset({TAXI}))
    still = start.look(Observation(dags=(canary(NEW), dag(TAXI, OLD))), waited_s=1)
    assert still.leaving == {TAXI}
    after = still.look(Observation(dags=(canary(NEW), dag(TAXI, OLD, stale=True))), waited_s=2)
    assert only(after).outcome is Outcome.DELETED
    assert after.done


def test_a_deleted_file_waits_until_its_error_is_gone() -> None:
    start = watch(leaving=frozenset({TAXI}))
    still = start.look(Observation((canary(NEW),), (error(TAXI, OLD),)), waited_s=1)
    assert still.leaving == {TAXI}


def test_a_deletion_proves_nothing_before_airflow_has_looked() -> None:
    assert watch(leaving=frozenset({TAXI})).look(Observation(), waited_s=1).leaving == {TAXI}


def test_nothing_to_wait_for_is_done_once_airflow_has_looked() -> None:
    assert not watch().done
    assert watch().look(Observation(dags=(canary(NEW),)), waited_s=1).done


def test_giving_up_settles_what_is_left() -> None:
    after = watch(TAXI, leaving=frozenset({"dags/lasse/old.py"})).give_up(waited_s=90)
    assert after.waiting == after.leaving == frozenset()
    assert {v.outcome for v in after.verdicts} == {Outcome.TIMEOUT}
    assert {v.proof for v in after.verdicts} == {Proof.NONE}


# --- zips: Airflow names the module within, a push the zip --------------------------


PACK = "dags/lasse/pack.zip"


def test_a_dag_in_a_zip_is_the_zips() -> None:
    seen = Observation(dags=(canary(NEW), dag(f"{PACK}/taxi.py", NEW)))
    after = watch(PACK).look(seen, waited_s=1)
    assert (only(after).path, only(after).dag_ids) == (PACK, ("lasse_taxi",))


def test_an_error_in_a_zip_is_the_zips() -> None:
    seen = Observation(dags=(canary(NEW),), errors=(error(f"{PACK}/taxi.py", NEW),))
    verdict = only(watch(PACK).look(seen, waited_s=1))
    assert (verdict.path, verdict.outcome) == (PACK, Outcome.BROKEN)
    assert verdict.error is not None
    assert (verdict.error.type, verdict.error.line) == ("ModuleNotFoundError", 12)


def test_a_deleted_zip_is_waited_for_until_its_dags_are_stale() -> None:
    waiting = watch(leaving=frozenset({PACK}))
    there = waiting.look(Observation(dags=(canary(NEW), dag(f"{PACK}/taxi.py", OLD))), waited_s=1)
    assert not there.done
    gone = Observation(dags=(canary(NEW), dag(f"{PACK}/taxi.py", OLD, stale=True)))
    assert only(there.look(gone, waited_s=2)).outcome is Outcome.DELETED


def test_a_file_whose_name_only_begins_alike_is_another() -> None:
    seen = Observation(dags=(canary(NEW), dag("dags/lasse/pack.zip.py", NEW)))
    assert watch(PACK).look(seen, waited_s=1).verdicts == ()


def test_airflow_had_the_time_if_it_came_back_to_the_canary_again_and_again() -> None:
    watched = watch(TAXI)
    assert not watched.goes_round(waited_s=10)
    for stamp in ("t1", "t1", "t2"):
        watched = watched.look(Observation(dags=(canary(NEW, stamp),)), waited_s=10)
    assert watched.goes_round(waited_s=10)
    assert not watched.goes_round(waited_s=90)


def test_the_canary_of_another_release_is_no_round() -> None:
    once = watch(TAXI).look(Observation(dags=(canary(OLD, "t1"),)), waited_s=1)
    assert not once.goes_round(waited_s=1)
