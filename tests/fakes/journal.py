"""A journal in memory: what `SqlJournal` promises, without a database."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from deployer.core.airflow_version import leave_to_it
from deployer.core.alerts import ClassStanding, standing_red
from deployer.core.invariants import LATELY, Audit
from deployer.core.model import (
    Closed,
    Deployment,
    Duplicate,
    Ending,
    Freeze,
    Heard,
    Live,
    Origin,
    Outcome,
    Owed,
    Plan,
    ProcessorCame,
    Pulse,
    Refusal,
    Running,
    State,
    Status,
    StatusRecord,
    StatusState,
    StepRecord,
    Tally,
    Trigger,
    Verdict,
    folder_of,
)
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.reporting.pacing import LAST_RETRY_S, patience, urgency
from deployer.errors import DeployerError, JournalError
from deployer.ports import Announcement


@dataclass(slots=True, eq=False)
class Line:
    """A row of the outbox; `standing` is owed, replaced, posted, refused or removed."""

    id: int
    place: int
    record: StatusRecord
    owed_since: datetime
    due_at: datetime
    standing: str = "owed"

    @property
    def key(self) -> tuple[str, str]:
        return (self.record.status.sha, self.record.status.context.lower())


class FakeJournal:
    """Implements `ports.Journal`.

    Attributes:
        announced: all announcements by id, with the deployment that answers each.
        records: deployments by id, without their statuses.
        lines: the outbox, oldest first.
        broken: set to have every delivery fail, as with a full disk.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._results: dict[str, str] = {}  # by guid
        self._deliveries: dict[str, Heard] = {}  # by guid, without deployments
        self._of_delivery: dict[str, int] = {}  # announcements by guid
        self._pushers: dict[str, str] = {}  # by commit
        self._numbers = 0  # announcements up to now
        self.announced: dict[int, tuple[Announcement, int | None]] = {}
        self.records: dict[int, Deployment] = {}
        self.lines: list[Line] = []
        self._said: dict[int, dict[int, None]] = {}  # places by deployment, in order
        self._freeze: Freeze | None = None
        self._thawed_at: datetime | None = None
        self._live: Live | None = None
        self._stays: tuple[tuple[str, str], ...] = ()
        self._packages: str | None = None
        self._refusals: dict[str, Refusal] = {}
        self._condemned: dict[tuple[str, str], str] = {}
        self._closed: Closed | None = None
        self._drained: dict[str, int] | None = {}
        self._pulse = Pulse(None, None, None, None, None, None, 0)
        self._link_key = secrets.token_hex(32)
        self._logins: dict[str, datetime | None] = {}  # until when, by fingerprint
        self.broken = False

    # -- written by the web process and the command line

    def record_delivery(
        self, *, guid: str, event: str, result: str, reason: str, payload: Mapping[str, object]
    ) -> bool:
        with self._lock:
            if self.broken:
                raise JournalError("the journal can't be written: disk full")
            if self._results.get(guid, "ignored") != "ignored":
                return False
            self._results[guid] = result
            self._pulse = replace(self._pulse, delivered_at=self._now())
            named = {name: str(payload[name]) for name in ("after", "pusher") if payload.get(name)}
            self._deliveries[guid] = Heard(
                self._now(),
                named.get("after"),
                trigger=None,
                delivery=guid,
                event=event,
                reason=reason,
                by=named.get("pusher"),
            )
            if event == "push" and result == "queued":
                if payload.get("pusher"):
                    self._pushers[str(payload["after"])] = str(payload["pusher"])
                of = {name: payload.get(name) for name in ("repo_id", "repo", "known_as")}
                pushed = Origin(**of) if of["repo"] else None  # type: ignore[arg-type]  # mixed
                self._pulse = replace(self._pulse, pushed=pushed)
                before = str(payload["before"]) if payload.get("before") else None
                self._of_delivery[guid] = self._announce(
                    str(payload["after"]),
                    Trigger.WEBHOOK,
                    before=None if before == "0" * 40 else before,
                    forced=bool(payload.get("forced")),
                )
            return True

    def request_deploy(self, sha: str | None, trigger: Trigger) -> int:
        with self._lock:
            return self._announce(sha, trigger)

    def _announce(
        self, sha: str | None, trigger: Trigger, *, before: str | None = None, forced: bool = False
    ) -> int:
        number = self._numbers = self._numbers + 1
        made = Announcement(number, sha, before, trigger, self._now(), forced)
        self.announced[number] = (made, None)
        return number

    def freeze(self, why: str, *, by: str, until: datetime | None) -> Freeze:
        held = self.frozen(self._now())
        leave_to_it(held, by)
        self._freeze = Freeze(why, by, self._now(), until, held.sha if held else None)
        self._thawed_at = until
        return self._freeze

    def roll_back(self, sha: str, why: str, *, by: str) -> int:
        leave_to_it(self.frozen(self._now()), by)
        self._freeze = Freeze(why, by, self._now(), sha=sha)
        self._thawed_at = None
        return self.request_deploy(sha, Trigger.ROLLBACK)

    def unfreeze(self, *, by: str) -> Freeze | None:
        held = self.frozen(self._now())
        leave_to_it(held, by)
        if self._freeze:
            self._thawed_at = min(self._now(), self._freeze.until or self._now())
        self._freeze = None
        return held

    # -- the worker's

    def frozen(self, at: datetime) -> Freeze | None:
        return self._freeze if self._freeze and self._freeze.holds(at) else None

    def unseen(self) -> tuple[Announcement, ...]:
        return tuple(made for made, answered_by in self.announced.values() if answered_by is None)

    def unfinished(self) -> tuple[Deployment, ...]:
        return tuple(_bare(d) for d in self.records.values() if not d.state.ended)

    def queue(
        self, sha: str, *, base_sha: str | None, ref: str, trigger: Trigger, at: datetime
    ) -> int:
        number = len(self.records) + 1
        self.records[number] = Deployment(number, sha, base_sha, ref, trigger, State.QUEUED, at)
        return number

    def attach(self, announcement: int, deployment: int) -> None:
        self._record(deployment)
        if announcement not in self.announced:
            raise JournalError(f"the journal holds no announcement {announcement}")
        self.announced[announcement] = (self.announced[announcement][0], deployment)

    def start(
        self, deployment: int, *, at: datetime, base_sha: str | None, covers: Sequence[str]
    ) -> None:
        self.records[deployment] = replace(
            self._record(deployment),
            state=State.RUNNING,
            started_at=at,
            finished_at=None,
            base_sha=base_sha,
            covers=tuple(covers),
            reason="",
            steps=(),
            verdicts=(),
            running=None,
            waits_for=None,
        )

    def set_plan(self, deployment: int, plan: Plan) -> None:
        kept = replace(plan, installs=None)
        self.records[deployment] = replace(self._record(deployment), plan=kept)

    def add_step(self, deployment: int, step: StepRecord) -> None:
        record = self._record(deployment)
        self.records[deployment] = replace(record, steps=(*record.steps, step), running=None)

    def doing(self, deployment: int, running: Running) -> None:
        self.records[deployment] = replace(self._record(deployment), running=running)

    def wait_for(
        self, deployments: Collection[int], words: str, *, at: datetime, statuses: Sequence[Status]
    ) -> None:
        for number, status in zip(deployments, statuses, strict=True):
            self.records[number] = replace(self._record(number), waits_for=words)
            self.owe([status], deployment=number, at=at)

    def set_verdicts(self, deployment: int, verdicts: Sequence[Verdict]) -> None:
        in_order = tuple(sorted(verdicts, key=lambda verdict: verdict.path))
        self.records[deployment] = replace(self._record(deployment), verdicts=in_order)

    def end(
        self,
        deployment: int,
        ending: Ending,
        *,
        at: datetime,
        statuses: Sequence[Status] = (),
        supersedes: Collection[int] = (),
        live: Live | None = None,
    ) -> None:
        self.set_verdicts(deployment, ending.verdicts)
        reason = ending.reason or ending.refused or ""
        ended = {
            deployment: replace(
                self._record(deployment),
                state=ending.state,
                reason=reason,
                ending=ending,
                running=None,
            )
        }
        for other in supersedes:
            why = f"part of deployment {deployment}"
            ended[other] = _superseded(self._record(other), why)
        for number, record in ended.items():
            self.records[number] = replace(record, finished_at=at)
        self.owe(statuses, deployment=deployment, at=at)
        if live is not None:
            self.set_live(live)
            self._pulse = replace(self._pulse, tip_since=at)

    def supersede(
        self, deployment: int, reason: str, *, at: datetime, statuses: Sequence[Status] = ()
    ) -> None:
        ended = _superseded(self._record(deployment), reason)
        self.records[deployment] = replace(ended, finished_at=at)
        self.owe(statuses, deployment=deployment, at=at)

    def live(self) -> Live | None:
        return self._live

    def set_live(self, live: Live | None) -> None:
        self._live = live
        self._stays = live.stays if live else self._stays

    def stays(self) -> tuple[tuple[str, str], ...]:
        return self._stays

    def packages(self) -> str | None:
        return self._packages

    def set_packages(self, text: str) -> None:
        self._packages = text

    def were_good(self, paths: Collection[str], *, before: int) -> frozenset[str]:
        newest: dict[str, Verdict] = {}
        for record in self.records.values():
            if record.id < before:
                newest.update({verdict.path: verdict for verdict in record.verdicts})
        return frozenset(path for path in paths if path in newest and newest[path].good)

    def judged(self) -> frozenset[str]:
        told = (v for record in self.records.values() for v in record.verdicts)
        newest = {v.path: v for v in told if v.outcome is not Outcome.HELD}
        return frozenset(p for p, v in newest.items() if not v.gone)

    def duplicates(self, paths: Collection[str]) -> tuple[Duplicate, ...]:
        newest = {v.path: (v, d.ending) for d in self.records.values() for v in d.verdicts}
        told = (newest[path] for path in paths if path in newest)
        return tuple(
            duplicate
            for verdict, ending in told
            if verdict.outcome is Outcome.HELD and ending
            for duplicate in ending.duplicates
            if duplicate.path == verdict.path
        )

    def files_of(self, dag_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        good = {v.path: v for d in self.records.values() for v in d.verdicts if v.good}
        having = {
            dag_id: frozenset(path for path, v in good.items() if dag_id in v.dag_ids)
            for dag_id in dag_ids
        }
        return {dag_id: paths for dag_id, paths in having.items() if paths}

    def pusher_of(self, sha: str) -> str | None:
        return self._pushers.get(sha)

    def before_of(self, sha: str) -> str | None:
        named = [made.before for made, _ in self.announced.values() if made.sha == sha]
        return next((before for before in reversed(named) if before is not None), None)

    def forced_away(self, sha: str) -> bool:
        made = [made for made, _ in self.announced.values()]
        removed = max((m.id for m in made if m.before == sha and m.forced), default=0)
        return removed > max((m.id for m in made if m.sha == sha), default=0)

    def refusals(self) -> Mapping[str, Refusal]:
        return dict(self._refusals)

    def lift(self, requirements_hash: str) -> None:
        self._refusals.pop(requirements_hash, None)

    def condemn(self, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
        self._condemned |= dict.fromkeys(files.items(), reason)

    def pardon(self) -> None:
        self._condemned.clear()
        self._refusals.clear()

    def condemned(self) -> Mapping[tuple[str, str], str]:
        return dict(self._condemned)

    def refuse(self, requirements_hash: str, refusal: Refusal, *, at: datetime) -> None:
        self._refusals[requirements_hash] = refusal

    def drained(self) -> Mapping[str, int] | None:
        return self._drained

    def set_drained(self, slots: Mapping[str, int] | None) -> None:
        self._drained = None if slots is None else dict(slots)

    def beat(
        self,
        *,
        at: datetime,
        tip: str | None = None,
        tip_checked_at: datetime | None = None,
        processors: Collection[ProcessorCame] | None = None,
        drift: str | None = None,
        edited: str | None = None,
    ) -> None:
        was = self._pulse
        live = self._live.sha if self._live else None
        level = tip is not None and (tip == live or was.tip in {None, live})
        self._pulse = replace(
            was,
            beat_at=at,
            tip=tip or was.tip,
            tip_checked_at=tip_checked_at or was.tip_checked_at,
            drift=was.drift if drift is None else drift,
            tip_since=(tip_checked_at or at) if level else was.tip_since,
            processors=was.processors if processors is None else tuple(processors),
            edited=was.edited if edited is None else edited,
        )

    # -- the outbox

    def owe(self, statuses: Sequence[Status], *, deployment: int, at: datetime) -> None:
        self._record(deployment)
        for status in statuses:
            place = self._owe(status, at)
            if place is not None:
                self._said.setdefault(deployment, {})[place] = None

    def _owe(self, status: Status, at: datetime) -> int | None:
        key = (status.sha, status.context.lower())
        last = next((line for line in reversed(self.lines) if line.key == key), None)
        given = last and last.standing != "refused" and last.record.status.state != "pending"
        if given and status.state == "pending":
            return None
        words = last and (last.record.status.state, last.record.status.description)
        if last and last.standing != "refused" and words == (status.state, status.description):
            return last.place
        new = Line(len(self.lines) + 1, len(self.lines) + 1, StatusRecord(status), at, at)
        if last and last.standing == "owed":
            last.standing = "replaced"
            new.place, new.owed_since = last.place, last.owed_since
        self.lines.append(new)
        return new.place

    def due(self, at: datetime, limit: int = 1) -> tuple[Owed, ...]:
        last = at + timedelta(seconds=LAST_RETRY_S)
        saying = {place: made for made, places in sorted(self._said.items()) for place in places}
        tips = {made.sha: made.id for made in self.records.values()}
        waiting = [
            Owed(
                line.id,
                line.record.status,
                line.record.attempts,
                line.owed_since,
                saying[line.place],
                line.place,
                tips.get(line.record.status.sha, 0),
            )
            for line in self.lines
            if line.standing == "owed" and (line.due_at <= at or line.due_at > last)
        ]
        lines = (sorted(waiting, key=order)[:limit] for order in (urgency, patience))
        return tuple({owed.id: owed for line in lines for owed in line}.values())

    def posted(self, owed: int, *, at: datetime, target_url: str | None) -> None:
        line = self._line(owed)
        self._settle(line, "posted", posted_at=at, error=None)
        line.record = replace(line.record, target_url=target_url)

    def try_again(
        self, owed: int, *, due_at: datetime, error: str, closed: Closed | None = None
    ) -> None:
        self._closed = closed or self._closed
        place = self._line(owed).place
        for line in self.lines:
            if line.place == place and line.standing == "owed":
                line.due_at = due_at
                self._settle(line, "owed", posted_at=None, error=error)

    def closed(self) -> Closed | None:
        return self._closed

    def posted_since(self, at: datetime, limit: int) -> tuple[datetime, ...]:
        times = (line.record.posted_at for line in self.lines)
        return tuple(sorted(time for time in times if time and time > at)[-limit:])

    def refused(self, owed: int, *, error: str) -> None:
        self._settle(self._line(owed), "refused", posted_at=None, error=error)

    def _settle(
        self, line: Line, standing: str, *, posted_at: datetime | None, error: str | None
    ) -> None:
        line.standing = standing
        attempts = line.record.attempts + 1
        line.record = replace(line.record, posted_at=posted_at, error=error, attempts=attempts)

    def _line(self, owed: int) -> Line:
        if not 0 < owed <= len(self.lines):
            raise JournalError(f"the journal owes no status {owed}")
        return self.lines[owed - 1]

    def shown(self, sha: str, context: str) -> StatusState | None:
        key = (sha, context.lower())
        mine = [line for line in self.lines if line.key == key and line.standing != "removed"]
        return mine[-1].record.status.state if mine else None

    # -- who may see it

    def link_key(self) -> str:
        return self._link_key

    def set_link_key(self, key: str) -> None:
        self._link_key = key

    def admit(self, fingerprint: str, *, at: datetime, until: datetime | None) -> None:
        self._logins[fingerprint] = until

    def admitted(self, fingerprint: str, at: datetime) -> bool:
        until = self._logins.get(fingerprint, at)
        return until is None or until > at

    def exchange(self, once: str, fingerprint: str, *, at: datetime, until: datetime) -> bool:
        if not self.admitted(once, at):
            return False
        del self._logins[once]
        self.admit(fingerprint, at=at, until=until)
        return True

    def revoke(self) -> int:
        ended = len(self._logins)
        self._logins.clear()
        return ended

    # -- what the teacher is told

    def standing(self) -> ClassStanding:
        ended = [d for d in self.records.values() if d.ending and not _refused(d)]
        newest = ended[-1] if ended else None
        live = [d for d in ended if d.state in {State.SUCCEEDED, State.BROKEN}]
        newest_verdicts = {
            verdict.path: verdict
            for d in self.records.values()
            if d.state.ended
            for verdict in d.verdicts
        }
        open_ones = [(d.sha, d.queued_at) for d in self.records.values() if not d.state.ended]
        open_ones += [(made.sha, made.received_at) for made in self.unseen() if made.sha]
        return ClassStanding(
            deployment=newest.id if newest else None,
            sha=newest.sha if newest else "",
            state=newest.state if newest else None,
            reason=newest.reason if newest else "",
            refused=(live[-1].ending.refused if live and live[-1].ending else "") or "",
            red=standing_red(
                newest_verdicts.values(), self.live(), live[-1].plan if live else Plan()
            ),
            waits=min(open_ones, key=lambda it: it[1], default=None),
        )

    # -- for everybody who asks

    def deployment(self, deployment: int) -> Deployment | None:
        found = self.records.get(deployment)
        return None if found is None else self._whole(found)

    def deployments(
        self, *, limit: int = 20, folder: str | None = None, state: State | None = None
    ) -> tuple[Deployment, ...]:
        found = [
            self._whole(record)
            for record in reversed(self.records.values())
            if (folder is None or folder in _folders(record))
            and (state is None or record.state is state)
            and not _refused(record)
        ]
        return tuple(_untraced(one) for one in found[: max(limit, 0)])

    def judging(self, sha: str) -> Deployment | None:
        judging = [d for d in self.records.values() if sha in {d.sha, *d.covers}]
        best = max(judging, key=lambda d: (d.state is not State.SUPERSEDED, d.id), default=None)
        return None if best is None else self._whole(best)

    def heard(self, what: str) -> tuple[Heard, ...]:
        posted = []
        for guid, came in self._deliveries.items():
            made, answer = self.announced.get(self._of_delivery.get(guid, 0), (None, None))
            if what in {guid, came.sha}:
                posted.append(
                    replace(came, trigger=made.trigger if made else None, deployment=answer)
                )
        wished = [
            Heard(made.received_at, made.sha, made.trigger, deployment=answer)
            for made, answer in self.announced.values()
            if made.sha == what and made.id not in self._of_delivery.values()
        ]
        return tuple(sorted([*posted, *wished], key=lambda it: it.at))

    def about(self, sha: str) -> tuple[Deployment, ...]:
        found = [self._whole(d) for d in self.records.values() if sha in {d.sha, *d.covers}]
        return tuple(_untraced(one) for one in found[-50:])

    def in_error(self) -> tuple[tuple[int, str], ...]:
        newest: dict[str, Deployment] = {}
        for record in self.records.values():
            if record.ending is not None:
                newest.update(dict.fromkeys(record.covers, record))
        failed = [(d.id, sha) for sha, d in newest.items() if d.state is State.ERROR]
        return tuple(
            sorted(failed, key=lambda it: (it[0], self.records[it[0]].covers.index(it[1])))
        )

    def complete(self, prefix: str) -> str | None:
        known = {sha for d in self.records.values() for sha in (d.sha, *d.covers)}
        known |= {made.sha for made, _ in self.announced.values() if made.sha}
        found = [sha for sha in known if sha.startswith(prefix.lower())]
        if len(found) > 1:
            raise DeployerError(f"{prefix} is the beginning of several commits")
        return next(iter(found), None)

    def answer_to(self, announcement: int) -> Deployment | None:
        _, number = self.announced.get(announcement, (None, None))
        return None if number is None else self.deployment(number)

    def audit(self, at: datetime) -> Audit:
        at_work = {sha for d in self.unfinished() for sha in (d.sha, *self.records[d.id].covers)}
        at_work |= {made.sha for made in self.unseen() if made.sha}
        open_lines = {line.key: line for line in self.lines if line.standing != "removed"}
        waiting = {sha for (sha, _), x in open_lines.items() if x.record.status.state == "pending"}
        waiting |= {
            made.sha
            for made, _ in self.announced.values()
            if made.sha and made.trigger is Trigger.WEBHOOK and made.received_at > at - LATELY
            and (made.sha, DEPLOY) not in open_lines
        }  # fmt: skip
        live = self._live if self._live and not self._live.pending else None
        judging = {State.RUNNING, State.SUCCEEDED, State.BROKEN}
        judged = {sha for d in self.records.values() if d.state in judging for sha in d.covers}
        return Audit(
            stranded=tuple(sorted(waiting - at_work)),
            unjudged=live.sha if live and live.sha not in judged else None,
            owed=sum(line.standing == "owed" for line in self.lines),
        )

    def pulse(self) -> Pulse:
        owed = [line.owed_since for line in self.lines if line.standing == "owed"]
        return replace(
            self._pulse,
            live_sha=self._live.sha if self._live else None,
            oldest_owed=min(owed, default=None),
            owed=len(owed),
            freeze=self._freeze,
            thawed_at=self._thawed_at,
        )

    def tally(self) -> Tally:
        ended = [d for d in self.records.values() if d.ending and d.finished_at]
        return Tally(
            Counter(d.state for d in self.records.values()),
            Counter(self._results.values()),
            tuple((d.finished_at - d.queued_at).total_seconds() for d in ended if d.finished_at),
        )

    def open_contexts(self, sha: str) -> tuple[str, ...]:
        mine = [line for line in self.lines if line.key[0] == sha and line.standing != "removed"]
        newest = {line.key: line for line in mine}
        said = [line.record.status for line in sorted(newest.values(), key=lambda line: line.id)]
        return tuple(s.context for s in said if s.state in {"pending", "error"})

    def prune(self, before: datetime) -> int:
        newest = {v.path: (d.id, v) for d in self.records.values() for v in d.verdicts}
        kept = {number for number, v in newest.values() if not v.gone}
        kept |= {number for number, _ in self.in_error()}
        owed = {line.place for line in self.lines if line.standing == "owed"}
        kept |= {number for number, places in self._said.items() if owed & places.keys()}
        live = self._live and self._live.sha
        doomed = [
            d.id
            for d in self.records.values()
            if d.state.ended
            and (d.finished_at or d.queued_at) < before
            and d.id not in kept
            and live not in {d.sha, *d.covers}
        ]
        for number in doomed:
            del self.records[number]
            self._said.pop(number, None)
        for line in self.lines:
            if not any(line.place in places for places in self._said.values()):
                line.standing = "removed"
        gone = {n for n, (_, answer) in self.announced.items() if answer in doomed}
        attached = {guid: n for guid, n in self._of_delivery.items() if n not in gone}
        for guid, came in list(self._deliveries.items()):
            if guid not in attached and (guid in self._of_delivery or came.at < before):
                del self._deliveries[guid], self._results[guid]
        self._of_delivery = attached
        for number in gone:
            del self.announced[number]
        return len(doomed)

    def _record(self, deployment: int) -> Deployment:
        if deployment not in self.records:
            raise JournalError(f"the journal holds no deployment {deployment}")
        return self.records[deployment]

    def _whole(self, record: Deployment) -> Deployment:
        said = self._said.get(record.id, {})
        if record.state is State.SUPERSEDED:  # what its commit was told, whoever said it
            said = {x.place: None for x in self.lines if x.key[0] == record.sha}
        mine = sorted((x for x in self.lines if x.place in said), key=lambda x: (x.place, x.id))
        last = {line.key: line.record for line in mine}
        return replace(record, statuses=tuple(last.values()))


def _folders(record: Deployment) -> set[str | None]:
    paths = (*record.plan.dag_files, *record.plan.deleted, *(v.path for v in record.verdicts))
    return {folder_of(path) for path in paths}


def _bare(deployment: Deployment) -> Deployment:
    return replace(deployment, covers=(), steps=(), verdicts=(), statuses=())


def _refused(record: Deployment) -> bool:
    request = record.trigger in {Trigger.MANUAL, Trigger.ROLLBACK} and record.started_at is None
    return request and record.state is State.FAILED


def _untraced(deployment: Deployment) -> Deployment:
    verdicts = tuple(
        replace(verdict, error=verdict.error and replace(verdict.error, trace=""))
        for verdict in deployment.verdicts
    )
    return replace(deployment, verdicts=verdicts)


def _superseded(record: Deployment, reason: str) -> Deployment:
    return replace(
        record, state=State.SUPERSEDED, reason=reason, ending=None, running=None, waits_for=None
    )
