"""Where the files are that Airflow runs on the deployer's behalf."""

from __future__ import annotations

from pathlib import Path

from deployer.errors import ServicesError

_PACKAGE = Path(__file__).resolve().parents[2]


def airflow_files() -> Path:
    """Return the directory to be put on Airflow's PYTHONPATH (`class_bundle.py`, …).

    The wheel carries it inside the package as `_airflow`; a checkout has it as
    `include/airflow`. It is the deployer's own copy in both, never a release's.

    Raises:
        ServicesError: neither is there.
    """
    for place in (_PACKAGE / "_airflow", _PACKAGE.parent / "include" / "airflow"):
        if (place / "class_bundle.py").is_file():
            return place
    raise ServicesError(f"{_PACKAGE} holds no _airflow/class_bundle.py: install the deployer again")


def dockerfile() -> Path:
    """Return the deployer's own Dockerfile of the class's image.

    Raises:
        ServicesError: it is not there.
    """
    for place in (_PACKAGE / "_stack", _PACKAGE.parent):
        if (place / "Dockerfile").is_file():
            return place / "Dockerfile"
    raise ServicesError(f"{_PACKAGE} holds no _stack/Dockerfile: install the deployer again")
