"""Collect out of the code each text that can stand in a status, with `§` where it varies.

A text is found by where it stands: given to one of our errors, to what is left out of a
release, or worded in one of the functions below. What other programs say (Python, Airflow,
uv, pip, git, Docker) is not in our code, and not found here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deployer import errors

ROOT: Final = Path(__file__).resolve().parents[2] / "deployer"
OF_AIRFLOW: Final = sorted((ROOT.parent / "include" / "airflow").glob("preflight_[lpr]*.py"))
"""They run beside Airflow, and word what the examiner says."""
VARIES: Final = "§"

WORDED: Final[dict[str, frozenset[str]]] = {
    "core/model/endings.py": frozenset({"reason", "note"}),
    "core/tree/contents.py": frozenset({"_unfit", "_harm"}),
    "core/tree/ignores.py": frozenset({"unreadable", "too_many", "_amiss"}),
    "core/tree/limits.py": frozenset({"judged", "_excess"}),
    "core/reporting/ownership.py": frozenset({"notes"}),
    "core/tree/publishable.py": frozenset(
        {"_NOTHING", "_OUTSIDE", "judged", "_bad_name", "_followed", "_first_entry"}
    ),
    "core/reporting/roster.py": frozenset({"parse", "_roster", "_pairs", "_folder", "_names"}),
    "core/reporting/commit_status.py": frozenset(
        {"pending", "gone", "frozen", "_deploy", "_live", "_tally", "_died", "_good", "_bad"}
    ),
    "core/verdicts/trace.py": frozenset({"_error"}),
    "core/verdicts/watch.py": frozenset({"_error", "_death"}),
    "deployment/publication.py": frozenset({"publish", "judge", "TAKING_BACK"}),
    "deployment/rollout.py": frozenset({"wait", "_of_packages", "_put_back"}),
    "deployment/steps.py": frozenset({"LONG"}),
    "core/model/sights.py": frozenset({"failure", "words"}),
    "edges/compose/services.py": frozenset({"_wait", "_not_up", "_silent"}),
    "edges/parser/protocol.py": frozenset({"harm"}),
    "preflight_limits.py": frozenset(
        {"_sentence", "refusal", "_refusal_of_text", "_refusal_of_length", "_refusal_of_number"}
        | {"_refusal_of_json", "_index_refusal"}
    ),
    "preflight_parser.py": frozenset({"_harm_to_channel", "_harm_by_size", "_harm_to_memory"}),
    "preflight_rows.py": frozenset(
        {
            "_of_dag",
            "_refusing",
            "_of_deadlines",
            "_bound_assets",
            "_bound_dags",
            "_bound_tasks",
            "_bound_listed",
        }
    ),
    "edges/packages/installer_output.py": frozenset(
        {"reason_of", "reason_of_pip", "said_by_build", "last_line"}
    ),
    "deployment/dag_processor.py": frozenset({"absence", "ailment", "how_it_ended"}),
    "deployment/watching.py": frozenset({"_given_up"}),
    "worker/covered.py": frozenset({"refuse", "TAKEN_BACK"}),
    "deployment/run.py": frozenset({"_safely"}),
    "worker/deploying.py": frozenset({"_tell_slow"}),
}
"""Functions and constants that word what a status says, by module."""

NO_STATUS: Final = (
    # said on a terminal
    "cli/",
    "demo/",
    "edges/http.py",
    "edges/processes/server.py",
    "edges/backup/",
    "edges/airflow/health.py",
    "edges/compose/other_airflow.py",
    "airflow_version.py",
    "edges/class_repository.py",
    "edges/embedded/students_machine.py",
    "edges/git/working_copy.py",
    # the worker does not start
    "edges/processes/lock.py",
    "edges/processes/doorbell.py",
    "edges/airflow/parse_feed.py",
    "app/airflow.py",
)


def texts() -> dict[str, str]:
    """Return the module of each text, by the text."""
    found: dict[str, str] = {}
    for path in (*sorted(ROOT.rglob("*.py")), *OF_AIRFLOW):
        module = path.name if path in OF_AIRFLOW else path.relative_to(ROOT).as_posix()
        if module.startswith(NO_STATUS):
            continue
        tree = ast.parse(path.read_text())
        for text in (*_given(tree), *_worded(tree, WORDED.get(module, frozenset()))):
            if len(re.findall(r"[A-Za-z']{2,}", text)) > 1:  # one word is no sentence
                found[" ".join(text.split())] = module
    return found


def error_names() -> frozenset[str]:
    """Return the names of the errors whose words end in a status.

    Where the journal can't be written, no status can be owed either.
    """
    shown = (errors.PusherError, errors.OperatorError)
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    return frozenset(
        one.__name__ for one in classes if issubclass(one, shown) and one is not errors.JournalError
    )


def _given(tree: ast.AST) -> Iterator[str]:
    """Yield what calls are given that make an error or leave something out."""
    names = error_names()
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef):
            continue
        for call in ast.walk(scope):
            if not isinstance(call, ast.Call):
                continue
            if isinstance(call.func, ast.Name) and call.func.id in {*names, "LeftOut"}:
                for value in call.args:
                    yield from _values(value, scope)
            for keyword in call.keywords:
                if keyword.arg == "refused":
                    yield from _values(keyword.value, scope)


def _values(value: ast.expr, scope: ast.FunctionDef) -> Iterator[str]:
    """Yield the strings of an argument, also where it was given a name just before."""
    yield from _strings(value)
    if isinstance(value, ast.Name):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == value.id:
                yield from _strings(node.value)


def _worded(tree: ast.AST, names: frozenset[str]) -> Iterator[str]:
    missing = set(names)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, body=body) if name in names:
                missing.discard(name)
                for statement in body:
                    yield from _strings(statement)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
                name in names
            ):
                missing.discard(name)
                yield from _strings(value)
            case _:
                pass
    assert not missing, f"no longer there, mend WORDED: {missing}"


def _strings(node: ast.AST) -> Iterator[str]:
    """Yield the strings at and below `node`.

    Not docstrings, nor what is logged, raised as a bug (`_given` has our errors) or a pattern.
    """
    match node:
        case ast.Expr(value=ast.Constant()):
            pass
        case ast.Raise(exc=ast.Call(func=ast.Name(id=kind))) if kind.endswith("Error"):
            pass
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re" | "log"))):
            pass
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VARIES for part in parts
            )
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _strings(child)
