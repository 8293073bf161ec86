"""Where the files are that the deployer's installation carries beside its own modules."""

from __future__ import annotations

from pathlib import Path

from deployer.errors import ServicesError

_PACKAGE = Path(__file__).resolve().parents[2]


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
