"""`deployer new-class`: a class's own repository, and the deployer's wheel in it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from deployer.cli import main
from deployer.core.reporting import roster
from deployer.edges.class_repository import write
from deployer.edges.disk import dockerfile
from deployer.errors import DiskError, GitError

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NO_NAME = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "user.useConfigOnly",
    "GIT_CONFIG_VALUE_0": "true",
}


def new_class(*args: str) -> int:
    """Run the command; return its exit status."""
    try:
        main(["new-class", *args])
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def git(place: Path, *args: str) -> str:
    done = subprocess.run(("git", *args), cwd=place, check=True, capture_output=True, text=True)
    return done.stdout


def files(place: Path) -> set[str]:
    """Return the paths of all files, git's own aside."""
    found = {path.relative_to(place) for path in place.rglob("*") if path.is_file()}
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class's repository as the command writes it."""
    place = tmp_path_factory.mktemp("new") / "deep" / "class"
    assert new_class(str(place), "--teacher", "frauke", "--teacher", "@jan-o") == 0
    return place


@pytest.fixture(scope="module")
def wheel(begun: Path) -> Iterator[ZipFile]:
    (file,) = (begun / "tools").iterdir()
    with ZipFile(file) as opened:
        yield opened


def test_it_is_one_commit_on_main_and_nothing_is_left_to_be_added(begun: Path) -> None:
    assert git(begun, "log", "--format=%s", "main") == "Start the class repository\n"
    assert git(begun, "status", "--porcelain", "--ignored") == ""
    assert set(git(begun, "ls-files").split()) == files(begun)


def test_it_can_be_pushed_as_it_is(begun: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "github.git")
    git(begun, "push", "--quiet", str(tmp_path / "github.git"), "main")
    assert git(tmp_path / "github.git", "ls-tree", "--name-only", "main") == git(
        begun, "ls-tree", "--name-only", "main"
    )


def test_it_has_each_part_that_a_class_needs(begun: Path) -> None:
    assert files(begun) >= {
        "README.md",
        "requirements.txt",
        "roster.yaml",
        ".gitignore",
        ".github/CODEOWNERS",
        ".github/pull_request_template.md",
        ".github/workflows/dag-integrity.yml",
        "dags/class_demo/hello.py",
        "dags/class_demo/taxi_pipeline.py",
        "include/taxi/tasks.py",
        "include/dbt_project/dbt_project.yml",
        "tests/test_dag_integrity.py",
    }


def test_of_what_the_teachers_machine_runs_it_has_the_rules_for_the_test_alone(
    begun: Path,
) -> None:
    assert {path for path in files(begun) if path.startswith("include/airflow/")} == {
        "include/airflow/class_dags.py",
        "include/airflow/class_levels.py",
        "include/airflow/class_rules.py",
        "include/airflow/class_rules.toml",
    }
    assert not {"Dockerfile", "docker-compose.yaml", "airflow.env.example"} & files(begun)


def test_its_workflow_has_the_version_of_airflow_and_starts_for_paths_that_are_there(
    begun: Path,
) -> None:
    workflow = yaml.safe_load((begun / ".github/workflows/dag-integrity.yml").read_text())
    (version,) = re.findall(r"IMAGE_NAME=apache/airflow:(\S+)", dockerfile().read_text())
    assert workflow["jobs"]["dags"]["env"]["AIRFLOW_VERSION"] == version
    for path in workflow[True]["pull_request"]["paths"]:  # YAML 1.1: `on` is a boolean
        assert (begun / path.removesuffix("/**")).exists(), path


def test_its_workflow_takes_a_hash_behind_one_package_alone_as_the_deployer_does(
    begun: Path, tmp_path: Path
) -> None:
    workflow = yaml.safe_load((begun / ".github/workflows/dag-integrity.yml").read_text())
    (command,) = (
        step["run"] for step in workflow["jobs"]["dags"]["steps"] if "Install Airflow" in str(step)
    )
    offline, count = re.subn(r"https://\S+\.txt", "pins.txt", command)
    assert count == 1
    (tmp_path / "pins.txt").write_text("plain==1\n")
    for name in ("apache_airflow", "pytest", "plain"):
        write_wheel(tmp_path, name)
    digest = hashlib.sha256(write_wheel(tmp_path, "hashed").read_bytes()).hexdigest()
    (tmp_path / "requirements.txt").write_text(f"hashed==1 --hash=sha256:{digest}\nplain\n")
    subprocess.run(
        [sys.executable, "-m", "uv", "venv", "--quiet", "venv"], cwd=tmp_path, check=True
    )
    done = subprocess.run(
        ["bash", "-ec", f"{offline.strip()} --no-index --find-links ."],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}/venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "VIRTUAL_ENV": str(tmp_path / "venv"),
            "AIRFLOW_VERSION": "1",
            "PYTHON_VERSION": "3.12",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    there = {path.name for path in tmp_path.glob("venv/lib/*/site-packages/*-1.dist-info")}
    assert there >= {f"{name}-1.dist-info" for name in ("apache_airflow", "hashed", "plain")}


def write_wheel(directory: Path, name: str) -> Path:
    """Write a package of version 1 that holds nothing."""
    info = f"{name}-1.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nProvides-Extra: postgres\n"
    with ZipFile(directory / f"{name}-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return Path(str(wheel.filename))


def test_its_roster_can_be_read_and_names_the_teachers(begun: Path) -> None:
    read = roster.parse((begun / "roster.yaml").read_text())
    assert isinstance(read, roster.Roster)
    assert read.teachers == {"frauke", "jan-o"}
    assert read.owners("class_demo") == set()
    assert read.owners("anna") == {"anna"}


def test_each_link_of_its_pages_leads_somewhere(begun: Path) -> None:
    pages = [begun / "README.md", *begun.glob("docs/*.md")]
    for page in pages:
        for target in LINK.findall(page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_installs_check_by_one_line_out_of_the_clone_itself(
    begun: Path, wheel: ZipFile
) -> None:
    (line,) = re.findall(
        r"^uv tool install '(.+)\[check\]'$", (begun / "README.md").read_text(), re.MULTILINE
    )
    assert (begun / line).is_file()
    about = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    assert b"Provides-Extra: check\n" in wheel.read(about)


def test_the_wheel_has_the_package_and_what_its_commands_need_and_no_tests(wheel: ZipFile) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    forced: dict[str, str] = build["targets"]["wheel"]["force-include"]
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    for theirs in forced.values():
        assert any(name == theirs or name.startswith(f"{theirs}/") for name in names), theirs
    package = set(git(ROOT, "ls-files", "deployer").split())
    extra = {name for name in names - package if not name.startswith(tuple(forced.values()))}
    # A file that is not added to git yet is in the wheel of a checkout all the same.
    assert extra == set(git(ROOT, "ls-files", "--others", "--exclude-standard", "deployer").split())
    assert {name for name in names if "tests/" in name} == {
        "deployer/_class/tests/test_dag_integrity.py",
        *(name for name in names if name.startswith("deployer/_class/include/dbt_project/tests/")),
    }


def test_an_installed_deployer_writes_the_same_and_its_wheel_holds_the_same(
    begun: Path, wheel: ZipFile, tmp_path: Path
) -> None:
    (file,) = (begun / "tools").iterdir()
    uv, place = [sys.executable, "-m", "uv", "pip", "install", "--quiet"], tmp_path / "site"
    subprocess.run([*uv, "--no-deps", "--target", str(place), str(file)], check=True)
    subprocess.run(
        [sys.executable, "-m", "deployer", "new-class", "class", "--teacher", "frauke"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
        check=True,
    )
    assert files(tmp_path / "class") == files(begun)
    with ZipFile(BytesIO((tmp_path / "class" / "tools" / file.name).read_bytes())) as again:
        assert {name: again.read(name) for name in again.namelist() if "RECORD" not in name} == {
            name: wheel.read(name) for name in wheel.namelist() if "RECORD" not in name
        }
    subprocess.run(
        [*uv, "--no-deps", "--target", str(tmp_path / "again"), f"class/tools/{file.name}"],
        cwd=tmp_path,
        check=True,
    )


def test_a_second_run_refuses_and_writes_nothing(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(begun, "rev-parse", "HEAD")
    assert new_class(str(begun)) == 2
    assert f"{begun} is not empty: name a new directory. Nothing was written" in (
        capsys.readouterr().err
    )
    assert git(begun, "rev-parse", "HEAD") == before
    assert git(begun, "status", "--porcelain") == ""


@pytest.mark.parametrize("below", ["class/x", "class/x/y", "dangling/x"])
def test_what_lies_below_a_file_is_no_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "class").write_text("notes")
    (tmp_path / "dangling").symlink_to("nowhere")
    place = tmp_path / below
    assert new_class(str(place)) == 2
    above = tmp_path / below.partition("/")[0]
    assert f"{place} lies below {above}, which is no directory: name another. Nothing was" in (
        capsys.readouterr().err
    )
    assert (tmp_path / "class").read_text() == "notes"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_place_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "class"
    place.write_text("notes")
    assert new_class(str(place)) == 2
    assert "is no directory: name a new one" in capsys.readouterr().err
    assert place.read_text() == "notes"


def test_what_is_no_login_is_refused(tmp_path: Path) -> None:
    assert new_class(str(tmp_path / "class"), "--teacher", "frauke b") == 2
    assert not (tmp_path / "class").exists()


def test_without_a_teacher_it_says_where_the_login_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_class(str(tmp_path / "class")) == 0
    assert "roster.yaml and .github/CODEOWNERS" in capsys.readouterr().out


def test_an_empty_directory_is_filled_also_the_one_that_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(), {"dags/a.py": b"1"})
    assert files(tmp_path) == {"dags/a.py"}
    assert git(Path.cwd(), "ls-files") == "dags/a.py\n"


def test_whoever_has_told_git_no_name_gets_the_commit_in_the_deployers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NO_NAME.items():
        monkeypatch.setenv(name, value)
    write(tmp_path / "class", {"a": b""})
    assert git(tmp_path / "class", "log", "--format=%an") == "deployer\n"


def test_neither_a_hooks_environment_nor_what_somebody_ignores_everywhere_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignored").write_text("*.whl\n")
    (tmp_path / "config").write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignored'}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    write(tmp_path / "class", {"a.whl": b""})
    monkeypatch.delenv("GIT_DIR")
    assert git(tmp_path / "class", "ls-files") == "a.whl\n"
    assert not (tmp_path / "elsewhere").exists()


def test_if_git_is_missing_it_says_so_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        write(tmp_path / "class", {"a": b""})
    assert not (tmp_path / "class").exists()


def test_if_the_disk_refuses_a_file_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="can't be written"):
        write(tmp_path / "class", {"a": b"", "x" * 300: b""})
    assert not (tmp_path / "class").exists()
