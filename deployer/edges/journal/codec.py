"""Plans and parse errors as the JSON that the journal keeps.

Pure. A plan's `steps` are not kept: they are the worker's orders, made anew from
the trees when a deployment is redone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deployer.core.model import (
    Duplicate,
    Ending,
    LeftOut,
    ParseError,
    Plan,
    RequirementsDiff,
    Running,
    State,
    StepName,
    Verdict,
)

TRACES_KEPT = 1_000_000
"""Characters of all traces of one deployment; each of its broken files gets its share of them."""
LEAST_OF_A_TRACE = 500

# A NUL, which PostgreSQL's text refuses, and halves of surrogate pairs, which are not UTF-8.
# Both reach us from outside: a JSON escape in a payload, an exception's text in a DAG file.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` with what no database takes as text replaced by U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return `plan` without its steps, made of what `json.dumps` takes."""
    moved = plan.requirements
    return {
        "dag_files": [clean(path) for path in plan.dag_files],
        "deleted": [clean(path) for path in plan.deleted],
        "requirements": {
            "added": [clean(line) for line in moved.added],
            "removed": [clean(line) for line in moved.removed],
            "changed": [clean(line) for line in moved.changed],
        },
        "recreate": list(plan.recreate),
        "refused": None if plan.refused is None else clean(plan.refused),
        "left_out": [
            {"path": clean(left.path), "reason": clean(left.reason)} for left in plan.left_out
        ],
    }


def plan_from_json(stored: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_to_json` made `stored` of; keys it lacks are empty."""
    moved = stored.get("requirements", {})
    return Plan(
        dag_files=tuple(stored.get("dag_files", ())),
        deleted=tuple(stored.get("deleted", ())),
        requirements=RequirementsDiff(
            added=tuple(moved.get("added", ())),
            removed=tuple(moved.get("removed", ())),
            changed=tuple(moved.get("changed", ())),
        ),
        recreate=tuple(stored.get("recreate", ())),
        refused=stored.get("refused"),
        left_out=tuple(
            LeftOut(path=left["path"], reason=left["reason"]) for left in stored.get("left_out", ())
        ),
    )


def share_of_traces(broken: int) -> int:
    """Return how many characters are kept of each trace of so many broken files."""
    return max(TRACES_KEPT // max(broken, 1), LEAST_OF_A_TRACE)


def error_to_json(error: ParseError | None, trace_kept: int) -> dict[str, Any] | None:
    """Return `error` made of what `json.dumps` takes; of its trace the end, which says most."""
    if error is None:
        return None
    return {
        "type": clean(error.type),
        "message": clean(error.message),
        "line": error.line,
        "trace": clean(error.trace[-trace_kept:]),
    }


def running_to_json(running: Running) -> dict[str, str]:
    return {
        "step": running.step.value,
        "since": running.since.isoformat(),
        "words": clean(running.words),
    }


def running_from_json(stored: Mapping[str, str] | None) -> Running | None:
    """Return the step that `running_to_json` made `stored` of."""
    if stored is None:
        return None
    since = datetime.fromisoformat(stored["since"])
    return Running(StepName(stored["step"]), since, stored["words"])


def ending_to_json(ending: Ending) -> dict[str, Any]:
    """Return what `ending` says beyond its deployment's own columns and verdicts."""
    return {
        "seconds": ending.seconds,
        "waited_s": ending.waited_s,
        "refused": None if ending.refused is None else clean(ending.refused),
        "reason": clean(ending.reason),
        "died_of": clean(ending.died_of),
        "broke": [clean(path) for path in ending.broke],
        "duplicates": [
            {
                "path": clean(one.path),
                "dag_id": clean(one.dag_id),
                "other": clean(one.other),
                "both": one.both,
                "imported": one.imported,
            }
            for one in ending.duplicates
        ],
    }


def ending_from_json(
    stored: Mapping[str, Any] | None, tip: str, state: State, verdicts: tuple[Verdict, ...]
) -> Ending | None:
    """Return the ending that `ending_to_json` made `stored` of."""
    if stored is None:
        return None
    return Ending(
        tip,
        state,
        stored["seconds"],
        verdicts,
        refused=stored["refused"],
        reason=stored["reason"],
        duplicates=tuple(Duplicate(**one) for one in stored["duplicates"]),
        died_of=stored["died_of"],
        broke=tuple(stored.get("broke", ())),
        waited_s=stored.get("waited_s", 0.0),
    )
