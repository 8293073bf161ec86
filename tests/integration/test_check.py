"""`deployer check` in a student's clone: what it looks at, says, and ends with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.check import Checked
from deployer.check import check as check_copy
from deployer.core.model import ParseError
from deployer.core.tree import limits
from deployer.core.tree.limits import Weight
from deployer.edges.embedded import environment, students_machine
from deployer.edges.embedded.environment import BaseEnvironment
from deployer.edges.git.working_copy import WorkingCopy
from deployer.errors import PusherError, ServicesError, WrongPlace
from tests.dag_cases import CASES, HEAD, STUDENT, made
from tests.fakes.examiner import FakeExaminer

BOUND_S = 180.0


@dataclass(frozen=True)
class Clone:
    """A student's clone; `write` edits it, `check` runs the command in it."""

    root: Path

    def write(self, path: str, content: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def git(self, *args: str) -> None:
        who = ("-c", "user.name=Amy", "-c", "user.email=amy@class.example")
        subprocess.run(("git", *who, *args), cwd=self.root, check=True, capture_output=True)

    def check(self, *args: str, at: str = ".") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "deployer", "check", *args),
            cwd=self.root / at,
            env={k: v for k, v in os.environ.items() if not k.startswith("DEPLOYER_")},
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )


def _cloned(root: Path) -> Clone:
    root.mkdir()
    clone = Clone(root)
    clone.git("init", "--quiet")
    return clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made_here = _cloned(tmp_path / "clone")
    (made_here.root / "dags").mkdir()
    return made_here


# --- in a real parser ------------------------------------------------------------------


@pytest.mark.airflow
def test_a_person_reads_a_line_a_file_as_on_github_and_below_it_the_mending(
    airflow_python: Path, clone: Clone
) -> None:
    clone.write("dags/amy/good.py", HEAD + made("good"))
    clone.write("dags/amy/bad.py", f"{HEAD}import pandaz\n")
    clone.write("dags/amy/lax.py", HEAD + made("lax").replace('"owner": "amy"', '"retries": 1'))
    clone.write("dags/amy/ends.py", f"{HEAD}import os\nos._exit(3)\n")
    done = clone.check("good.py", "bad.py", "lax.py", "ends.py", at="dags/amy")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "✗ dags/amy/bad.py:2 ModuleNotFoundError: No module named 'pandaz'"
    assert lines[1].startswith("  -> a package must stand in requirements.txt")
    assert lines[2] == "✗ dags/amy/ends.py is held: ends its parser with os._exit(3)"
    assert lines[3:5] == [
        "✓ dags/amy/good.py  1 DAG: amy_good_one",
        "✓ dags/amy/lax.py  1 DAG: amy_lax_one",
    ]
    assert lines[5].startswith("  ! DAG 'amy_lax_one' has no owner")
    assert lines[6:] == ["4 files: 2 good, 2 to be mended"]


@pytest.mark.airflow
def test_good_and_bad_are_told_apart_where_the_terminal_has_no_check_marks(
    airflow_python: Path, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    clone.write("dags/amy/bad.py", f"{HEAD}import pandaz\n")
    clone.write("dags/amy/good.py", HEAD + made("good"))
    lines = clone.check("dags/amy").stdout.splitlines()
    assert lines[0].startswith("X dags/amy/bad.py:2 ModuleNotFoundError")
    assert lines[2] == "ok dags/amy/good.py  1 DAG: amy_good_one"


@pytest.mark.airflow
def test_the_rules_are_those_of_the_clone(airflow_python: Path, clone: Clone) -> None:
    levels = '[levels]\ntag = "off"\nowner = "error"\n'
    clone.write("include/airflow/class_rules.toml", levels)
    bare = made("x").replace('"owner": "amy"', '"retries": 1').replace("student:amy", "week1")
    clone.write("dags/amy/x.py", HEAD + bare)
    done = clone.check("dags/amy")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "✗ dags/amy/x.py AirflowClusterPolicyViolation: "
        "DAG 'amy_x_one' has no owner: add default_args={'owner': 'amy'}"
    )


@pytest.mark.airflow
def test_a_good_file_ends_with_0_and_leaves_the_clone_as_it_was(
    airflow_python: Path, clone: Clone
) -> None:
    spoils = "open(__file__, 'a').write('spoilt')\n"
    clone.write("dags/amy/x.py", HEAD + spoils + made("x"))
    clone.write("dags/maria/broken.py", f"{HEAD}nonsense(\n")
    done = clone.check("dags/amy")
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "✓ dags/amy/x.py  1 DAG: amy_x_one",
    )
    assert (clone.root / "dags/amy/x.py").read_text() == HEAD + spoils + made("x")
    assert sorted(p.name for p in (clone.root / "dags/amy").iterdir()) == ["x.py"]


@pytest.mark.airflow
def test_what_airflow_warns_of_is_told_with_a_verdict_that_stays_good(
    airflow_python: Path, clone: Clone
) -> None:
    imports, varying = "from datetime import datetime\n", ", start_date=datetime.now()"
    text = made("x", more=varying).replace('"owner": "amy"', '"owner": "amy", "pool": "small"')
    clone.write("dags/amy/x.py", HEAD + imports + text)
    done = clone.check("--json")
    (verdict,) = json.loads(done.stdout)["files"]
    assert (done.returncode, verdict["outcome"]) == (0, "parsed")
    pools, warning = verdict["warnings"]
    assert pools.startswith("Dag 'amy_x_one' references pools ['small']: see that the class's")
    assert warning.startswith("This Dag uses runtime-variable values in Dag construction. ")
    assert "Line 3, " in warning


@pytest.mark.airflow
def test_assets_of_two_files_that_are_in_each_others_way_are_told(
    airflow_python: Path, clone: Clone
) -> None:
    imports, asset = "from airflow.sdk import Asset\n", ", schedule=[Asset('trips', 'x://{}')]"
    for name in ("a", "b"):
        text = made(name, more=asset.format(name)).replace("schedule=None, ", "")
        clone.write(f"dags/amy/{name}.py", HEAD + imports + text)
    done = clone.check()
    assert done.returncode == 0
    assert "conflicts with Asset(name='trips', uri='x://b/') of dags/amy/b.py: " in done.stdout


# --- wrong use ---------------------------------------------------------------------------


def test_outside_of_a_class_repository_it_says_what_is_expected(tmp_path: Path) -> None:
    done = Clone(tmp_path).check()
    assert done.returncode == 2
    assert f"{tmp_path} is not a class repository" in done.stderr


def test_a_path_that_is_not_there_ends_with_2(clone: Clone) -> None:
    done = clone.check("dags/nowhere.py")
    assert done.returncode == 2
    assert "there is no file or folder dags/nowhere.py" in done.stderr


def test_without_any_airflow_it_says_what_to_do(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_self: BaseEnvironment, _tell: Callable[[str], None]) -> None:
        raise ServicesError("no network")

    monkeypatch.setattr(BaseEnvironment, "ensure", fails)
    monkeypatch.setattr(students_machine, "candidates", lambda *_: iter(()))
    with pytest.raises(ServicesError, match=r"no network\): activate the virtual environment"):
        students_machine.find(clone.root, {}, lambda _: None)


def test_without_uv_it_says_how_to_get_it(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda _name: None)
    monkeypatch.setattr(environment, "default_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(students_machine, "candidates", lambda *_: iter(()))
    with pytest.raises(ServicesError, match=r"extra `check` \(docs/check.md, .Getting it.\)"):
        students_machine.find(clone.root, {}, lambda _: None)


# --- packages ----------------------------------------------------------------------------


@pytest.mark.airflow
def test_a_package_of_requirements_that_is_not_installed_here_is_a_note(
    airflow_python: Path, clone: Clone
) -> None:
    clone.write("requirements.txt", "nosuch-zz==1\n")
    clone.write("dags/amy/x.py", f"{HEAD}import nosuch_zz\n")
    done = clone.check()
    first, mending, last = done.stdout.splitlines()
    assert first == "? dags/amy/x.py:2 ModuleNotFoundError: No module named 'nosuch_zz'"
    assert "stands in requirements.txt and is not installed here" in mending
    assert last == "1 file: 0 good, 1 not looked at to the end, 0 to be mended"
    assert done.returncode == 0


@pytest.mark.airflow
def test_requirements_are_refused_with_their_line_as_a_push_would(
    airflow_python: Path, clone: Clone
) -> None:
    clone.write("requirements.txt", "# ours\n--index-url https://host.example\n")
    done = clone.check("requirements.txt")
    assert done.stdout.splitlines() == [
        (
            "✗ requirements.txt:2 RequirementsRefused: "
            "option --index-url is not allowed, only packages"
        ),
        "1 file: 0 good, 1 to be mended",
    ]
    assert done.returncode == 1


@pytest.mark.airflow
def test_dag_files_are_parsed_with_the_packages_that_are_tried(
    airflow_python: Path, clone: Clone
) -> None:
    # Airflow's own: nothing is downloaded, and the environment is a new one all the same.
    clone.write("requirements.txt", "jinja2\n")
    clone.write("dags/amy/x.py", HEAD + "import sys\nassert 'check-' in sys.prefix\n" + made("x"))
    done = clone.check("requirements.txt")
    assert done.stdout.splitlines() == [
        "✓ dags/amy/x.py  1 DAG: amy_x_one",
        "✓ requirements.txt  installs: nothing more",
        "2 files: 2 good, 0 to be mended",
    ]
    assert done.returncode == 0
    assert list(airflow_python.parents[3].glob("check-*")) == []


# --- which Airflow -----------------------------------------------------------------------


def interpreter(place: Path, version: str | None) -> Path:
    """Write a program that answers as a Python which has that Airflow, or none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 1\n")
    place.chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("active", "beside", "on_path", "found"),
    [
        ("3.3.2", "3.3.2", "3.3.2", "active"),
        (None, "3.10.0", "3.3.2", "beside"),
        (None, None, "4.0.0rc1", "on_path"),
        ("2.11.0", "3.2.9", "3.3.0", "on_path"),
    ],
)
def test_the_first_interpreter_with_an_airflow_that_is_new_enough_is_taken(
    tmp_path: Path, active: str | None, beside: str | None, on_path: str | None, found: str
) -> None:
    root = tmp_path / "clone"
    places = {
        "active": interpreter(tmp_path / "active/bin/python", active),
        "beside": interpreter(root / ".venv/bin/python", beside),
        "on_path": interpreter(tmp_path / "bin/python3", on_path),
    }
    environ = {"VIRTUAL_ENV": str(tmp_path / "active"), "PATH": str(tmp_path / "bin")}
    told: list[str] = []
    assert students_machine.find(root, environ, told.append) == places[found]
    passed_over = [version for version in (active, beside) if version in {"2.11.0", "3.2.9"}]
    assert len(told) == len(passed_over)
    assert all(version in words for version, words in zip(passed_over, told, strict=True))


def test_without_one_the_deployers_own_is_made_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[Path] = []
    monkeypatch.setattr(BaseEnvironment, "ensure", lambda self, _: ready.append(self.python))
    told: list[str] = []
    environ = {"PATH": str(tmp_path)}
    assert students_machine.find(tmp_path / "clone", environ, told.append) == ready[0]
    assert told == ["no Airflow here; using the deployer's own"]


# --- the working copy ----------------------------------------------------------------------


def paths(clone: Clone) -> set[str]:
    return set(WorkingCopy(clone.root).tree().files)


def test_new_files_count_and_those_that_git_ignores_or_that_are_gone_do_not(clone: Clone) -> None:
    for name in ("kept", "gone", "new", "secret"):
        clone.write(f"dags/amy/{name}.py", "")
    clone.write("dags/amy/__pycache__/kept.cpython-311.pyc", b"\0")
    clone.write(".gitignore", "secret.py\n")
    clone.write("README.md", "")
    clone.git("add", "dags/amy/kept.py", "dags/amy/gone.py")
    (clone.root / "dags/amy/gone.py").unlink()
    assert paths(clone) == {"dags/amy/kept.py", "dags/amy/new.py"}


def test_without_git_all_files_count(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    for name in ("dags/amy/x.py", "dags/amy/__pycache__/x.pyc", "include/a/b.sql", "README.md"):
        clone.write(name, "")
    clone.write("requirements.txt", "pandas\n")
    tree = WorkingCopy(tmp_path).tree()
    assert set(tree.files) == {"dags/amy/x.py", "include/a/b.sql"}
    assert tree.requirements == "pandas\n"


@pytest.mark.parametrize("with_git", [True, False])
def test_links_are_judged_as_in_a_commit(tmp_path: Path, *, with_git: bool) -> None:
    clone = _cloned(tmp_path / "clone") if with_git else Clone(tmp_path)
    clone.write("dags/amy/x.py", HEAD)
    (clone.root / "dags/amy/link.py").symlink_to("x.py")
    (clone.root / "dags/amy/out.py").symlink_to("../../../secret")
    (clone.root / "dags/loop").symlink_to(".")
    copy = WorkingCopy(clone.root)
    tree = copy.tree()
    assert set(tree.files) == {"dags/amy/x.py", "dags/amy/link.py"}
    assert [left.path for left in tree.left_out] == ["dags/amy/out.py", "dags/loop"]
    with copy.lay_out(tree, ["dags/amy/link.py"]) as place:
        assert (place / "dags/amy/link.py").read_text() == HEAD
        assert not (place / "dags/amy/link.py").is_symlink()
    assert not place.exists()


def test_a_repository_within_is_no_part_of_a_push(clone: Clone) -> None:
    within = _cloned(clone.root / "dags/theirs")
    within.write("x.py", HEAD)
    within.git("add", "--all")
    within.git("commit", "--quiet", "--message", "x")
    (left,) = WorkingCopy(clone.root).tree().left_out
    assert left.path == "dags/theirs"
    assert left.reason.startswith("submodules are not fetched")


def test_a_folder_that_is_too_much_is_told_as_a_push_would_tell_it(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PER_FOLDER", Weight(2, 9, 1_000_000, 1_000_000))
    for number in range(2):
        clone.write(f"dags/otto/env/{number}.py", HEAD)
    (clone.root / "dags/otto/env/out").symlink_to("/out")  # left out by itself, and counts
    clone.write("dags/amy/x.py", HEAD)
    tree = WorkingCopy(clone.root).tree()
    assert "dags/amy/x.py" in tree.files
    (left,) = tree.left_out
    assert left.path == "dags/otto/"
    assert left.reason.startswith("dags/otto/env has 3 files, more than 2 files: git rm -r ")


def test_of_a_working_copy_that_is_too_much_nothing_is_parsed(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PER_COMMIT", Weight(1, 9, 1_000_000, 1_000_000))
    for name in "xy":
        clone.write(f"dags/{name}.py", HEAD)
    with pytest.raises(PusherError, match="the commit has more than 1 files"):
        check_copy(WorkingCopy(clone.root), FakeExaminer(), ())


@pytest.mark.parametrize("committed", [True, False])
def test_what_took_the_place_of_something_else_is_as_in_a_commit(
    clone: Clone, *, committed: bool
) -> None:
    for path in ("dags/amy/x.py", "dags/amy/sub/y.py", "dags/amy/linked/z.py", "dags/bo/z.py"):
        clone.write(path, HEAD)
    clone.git("add", "--all")
    if committed:
        clone.git("commit", "--quiet", "--message", "before")
    amy = clone.root / "dags/amy"
    (amy / "x.py").unlink()
    clone.write("dags/amy/x.py/main.py", HEAD)
    for name in ("sub", "linked"):
        shutil.rmtree(amy / name)
    clone.write("dags/amy/sub", "a file")
    (amy / "linked").symlink_to("../bo")
    tree = WorkingCopy(clone.root).tree()
    assert set(tree.files) == {"dags/amy/x.py/main.py", "dags/amy/sub", "dags/bo/z.py"}
    (left,) = tree.left_out
    assert (left.path, left.reason[:30]) == ("dags/amy/linked", "the link leads to a folder; on")
    (amy / "linked").unlink()
    (amy / "linked").symlink_to("linked")
    (left,) = WorkingCopy(clone.root).tree().left_out
    assert (left.path, left.reason) == ("dags/amy/linked", "the link leads back to itself")


def test_a_file_name_that_is_no_utf8_is_left_out(clone: Clone) -> None:
    (clone.root / os.fsdecode(b"dags/\xff.py")).write_text(HEAD)
    (left,) = WorkingCopy(clone.root).tree().left_out
    assert left.reason.startswith("the file name is not UTF-8")


def test_a_path_is_looked_for_from_here_and_from_the_root(clone: Clone) -> None:
    clone.write("dags/amy/x.py", "")
    amy = clone.root / "dags/amy"
    copy = WorkingCopy.around(amy)
    assert copy.root == clone.root
    for given in ("x.py", "dags/amy/x.py", str(amy / "x.py"), "../amy/x.py"):
        assert copy.inside(given, amy) == "dags/amy/x.py"
    assert copy.inside("../..", amy) == ""
    with pytest.raises(WrongPlace, match="lies outside of the class repository"):
        copy.inside("../../..", amy)


@pytest.mark.parametrize("name", [b"\xe6.py", b"a\tb.py"])
def test_a_file_whose_name_cant_be_published_is_told_so_where_it_is_asked_for(
    clone: Clone, name: bytes
) -> None:
    given = f"dags/amy/{os.fsdecode(name)}"
    clone.write("dags/amy/x.py", "")
    (clone.root / given).write_text(HEAD)
    place = WorkingCopy(clone.root).inside(given, clone.root)
    found, _ = examined(clone, place)
    assert [v.path for v in found.verdicts] == [place]
    assert place.isprintable()


# --- what a push would have judged -----------------------------------------------------------


def examined(clone: Clone, *places: str) -> tuple[Checked, FakeExaminer]:
    examiner = FakeExaminer()
    return check_copy(WorkingCopy(clone.root), examiner, places), examiner


def test_only_the_given_files_and_what_uses_them_are_parsed(clone: Clone) -> None:
    clone.write("dags/amy/uses.py", f"{HEAD}from amy.helper import x\n")
    clone.write("dags/amy/other.py", HEAD)
    clone.write("dags/amy/helper.py", "x = 1\n")
    found, examiner = examined(clone, "dags/amy/helper.py")
    assert examiner.asked[0] == ("dags/amy/uses.py",)
    assert [v.path for v in found.verdicts] == ["dags/amy/uses.py"]
    assert found.unseen == ("dags/amy/helper.py",)


def test_another_file_that_is_no_python_is_no_matter_of_the_given_one(clone: Clone) -> None:
    clone.write("dags/amy/good.py", HEAD)
    clone.write("dags/amy/other.py", f"{HEAD}def (:\n")
    error = ParseError("SyntaxError", "invalid syntax", 2, 'File "dags/amy/other.py", line 2')
    examiner = FakeExaminer()
    examiner.finds("dags/amy/other.py", error=error)
    found = check_copy(WorkingCopy(clone.root), examiner, ["dags/amy/good.py"])
    assert [v.path for v in found.verdicts] == ["dags/amy/good.py"]
    found = check_copy(WorkingCopy(clone.root), examiner, ["dags/amy/other.py"])
    assert [v.path for v in found.verdicts] == ["dags/amy/other.py"]


def _pushed(clone: Clone) -> None:
    """Let the host's branch be where the clone is now."""
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "before")
    clone.git("update-ref", "refs/remotes/origin/main", "HEAD")
    clone.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


@pytest.mark.parametrize("how", ["removed", "staged", "committed"])
def test_what_uses_a_file_that_is_gone_is_parsed_with_its_folder(clone: Clone, how: str) -> None:
    clone.write("dags/amy/helper.py", "x = 1\n")
    clone.write("dags/bo/uses.py", f"{HEAD}from amy.helper import x\n")
    clone.write("dags/bo/other.py", HEAD)
    _pushed(clone)
    (clone.root / "dags/amy/helper.py").unlink()
    if how != "removed":
        clone.git("add", "--all")
    if how == "committed":
        clone.git("commit", "--quiet", "--message", "after")
    (clone.root / "dags/amy").mkdir(exist_ok=True)
    _, examiner = examined(clone, "dags/amy")
    assert examiner.asked[0] == ("dags/bo/uses.py",)


def test_nothing_is_gone_that_only_the_host_has(clone: Clone) -> None:
    clone.write("dags/amy/x.py", HEAD)
    _pushed(clone)
    clone.write("dags/amy/theirs.py", HEAD)
    clone.write("dags/bo/uses.py", f"{HEAD}from amy.theirs import x\n")
    _pushed(clone)
    clone.git("reset", "--quiet", "--hard", "HEAD^")
    _, examiner = examined(clone, "dags/amy")
    assert examiner.asked[0] == ("dags/amy/x.py",)


def test_with_a_file_are_parsed_the_links_that_lead_to_it(clone: Clone) -> None:
    clone.write("dags/amy/x.py", HEAD)
    clone.write("dags/bo/y.py", HEAD)
    (clone.root / "dags/bo/link.py").symlink_to("../amy/x.py")
    _, examiner = examined(clone, "dags/amy")
    assert examiner.asked[0] == ("dags/amy/x.py", "dags/bo/link.py")


def test_requirements_that_a_push_refuses_as_it_reads_them_are_told_without_a_trial(
    clone: Clone,
) -> None:
    clone.write("dags/amy/x.py", HEAD)
    clone.write("requirements.txt", "# ours\n-e nonsense\n")
    found, _ = examined(clone)
    (refused,) = [verdict for verdict in found.verdicts if not verdict.good]
    assert refused.path == "requirements.txt"
    assert refused.error
    assert (refused.error.type, refused.error.line) == ("RequirementsRefused", 2)
    of_a_folder, _ = examined(clone, "dags/amy")
    assert [verdict.path for verdict in of_a_folder.verdicts] == ["dags/amy/x.py"]


def test_with_an_ignore_file_is_parsed_what_it_no_longer_hides(clone: Clone) -> None:
    clone.write("dags/.airflowignore", "two.py\n")
    clone.write("dags/amy/one.py", HEAD)
    clone.write("dags/amy/two.py", HEAD)
    _, examiner = examined(clone, "dags/.airflowignore")
    assert examiner.asked[0] == ("dags/amy/one.py",)
    clone.write("dags/.airflowignore", "")
    _, examiner = examined(clone, "dags/.airflowignore")
    assert examiner.asked[0] == ("dags/amy/one.py", "dags/amy/two.py")


def test_of_the_other_files_those_are_parsed_that_have_the_dag_id_in_their_text(
    clone: Clone,
) -> None:
    clone.write("dags/amy/one.py", HEAD)
    clone.write("dags/bo/two.py", f"{HEAD}# one\n")
    clone.write("dags/bo/three.py", HEAD.replace("DAG", "DAGS"))
    _, examiner = examined(clone, "dags/amy")
    assert examiner.asked == [("dags/amy/one.py",), ("dags/bo/two.py",)]


def test_what_would_not_be_published_is_told_where_it_was_asked_for(clone: Clone) -> None:
    clone.write("dags/amy/.airflowignore", b"\xff")
    clone.write("dags/bo/.airflowignore", b"\xff")
    found, _ = examined(clone, "dags/bo")
    assert [v.path for v in found.verdicts] == ["dags/bo/.airflowignore"]
    found, _ = examined(clone)
    assert [v.path for v in found.verdicts] == ["dags/amy/.airflowignore", "dags/bo/.airflowignore"]


@pytest.mark.parametrize("place", ["README.md", "dags/amy/ignored.py"])
def test_a_file_that_no_push_would_publish_is_wrong_use(clone: Clone, place: str) -> None:
    clone.write(place, HEAD)
    clone.write(".gitignore", "ignored.py\n")
    with pytest.raises(WrongPlace, match=f"a push would publish nothing of {place}"):
        examined(clone, place)


def test_the_table_is_as_large_as_it_was_promised() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40
    assert all(case.path(name).startswith("dags/") for case in CASES for name in case.says)
    assert STUDENT in {case.path(name).split("/")[1] for case in CASES for name in case.says}
