"""Python's compiled files of the image's packages, kept in a volume."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "include" / "airflow" / "compiled.py"


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    """The script, loaded as Airflow's containers do: by its path."""
    spec = importlib.util.spec_from_file_location("compiled", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Two packages, one of which carries a template that is no Python."""
    site = tmp_path / "site-packages"
    for name in ("one", "two"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    (site / "two" / "template.py").write_text("{{ name }} = \n")
    return site


def compiled_beside(directory: Path) -> set[str]:
    return {file.name.split(".")[0] for file in (directory / "__pycache__").glob("*.pyc")}


def test_what_was_written_once_is_beside_the_packages_of_a_fresh_container(
    compiled: ModuleType, packages: Path, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    compiled.write(packages, volume)
    assert not list(packages.rglob("__pycache__"))
    compiled.link(volume)
    assert {one.name: compiled_beside(one) for one in packages.iterdir()} == {
        "one": {"__init__"},
        "two": {"__init__"},
    }


def test_what_pip_compiled_itself_stays(
    compiled: ModuleType, packages: Path, tmp_path: Path
) -> None:
    volume, own = tmp_path / "volume", packages / "one" / "__pycache__"
    compiled.write(packages, volume)
    own.mkdir()
    compiled.link(volume)
    assert not own.is_symlink()
    assert compiled_beside(packages / "two") == {"__init__"}


def test_a_package_that_pip_removed_and_a_second_start_are_no_failure(
    compiled: ModuleType, packages: Path, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    compiled.write(packages, volume)
    (packages / "one" / "__init__.py").unlink()
    (packages / "one").rmdir()
    compiled.link(volume)
    compiled.link(volume)
    assert not (packages / "one").exists()
    assert compiled_beside(packages / "two") == {"__init__"}


def test_without_the_volume_nothing_is_linked(
    compiled: ModuleType, packages: Path, tmp_path: Path
) -> None:
    compiled.link(tmp_path / "none")
    assert not list(packages.rglob("__pycache__"))
