"""Where nothing names a release, the second distinct stamp proves; and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

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
from deployer.core.seen import versions_elsewhere
from deployer.core.verdict import Watch

OLD, NEW = "a" * 40, "b" * 40
TAXI = "dags/lasse/taxi.py"
LINK = "/srv/class/current"
CLONE = "/opt/airflow/bundles/students/tracking_repo"


def local(
    stamp: str, dag_id: str = "lasse_taxi", *, path: str = TAXI, stale: bool = False
) -> SeenDag:
    """A DAG that LocalDagBundle read."""
    return SeenDag(dag_id, path, f"{LINK}/{path}", stamp, stale)


def canary(release: str = NEW) -> SeenDag:
    return replace(local("c", CANARY_DAG_ID, path=CANARY), description=release)


def git(stamp: str, version: str, *, path: str = TAXI, dag_id: str = "lasse_taxi") -> SeenDag:
    """A DAG that GitDagBundle read."""
    return SeenDag(dag_id, path, f"{CLONE}/{path}", stamp, version=version)


def error(stamp: str, path: str = TAXI) -> SeenError:
    return SeenError(path, f'  File "{LINK}/{path}", line 2\nKeyError: 1\n', stamp)


def watch(*waiting: str, **more: object) -> Watch:
    return Watch(NEW, frozenset(waiting), **more)  # type: ignore[arg-type]  # a test's shorthand


def looked(start: Watch, *looks: Observation, versions: tuple[str, ...] = (NEW,)) -> Watch:
    for seen in looks:
        start = start.look(seen, waited_s=1, versions=versions)
    return start


def good(*stamps: str) -> list[Observation]:
    """Looks at a file that parses, once Airflow is known to read the release."""
    return [Observation((canary(), local(stamp))) for stamp in stamps]


def only(watched: Watch) -> Verdict:
    (verdict,) = watched.verdicts
    return verdict


# -- LocalDagBundle


def test_the_second_stamp_after_the_canary_told_the_release_proves_that_a_file_parsed() -> None:
    before = looked(watch(TAXI), *good("t0", "t0", "t1", "t1"))
    assert before.verdicts == ()
    after = looked(before, *good("t2"))
    assert after.done
    assert only(after) == Verdict(
        TAXI, Outcome.PARSED, ("lasse_taxi",), proof=Proof.STAMPS, waited_s=1
    )


def test_stamps_from_before_the_canary_told_the_release_do_not_count() -> None:
    early = [Observation((canary(OLD), local(stamp))) for stamp in ("t0", "t1", "t2", "t3")]
    assert not looked(watch(TAXI), *early).looked
    assert looked(watch(TAXI), *early, *good("t4", "t4", "t5")).verdicts == ()


def test_the_look_that_shows_the_release_first_does_not_count() -> None:
    """It is several calls, and the file's may have come before the canary's."""
    assert looked(watch(TAXI), *good("t0", "t1", "t2")).verdicts == ()


def test_a_stale_canary_tells_nothing() -> None:
    seen = Observation((replace(canary(), stale=True),))
    assert not looked(watch(TAXI), seen).looked


def test_another_dag_that_tells_the_release_is_not_the_canary() -> None:
    seen = Observation((replace(local("t"), description=NEW),))
    assert not looked(watch(TAXI), seen).looked


def test_the_second_stamp_proves_an_error_though_its_trace_names_no_release() -> None:
    looks = [Observation((canary(),), (error(stamp),)) for stamp in ("t0", "t0", "t1", "t2")]
    verdict = only(looked(watch(TAXI), *looks))
    assert (verdict.outcome, verdict.proof) == (Outcome.BROKEN, Proof.STAMPS)
    assert verdict.error is not None
    assert verdict.error.line == 2


def test_a_dags_stamp_and_an_errors_are_not_two_of_one_kind() -> None:
    """One parse leaves both, where one DAG of a file is good and another is not."""
    both = [
        Observation((canary(), local(stamp, stale=True)), (error(stamp),)) for stamp in ("t0", "t1")
    ]
    assert looked(watch(TAXI), both[0], both[0], both[1]).verdicts == ()


def test_a_new_error_stands_against_a_dag_of_two_stamps() -> None:
    """A zip of two modules: one stamps an error, the other a DAG."""
    pack = "dags/lasse/pack.zip"
    start = watch(pack)

    def seen(dag: str, bad: str) -> Observation:
        return Observation(
            (canary(), local(dag, path=f"{pack}/good.py")), (error(bad, f"{pack}/bad.py"),)
        )

    # The look of which the first two are compared was taken between two calls.
    torn = looked(start, seen("t0", "t1"), seen("t0", "t1"), seen("t1", "t1"), seen("t2", "t2"))
    assert torn.verdicts == ()
    assert only(looked(torn, seen("t3", "t3"))).outcome is Outcome.BROKEN


def test_an_error_that_is_never_renewed_does_not_stand_against_a_dag() -> None:
    """Airflow 3.3.2 leaves a zip's error standing when its module is mended."""
    left = (error("t0"),)
    looks = [replace(seen, errors=left) for seen in good("t0", "t0", "t1", "t2")]
    assert only(looked(watch(TAXI), *looks)).outcome is Outcome.PARSED


def test_a_dag_that_left_the_file_is_not_named() -> None:
    def seen(kept: str, gone: str, new: str | None = None) -> Observation:
        dags = [canary(), local(kept, "kept"), local(gone, "gone")]
        return Observation((*dags, local(new, "new")) if new else tuple(dags))

    start = watch(TAXI, found={TAXI: frozenset({"kept", "new"})})
    first = looked(start, seen("k0", "g0"), seen("k0", "g0"), seen("k1", "g1"))
    assert only(looked(first, seen("k2", "g1", "n2"))).dag_ids == ("kept", "new")


def test_a_dag_that_the_isolated_parse_found_is_waited_for_but_not_for_ever() -> None:
    start = watch(TAXI, found={TAXI: frozenset({"lasse_taxi", "elsewhere"})})
    two = looked(start, *good("t0", "t0", "t1", "t2"))
    assert two.waiting == {TAXI}
    assert only(looked(two, *good("t3"))).dag_ids == ("lasse_taxi",)


def test_a_dag_that_comes_from_another_file_begins_anew() -> None:
    other = Observation((canary(), local("t0", path="dags/maria/m.py")))
    assert looked(watch(TAXI), other, other, *good("t1")).verdicts == ()


def test_what_is_not_proven_yet_needs_another_parse() -> None:
    after = looked(watch(TAXI, "dags/lasse/unseen.py"), *good("t0", "t0"))
    assert after.unproven == {TAXI}


def test_a_deleted_file_is_gone_once_the_canary_told_the_release() -> None:
    start = watch(leaving=frozenset({TAXI}))
    still = looked(start, Observation((canary(), local("t0"))))
    assert still.leaving == {TAXI}
    gone = Observation((canary(), local("t0", stale=True)))
    assert only(looked(still, gone)) == Verdict(
        TAXI, Outcome.DELETED, proof=Proof.STAMPS, waited_s=1
    )


def test_the_bundle_of_the_class_is_told_from_others() -> None:
    of_the_class = SeenDag("x", TAXI, f"/srv/class/releases/{OLD}/{TAXI}", "t")
    assert not looked(watch(TAXI), Observation((of_the_class,))).elsewhere
    assert looked(watch(TAXI), *good("t0")).elsewhere
    assert looked(watch(TAXI), Observation()).elsewhere  # or nothing was parsed yet


# -- GitDagBundle


def test_two_stamps_at_versions_that_hold_the_commit_prove() -> None:
    newer = "c" * 40
    first = [Observation((git(stamp, NEW),)) for stamp in ("t0", "t0", "t1")]
    last = Observation((git("t2", newer),))
    assert looked(watch(TAXI), *first).verdicts == ()
    after = looked(watch(TAXI), *first, last, versions=(NEW, newer))
    assert only(after).proof is Proof.STAMPS


def test_stamps_at_an_older_version_prove_nothing() -> None:
    looks = [Observation((git(stamp, OLD),)) for stamp in ("t0", "t1", "t2", "t3")]
    after = looked(watch(TAXI), *looks)
    assert not after.looked
    assert after.verdicts == ()


def test_another_files_version_shows_that_the_bundle_has_moved_on() -> None:
    """An import error has no version of its own."""
    witness = git("w", NEW, path="dags/maria/m.py", dag_id="maria_m")
    looks = [Observation((witness,), (error(stamp),)) for stamp in ("t0", "t0", "t1", "t2")]
    assert only(looked(watch(TAXI), *looks)).outcome is Outcome.BROKEN


def test_without_a_canary_airflow_goes_round_once_it_came_back_to_anything() -> None:
    """What stays without a verdict then was not just waiting for its turn."""
    witness = [git(stamp, NEW, path="dags/maria/m.py", dag_id="maria_m") for stamp in ("0", "1")]
    once = looked(watch(TAXI), *[Observation((witness[0],))] * 2)
    assert not once.goes_round(waited_s=90)
    assert looked(once, Observation((witness[1],))).goes_round(waited_s=90)


def test_versions_of_the_class_s_bundle_are_not_asked_about() -> None:
    ours = SeenDag("x", TAXI, f"/srv/class/releases/{OLD}/{TAXI}", "t", version=OLD)
    seen = Observation((ours, git("t", NEW), local("t", "y")))
    assert versions_elsewhere(seen) == {NEW}


# -- whatever the order of things


@dataclass(frozen=True)
class Text:
    """What a file's text holds: DAGs, an error, or both where one of its DAGs is bad."""

    ids: tuple[str, ...] = ()
    error: str = ""


TEXTS = [("a",), ("b",), ("a", "b"), ("a", "b", "c"), ()]


def text(random: Random, name: str) -> Text:
    ids = random.choice(TEXTS)
    return Text(ids, f"{name}Error" if not ids or random.random() < 0.2 else "")


@dataclass
class Table:
    """What Airflow holds of one file at some moment."""

    dags: Mapping[str, SeenDag]
    errors: tuple[SeenError, ...] = ()

    def after(self, text: Text, stamp: int, version: str | None) -> Table:
        """Return what is stored when a parse of `text` ends."""
        dags = dict(self.dags)
        for number, dag_id in enumerate(text.ids):
            dags[dag_id] = replace(local(f"{stamp}.{number}", dag_id), version=version)
        if not text.error:
            return Table(dags)
        stale = {dag_id: replace(dag, stale=True) for dag_id, dag in dags.items()}
        return Table(stale, (SeenError(TAXI, f"{text.error}: of this text", f"{stamp}.e"),))


@pytest.mark.parametrize("versioned", [False, True], ids=["LocalDagBundle", "GitDagBundle"])
@settings(max_examples=1500, phases=[Phase.explicit, Phase.generate])
@given(random=st.randoms(use_true_random=True))
def test_no_order_of_parses_and_looks_ends_in_a_verdict_on_the_old_text(
    random: Random, *, versioned: bool
) -> None:
    """The parses of one file never overlap; each call of a look may see another moment."""
    old, new = text(random, "Old"), text(random, "New")
    moved = random.randint(1, 12)  # when the new text is there to be read
    told = moved + random.randint(0, 2)  # and when that is first seen

    def version(at: int) -> str | None:
        return (NEW if at >= moved else OLD) if versioned else None

    stored = [(-1, Table({}).after(old, -1, version(-1)))]
    now = 0
    for _ in range(8):
        begun = now + random.randint(0, 2)
        now = begun + random.randint(1, 5)
        parsed = new if begun >= moved else old
        stored.append((now, stored[-1][1].after(parsed, now, version(now))))

    def at(moment: int) -> Table:
        return [table for since, table in stored if since <= moment][-1]

    watched = watch(TAXI, found={TAXI: frozenset(() if new.error else new.ids)})
    moment = 0
    while not watched.done and moment <= now + 5:
        calls = ["witness", "a", "b", "c"]
        random.shuffle(calls)
        times = {}
        for call in (*calls, "errors"):
            moment += random.choice([0, 0, 0, 0, 1, 3])
            times[call] = moment
        moment += 1
        shown = NEW if times["witness"] >= told else OLD
        witness = git("w", shown, path="dags/maria/m.py", dag_id="maria_m")
        dags = [at(times[dag_id]).dags.get(dag_id) for dag_id in ("a", "b", "c")]
        seen = Observation(
            (witness if versioned else canary(shown), *(dag for dag in dags if dag)),
            at(times["errors"]).errors,
        )
        watched = watched.look(seen, waited_s=moment, versions=[NEW])
    for verdict in watched.verdicts:
        if verdict.outcome is Outcome.BROKEN:
            assert verdict.error is not None
            assert verdict.error.type == new.error
        else:
            assert (verdict.dag_ids, new.error) == (new.ids, "")
