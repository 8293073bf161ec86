"""`deployer check`: what a push of a working copy would have judged, and what it would show.

Pure. Only the isolated parse speaks here: variables, connections and packages that the
class's Airflow has and this machine has not are missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from deployer.core import claims
from deployer.core.model import (
    Examined,
    Outcome,
    ParseError,
    Proof,
    Tree,
    Verdict,
)
from deployer.core.plan import plan


def dag_files(tree: Tree, moved: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the DAG files that a push of `moved` would have Airflow parse, sorted.

    Those are the DAG files among `moved`, and whatever depends on one of them; all DAG files
    of the tree where `moved` is None.
    """
    live = None
    if moved is not None:
        files = {path: file for path, file in tree.files.items() if path not in moved}
        live = replace(tree, files=files)
    text = tree.requirements or ""
    return plan(live, tree, installed=text, refusals={}, services=()).dag_files


def within(path: str, places: Iterable[str]) -> bool:
    """Tell whether `path` is one of `places` or lies in it; the empty place is the root.

    A folder that is left out as a whole, with `/` at its end, is meant by all that lies in it.
    """
    return any(
        path == place
        or not place
        or path.startswith(f"{place}/")
        or (path.endswith("/") and place.startswith(path))
        for place in places
    )


def left_out(tree: Tree) -> tuple[Verdict, ...]:
    """Return what a push would show for what is not published at all."""
    return tuple(
        Verdict(item.path, Outcome.HELD, error=ParseError("Held", item.reason))
        for item in tree.left_out
    )


def judged(examined: Sequence[Examined], *, beside: Sequence[Examined]) -> tuple[Verdict, ...]:
    """Return what the isolated parse says of each file, as a deployment would.

    Files `beside` them are named only where they claim a dag_id that one of `examined` claims.
    Who had it first is not known here, so all who claim it are told.
    """
    ids = {dag_id for one in examined for dag_id in one.dag_ids}
    files = [*examined, *(other for other in beside if not ids.isdisjoint(other.dag_ids))]
    claimed = {one.path: one.reason for one in claims.duplicates(files, {})}
    return tuple(_verdict(one, held=one.harm or claimed.get(one.path)) for one in files)


def _verdict(examined: Examined, *, held: str | None) -> Verdict:
    path, proof = examined.path, Proof.PREFLIGHT
    if held:
        return Verdict(path, Outcome.HELD, error=ParseError("Held", held), proof=proof)
    if examined.error:
        return Verdict(path, Outcome.BROKEN, error=examined.error, proof=proof)
    outcome = Outcome.PARSED if examined.dag_ids else Outcome.NO_DAG
    return Verdict(path, outcome, examined.dag_ids, proof=proof)
