"""The two real examiners, each with one warm parser for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from deployer.edges.parser.container import ContainerParser, ContainerPlace
from deployer.edges.parser.examiner import IsolatedExaminer, Waker
from deployer.edges.parser.warm_parser import LocalParser
from tests.integration.examiner.files import IMPORT_S, POLICY
from tests.integration.examiner.world import AIRFLOW_FILES, LIMITS, NEW, SCRIPT, Disk, Real

AIRFLOW_IMAGE = "class-deployer/airflow:test"
IMAGE, BUILT_IMAGE = "f-examiner:current", "f-examiner:next"
PROJECT = "f-examiner"
# Like the class's own: what the parser imports is compiled.
DOCKERFILE = f"""\
FROM {AIRFLOW_IMAGE}
LABEL class-deployer.project={PROJECT}
ENV PYTHONPATH=/opt/deployer/airflow
COPY airflow /opt/deployer/airflow
RUN python /opt/deployer/airflow/preflight.py </dev/null
"""
BUILT_DOCKERFILE = f"""\
FROM {IMAGE}
RUN touch "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/{NEW}.py"
"""
SETTINGS = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(IMPORT_S),
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "30",
}


@pytest.fixture(scope="module")
def class_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the parser's files and a policy of these tests' own."""
    directory = tmp_path_factory.mktemp("class_files")
    for file in AIRFLOW_FILES.glob("*.py"):
        shutil.copy(file, directory)
    (directory / "airflow_local_settings.py").write_text(POLICY)
    directory.chmod(0o755)  # containers read it as another user
    return directory


@pytest.fixture(scope="module")
def built_files(class_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with what a build added."""
    directory = tmp_path_factory.mktemp("built_files")
    shutil.copytree(class_files, directory, dirs_exist_ok=True)
    (directory / f"{NEW}.py").touch()
    return directory


@pytest.fixture(scope="module")
def warm_local(
    airflow_python: Path,
    class_files: Path,
    built_files: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IsolatedExaminer]:
    def parser(files: Path) -> LocalParser:
        env = {**SETTINGS, "PYTHONPATH": str(files)}
        return LocalParser(lambda: airflow_python, files / SCRIPT.name, env)

    examiner = IsolatedExaminer(
        now=parser(class_files),
        built=parser(built_files),
        materialiser=Disk(tmp_path_factory.mktemp("local")),
        limits=LIMITS,
    )
    with closing(examiner):
        yield examiner


@pytest.fixture
def local(warm_local: IsolatedExaminer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Real:
    return _with_its_own_files(warm_local, Disk(tmp_path), monkeypatch)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env()
    except DockerException as exc:
        reason = f"no Docker engine answers, scripts/docker up starts one: {exc}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class's image, and `:next` beside it; left to the engine's cache, for they cost 8 s."""
    class_image, built_image = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("next")
    (class_image / "airflow").mkdir()
    for file in AIRFLOW_FILES.glob("*.py"):
        shutil.copy(file, class_image / "airflow")
    (class_image / "airflow" / "airflow_local_settings.py").write_text(POLICY)
    (class_image / "Dockerfile").write_text(DOCKERFILE)
    (built_image / "Dockerfile").write_text(BUILT_DOCKERFILE)
    engine.images.build(path=str(class_image), tag=IMAGE, rm=True)
    engine.images.build(path=str(built_image), tag=BUILT_IMAGE, rm=True)
    return IMAGE


@pytest.fixture(scope="module")
def place(
    image: str, class_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> ContainerPlace:
    checkout = tmp_path_factory.mktemp("checkout")
    checkout.chmod(0o755)
    (checkout / "releases").mkdir()
    return ContainerPlace(image, PROJECT, checkout, class_files, env=SETTINGS)


@pytest.fixture(scope="module")
def warm_container(place: ContainerPlace) -> Iterator[IsolatedExaminer]:
    built = replace(place, image=BUILT_IMAGE)
    examiner = IsolatedExaminer(
        now=ContainerParser(lambda: place),
        built=ContainerParser(lambda: built),
        materialiser=Disk(place.checkout_dir / "releases"),
        limits=LIMITS,
    )
    with pytest.MonkeyPatch.context() as patched, closing(examiner):
        patched.setenv("DEPLOYER_WEBHOOK_SECRET", "do not tell this to students")
        yield examiner


@pytest.fixture
def container(
    warm_container: IsolatedExaminer, place: ContainerPlace, monkeypatch: pytest.MonkeyPatch
) -> Real:
    disk = Disk(place.checkout_dir / "releases")
    return _with_its_own_files(warm_container, disk, monkeypatch)


def _with_its_own_files(
    examiner: IsolatedExaminer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> Real:
    monkeypatch.setattr(examiner, "_materialiser", disk)
    monkeypatch.setattr(examiner, "_waker", Waker())
    return Real(examiner, disk)
