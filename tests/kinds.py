"""The shared table: what may become of a file from one push to the next, and what GitHub then says.

Where `tests.dag_cases` has every kind of file, pushed once, this has sequences: step k of all
cases goes out in one push of the teacher's (tests/e2e/test_what_becomes_of_files.py). Each case
has a folder of its own, `dags/<case>/`, so that its status and its verdicts are its own.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

PARSE_TIMEOUT_S = 120.0
"""PARSE_TIMEOUT_S of the tests' stage."""
EXAMINE_S = 25.0
"""After which the isolated parse of one file is cut off."""


@dataclass(frozen=True, slots=True)
class Says:
    """What a step makes the deployer say of one file.

    Attributes:
        outcome: of the verdict; several with `|` between them where chance decides.
        dag_ids: sorted, without the folder that they begin with; None: chance decides.
        error: its type.
        words: found in its message.
        line: of the error.
        proof: of the verdict; None: chance decides.
    """

    outcome: str
    dag_ids: tuple[str, ...] | None = ()
    error: str | None = None
    words: str = ""
    line: int | None = None
    proof: str | None = "release"


@dataclass(frozen=True, slots=True)
class Step:
    """One push's part of a case.

    Attributes:
        files: contents by path, None deletes; seen from `dags/`, or from the root if they begin
            with `include/`.
        state, text: of the case's own context; the text is a regular expression for all of it.
            None: the commit changes nothing in the case's folder, so there is no such context.
        says: by path of the same kind, of each file under `dags/<case>/` and `dags/<case>_b/`
            that has a verdict.
        others: what `text` is for `dags/<case>_b/`, with its state.
        breaks: it breaks a file of a folder that it does not touch.
        live: what a file that is held still holds in the release; None: it is not there.
        bound_s: the longest that any of it may take.
    """

    files: Mapping[str, str | bytes | None]
    state: str | None
    text: str
    says: Mapping[str, Says]
    others: tuple[str, str] | None = None
    breaks: bool = False
    live: Mapping[str, str | None] = field(default_factory=dict)
    bound_s: float = PARSE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Kind:
    """One case; its name is its folder."""

    name: str
    steps: tuple[Step, ...]


HEAD = "from airflow.sdk import DAG, task\n"
"""First line of the files: what follows begins at line 2."""
NOTHING = r"live; no DAG in what changed"


def dag(folder: str, name: str = "one", *, tag: str | None = None, task_id: str = '"work"') -> str:
    """Return a DAG as the class wants it, without its imports."""
    return (
        f'with DAG("{folder}_{name}", schedule=None, catchup=False, '
        f'tags=["student:{tag or folder}"], default_args={{"owner": "{folder}"}}):\n'
        f"    @task(task_id={task_id})\n    def work():\n        return 1\n    work()\n"
    )


def file(folder: str, *names: str, line: str = "") -> str:
    """Return a file with DAGs of these names, `one` without any; `line` is its second."""
    return HEAD + line + "\n" + "\n".join(dag(folder, name) for name in names or ("one",))


def zipped(text: str) -> bytes:
    """Return a zip with one module, the same bytes for the same text."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("inside.py"), text)
    return stream.getvalue()


# --- what is said of one file ------------------------------------------------


def parsed(*names: str) -> Says:
    return Says("parsed", names or ("one",))


def broken(error: str, line: int | None = 2, words: str = "") -> Says:
    return Says("broken", error=error, line=line, words=words)


def held(words: str) -> Says:
    return Says("held", error="Held", words=words, proof="preflight")


NO_DAG = Says("no_dag")
DELETED = Says("deleted", proof="listing")
UNLISTED = Says("no_dag", proof="listing")
"""It is there, and Airflow looks at it no more."""


# --- steps -------------------------------------------------------------------


def good(folder: str, files: Mapping[str, str | bytes | None], *names: str) -> Step:
    """Return a step whose one file, or its first, ends with DAGs of these names."""
    (path, *_) = (path for path, text in files.items() if text is not None)
    return Step(files, "success", dags(folder, *names), {path: parsed(*names)})


def red(path: str, text: str | bytes, said: Says, *, bound_s: float = PARSE_TIMEOUT_S) -> Step:
    """Return a step that breaks a file; the status is made of the verdict."""
    name = path.partition("/")[2]
    if said.outcome == "held":
        shown = rf"{name} is held: .*{said.words}.*"
    else:
        where = f"{name}:{said.line}" if said.line else name
        shown = rf"{where} {said.error}: .*{said.words}.*"
    return Step({path: text}, "failure", shown, {path: said}, bound_s=bound_s)


def gone(path: str) -> Step:
    """Return a step that deletes a file."""
    name = path.rpartition("/")[2]
    return Step({path: None}, "success", f"deleted: {name}", {path: DELETED})


def dags(folder: str, *names: str) -> str:
    """Return what a green status says of DAGs of these names."""
    ids = [f"{folder}_{name}" for name in names or ("one",)]
    return f"{len(ids)} {'DAG' if len(ids) == 1 else 'DAGs'}: {', '.join(ids)}"


def wrong(folder: str, line: str, said: Says, *, kept: str | None = None, **more: float) -> Step:
    """Return a step that goes wrong by what stands on line 2; `kept` stays live if it is held."""
    path = f"{folder}/x.py"
    step = red(path, file(folder, line=line), said, **more)
    return replace(step, live={path: kept}) if said.outcome == "held" else step


_WARNS = "import warnings; warnings.warn('still good', FutureWarning)"
_MISSING = "import pandaz"
_NO_PANDAZ = broken("ModuleNotFoundError", words="No module named 'pandaz'")
_NO_TAG = 'with DAG("{0}_one", schedule={1}):\n    @task\n    def work(): ...\n    work()\n'

ORDINARY = (
    Kind(
        "good",
        (
            good("good", {"good/x.py": file("good")}),
            good("good", {"good/x.py": file("good", line=_WARNS)}),
            red("good/x.py", file("good", line=_MISSING), _NO_PANDAZ),
            good("good", {"good/x.py": file("good")}),
        ),
    ),
    Kind(
        "worse",
        (
            red("worse/x.py", file("worse", line=_MISSING), _NO_PANDAZ),
            red("worse/x.py", file("worse", line=_MISSING) + "# the same error", _NO_PANDAZ),
            red(
                "worse/x.py",
                HEAD
                + dag("worse").replace("    work()", "    a, b = work(), work()\n    a >> b >> a"),
                broken("AirflowDagCycleException", None, "Cycle detected"),
            ),
            Step({"worse/x.py": HEAD}, "success", NOTHING, {"worse/x.py": NO_DAG}),
        ),
    ),
    Kind(
        "moved",
        (
            good("moved", {"moved/x.py": file("moved")}),
            Step(
                {"moved/x.py": None, "moved/deep/y.py": file("moved")},
                "success",
                dags("moved"),
                {"moved/x.py": DELETED, "moved/deep/y.py": parsed()},
            ),
            Step(
                {"moved/deep/y.py": None, "moved/z.py": file("moved", line=_MISSING)},
                "failure",
                "z.py:2 ModuleNotFoundError: .*",
                {"moved/deep/y.py": DELETED, "moved/z.py": _NO_PANDAZ},
            ),
            gone("moved/z.py"),
        ),
    ),
    Kind(  # a file makes way for a folder of its name, and comes back
        "folder",
        (
            good("folder", {"folder/etl.py": file("folder")}),
            Step(
                {"folder/etl.py": None, "folder/etl.py/main.py": file("folder")},
                "success",
                dags("folder"),
                {"folder/etl.py": DELETED, "folder/etl.py/main.py": parsed()},
            ),
            Step(
                {"folder/etl.py/main.py": None, "folder/etl.py": file("folder", "two")},
                "success",
                dags("folder", "two"),
                {"folder/etl.py/main.py": DELETED, "folder/etl.py": parsed("two")},
            ),
            Step(
                {"folder/etl.py": None, "folder/etl.py/notes.txt": "no code any more\n"},
                "success",
                "deleted: etl.py",
                {"folder/etl.py": DELETED},
            ),
        ),
    ),
    Kind(
        "unzipped",
        (
            good("unzipped", {"unzipped/x.zip": zipped(file("unzipped"))}),
            Step(
                {"unzipped/x.zip": None, "unzipped/x.zip/inside.py": file("unzipped")},
                "success",
                dags("unzipped"),
                {"unzipped/x.zip": DELETED, "unzipped/x.zip/inside.py": parsed()},
            ),
            Step(
                {"unzipped/x.zip/inside.py": None, "unzipped/x.zip": zipped(file("unzipped"))},
                "success",
                dags("unzipped"),
                {"unzipped/x.zip/inside.py": DELETED, "unzipped/x.zip": parsed()},
            ),
            gone("unzipped/x.zip"),
        ),
    ),
    Kind(
        "renamed",
        (
            good("renamed", {"renamed/x.py": file("renamed")}),
            good("renamed", {"renamed/x.py": file("renamed", "other")}, "other"),
            good("renamed", {"renamed/x.py": file("renamed", "one")}),
        ),
    ),
    Kind(
        "two",
        (
            good("two", {"two/x.py": file("two", "one", "two")}, "one", "two"),
            good("two", {"two/x.py": file("two", "two")}, "two"),
            Step({"two/x.py": HEAD}, "success", NOTHING, {"two/x.py": NO_DAG}),
            good("two", {"two/x.py": file("two", "one", "two")}, "one", "two"),
        ),
    ),
    Kind(
        "without",
        (
            Step(
                {"without/x.py": "x = 'a dag of airflow'\n", "without/y.py": "x = 1\n"},
                "success",
                NOTHING,
                {"without/x.py": NO_DAG},
            ),
            good("without", {"without/x.py": file("without")}),
            # Not even the words are left for which Airflow looks at a file.
            Step(
                {"without/x.py": "x = 1\n"},
                "success",
                "gone from Airflow: x.py",
                {"without/x.py": UNLISTED},
            ),
        ),
    ),
    Kind(
        "zip",
        (
            good("zip", {"zip/x.zip": zipped(file("zip"))}),
            red("zip/x.zip", zipped(file("zip", line=_MISSING)), _NO_PANDAZ),
            good("zip", {"zip/x.zip": zipped(file("zip", "two"))}, "two"),
            gone("zip/x.zip"),
        ),
    ),
    Kind(
        "ignored",
        (
            Step(
                {
                    "ignored/.airflowignore": "draft.py\n",
                    "ignored/draft.py": file("ignored", line=_MISSING),
                    "ignored/x.py": file("ignored"),
                },
                "success",
                dags("ignored"),
                {"ignored/x.py": parsed()},
            ),
            Step(
                {"ignored/.airflowignore": "draft.py\nx.py\n"},
                "success",
                "gone from Airflow: x.py",
                {"ignored/x.py": UNLISTED},
            ),
            Step(
                {"ignored/.airflowignore": None},
                "failure",
                "draft.py:2 ModuleNotFoundError: .*",
                {"ignored/draft.py": _NO_PANDAZ, "ignored/x.py": parsed()},
            ),
            Step(
                {"ignored/.airflowignore": "draft.py\n"},
                "success",
                "gone from Airflow: draft.py",
                {"ignored/draft.py": UNLISTED},
            ),
        ),
    ),
    Kind(
        "rule",
        (
            red(
                "rule/x.py",
                HEAD + _NO_TAG.format("rule", "None"),
                broken("AirflowClusterPolicyViolation", None, "student:rule"),
            ),
            red(
                "rule/x.py",
                HEAD + dag("rule").replace("rule_one", "rula_one"),
                broken("AirflowClusterPolicyViolation", None, "'rule_'"),
            ),
            good("rule", {"rule/x.py": file("rule")}),
        ),
    ),
)
"""One file by itself, and what Airflow says of it."""

TAKEN = (
    Kind(
        "taken",
        (
            good("taken", {"taken/a.py": file("taken")}),
            Step(
                {"taken/a.py": None, "taken/b.py": file("taken")},
                "success",
                dags("taken"),
                {"taken/a.py": DELETED, "taken/b.py": parsed()},
            ),
            Step(
                {"taken/a.py": file("taken")},
                "failure",
                "a.py is held: dag_id 'taken_one' is already used by dags/taken/b.py: .*",
                {"taken/a.py": held("already used by")},
                live={"taken/a.py": None},
            ),
            Step({"taken/a.py": None}, "success", "deleted: a.py", {"taken/a.py": DELETED}),
        ),
    ),
    Kind(  # a file renamed in two pushes
        "copied",
        (
            good("copied", {"copied/a.py": file("copied")}),
            Step(
                {"copied/b.py": file("copied")},
                "failure",
                "b.py is held: dag_id 'copied_one' is already used by dags/copied/a.py: .*",
                {"copied/b.py": held("already used by")},
                live={"copied/b.py": None},
            ),
            Step(
                {"copied/a.py": None},
                "success",
                dags("copied"),
                {"copied/a.py": DELETED, "copied/b.py": parsed()},
            ),
        ),
    ),
    Kind(
        "handed_on",
        (
            good("handed_on", {"handed_on/a.py": file("handed_on")}),
            Step(
                {
                    "handed_on/a.py": file("handed_on", "two"),
                    "handed_on/b.py": file("handed_on"),
                },
                "success",
                dags("handed_on", "one", "two"),
                {"handed_on/a.py": parsed("two"), "handed_on/b.py": parsed("one")},
            ),
            Step(  # they swap
                {
                    "handed_on/a.py": file("handed_on", "one"),
                    "handed_on/b.py": file("handed_on", "two"),
                },
                "success",
                dags("handed_on", "one", "two"),
                {"handed_on/a.py": parsed("one"), "handed_on/b.py": parsed("two")},
            ),
        ),
    ),
)
"""A dag_id that goes from one file to another."""


def _helped(folder: str, name: str, helper: str) -> str:
    return HEAD + f"from {helper} import NAME\n" + dag(folder, name)


_NO_NAME = broken("ImportError", words="cannot import name 'NAME'")

SHARED = (
    Kind(
        "helper",
        (
            Step(
                {
                    "helper/help.py": "NAME = 1\n",
                    **{f"helper/{n}.py": _helped("helper", n, "helper.help") for n in "abc"},
                },
                "success",
                dags("helper", *"abc"),
                {f"helper/{n}.py": parsed(n) for n in "abc"},
            ),
            Step(
                {"helper/help.py": "NAME = 2\n"},
                "success",
                dags("helper", *"abc"),
                {f"helper/{n}.py": parsed(n) for n in "abc"},
            ),
            Step(
                {"helper/help.py": "OTHER = 1\n"},
                "failure",
                r"a.py:2 ImportError: cannot import name 'NAME' .*",
                dict.fromkeys([f"helper/{n}.py" for n in "abc"], _NO_NAME),
            ),
            Step(
                {"helper/help.py": "NAME = 3\n"},
                "success",
                dags("helper", *"abc"),
                {f"helper/{n}.py": parsed(n) for n in "abc"},
            ),
        ),
    ),
    Kind(  # two folders; the helper is in one of them, and only its owner pushes it
        "lent",
        (
            Step(
                {
                    "lent/help.py": "NAME = 1\n",
                    "lent/a.py": _helped("lent", "a", "lent.help"),
                    "lent_b/b.py": _helped("lent_b", "b", "lent.help"),
                    "lent_b/c.py": _helped("lent_b", "c", "lent.help"),
                },
                "success",
                dags("lent", "a"),
                {
                    "lent/a.py": parsed("a"),
                    "lent_b/b.py": parsed("b"),
                    "lent_b/c.py": parsed("c"),
                },
                others=("success", dags("lent_b", "b", "c")),
            ),
            Step(
                {"lent/help.py": "OTHER = 1\n"},
                "failure",
                "a.py:2 ImportError: cannot import name 'NAME' .*",
                dict.fromkeys(["lent/a.py", "lent_b/b.py", "lent_b/c.py"], _NO_NAME),
                breaks=True,
            ),
            Step(
                {"lent/help.py": "NAME = 2\n"},
                "success",
                dags("lent", "a"),
                {
                    "lent/a.py": parsed("a"),
                    "lent_b/b.py": parsed("b"),
                    "lent_b/c.py": parsed("c"),
                },
            ),
        ),
    ),
    Kind(
        "included",
        (
            good(
                "included",
                {
                    "included/x.py": _helped("included", "one", "include.of_kinds"),
                    "include/of_kinds.py": "NAME = 1\n",
                },
            ),
            Step({"include/of_kinds.py": "NAME = 2\n"}, None, "", {"included/x.py": parsed()}),
            Step(
                {"include/of_kinds.py": "OTHER = 1\n"},
                None,
                "",
                {"included/x.py": _NO_NAME},
                breaks=True,
            ),
            Step({"include/of_kinds.py": "NAME = 3\n"}, None, "", {"included/x.py": parsed()}),
        ),
    ),
    Kind(  # as bad as a DAG file that does so itself: it may not go live under others
        "trap",
        (
            Step(
                {
                    "trap/help.py": "NAME = 1\n",
                    "trap/a.py": _helped("trap", "a", "trap.help"),
                    "trap/b.py": _helped("trap", "b", "trap.help"),
                },
                "success",
                dags("trap", *"ab"),
                {f"trap/{n}.py": parsed(n) for n in "ab"},
            ),
            Step(
                {"trap/help.py": "import os\nos._exit(3)\n"},
                "failure",
                r"a.py is held: ends its parser with os._exit\(3\) \(\+2 more\)",
                {
                    **dict.fromkeys([f"trap/{n}.py" for n in "ab"], held("ends its parser")),
                    "trap/help.py": held("with it dags/trap/a.py ends its parser"),
                },
                live={"trap/help.py": "NAME = 1\n"},
            ),
            Step(
                {"trap/help.py": "NAME = 2\n"},
                "success",
                dags("trap", *"ab"),
                {f"trap/{n}.py": parsed(n) for n in "ab"},
                live={"trap/help.py": "NAME = 2\n"},
            ),
        ),
    ),
)
"""One file that others need."""

HARMFUL = (
    Kind(
        "exits",
        (
            good("exits", {"exits/x.py": file("exits")}),
            wrong("exits", "import sys; sys.exit('no way')", broken("SystemExit", words="no way")),
            good("exits", {"exits/x.py": file("exits", line="# mended")}),
        ),
    ),
    Kind(
        "ends",
        (
            good("ends", {"ends/x.py": file("ends")}),
            wrong(
                "ends",
                "import os; os._exit(3)",
                held(r"ends its parser with os._exit\(3\)"),
                kept=file("ends"),
            ),
            good("ends", {"ends/x.py": file("ends", line="# mended")}),
        ),
    ),
    Kind(
        "crash",
        (
            wrong(
                "crash",
                "import ctypes; ctypes.string_at(0)",
                held(r"crashes its parser \(signal 11"),
            ),
            wrong("crash", "x = bytearray(2 << 30)", held("needs more than 1024 MB")),
            gone("crash/x.py"),
        ),
    ),
    Kind(
        "slow",
        (
            good("slow", {"slow/x.py": file("slow")}),
            wrong(
                "slow",
                "import time; time.sleep(60)",
                broken("AirflowTaskTimeout"),
                bound_s=EXAMINE_S + PARSE_TIMEOUT_S,
            ),
            good("slow", {"slow/x.py": file("slow", line="# mended")}),
        ),
    ),
    Kind(
        "endless",
        (
            good("endless", {"endless/x.py": file("endless")}),
            wrong(
                "endless",
                "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
                held("did not finish parsing within 25 s"),
                kept=file("endless"),
                bound_s=EXAMINE_S + PARSE_TIMEOUT_S,
            ),
            good("endless", {"endless/x.py": file("endless", line="# mended")}),
        ),
    ),
)
"""What goes beyond an error."""

_ID = '"{0}_" + __import__("uuid").uuid4().hex'

FICKLE = (
    # Airflow makes a DAG of each name it meets; the verdict is about the ones it read first.
    Kind(
        "fresh",
        (
            Step(
                {"fresh/x.py": file("fresh").replace('"fresh_one"', _ID.format("fresh"))},
                "success",
                "1 DAG: fresh_[0-9a-f]{32}",
                {"fresh/x.py": Says("parsed", None)},
            ),
            good("fresh", {"fresh/x.py": HEAD + dag("fresh", task_id=_ID.format("work"))}),
            gone("fresh/x.py"),
        ),
    ),
    Kind(
        "sometimes",
        (
            Step(
                {
                    "sometimes/x.py": HEAD
                    + "import random\nif random.random() < 0.5:\n    "
                    + dag("sometimes").replace("\n", "\n    ").rstrip()
                    + "\n"
                },
                "success",
                f"{dags('sometimes')}|{NOTHING}",
                {"sometimes/x.py": Says("parsed|no_dag", None, proof=None)},
            ),
            gone("sometimes/x.py"),
        ),
    ),
    # Only the live Airflow has Variables, say; what it finds is what counts.
    Kind(
        "only_live",
        (
            good(
                "only_live",
                {
                    "only_live/x.py": HEAD
                    + "import os\nif 'AIRFLOW__API__PORT' in os.environ:\n    "
                    + dag("only_live").replace("\n", "\n    ").rstrip()
                    + "\n"
                },
            ),
            red(
                "only_live/x.py",
                HEAD + "__import__('os').environ.get('AIRFLOW__API__PORT') and 1 / 0\n",
                broken("ZeroDivisionError"),
            ),
            gone("only_live/x.py"),
        ),
    ),
)
"""Files of which two parses do not say the same."""

KINDS = (*ORDINARY, *TAKEN, *SHARED, *HARMFUL, *FICKLE)
ROUNDS = max(len(kind.steps) for kind in KINDS)
