"""Carry one commit from git to a verdict: gather both trees, plan, apply, judge.

Each effect may be repeated: a deployment that died half-way is run again from its
first step, and a comment at each effect says what is true if the process dies there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import assert_never

from deployer.core.dependencies import affected
from deployer.core.doctor import stack_rules
from deployer.core.model import (
    REQUIREMENTS,
    Duplicate,
    Ending,
    Examined,
    Live,
    Outcome,
    Parse,
    ParseError,
    Plan,
    Preflight,
    Proof,
    Publish,
    Recreate,
    Refusal,
    Resolve,
    State,
    StepName,
    Tree,
    Verdict,
)
from deployer.core.planning import duplicates as claims
from deployer.core.planning import held as holding
from deployer.core.planning import packages
from deployer.core.planning.plan import Discovery, plan
from deployer.core.reporting.counts import counted
from deployer.core.requirements import meaning
from deployer.deployment.dag_processor import Guard
from deployer.deployment.drain import Drain
from deployer.deployment.publication import GoLive, Wanted
from deployer.deployment.rollout import Rollout
from deployer.deployment.steps import Steps
from deployer.deployment.watching import PATIENCE_S, Beside, Waiting
from deployer.errors import (
    DeployerError,
    PusherError,
    RequirementsRefused,
    ServicesError,
    UnknownCommit,
)
from deployer.ports import (
    Airflow,
    Clock,
    Examination,
    Examiner,
    Journal,
    ParseFeed,
    Releases,
    Repository,
    Services,
)

LONG_S = 60.0
"""For a wait that news or a nudge ends."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The world, as one deployment needs it."""

    repository: Repository
    releases: Releases
    airflow: Airflow
    feed: ParseFeed
    services: Services
    examiner: Examiner
    journal: Journal
    clock: Clock


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much.

    Attributes:
        parse_timeout_s: seconds from publishing, or from one verdict, to the next.
        health_timeout_s: seconds that a dag-processor may take to come back.
        drain_timeout_s: seconds that running tasks are waited for before services are recreated.
        services: what is recreated when packages move, in this order.
        keep_releases: releases kept for rollback and running tasks.
        keep_days: days for which the journal keeps what decides nothing any more.
    """

    parse_timeout_s: float
    health_timeout_s: float
    drain_timeout_s: float
    services: tuple[str, ...]
    keep_releases: int
    keep_days: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What a deployment was cut short for: others do not wait for it.

    Attributes:
        unexamined: DAG files that are held until the isolated parse has come to them.
        modules: what they need, held with them.
        examination: what examines them, and goes on by itself; None: there are none.
        unjudged: files that are live, each with the releases that hold its text.
    """

    unexamined: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    examination: Examination | None = None
    unjudged: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.unexamined or self.unjudged)

    @property
    def files(self) -> frozenset[str]:
        """Those that get a verdict."""
        return self.unexamined | self.unjudged.keys()

    @property
    def kept(self) -> frozenset[str]:
        """Paths whose live version stays."""
        return self.unexamined | self.modules


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a deployment, or of what it was cut short for.

    Attributes:
        ending: how it ended; while anything is pending, how far it came.
        live: what is known to be live now; None: what was known before, if anything.
        pending: what has no verdict yet.
    """

    ending: Ending
    live: Live | None = None
    pending: Pending = field(default_factory=Pending)


@dataclass(slots=True)
class _Progress:
    """What the steps of one deployment hand to the later ones."""

    held: dict[str, Verdict] = field(default_factory=dict)
    examined: tuple[Examined, ...] = ()
    examination: Examination | None = None
    unexamined: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    unjudged: Mapping[str, frozenset[str]] = field(default_factory=dict)
    duplicates: tuple[Duplicate, ...] = ()
    refused: str | None = None
    built: str | None = None
    died_of: str = ""
    stays: tuple[tuple[str, str], ...] = ()
    verdicts: list[Verdict] = field(default_factory=list)


class Run:
    """One deployment, from its first step to its last.

    Args:
        tell: given a few words when something takes long.
        notes: what the plan's record is to say of the commits.
        edited: paths that are live otherwise than published, somebody changed them by hand.
        answers_for: paths that the answered commits changed, also if they are live as they are
            now: who changed a file is told what it does.
        retry_refused: try requirements again that were refused before.
        beside: what earlier deployments wait for.
        cut: tells whether another push waits; then nobody is kept waiting for slow files.
    """

    def __init__(
        self,
        parts: Parts,
        limits: Limits,
        deployment: int,
        *,
        tell: Callable[[str], None],
        beside: Beside,
        cut: Callable[[], bool],
        notes: Sequence[str] = (),
        edited: Collection[str] = (),
        answers_for: Collection[str] = (),
        retry_refused: bool = False,
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._deployment = deployment
        self._beside = beside
        self._cut = cut
        self._notes = notes
        self._edited = frozenset(edited)
        self._answers_for = frozenset(answers_for)
        self._retry_refused = retry_refused
        self._step = Steps(parts.journal, parts.clock, deployment, tell=tell)
        self._drain = Drain(
            parts.airflow, parts.journal, parts.clock, timeout_s=limits.drain_timeout_s
        )
        self._rollout = Rollout(
            parts.services, parts.services, parts.examiner, self._drain, self._step
        )
        self._live = _going_live(parts, limits, self._step)
        self._progress = _Progress()

    def __call__(self, tip: str) -> Result:
        """Make `tip` the live commit and judge it; never raises a DeployerError."""
        return self._safely(tip, lambda: self._go(tip))

    def resume(self, pending: Pending) -> Result:
        """Go on with what a deployment was cut short for, in the commit that is live now.

        Its examination must be done. Never raises a DeployerError.
        """
        live = self._parts.journal.live()
        if live is None:  # the caller has looked
            raise ValueError("nothing is known to be live")
        return self._safely(live.sha, lambda: self._go_on(live, pending))

    def _safely(self, tip: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except DeployerError as exc:
            if self._progress.examination:
                self._progress.examination.end()
            state = State.FAILED if isinstance(exc, PusherError) else State.ERROR
            return Result(Ending(tip, state, verdicts=self._verdicts(), reason=str(exc)))

    def _go(self, sha: str) -> Result:
        parts, journal = self._parts, self._parts.journal
        live = journal.live()
        with self._step(StepName.PLAN) as note:
            old = self._as_it_is(self._tree_of(live))
            bare = parts.repository.tree(sha)
            if bare.refused:
                raise PusherError(bare.refused)
            tip = holding.standing(old, bare)
            self._progress.stays = holding.stays(live, old, bare)
            installed, kept = parts.services.installed(), journal.packages()
            the_plan = plan(
                old,
                tip,
                installed=installed,
                refusals={} if self._retry_refused else refusals(journal, tip, kept),
                services=self._limits.services,
                kept=kept,
                held=live.held if live else (),
                pending=self._answers_for | frozenset(live.pending) - self._beside.paths
                if live
                else (),
            )
            journal.set_plan(self._deployment, the_plan)
            why = packages.why(kept, installed) if the_plan.recreate else None
            note.text = _in_words(the_plan, why, self._drift(tip), *self._notes)
        if not the_plan.recreate:
            self._drain.reopen()  # a deployment that died may have left the pools empty
        self._progress.refused = the_plan.refused
        known = self._hold_known(old, the_plan, tip)
        carried = known | holding.carried(live, old, the_plan, tip)
        wanted = Wanted(tip, frozenset(), carried)
        for step in the_plan.steps:
            match step:
                case Preflight():
                    self._preflight(step, tip)
                    self._hold_modules(old, tip, live)
                case Resolve():
                    self._prove(step, tip)
                case Recreate():
                    self._recreate(step)
                case Publish():
                    wanted = self._wanted(tip, step.touch, carried)
                    self._live.publish(wanted)
                case Parse():
                    self._judge(wanted, step)
                case _ as never:
                    assert_never(never)
        self._keep(tip.requirements or "", kept, installed)
        newly_refused = self._progress.refused and (
            old is None
            or old.requirements != tip.requirements
            or REQUIREMENTS in holding.unpublishable(old, the_plan)
        )
        return self._result(tip, carried, bad=bool(newly_refused))

    def _go_on(self, live: Live, pending: Pending) -> Result:
        tip = self._tree_of(live) or self._parts.repository.tree(live.sha)
        self._progress.stays = live.stays
        paths = pending.files
        carried = frozenset(live.held) - pending.kept
        unjudged = pending.unjudged
        if pending.examination:
            with self._step(StepName.PREFLIGHT) as note:
                pending.examination.wait(0)  # raises what it failed with
                results = dict(pending.examination.results)
                pending.examination.end()
                note.text = self._take(
                    [results[path] for path in sorted(results) if path in paths], tip
                )
            self._hold_modules(None, tip, live, among=pending.modules)
            touch = frozenset(results).intersection(paths)
            wanted = self._wanted(tip, touch, carried, unjudged)
            self._live.publish(wanted)
        else:
            wanted = self._wanted(tip, (), carried, unjudged)
            self._live.rejoin()
        to_parse = [p for p in sorted(paths) if p in tip.files and tip.files[p].facts.may_hold_dag]
        self._judge(wanted, Parse(tuple(to_parse), ()))
        return self._result(tip, carried, bad=False)

    def _result(self, tip: Tree, carried: frozenset[str], *, bad: bool) -> Result:
        progress, verdicts = self._progress, self._verdicts()
        held = {v.path for v in verdicts if v.outcome is Outcome.HELD and v.path in tip.files}
        pending = Pending(
            progress.unexamined, progress.modules, progress.examination, progress.unjudged
        )
        return Result(
            Ending(
                tip.sha,
                State.BROKEN if bad or not all(v.good for v in verdicts) else State.SUCCEEDED,
                verdicts=verdicts,
                refused=progress.refused,
                duplicates=progress.duplicates,
                died_of=progress.died_of,
            ),
            live=Live(
                tip.sha,
                tuple(sorted(held | carried | pending.kept)),
                tuple(sorted(pending.files | pending.modules)),
                progress.stays,
            ),
            pending=pending,
        )

    # -- the steps

    def _preflight(self, step: Preflight, tip: Tree) -> None:
        with self._step(StepName.PREFLIGHT) as note:
            # Dying here leaves nothing behind: the isolated parse has no effect.
            examination = self._parts.examiner.begin(tip, step.paths)
            self._progress.examination = examination
            began, clock = self._parts.clock.monotonic(), self._parts.clock
            while not examination.done:
                patience_s = began + PATIENCE_S - clock.monotonic()
                if patience_s <= 0 and self._cut():
                    break
                examination.wait(max(patience_s, 0) or LONG_S)
            results = dict(examination.results)
            note.text = self._take([results[p] for p in step.paths if p in results], tip)
            late = frozenset(step.paths) - results.keys()
            if late:
                self._progress.unexamined = late
                longer = counted(late, "takes", "take")
                note.text += f", {longer} longer: others go first"
            else:
                examination.end()
                self._progress.examination = None

    def _take(self, examined: Sequence[Examined], tip: Tree) -> str:
        """Hold what would hurt others; return what was found in a few words."""
        for result in examined:
            if result.harm:
                self._hold(result.path, result.harm, Proof.PREFLIGHT)
        duplicates = claims.duplicates(examined, self._had_by(examined, tip))
        for duplicate in duplicates:
            self._hold(duplicate.path, duplicate.reason, Proof.PREFLIGHT)
        self._progress.examined, self._progress.duplicates = tuple(examined), duplicates
        counts = (f"{len(examined)} examined", f"{len(self._progress.held)} held")
        return ", ".join([*counts, *claims.notes(duplicates)])

    def _prove(self, step: Resolve, tip: Tree) -> None:
        try:
            self._rollout.prove(step.text, tip, self._progress.examined)
            self._progress.built = step.text
        except RequirementsRefused as exc:
            self._refuse(step.text, exc)

    def _recreate(self, step: Recreate) -> None:
        built = self._progress.built
        if built is None:
            return
        try:
            self._rollout.swap(step.services)
        except RequirementsRefused as exc:
            self._refuse(built, exc)
        else:
            self._parts.journal.lift(meaning.parse(built).fingerprint)
        # After the refusal is written: if this fails, the bad packages are not tried again.
        self._drain.reopen()

    def _wanted(
        self,
        tip: Tree,
        touch: Collection[str],
        carried: frozenset[str],
        unjudged: Mapping[str, frozenset[str]] | None = None,
    ) -> Wanted:
        progress = self._progress
        held = carried | progress.unexamined | progress.modules
        held |= {path for path in progress.held if path in tip.files}
        hints = {r.path: r.error for r in progress.examined if r.error}
        return Wanted(tip, frozenset(touch), held, hints, unjudged or {})

    def _judge(self, wanted: Wanted, step: Parse) -> None:
        judged = self._live.judge(wanted, step, beside=self._beside, cut=self._cut)
        self._progress.verdicts += judged.verdicts
        self._progress.unjudged = judged.unjudged
        self._progress.died_of = judged.died_of
        for path in judged.taken_back:
            self._hold(path, judged.reason, Proof.NONE)

    # -- small parts

    def _tree_of(self, live: Live | None) -> Tree | None:
        """Return the tree that is live, with what stays in it of older commits."""
        if live is None:
            return None
        try:
            trees = {
                sha: self._parts.repository.tree(sha)
                for sha in {live.sha, *dict(live.stays).values()}
            }
        except UnknownCommit:  # the mirror was made anew after a forced push
            return None
        return holding.whole(live, trees)

    def _as_it_is(self, live: Tree | None) -> Tree | None:
        """Return the live tree without what was changed by hand, and so is as good as new."""
        if live is None or not self._edited:
            return live
        files = {path: file for path, file in live.files.items() if path not in self._edited}
        return replace(live, files=files)

    def _had_by(self, examined: Sequence[Examined], tip: Tree) -> dict[str, frozenset[str]]:
        """Return which DAG files of the tip had the ids that are claimed now."""
        claimed = frozenset(dag_id for result in examined for dag_id in result.dag_ids)
        still = Discovery(tip)
        return {
            dag_id: frozenset(path for path in paths if still.finds(path))
            for dag_id, paths in self._parts.journal.files_of(claimed).items()
        }

    def _drift(self, tip: Tree) -> str | None:
        """Return what is to be said of the compose file in the repository."""
        try:
            return stack_rules.drift(tip.compose, self._parts.services.own_stack())
        except ServicesError as exc:
            return str(exc)

    def _keep(self, asked: str, kept: str | None, installed: str | None) -> None:
        """Write down on which packages this deployment leaves the class."""
        runs_on = asked if self._progress.refused is None else installed if kept is None else kept
        if runs_on is not None and runs_on != kept:
            self._parts.journal.set_packages(runs_on)

    def _refuse(self, text: str, why: RequirementsRefused) -> None:
        # Where the tip's own text is refused already, that is what its author is told.
        self._progress.refused = self._progress.refused or str(why)
        self._parts.journal.refuse(
            meaning.parse(text).fingerprint,
            Refusal(str(why), why.path),
            at=self._parts.clock.now(),
        )

    def _hold_known(self, old: Tree | None, the_plan: Plan, tip: Tree) -> frozenset[str]:
        """Hold what is known to hurt; return of what the dag-processor died, asked about or not."""
        condemned = holding.condemned(tip, self._parts.journal.condemned())
        told = {path: why for path, why in condemned.items() if path in the_plan.dag_files}
        for path, reason in (holding.unpublishable(old, the_plan) | told).items():
            self._hold(path, reason, Proof.NONE)
        return frozenset(condemned)

    def _hold_modules(
        self,
        old: Tree | None,
        tip: Tree,
        live: Live | None,
        among: Collection[str] | None = None,
    ) -> None:
        """Hold what moved under DAG files that are held, or it would go live under them.

        `among`: the paths that may be, None: all that moved.
        """
        progress = self._progress
        harms = {result.path: result.harm for result in progress.examined if result.harm}
        needing = harms.keys() | progress.unexamined
        found = affected.modules(old, tip, needing, held=live.held if live else ())
        for module, path in found.items():
            if among is not None and module not in among:
                continue
            if path in harms:
                self._hold(module, f"with it {path} {harms[path]}", Proof.PREFLIGHT)
            else:
                progress.modules |= {module}

    def _hold(self, path: str, reason: str, proof: Proof) -> None:
        error = ParseError("Held", reason)
        self._progress.held[path] = Verdict(path, Outcome.HELD, error=error, proof=proof)

    def _verdicts(self) -> tuple[Verdict, ...]:
        both = [*self._progress.held.values(), *self._progress.verdicts]
        return tuple(sorted(both, key=lambda v: v.path))


def refusals(journal: Journal, tip: Tree, kept: str | None) -> dict[str, Refusal]:
    """Return why the requirements that may have to be installed were refused, by fingerprint."""
    found = {}
    for text in (tip.requirements or "", kept or ""):
        with suppress(RequirementsRefused):  # the plan says so itself
            fingerprint = meaning.parse(text).fingerprint
            if refusal := journal.refusal(fingerprint):
                found[fingerprint] = refusal
    return found


def _going_live(parts: Parts, limits: Limits, step: Steps) -> GoLive:
    guard = Guard(
        parts.services,
        parts.airflow,
        parts.feed,
        parts.clock,
        timeout_s=limits.health_timeout_s,
    )
    waiting = Waiting(parts.feed, guard, parts.clock, timeout_s=limits.parse_timeout_s)
    return GoLive(
        parts.repository,
        parts.releases,
        parts.journal,
        parts.clock,
        guard=guard,
        waiting=waiting,
        step=step,
    )


def _in_words(the_plan: Plan, why: str | None, drift: str | None, *notes: str) -> str:
    parts = [f"{len(the_plan.dag_files)} to parse"]
    if the_plan.deleted:
        parts.append(f"{len(the_plan.deleted)} deleted")
    if the_plan.recreate:
        parts.append(f"recreate {', '.join(the_plan.recreate)}")
    if why:
        parts.append(why)
    if the_plan.refused:
        parts.append(f"packages kept: {the_plan.refused}")
    if drift:
        parts.append(drift)
    return ", ".join([*parts, *notes])
