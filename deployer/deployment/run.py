"""Carry one commit from git to a verdict: gather both trees, plan, apply, judge.

Each effect may be repeated: a deployment that died half-way is run again from its
first step, and a comment at each effect says what is true if the process dies there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from deployer.core import stack
from deployer.core.counts import counted
from deployer.core.model import (
    REQUIREMENTS,
    Ending,
    Live,
    Outcome,
    Proof,
    State,
    StepName,
    Tree,
    Verdict,
)
from deployer.core.planning import held as rules
from deployer.core.planning import packages
from deployer.core.planning.plan import in_words, plan
from deployer.core.reporting.commit_status import Commit
from deployer.deployment.holding import Holding
from deployer.deployment.parts import Parts, Pending, Result
from deployer.deployment.publication import GoLive
from deployer.deployment.published import Published
from deployer.deployment.rollout import Rollout
from deployer.deployment.steps import Steps
from deployer.deployment.watching import PATIENCE_S, Beside
from deployer.errors import DeployerError, PusherError, ServicesError
from deployer.ports import Edits, Examination

log = structlog.get_logger()

LONG_S = 60.0
"""For a wait that news or a nudge ends."""


@dataclass(eq=False)
class Run:
    """One deployment, from its first step to its last.

    Attributes:
        beside: what earlier deployments wait for.
        cut: tells whether another push waits; then nobody is kept waiting for slow files.
        tell: given a few words when something takes long.
        commits: those that it answers.
        edits: what of the live release somebody changed by hand, None: nothing.
    """

    parts: Parts
    deployment: int
    beside: Beside
    cut: Callable[[], bool]
    tell: Callable[[str], None] = lambda _: None
    commits: Sequence[Commit] = ()
    edits: Edits | None = None

    def __post_init__(self) -> None:
        self._step = Steps(self.parts, self.deployment, self.tell)
        self._holding = Holding(self.parts.journal)
        self._publication = GoLive(self.parts, self._step, self._holding, self.beside, self.cut)
        self._examination: Examination | None = None  # that is at work
        self._stays: tuple[tuple[str, str], ...] = ()

    def deploy(self, tip: str) -> Result:
        """Make `tip` the live commit and judge it; never raises."""
        return self._safely(tip, lambda: self._deploy(tip))

    def resume(self, tip: str, pending: Pending) -> Result:
        """Go on with what is left of the deployment of `tip`, in what is live now.

        Its examination must be done. Never raises.
        """
        return self._safely(tip, lambda: self._resume(pending))

    def _safely(self, tip: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except DeployerError as exc:
            state = State.FAILED if isinstance(exc, PusherError) else State.ERROR
            reason = str(exc)
        except Exception as exc:  # a fault of ours must not stop the class's deployer
            log.exception("fault")
            state, reason = State.ERROR, f"fault in the deployer: {type(exc).__name__}"
        if self._examination:
            self._examination.end()
        return Result(Ending(tip, state, verdicts=self._verdicts(), reason=reason))

    def _deploy(self, sha: str) -> Result:
        parts, journal = self.parts, self.parts.journal
        with self._step(StepName.PLAN) as note:
            published = Published(parts)
            live = published.live
            held = live.held if live else ()
            old = self._without_edited(published.tree) if live else None
            tip = parts.repository.tree(sha)
            if tip.refused:
                raise PusherError(tip.refused)
            if tip.left_out:
                tip, self._stays = published.completed(tip, old)
            installed, expected = parts.services.installed(), journal.packages()
            the_plan = plan(
                old,
                tip,
                installed=installed,
                refusals=journal.refusals(),
                services=parts.settings.recreate_services,
                expected=expected,
                held=held,
                duplicates=journal.duplicates(held),
                pending=self._judged_unmoved(live) if live else (),
                judged=journal.judged() if old is None else (),
            )
            journal.set_plan(self.deployment, the_plan)
            for requirements in the_plan.lapsed:
                journal.lift(requirements)
            why = packages.why(expected, installed) if the_plan.recreate else None
            edits = [self.edits.words] if self.edits else []
            notes = [f"{commit.sha[:7]} {note}" for commit in self.commits for note in commit.notes]
            note.text = in_words(the_plan, why, self._drift(tip), *edits, *notes)
        rollout = Rollout(parts, self._step, installed, expected, the_plan.refused)
        if the_plan.installs is None:
            rollout.stay()
        self._holding.hold_known(live, old, the_plan, tip)
        if the_plan.dag_files:
            self._preflight(the_plan.dag_files, tip)
            was, was_held = (old, held) if old else published.deployed(tip)
            self._holding.hold_modules(was, published.of(tip), tip, was_held)
        if the_plan.installs is not None:
            # Before publishing: the first parse of the new release must see the new packages,
            # or its verdict would be about neither state (docs/decisions/001).
            rollout.install(the_plan.installs, tip, self._holding.examined)
        runs_on = rollout.runs_on(tip.requirements or "")
        self._note_stays(live)
        self._publication.publish(tip, the_plan.dag_files, runs_on)
        if the_plan.dag_files or the_plan.deleted:
            self._publication.judge(the_plan.dag_files, the_plan.deleted)
        newly_refused = rollout.refused and (
            old is None
            or old.requirements != tip.requirements
            or REQUIREMENTS in rules.unpublishable(old, the_plan)
        )
        return self._result(tip, rollout.refused, bad=bool(newly_refused))

    def _resume(self, pending: Pending) -> Result:
        published = Published(self.parts)
        live = published.live
        if live is None:  # the caller has looked
            raise ValueError("nothing is known to be live")
        tip = published.tree or self.parts.repository.tree(live.sha)
        self._stays = live.stays
        paths = pending.files
        self._holding.carried = frozenset(live.held) - pending.held
        if pending.examination:
            with self._step(StepName.PREFLIGHT) as note:
                pending.examination.wait(0)  # raises what it failed with
                results = dict(pending.examination.results)
                pending.examination.end()
                note.text = self._holding.take(
                    [results[path] for path in sorted(results) if path in paths], tip
                )
            there = published.of(tip)
            self._holding.hold_modules(there, there, tip, live.held, among=pending.modules)
            self._publication.publish(tip, paths.intersection(results))
        else:
            self._publication.rejoin(tip)
        to_parse = [p for p in sorted(paths) if p in tip.files and tip.files[p].facts.may_hold_dag]
        self._publication.unjudged = pending.unjudged
        self._publication.judge(to_parse)
        return self._result(tip)

    def _result(self, tip: Tree, refused: str | None = None, *, bad: bool = False) -> Result:
        holding, unjudged = self._holding, self._publication.unjudged
        verdicts = self._verdicts()
        # What stays in the place of something else is live as the tip's tree has it.
        stays = {item.path for item in tip.left_out}
        held = {
            v.path
            for v in verdicts
            if v.outcome is Outcome.HELD
            and v.path in tip.files
            and not (v.path in stays and v.proof is Proof.NONE)
        }
        pending = Pending(holding.unexamined, holding.modules, self._examination, unjudged)
        return Result(
            Ending(
                tip.sha,
                State.BROKEN if bad or not all(v.good for v in verdicts) else State.SUCCEEDED,
                verdicts=verdicts,
                refused=refused,
                duplicates=holding.duplicates,
            ),
            live=Live(
                tip.sha,
                tuple(sorted(held | holding.carried | pending.held)),
                tuple(sorted(pending.files | pending.modules)),
                self._stays,
            ),
            pending=pending,
        )

    # -- the steps

    def _preflight(self, paths: Sequence[str], tip: Tree) -> None:
        with self._step(StepName.PREFLIGHT) as note:
            # Dying here leaves nothing behind: the isolated parse has no effect.
            examination = self.parts.examiner.begin(tip, paths)
            self._examination = examination
            began, clock = self.parts.clock.monotonic(), self.parts.clock
            while not examination.done:
                patience_s = began + PATIENCE_S - clock.monotonic()
                if patience_s <= 0 and self.cut():
                    break
                examination.wait(max(patience_s, 0) or LONG_S)
            results = dict(examination.results)
            note.text = self._holding.take([results[p] for p in paths if p in results], tip)
            late = frozenset(paths) - results.keys()
            if late:
                self._holding.unexamined = late
                longer = counted(late, "takes", "take")
                note.text += f", {longer} longer: others go first"
            else:
                examination.end()
                self._examination = None

    def _judged_unmoved(self, live: Live) -> frozenset[str]:
        """Return the paths that are judged though they may be live as they are.

        Nobody has judged them, or will; or an answered commit changed them, by putting a file back
        as it is live, say: who changed a file is told what it does.
        """
        changed = frozenset(path for commit in self.commits for path in commit.changed)
        return changed | (frozenset(live.pending) - self.beside.paths)

    def _without_edited(self, live: Tree | None) -> Tree | None:
        """Return the live tree without what was changed by hand: that is published anew."""
        edited = self.edits.paths if self.edits else None
        if live is None or not edited:
            return live
        files = {path: file for path, file in live.files.items() if path not in edited}
        return replace(live, files=files)

    def _note_stays(self, live: Live | None) -> None:
        if live and not set(self._stays) <= set(live.stays):
            # Dying after the tip is live leaves known of which commit that is, and no more.
            stays = tuple(sorted({*live.stays, *self._stays}))
            self.parts.journal.set_live(replace(live, stays=stays))

    def _drift(self, tip: Tree) -> str | None:
        """Return what is to be said of the compose file in the repository."""
        try:
            return stack.drift(tip.compose, self.parts.services.own_stack())
        except ServicesError as exc:
            return str(exc)

    def _verdicts(self) -> tuple[Verdict, ...]:
        both = [*self._holding.held.values(), *self._publication.verdicts]
        return tuple(sorted(both, key=lambda v: v.path))
