"""`scripts/release` in a scratch clone: what is released, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from deployer import __version__

ROOT = Path(__file__).resolve().parents[2]
Run = subprocess.CompletedProcess[str]
BOUND_S = 300
# The environment that runs the tests, in place of one of the clone's own.
ENVIRONMENT = f"""\
root=$(cd "$(dirname "${{BASH_SOURCE[0]}}")/.." && pwd)
python={sys.executable}
say() {{ printf '%s\\n' "$*" >&2; }}
ensure() {{ :; }}
"""
LATER = "9.0.0"
NEWS = "## [Unreleased]\n\n### Added\n\n- A line.\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is committed here, with something new in its changelog."""
    place = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-tags", str(ROOT), str(place))
    git(place, "config", "user.name", "frauke")
    git(place, "config", "user.email", "frauke@university.example")
    (place / "scripts" / "environment").write_text(ENVIRONMENT)
    (place / "CHANGELOG.md").write_text(f"# Changelog\n\n{NEWS}")
    git(place, "commit", "--quiet", "--all", "--message", "Prepare")
    return place


def git(place: Path, *args: str) -> str:
    done = subprocess.run(("git", *args), cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def release(clone: Path, *args: str) -> Run:
    return subprocess.run(
        (str(clone / "scripts" / "release"), *args),
        cwd=clone.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )


def state(clone: Path) -> tuple[str, str, str]:
    """Return the commit, the tags and what is not committed."""
    return git(clone, "rev-parse", "HEAD"), git(clone, "tag"), git(clone, "status", "--porcelain")


def test_a_release_is_a_commit_a_tag_a_cut_changelog_and_a_wheel_and_sdist_that_were_tried(
    clone: Path,
) -> None:
    ran = release(clone, LATER)
    assert ran.returncode == 0, ran.stderr
    assert "trying the wheel with python3." in ran.stderr
    assert git(clone, "rev-parse", f"v{LATER}^{{commit}}") == git(clone, "rev-parse", "HEAD")
    assert git(clone, "cat-file", "-t", f"v{LATER}") == "tag"
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "diff", "--name-only", "HEAD~1").split() == [
        "CHANGELOG.md",
        "deployer/__init__.py",
    ]
    cut = rf"## \[Unreleased\]\n\n## \[{LATER}\] - \d{{4}}-\d\d-\d\d\n\n### Added\n\n- A line\.\n"
    assert re.search(cut, (clone / "CHANGELOG.md").read_text())
    name = f"airflow_class_deployer-{LATER}"
    with ZipFile(clone / "dist" / f"{name}-py3-none-any.whl") as wheel:
        assert f'__version__ = "{LATER}"' in wheel.read("deployer/__init__.py").decode()
    with tarfile.open(clone / "dist" / f"{name}.tar.gz") as sdist:
        assert f"{name}/include/airflow/class_bundle.py" in sdist.getnames()


def test_a_wheel_that_does_not_work_is_not_released_and_the_tree_is_what_it_was(
    clone: Path,
) -> None:
    module = clone / "deployer" / "cli" / "logs.py"
    module.write_text(module.read_text() + "import nothing_of_that_name\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Break a command")
    before = state(clone)
    ran = release(clone, LATER)
    assert ran.returncode != 0
    assert "No module named 'nothing_of_that_name'" in ran.stderr
    assert f"{LATER} is not released; the tree is what it was" in ran.stderr
    assert state(clone) == before


def a_change(clone: Path) -> None:
    (clone / "notes").write_text("")


def a_tag(clone: Path) -> None:
    git(clone, "tag", f"v{LATER}")


def no_news(clone: Path) -> None:
    (clone / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.0.1] - 2026-01-01\n\n- Old.\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Say nothing")


def nothing(_clone: Path) -> None:
    """Leave it as it is."""


@pytest.mark.parametrize(
    ("version", "spoil", "says"),
    [
        (LATER, a_change, "there are changes that are not committed"),
        (LATER, a_tag, f"there is a tag v{LATER} already"),
        (LATER, no_news, "CHANGELOG.md has no line under Unreleased"),
        (__version__, nothing, f"{__version__} does not come after {__version__}"),
        ("0.0.9", nothing, f"0.0.9 does not come after {__version__}"),
        ("9.0", nothing, "usage: scripts/release"),
        ("9.0.0rc1", nothing, "usage: scripts/release"),
        ("", nothing, "usage: scripts/release"),
    ],
)
def test_what_can_not_be_released_is_refused_and_nothing_is_changed(
    clone: Path, version: str, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(clone)
    before = state(clone)
    ran = release(clone, version)
    assert ran.returncode != 0
    assert says in ran.stderr
    assert state(clone) == before
