"""What is wrong with a DAG that is stored all the same: Airflow's warnings, two of them in time.

Airflow has a warning for a pool that does not exist and never gives it; of an asset whose name or
URI another one has, the scheduler says so some seconds after the parse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from airflow.models.asset import (
    AssetActive,
    AssetModel,
    DagScheduleAssetReference,
    TaskInletAssetReference,
    TaskOutletAssetReference,
)
from airflow.models.dagwarning import DagWarningType
from airflow.models.pool import Pool
from sqlalchemy import and_, or_, select, union
from sqlalchemy.orm import aliased

MOST = 500
"""Characters of one warning; Airflow's own may list every line of a file."""


def sentence(message: str) -> str:
    """Return a warning in one line."""
    return " ".join(message.split())[:MOST]


def missing_pools(session: Any, dags: Iterable[Any]) -> list[dict[str, str]]:  # noqa: ANN401  # SQLAlchemy's
    """Return a warning of Airflow's for each DAG with a task in a pool that does not exist."""
    wanted = {dag.dag_id: _pools(dag) for dag in dags}
    asked = {pool for pools in wanted.values() for pool in pools}
    if not asked:
        return []
    missing = asked - set(session.scalars(select(Pool.pool).where(Pool.pool.in_(asked))))
    return [
        {
            "dag_id": dag_id,
            "warning_type": DagWarningType.NONEXISTENT_POOL.value,
            "message": f"Dag {dag_id!r} references non-existent pools: {sorted(pools & missing)}: "
            "its tasks in them never run, until somebody makes the pool in Airflow (Admin, Pools)",
        }
        for dag_id, pools in wanted.items()
        if pools & missing
    ]


def pools_to_see(dags: Iterable[Any]) -> list[str]:
    """Return a sentence for each DAG with a task in a pool, where no Airflow tells its pools."""
    return [
        sentence(
            f"Dag {dag.dag_id!r} references pools {pools}: see that the class's Airflow has them "
            "(Admin, Pools), or its tasks in them never run"
        )
        for dag in dags
        if (pools := sorted(map(str, _pools(dag))))
    ]


def _pools(dag: Any) -> set[str]:  # noqa: ANN401  # a LazyDeserializedDAG
    """Return the pools of its tasks but the default one, which is always there and left out."""
    tasks = [task["__var"] for task in dag.data["dag"]["tasks"]]
    mapped = [task["partial_kwargs"] for task in tasks if "partial_kwargs" in task]
    return {part["pool"] for part in (*tasks, *mapped) if "pool" in part}


def asset_conflicts(session: Any, dag_ids: Collection[str]) -> list[str]:  # noqa: ANN401  # SQLAlchemy's
    """Say of which assets of these DAGs another asset in use has the name or the URI."""
    references = (DagScheduleAssetReference, TaskInletAssetReference, TaskOutletAssetReference)
    mine, other = aliased(AssetModel), aliased(AssetModel)
    used = union(*(select(one.asset_id) for one in references))
    used_here = union(*(select(one.asset_id).where(one.dag_id.in_(dag_ids)) for one in references))
    is_active = select(AssetActive).where(
        AssetActive.name == mine.name, AssetActive.uri == mine.uri
    )
    found = session.execute(
        select(mine.name, mine.uri, other.name, other.uri).where(
            mine.id.in_(used_here),
            ~is_active.exists(),
            other.id.in_(used),
            or_(
                and_(mine.name == other.name, mine.uri != other.uri),
                and_(mine.uri == other.uri, mine.name != other.name),
            ),
        )
    )
    return [
        f"Asset(name={name!r}, uri={uri!r}) conflicts with "
        f"Asset(name={its_name!r}, uri={its_uri!r}): Airflow activates only one of them, and "
        "nothing is scheduled by the other; give both the same name and URI, or each its own"
        for name, uri, its_name, its_uri in found
    ]
