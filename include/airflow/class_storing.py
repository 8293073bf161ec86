"""Store all of a parse's result or nothing, and know whose fault it is if not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from airflow.models.dag import DagModel
from sqlalchemy import event, literal, or_, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError


class NotStored(Exception):
    """Airflow did not come to storing a result."""


@contextmanager
def whole(session: Any) -> Iterator[None]:  # noqa: ANN401  # SQLAlchemy's
    """Store all of a result or nothing, and raise what the database refused first.

    On the way the provider FAB commits a dozen times a DAG, and both FAB and Airflow go on after
    some errors, as if that part alone were missing; what is raised in the end is the aftermath.
    """
    faults: list[BaseException] = []
    undone = False

    def note(context: Any) -> None:  # noqa: ANN401  # an ExceptionContext
        if not context.is_pre_ping:  # which is followed by a new connection
            faults.append(context.sqlalchemy_exception or context.original_exception)

    def rollback() -> None:
        nonlocal undone
        undone = True
        type(session).rollback(session)

    engine = session.get_bind()
    event.listen(engine, "handle_error", note)
    session.commit, session.rollback = session.flush, rollback
    try:
        yield
        session.flush()
        # PostgreSQL takes back all of what an error was in, and its COMMIT says nothing of it.
        session.execute(select(literal(1)))
        if undone:
            raise NotStored("half of it was undone")  # noqa: TRY301  # caught for its cause
    except Exception as exc:
        type(session).rollback(session)
        if faults and exc is not faults[0]:
            raise faults[0] from exc
        raise
    finally:
        del session.commit, session.rollback
        event.remove(engine, "handle_error", note)


def retire(session: Any, bundle_name: str, file: str, dag_ids: Collection[str]) -> None:  # noqa: ANN401  # SQLAlchemy's
    """Make those DAGs of a file stale that its parse did not find, of a zip those of its modules.

    Airflow does so by comparing times, some seconds apart: of two parses in a row it overlooks what
    the second one has no more, until the file is parsed again.
    """
    of_file = DagModel.relative_fileloc
    session.execute(
        update(DagModel)
        .where(
            DagModel.bundle_name == bundle_name,
            or_(of_file == file, of_file.startswith(f"{file}/", autoescape=True)),
            DagModel.dag_id.not_in(dag_ids),
            ~DagModel.is_stale,
        )
        .values(is_stale=True)
        .execution_options(synchronize_session="fetch")
    )


def may_pass(exc: Exception) -> bool:
    """Tell whether storing failed for want of a database, or somebody else was faster.

    PostgreSQL's class 54 says that a value is beyond a limit; psycopg calls that operational, too
    (postgresql.org/docs/current/errcodes-appendix.html).
    """
    if isinstance(exc, OperationalError):
        return not str(getattr(exc.orig, "pgcode", None) or "").startswith("54")
    return isinstance(exc, (InterfaceError, IntegrityError, NotStored))


def words_of(exc: Exception) -> str:
    """Return what the database, or Airflow's own code, has to say, in one line."""
    said = getattr(exc, "orig", None) or exc
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return f"{type(said).__name__}: {lines[0] if lines else 'no reason given'}"[:500]
