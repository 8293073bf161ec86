"""Answer commits: what they changed, and how those end that get no deployment of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Final

import structlog

from deployer.core.dependencies.affected import governed, stands_alone, stirred
from deployer.core.model import (
    DAGS,
    ROSTER,
    Deployment,
    Ending,
    History,
    State,
    Status,
    StatusState,
    folder_of,
)
from deployer.core.reporting import ownership
from deployer.core.reporting.commit_status import Commit, final, gone
from deployer.core.reporting.contexts import DEPLOY
from deployer.deployment.parts import Parts
from deployer.deployment.published import Published
from deployer.errors import GitError, UnknownCommit
from deployer.ports import Announcement
from deployer.worker.carried import Carrying
from deployer.worker.intake import Intake

log = structlog.get_logger()

LOOKED_BACK = 50
"""Deployments among which the one is sought that first held a commit."""
TAKEN_BACK: Final = "something else was asked for before it was rolled back; ask once more"


@dataclass(eq=False)
class CoveredCommits:
    """What is said of commits beside the one that is deployed."""

    parts: Parts
    intake: Intake
    carrying: Carrying
    _rosters: dict[str, str | None] = field(default_factory=dict)  # of a commit and of its past

    def commit(self, sha: str, before: str | None, others: Sequence[str] = ()) -> Commit:
        """Return a commit with what differs from the tip named before it, else from `before`.

        Git may show it before its delivery comes, which names that tip; of `others`, which answer
        for themselves, one may be that.
        """
        base = self.parts.journal.before_of(sha) or self._pushed_upon(sha, before, others)
        # `before` is another after a crash: who was told by the first gets an answer all the same.
        told = self.parts.journal.open_contexts(sha)
        try:
            past = self.parts.repository.history(base, sha)
            return Commit(sha, past.changed, self._notes(sha, past), open=told, since=past.since)
        except UnknownCommit:
            return Commit(sha, open=told)

    def _pushed_upon(self, sha: str, before: str | None, others: Sequence[str]) -> str | None:
        """Return the newest that `sha` holds of `before` and of what was a tip after it.

        Else `before`, which a forced push replaced; None where that came after it.
        """
        known = self.parts.journal.about(sha)[:1]  # where it failed first, beside others, perhaps
        others = [*others, *(one for first in known for one in first.covers)]
        is_past = any(one != sha and self.is_on(one, sha) for one in others)
        if before == sha or (before and is_past and self.is_on(before, sha)):
            before = None
        newest = before if before and self.is_on(sha, before) else None
        begun, waited = self._known_before(sha)
        later = takewhile(lambda tip: tip != before, begun)
        fresh = (one for one in (*others, *waited) if not (before and self.is_on(before, one)))
        for one in dict.fromkeys((*later, *fresh)):
            if one != sha and self.is_on(sha, one) and (not newest or self.is_on(one, newest)):
                newest = one
        return newest or before

    def _known_before(self, sha: str) -> tuple[list[str], list[str]]:
        """Return what was known before `sha`, newest first: tips that were begun, and the rest.

        Those had to wait, in a freeze say.
        """
        known = self.parts.journal.deployments(limit=LOOKED_BACK)
        first = min((d.id for d in known if sha in {d.sha, *d.covers}), default=0)
        before = [d for d in known if d.id < first]
        return [d.sha for d in before if d.started_at], [d.sha for d in before if not d.started_at]

    def _notes(self, sha: str, past: History) -> tuple[str, ...]:
        before = self._roster(past.since) if past.since else None
        after = self._roster(sha) if ROSTER in past.changed or not past.since else before
        # One commit is most often the next one's past: hardly ever is a tree read for this.
        self._rosters = {sha: after} | ({past.since: before} if past.since else {})
        pusher = self.parts.journal.pusher_of(sha)
        return ownership.notes(past, pusher=pusher, roster=before, new_roster=after)

    def _roster(self, sha: str) -> str | None:
        if sha not in self._rosters:
            self._rosters[sha] = self.parts.repository.tree(sha).roster
        return self._rosters[sha]

    def broke(self, deployment: int, base_sha: str | None, ending: Ending) -> tuple[str, ...]:
        """Return the files that a deployment broke without a change of their own text."""
        bad = [verdict.path for verdict in ending.verdicts if not verdict.good]
        if not bad or base_sha is None:
            return ()
        # Where it is judged anew, what it broke was good before it was live first.
        judged = [
            one.ending
            for one in self.parts.journal.about(ending.tip)
            if one.sha == ending.tip and one.ending and one.state in {State.SUCCEEDED, State.BROKEN}
        ]
        known = {path for ended in judged for path in ended.broke}
        if judged and base_sha != self.parts.journal.before_of(ending.tip):
            return tuple(sorted(known.intersection(bad)))
        try:
            tip = self.parts.repository.tree(ending.tip)
            before = self.parts.repository.tree(base_sha)
        except GitError:  # nothing but this is lost with it
            return ()
        linked = {**before.links, **tip.links}
        stayed = [
            path
            for path in bad
            if path in before.files
            and (path in linked or before.files[path] == tip.files.get(path))
        ]
        were_good = self.parts.journal.were_good(stayed, before=deployment)
        return tuple(sorted(were_good | known.intersection(bad)))

    def final(self, commit: Commit, ending: Ending) -> tuple[Status, ...]:
        """Return how a commit ended, and whose files it broke."""
        bad = {verdict.path for verdict in ending.verdicts if not verdict.good}
        near = {None, *commit.folders}  # what it can be told of
        if ending.broke or ending.refused or any(folder_of(path) in near for path in bad):
            try:
                commit = self._with_reach(commit, ending, bad)
            except GitError as exc:  # it has its verdict all the same
                log.warning("what it reached is not known", sha=commit.sha, reason=str(exc))
        return final(commit, ending)

    def _with_reach(self, commit: Commit, ending: Ending, bad: Collection[str]) -> Commit:
        """Return a commit with what it reached, and which of the `bad` files are no fault of its.

        Raises:
            GitError
        """
        tip = Published(self.parts).tree  # with what only stays in it
        if tip is None or tip.sha != ending.tip:
            tip = self.parts.repository.tree(ending.tip)
        before = self.parts.repository.tree(commit.since) if commit.since else None
        leads = [*tip.links.items(), *(before.links.items() if before else ())]
        linked = {path for path, target in leads if target in commit.changed}
        alone = {
            v.path
            for v in ending.verdicts
            if v.path in tip.files and stands_alone(v.path, tip.files[v.path], v.error)
        }
        reached = stirred(tip.files, {*commit.changed, *linked})
        reached -= alone.difference(commit.changed, ending.broke)
        others: frozenset[str] = frozenset()
        if commit.changed:
            own = {path for path in bad if commit.changes(path)}
            others = frozenset(bad) - own - reached - governed(before, tip, commit.changed)
        return replace(commit, reaches=reached, others=others)

    def answered(self, sha: str) -> bool:
        """Tell whether a commit has a verdict that only a deployment of itself may change."""
        shown = self.parts.journal.shown(sha, DEPLOY)
        return shown in {StatusState.SUCCESS, StatusState.FAILURE}

    def close_answered(self, rows: Sequence[Deployment]) -> list[Deployment]:
        """End deployments of commits that were answered before, and say nothing again.

        A deployment that died may have begun to tell one in more contexts: those get an answer.
        Returns the others.
        """
        answered = [row for row in rows if self.answered(row.sha)]
        for row in answered:
            commit, judged = self.commit(row.sha, row.base_sha), self._first_that_held(row.sha)
            said = (
                self.final(commit, judged.ending)
                if judged and judged.ending
                else gone(commit, self.parts.settings.branch)
            )
            still_open = [status for status in said if status.context in commit.open]
            self._supersede(row.id, "answered before", still_open)
            log.info("answered before", sha=row.sha, deployment=row.id)
        return [row for row in rows if row not in answered]

    def dismiss(self, rows: Sequence[Deployment]) -> None:
        """End commits that a forced push removed."""
        for row in rows:
            # Where nobody named what came before it, what was live then says nothing of its push.
            said = gone(self.commit(row.sha, None), self.parts.settings.branch)
            self._supersede(row.id, f"no longer on {self.parts.settings.branch}", said)
            log.info("gone", sha=row.sha, deployment=row.id)

    def answer_late(self, rows: Sequence[Deployment]) -> list[Deployment]:
        """End commits that came to be known only after what holds them was live.

        Each ends as the first deployment that held it; one that was cut short takes it along.
        Returns those that no deployment known here has held, or judged.
        """
        left = []
        for row in rows:
            judged = self._first_that_held(row.sha, self.carrying.deployments)
            before, covers = (judged.base_sha, judged.covers) if judged else (None, ())
            commit = self.commit(row.sha, row.base_sha or before, covers)
            if judged is None or self._unjudged(commit, judged):
                left.append(row)
            elif judged.ending is None:
                self.carrying.take_along(judged.id, row.id, commit)
            elif judged.sha == row.sha:
                said = self.final(commit, judged.ending)
                self.parts.journal.owe(said, deployment=judged.id, at=self.parts.clock.now())
                # Dying before this line: the row is of one that was answered before.
                self._supersede(row.id, "live already", ())
            else:
                why = f"deployed as part of {judged.sha[:7]}"
                self._supersede(row.id, why, self.final(commit, judged.ending))
        return left

    def _supersede(self, row: int, why: str, said: Sequence[Status]) -> None:
        now = self.parts.clock.now()
        self.parts.journal.supersede(row, why, at=now, statuses=said)
        self.parts.owed()

    def _unjudged(self, commit: Commit, judged: Deployment) -> bool:
        """Tell whether a deployment has no word on what a commit that it held did to DAG files.

        What it put back as it was live had not moved, and so nobody looked.
        """
        try:
            tip = self.parts.repository.tree(judged.sha).files
            before = self.parts.repository.tree(judged.base_sha).files if judged.base_sha else {}
        except UnknownCommit:
            return False
        told = {verdict.path for verdict in judged.ending.verdicts} if judged.ending else set()
        stayed = {path for path in commit.changed if path in tip and before.get(path) == tip[path]}
        return any(
            path.startswith(DAGS) and tip[path].facts.may_hold_dag and path not in told
            for path in stirred(tip, stayed)
        )

    def forgotten(self, tip: str) -> list[str]:
        """Return the commits on the branch whose last deployment was in `error`."""
        carried = self.carrying.shas
        shas = dict.fromkeys(
            sha
            for _, sha in self.parts.journal.in_error()
            if sha not in carried and not self.intake.delivery_due_in_s(sha)
        )
        # One with a verdict was covered by what mended something else.
        return [sha for sha in shas if not self.answered(sha) and self.is_on(tip, sha)]

    def tell_forgotten(self, tip: str) -> None:
        """Answer commits in `error` anew, now that `tip` is live and judged.

        What is live holds them, so some deployment has judged them; a forced push has removed
        the others.
        """
        if self.carrying:
            return
        in_error: dict[int, list[str]] = {}
        for failed, sha in self.parts.journal.in_error():
            in_error.setdefault(failed, []).append(sha)
        for failed, shas in in_error.items():
            said: list[Status] = []
            for sha in shas:
                if self.answered(sha):
                    continue
                if self.intake.delivery_due_in_s(sha):
                    break
                commit = self.commit(sha, None)
                judged = self._first_that_held(sha)
                if not self.is_on(tip, sha):
                    said += gone(commit, self.parts.settings.branch)
                elif judged is None or judged.ending is None:
                    break
                else:
                    said += self.final(commit, judged.ending)
            else:
                self._supersede(failed, "told anew", said)
                log.info("told anew", deployment=failed, commits=len(shas))

    def _first_that_held(
        self, sha: str, at_work: Collection[int] = frozenset()
    ) -> Deployment | None:
        """Return the first of the newest deployments in a row that held `sha`.

        Only those that have ended otherwise than in `error`, or are among `at_work`.
        """
        first = None
        for deployment in self.parts.journal.deployments(limit=LOOKED_BACK):
            ending = deployment.ending
            if deployment.id not in at_work and (ending is None or ending.state is State.ERROR):
                continue
            if not self.is_on(deployment.sha, sha):
                break
            first = deployment
        return first

    def refuse(self, requests: Sequence[Announcement], reason: str | None = None) -> None:
        """Answer requests in vain; no `reason`: the branch does not hold the commit."""
        journal = self.parts.journal
        for request in requests:
            sha = request.sha or ""
            why = reason or f"{sha[:7]} is not on {self.parts.settings.branch}; push it there first"
            refused = self.intake.queue(sha, None, request.trigger)
            journal.attach(request.id, refused)
            ending = Ending(sha, State.FAILED, reason=why)
            journal.end(refused, ending, at=self.parts.clock.now())
            log.warning("refused", deployment=refused, reason=why)

    def judged_beyond(self, sha: str) -> list[str]:
        """Return the commits newer than `sha` that were live before it, of the last deployments."""
        found: dict[str, None] = {}
        was = ""
        for deployment in self.parts.journal.deployments(limit=LOOKED_BACK):
            if deployment.sha != sha and deployment.state in {State.SUCCEEDED, State.BROKEN}:
                was = was or deployment.sha
                found |= dict.fromkeys(
                    c
                    for c in deployment.covers
                    if c != sha and self.is_on(c, sha) and self.is_on(was, c)
                )
        return list(found)

    def is_on(self, tip: str, sha: str) -> bool:
        """Tell whether `tip` holds a commit."""
        try:
            return self.parts.repository.contains(tip, sha)
        except UnknownCommit:
            return False
