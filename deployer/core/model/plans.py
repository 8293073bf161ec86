"""What one deployment does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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
class Preflight:
    """Parse `paths` of the tip in isolation; what would hurt others is held."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolve:
    """Prove that `text`, the tip's `requirements.txt`, installs, then build it."""

    text: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the tip's release the live one, with `touch` given a new modification time."""

    touch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recreate:
    """Recreate `services`, in this order, when no task runs; wait until they are healthy."""

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parse:
    """Wait for Airflow's verdict on `paths`, and for `deleted` to be gone from it."""

    paths: tuple[str, ...]
    deleted: tuple[str, ...]


Step: TypeAlias = Preflight | Resolve | Publish | Recreate | Parse


@dataclass(frozen=True, slots=True)
class Plan:
    """What one deployment does, in the order of `steps`.

    Attributes:
        dag_files: DAG files that Airflow must parse again, sorted.
        deleted: DAG files that were live and are no more, sorted.
        requirements: difference between what is installed and what the tip asks for.
        recreate: services to recreate, empty if the packages stay.
        refused: why the tip's `requirements.txt` is not even tried, None if it is fine.
        lapsed: fingerprints of requirements that were refused for the sake of a file, and may be
            tried again: it is another by now, or gone.
        left_out: copied from the tip's tree.
        steps: the work, in order.
    """

    dag_files: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    requirements: RequirementsDiff = RequirementsDiff()
    recreate: tuple[str, ...] = ()
    refused: str | None = None
    lapsed: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    steps: tuple[Step, ...] = ()
