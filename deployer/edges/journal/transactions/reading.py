"""Whole deployments, and what is known of files by their verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, union

from deployer.core.model import (
    Deployment,
    Duplicate,
    Ending,
    Heard,
    Outcome,
    ParseError,
    Proof,
    State,
    Status,
    StatusRecord,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.edges.journal.codec import clean, made
from deployer.edges.journal.tables import (
    announcements,
    claims,
    covers,
    deliveries,
    deployments,
    folders,
    outbox,
    statements,
    steps,
    verdicts,
)
from deployer.errors import DeployerError

Value = TypeVar("Value")

MOST_ABOUT = 50
MOST_NAMED = 10_000
"""SQLite takes 32,766 values in a statement (sqlite.org/limits.html), PostgreSQL's protocol 65,535;
a push may hold more."""
MAX_ID = 2**31 - 1  # PostgreSQL's integer; a larger number in a URL names no deployment


UNFINISHED: Final = deployments.c.state.in_([state for state in State if not state.ended])
GONE: Final = or_(verdicts.c.outcome == Outcome.DELETED, verdicts.c.proof == Proof.LISTING)
"""As `Verdict.gone` has it."""
_error = verdicts.c.error
VERDICT: Final = (
    *(column for column in verdicts.c if column is not _error),
    _error["type"].as_string().label("type"),
    _error["message"].as_string().label("message"),
    _error["line"].as_integer().label("line"),
)
"""But for the trace of its error: of many verdicts those weigh too much."""
_TRACE: Final = _error["trace"].as_string().label("trace")


def batches(values: Collection[Value]) -> Iterator[list[Value]]:
    """Yield `values`, no more at a time than one statement may name."""
    them = list(values)
    for start in range(0, len(them), MOST_NAMED):
        yield them[start : start + MOST_NAMED]


def whole(connection: Connection, deployment: int) -> Deployment | None:
    if not 0 < deployment <= MAX_ID:
        return None
    return _first(connection, select(deployments.c.id).where(deployments.c.id == deployment))


def newest(
    connection: Connection,
    *,
    limit: int = 20,
    folder: str | None = None,
    state: State | None = None,
) -> tuple[Deployment, ...]:
    refused = and_(
        deployments.c.trigger.in_([Trigger.MANUAL, Trigger.ROLLBACK]),
        deployments.c.state == State.FAILED,
        deployments.c.started_at.is_(None),
    )
    query = (
        select(deployments.c.id)
        .where(~refused)
        .order_by(deployments.c.id.desc())
        .limit(max(limit, 0))
    )
    if folder is not None:
        touching = select(folders.c.deployment_id).where(folders.c.folder == folder)
        query = query.where(deployments.c.id.in_(touching))
    if state is not None:
        query = query.where(deployments.c.state == state)
    return _whole(connection, query, traces=False)


def unfinished(connection: Connection) -> tuple[Deployment, ...]:
    query = select(deployments).where(UNFINISHED).order_by(deployments.c.id)
    rows = connection.execute(query)
    return tuple(made(Deployment, row._asdict(), ending=None) for row in rows)


def judging(connection: Connection, sha: str) -> Deployment | None:
    preferred = (deployments.c.state == State.SUPERSEDED, deployments.c.id.desc())
    return _first(connection, deployments_of(sha).order_by(*preferred).limit(1))


def heard(connection: Connection, what: str) -> tuple[Heard, ...]:
    came = select(deliveries, announcements.c.trigger, announcements.c.deployment_id)
    named = or_(deliveries.c.guid == what, deliveries.c.after == what)
    posted = [
        made(
            Heard,
            row._asdict(),
            at=row.received_at,
            sha=row.after,
            delivery=row.guid,
            by=row.pusher,
            deployment=row.deployment_id,
        )
        for row in connection.execute(came.outerjoin(announcements).where(named))
    ]
    by_hand = and_(announcements.c.sha == what, announcements.c.delivery.is_(None))
    asked = [
        Heard(row.received_at, row.sha, Trigger(row.trigger), deployment=row.deployment_id)
        for row in connection.execute(select(announcements).where(by_hand))
    ]
    return tuple(sorted([*posted, *asked], key=lambda it: it.at))


def about(connection: Connection, sha: str) -> tuple[Deployment, ...]:
    query = deployments_of(sha).order_by(deployments.c.id.desc()).limit(MOST_ABOUT)
    return _whole(connection, query, traces=False)[::-1]


def deployments_of(sha: str) -> Select[int]:
    """Return the query for the deployments of `sha` or covering it."""
    covering = select(covers.c.deployment_id).where(covers.c.sha == sha)
    return select(deployments.c.id).where(
        or_(deployments.c.sha == sha, deployments.c.id.in_(covering))
    )


def those_in_error() -> Select[tuple[int, str]]:
    """Select number and commit of each error that no later deployment of the commit took back."""
    later, covering = deployments.alias(), covers.alias()
    judged_since = (
        select(later.c.id)
        .join(covering, covering.c.deployment_id == later.c.id)
        .where(
            covering.c.sha == covers.c.sha,
            later.c.id > deployments.c.id,
            later.c.state.in_([State.SUCCEEDED, State.BROKEN, State.FAILED, State.ERROR]),
        )
    )
    return (
        select(deployments.c.id, covers.c.sha)
        .join(covers)
        .where(deployments.c.state == State.ERROR, ~judged_since.exists())
        .order_by(deployments.c.id, covers.c.position)
    )


def in_error(connection: Connection) -> tuple[tuple[int, str], ...]:
    return tuple((row.id, row.sha) for row in connection.execute(those_in_error()))


def answer_to(connection: Connection, announcement: int) -> Deployment | None:
    query = select(announcements.c.deployment_id).where(
        announcements.c.id == announcement, announcements.c.deployment_id.is_not(None)
    )
    return _first(connection, query)


def complete(connection: Connection, prefix: str) -> str | None:
    begins = clean(prefix.lower())
    named = [
        select(column).where(func.substr(column, 1, len(begins)) == begins)
        for column in (deployments.c.sha, covers.c.sha, announcements.c.sha)
    ]
    found = connection.execute(union(*named).limit(2)).scalars().all()
    if len(found) > 1:
        raise DeployerError(
            f"{prefix} is the beginning of several commits: give more of its digits"
        )
    return next(iter(found), None)


def were_good(connection: Connection, paths: Collection[str], *, before: int) -> frozenset[str]:
    return frozenset(
        row.path
        for some in batches(paths)
        for row in connection.execute(
            newest_verdicts(verdicts.c.path.in_(some), verdicts.c.deployment_id < before)
        )
        if Verdict(row.path, Outcome(row.outcome)).good
    )


def judged(connection: Connection) -> frozenset[str]:
    of_airflow = newest_verdicts(verdicts.c.outcome != Outcome.HELD)
    return frozenset(row.path for row in connection.execute(of_airflow.where(~GONE)))


def duplicates(connection: Connection, paths: Collection[str]) -> tuple[Duplicate, ...]:
    held: dict[int, set[str]] = defaultdict(set)
    for some in batches(paths):
        newest = newest_verdicts(verdicts.c.path.in_(some)).where(
            verdicts.c.outcome == Outcome.HELD
        )
        for row in connection.execute(newest.add_columns(verdicts.c.deployment_id)):
            held[row.deployment_id].add(row.path)
    # Each end is read once: it may tell of as many files as are held by it.
    ends = select(deployments.c.id, deployments.c.ending)
    return tuple(
        made(Duplicate, stored)
        for some in batches(held)
        for row in connection.execute(ends.where(deployments.c.id.in_(some)))
        for stored in (row.ending or {}).get("duplicates", ())
        if stored["path"] in held[row.id]
    )


def newest_verdicts(*which: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the newest verdict on each path, among those that meet `which`."""
    newest = (
        select(verdicts.c.path, func.max(verdicts.c.deployment_id).label("deployment_id"))
        .where(*which)
        .group_by(verdicts.c.path)
        .subquery()
    )
    same = and_(
        verdicts.c.path == newest.c.path, verdicts.c.deployment_id == newest.c.deployment_id
    )
    return select(verdicts.c.path, verdicts.c.outcome).join(newest, same)


def files_of(connection: Connection, dag_ids: Collection[str]) -> dict[str, frozenset[str]]:
    files: dict[str, set[str]] = defaultdict(set)
    for some in batches(dag_ids):
        for row in connection.execute(select(claims).where(claims.c.dag_id.in_(some))):
            files[row.dag_id].add(row.path)
    return {dag_id: frozenset(paths) for dag_id, paths in files.items()}


def _first(connection: Connection, query: Select[int]) -> Deployment | None:
    return next(iter(_whole(connection, query)), None)


def _whole(
    connection: Connection, query: Select[int], *, traces: bool = True
) -> tuple[Deployment, ...]:
    """Return those whose ids `query` asks for, in its order; never more than seven statements.

    `traces`: whether those of errors are read.
    """
    ids = connection.execute(query).scalars().all()

    def parts(of_all: Select[Any], owner: ColumnElement[int]) -> dict[int, list[Row[Any]]]:
        found: dict[int, list[Row[Any]]] = {number: [] for number in ids}
        for row in connection.execute(of_all.where(owner.in_(ids))):
            found[row.deployment_id].append(row)
        return found

    if not ids:
        return ()
    rows = connection.execute(select(deployments).where(deployments.c.id.in_(ids)))
    found = {row.id: row for row in rows}
    covered = parts(select(covers).order_by(covers.c.position), covers.c.deployment_id)
    taken = parts(select(steps).order_by(steps.c.id), steps.c.deployment_id)
    told = (*VERDICT, _TRACE) if traces else VERDICT
    judged = parts(select(*told), verdicts.c.deployment_id)
    said = parts(
        select(statements.c.deployment_id, outbox)
        .join(outbox, outbox.c.place == statements.c.place)
        .order_by(outbox.c.place, outbox.c.id),
        statements.c.deployment_id,
    )
    # In whose place another answered: what its commit was told, whoever said it.
    heard = parts(
        select(deployments.c.id.label("deployment_id"), outbox)
        .join(outbox, outbox.c.sha == deployments.c.sha)
        .where(deployments.c.state == State.SUPERSEDED)
        .order_by(outbox.c.place, outbox.c.id),
        deployments.c.id,
    )
    said |= {number: rows for number, rows in heard.items() if rows}

    def filled(row: Row[Any]) -> Deployment:
        # Sorted here: the order of PostgreSQL's text depends on its locale.
        files = tuple(sorted(map(verdict_of, judged[row.id]), key=lambda it: it.path))
        of_end = {"tip": row.sha, "state": State(row.state), "verdicts": files}
        return made(
            Deployment,
            row._asdict(),
            covers=tuple(part.sha for part in covered[row.id]),
            steps=tuple(made(StepRecord, part._asdict()) for part in taken[row.id]),
            verdicts=files,
            statuses=tuple(_last_words(said[row.id])),
            ending=row.ending and made(Ending, row.ending, **of_end),
        )

    return tuple(filled(found[number]) for number in ids if number in found)


def verdict_of(row: Row[Any]) -> Verdict:
    told = row._asdict()
    return made(
        Verdict,
        told,
        error=None if row.type is None else made(ParseError, told),
        warnings=tuple(row.warnings or ()),
    )


def _last_words(rows: Sequence[Row[Any]]) -> Iterator[StatusRecord]:
    """The last status for each commit and context, in the order of first mention."""
    for row in {(row.sha, row.context_key): row._asdict() for row in rows}.values():
        yield made(StatusRecord, row, status=made(Status, row))
