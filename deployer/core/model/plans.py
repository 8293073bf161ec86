"""What one deployment does."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.core.model.trees import LeftOut


@dataclass(frozen=True, slots=True)
class RequirementsDiff:
    """Requirements that moved, as the lines a person would write, sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a text of `requirements.txt` was not installed.

    Attributes:
        reason: in a sentence, for its author.
        path: the DAG file that would no longer parse, or hang; None: it is no file's matter.
    """

    reason: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one deployment does, but for the publication, which each does.

    Attributes:
        dag_files: DAG files that Airflow must parse again, sorted; first, in isolation.
        deleted: DAG files that were live and are no more, sorted.
        requirements: difference between what is installed and what the tip asks for.
        recreate: services to recreate on `installs`, in this order; empty if the packages stay.
        refused: why the tip's `requirements.txt` is not even tried, None if it is fine.
        lapsed: fingerprints of requirements that were refused for the sake of a file, and may be
            tried again: it is another by now, or gone.
        left_out: copied from the tip's tree.
        installs: text of requirements that is proven, built and run, None: the packages stay.
    """

    dag_files: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    requirements: RequirementsDiff = RequirementsDiff()
    recreate: tuple[str, ...] = ()
    refused: str | None = None
    lapsed: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    installs: str | None = None
