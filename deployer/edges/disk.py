"""What several edges need of the disk, and where the installation's own files are on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.errors import DiskError, ServicesError


def flush(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_readable(directory: Path) -> None:
    """Make a directory unless it is there: Airflow's user reads what is in it, whatever the umask.

    Raises:
        OSError
    """
    if not directory.is_dir():
        directory.mkdir(parents=True)
        directory.chmod(0o755)


def point(link: Path, target: Path) -> None:
    """Make the symlink `link` lead to `target` by one rename.

    Raises:
        OSError
    """
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


@contextmanager
def disk_errors(then: str) -> Iterator[None]:
    """Raise a DiskError in the place of the system's errors; `then`: what follows, or may help.

    It begins with the reason, and names the one place that was to be written: it may be a status.
    """
    try:
        yield
    except OSError as exc:
        said = (exc.strerror or exc, exc.filename2 or exc.filename)
        raise DiskError(f"{': '.join(str(part) for part in said if part)}; {then}") from exc


_PACKAGE = Path(__file__).resolve().parents[1]


def airflow_files() -> Path:
    """Return the directory to be put on Airflow's PYTHONPATH (`class_bundle.py`, …).

    It is the deployer's own copy, never a release's.

    Raises:
        ServicesError
    """
    return carried("_airflow", "include/airflow", "class_bundle.py")


def dockerfile() -> Path:
    """Return the deployer's own Dockerfile of the class's image.

    Raises:
        ServicesError
    """
    return carried("_stack", "", "Dockerfile") / "Dockerfile"


def carried(in_wheel: str, in_checkout: str, proof: str) -> Path:
    """Return a directory that the wheel carries inside the package, a checkout beside it.

    `proof`: what is in it.

    Raises:
        ServicesError: neither is there.
    """
    for place in (_PACKAGE / in_wheel, _PACKAGE.parent / in_checkout):
        if (place / proof).exists():
            return place
    raise ServicesError(f"{_PACKAGE} holds no {in_wheel}/{proof}: install the deployer again")
