"""Where the files are that a class's repository begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deployer.edges.airflow.files import airflow_files, carried

_TEMPLATES: Final = Path(__file__).with_name("templates")

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
