"""A class's own repository: what it is made of, the deployer as one file, and writing it.

Its files come out of a checkout or a wheel; what they say is decided in `core/new_class.py`.
Students install `deployer check` from the wheel in their clone: no index knows it, and none of
them needs an account on, or a fork of, the repository that it comes from. The new directory is
written with its first commit, or not at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

from deployer.edges.disk import airflow_files, carried
from deployer.errors import DiskError, GitError, OperatorError, WrongPlace

_TEMPLATES: Final = Path(__file__).with_name("class_templates")

SAMPLES: Final = ("dags", "include/taxi", "include/dbt_project", "requirements.txt")
"""What runs; `include/airflow` is the deployer's own."""
_PAGES: Final = (
    *("check", "pipelines", "policy", "roster"),
    *("students", "troubleshooting", "verdicts"),
)
_AROUND: Final = (
    ".github/CODEOWNERS",
    ".github/pull_request_template.md",
    ".github/workflows/dag-integrity.yml",
    "tests/test_dag_integrity.py",
    *(f"docs/{page}.md" for page in _PAGES),
)
# What tests/test_dag_integrity.py goes by, and nothing else of what Airflow runs: the class's
# Airflow has its rules from the teacher's machine.
_RULES: Final = ("class_dags.py", "class_levels.py", "class_rules.py", "class_rules.toml")

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_DISTRIBUTION: Final = "airflow-class-deployer"
# What an installer adds beside the files of the wheel (PEP 376, PEP 610).
_INSTALLERS: Final = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
BUILD_TIMEOUT_S: Final = 120

BRANCH: Final = "main"
GIT_TIMEOUT_S: Final = 60
_SUBJECT: Final = "Start the class repository"
# Whoever has told git no name gets a commit all the same; it was the deployer that wrote it.
_NOBODY: Final = ("-c", "user.name=deployer", "-c", "user.email=deployer@localhost")
# Set by git for its hooks, and by people: they would name another repository (git(1)).
_ELSEWHERE: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"}
)


def samples() -> dict[str, bytes]:
    """Return the files that run, by path.

    Raises:
        ServicesError: the installation does not carry them.
    """
    return _read(SAMPLES)


def sources() -> dict[str, bytes]:
    """Return all that a class's repository is made of, by its path there.

    Raises:
        ServicesError: the installation does not carry it.
    """
    rules = {f"include/airflow/{name}": (airflow_files() / name).read_bytes() for name in _RULES}
    texts = {
        # An own .gitignore in the package would hide files from the build of the wheel.
        file.name.replace("gitignore", ".gitignore"): file.read_bytes()
        for file in _TEMPLATES.iterdir()
    }
    return _read((*SAMPLES, *_AROUND)) | rules | texts


def _read(parts: tuple[str, ...]) -> dict[str, bytes]:
    """Read files and directories."""
    root = carried("_class", "", SAMPLES[0])
    found = [file for part in parts for file in (root / part, *sorted((root / part).rglob("*")))]
    return {
        file.relative_to(root).as_posix(): file.read_bytes()
        for file in found
        if file.is_file() and file.suffix != ".pyc"
    }


def own_wheel() -> tuple[str, bytes]:
    """Return the deployer that runs as one wheel: its file name and content.

    Raises:
        OperatorError: a checkout can't be built.
    """
    checkout = _PACKAGE.parent
    return _built(checkout) if (checkout / "pyproject.toml").is_file() else _packed_again()


def _built(checkout: Path) -> tuple[str, bytes]:
    """Build a checkout by the environment that runs it: it has the build's own packages."""
    with tempfile.TemporaryDirectory(prefix="deployer-wheel-") as place:
        command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel")
        try:
            subprocess.run(
                (*command, "--directory", place),
                cwd=checkout,
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
            said = exc.stderr if isinstance(exc, subprocess.CalledProcessError) else ""
            words = (said.strip().splitlines() or [str(exc)])[-1]
            raise OperatorError(
                f"no wheel can be built of {checkout} ({words}): install hatchling beside the "
                "deployer, or the deployer from a wheel"
            ) from exc
        (wheel,) = Path(place).glob("*.whl")
        return wheel.name, wheel.read_bytes()


def _packed_again() -> tuple[str, bytes]:
    """Pack what a wheel was unpacked to (the format: PEP 427)."""
    ours = metadata.distribution(_DISTRIBUTION)
    name = f"{_DISTRIBUTION.replace('-', '_')}-{ours.version}"
    about, packed, record = f"{name}.dist-info", BytesIO(), []
    with ZipFile(packed, "w", ZIP_DEFLATED) as wheel:
        for path in ours.files or ():
            inside = path.parts[0] == "deployer" or (
                path.parts[0] == about and path.name not in _INSTALLERS
            )
            if inside and path.suffix != ".pyc":
                content = Path(str(path.locate())).read_bytes()
                digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
                record.append(f"{path.as_posix()},sha256={digest},{len(content)}\n")
                wheel.writestr(path.as_posix(), content)
        wheel.writestr(f"{about}/RECORD", "".join(record) + f"{about}/RECORD,,\n")
    return f"{name}-py3-none-any.whl", packed.getvalue()


def free(place: Path) -> None:
    """See that `place` can be made, or is an empty directory.

    Raises:
        WrongPlace: it is not.
    """
    wrong = ""
    try:
        if place.is_dir():
            if any(place.iterdir()):
                wrong = "is not empty: name a new directory"
        elif os.path.lexists(place):
            wrong = "is no directory: name a new one"
        else:
            above = next(above for above in place.absolute().parents if os.path.lexists(above))
            if not above.is_dir():
                wrong = f"lies below {above}, which is no directory: name another"
    except OSError as exc:  # a name too long, a directory that may not be read
        wrong = f"can't be used: {exc.strerror}; name another"
    if wrong:
        raise WrongPlace(f"{place} {wrong}. Nothing was written")


def write(place: Path, files: Mapping[str, bytes]) -> None:
    """Make `place` a git repository of `files`, with one commit on `main`.

    Raises:
        DiskError, GitError: it can't be written.
    """
    there = place.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
        try:
            _fill(place, files)
        except BaseException:
            if not there:
                place.rmdir()
            raise
    except OSError as exc:
        raise DiskError(
            f"{place} can't be written: {exc}; see that you may write there "
            "and that the disk has room"
        ) from exc


def _fill(place: Path, files: Mapping[str, bytes]) -> None:
    # In the directory itself, so that what is made there only has to be renamed. Who dies before
    # that leaves a hidden directory, and the next run says that the place is not empty.
    with tempfile.TemporaryDirectory(prefix=".new-class-", dir=place) as made:
        root = Path(made)
        for path, content in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _commit(root)
        for entry in list(root.iterdir()):
            entry.rename(place / entry.name)


def _commit(root: Path) -> None:
    _git(root, "init", "--quiet", f"--initial-branch={BRANCH}")
    # By force: what somebody's own settings ignore everywhere belongs to the class all the same.
    _git(root, "add", "--all", "--force")
    known = _ran(root, "var", "GIT_COMMITTER_IDENT").returncode == 0
    _git(root, *(() if known else _NOBODY), "commit", "--quiet", "--no-verify", "-m", _SUBJECT)


def _git(root: Path, *args: str) -> None:
    done = _ran(root, *args)
    if done.returncode:
        raise GitError(f"git can't begin the class's repository: {done.stderr.strip()}")


def _ran(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        return subprocess.run(
            ("git", *args),
            cwd=root,
            env=environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
        )
    except FileNotFoundError as exc:
        raise GitError("git is not installed: install it, then again. Nothing was written") from exc
    except subprocess.TimeoutExpired as exc:
        raise GitError(f"git did not end within {GIT_TIMEOUT_S} s. Nothing was written") from exc
