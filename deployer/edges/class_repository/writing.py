"""Write a new repository: all of it with its first commit, or nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deployer.errors import DiskError, GitError, WrongPlace

BRANCH: Final = "main"
GIT_TIMEOUT_S: Final = 60
_SUBJECT: Final = "Start the class repository"
# Whoever has told git no name gets a commit all the same; it was the deployer that wrote it.
_NOBODY: Final = ("-c", "user.name=deployer", "-c", "user.email=deployer@localhost")
# Set by git for its hooks, and by people: they would name another repository (git(1)).
_ELSEWHERE: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"}
)


def free(place: Path) -> None:
    """See that `place` can be made, or is an empty directory.

    Raises:
        WrongPlace: it is not.
    """
    try:
        if place.is_dir():
            if any(place.iterdir()):
                raise WrongPlace(f"{place} is not empty: name a new directory. Nothing was written")
        elif os.path.lexists(place):
            raise WrongPlace(f"{place} is no directory: name a new one. Nothing was written")
        above = next(above for above in place.absolute().parents if os.path.lexists(above))
        if not above.is_dir():
            raise WrongPlace(
                f"{place} lies below {above}, which is no directory: name another. "
                "Nothing was written"
            )
    except OSError as exc:  # a name too long, a directory that may not be read
        raise WrongPlace(
            f"{place} can't be used: {exc.strerror}; name another. Nothing was written"
        ) from exc


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
