"""The whole product over an Airflow that reads by LocalDagBundle, then by GitDagBundle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployer.config import Settings
from deployer.core.model import DAG_PROCESSOR
from deployer.demo import samples
from deployer.demo.stage import Stage
from deployer.edges.airflow import AirflowRest
from deployer.edges.local import COMMANDS, LocalAirflow
from tests.e2e.watching import verdicts

pytestmark = pytest.mark.airflow

GIT_PROVIDER = ("apache-airflow-providers-git==1.0.1", "GitPython==3.1.50", "gitdb", "smmap")
"""What the base environment lacks of it; the rest is Airflow's own."""
ANA = "dags/ana"
BROKEN = "import nothing_of_that_name\n"


@dataclass
class OtherAirflow:
    """`stage.RunningAirflow` with a bundle that is not the class's."""

    settings: Settings
    say: Callable[[str], None]
    local: LocalAirflow = field(init=False)

    def __post_init__(self) -> None:
        current = self.settings.checkout_dir / "current" / "dags"
        self.local = self._with_bundle(
            "dags-folder",
            "airflow.dag_processing.bundles.local.LocalDagBundle",
            # Before the first release it knows no DAG that it could be poked with.
            {"path": str(current), "refresh_interval": 2},
        )

    def read_by_git(self, url: str, provider: Path) -> None:
        """Have its dag-processor read the repository itself from now on."""
        self.local = self._with_bundle(
            "students",
            "airflow.providers.git.bundles.git.GitDagBundle",
            {"tracking_ref": "main", "subdir": "dags", "repo_url": url},
            python_path=str(provider),
        )
        self.local._restart([DAG_PROCESSOR], lambda: None)
        self.local.wait_healthy(tuple(COMMANDS))
        # Airflow shows no error of a file of which it knows DAGs of another bundle alone.
        rest = AirflowRest(self.url, self.username, self.password, timeout_s=60)
        end = time.monotonic() + 240
        while not all(d.version for d in rest.observe("none", ["ana_stays", "ana_goes"]).dags):
            assert time.monotonic() < end, "GitDagBundle does not read the repository"
            time.sleep(0.1)

    @property
    def url(self) -> str:
        return self.local.url

    @property
    def username(self) -> str:
        return self.local.username

    @property
    def password(self) -> str:
        return self.local.password

    def start(self) -> None:
        self.local.start()

    def stop(self) -> None:
        self.local.stop()

    def pids(self) -> Mapping[str, int]:
        return self.local.pids()

    def wait_healthy(self, services: Sequence[str]) -> str:
        return self.local.wait_healthy(services)

    def _with_bundle(
        self, name: str, classpath: str, kwargs: Mapping[str, object], python_path: str = ""
    ) -> LocalAirflow:
        bundle = {"name": name, "classpath": classpath, "kwargs": kwargs}
        return LocalAirflow(
            self.settings.state_dir / "airflow",
            root=self.settings.checkout_dir,
            port=int(self.settings.airflow_url.rpartition(":")[2]),
            more={
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
                "PYTHONPATH": python_path,
            },
            progress=self.say,
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A class that begins with two files of Ana's, over LocalDagBundle."""
    more = {"DEPLOYER_POLL_INTERVAL_S": "5"}
    with Stage(tmp_path_factory.mktemp("other"), print, more, OtherAirflow) as made:
        ana = made.student("ana")
        ana.commit("Start", {f"{ANA}/stays.py": dag("stays"), f"{ANA}/goes.py": dag("goes")})
        said = verdicts(made, ana.push(), "ana")
        assert said["airflow/ana"][0] == "success"
        yield made
        assert made.hub.violations == ()


@pytest.fixture(scope="module", params=["LocalDagBundle", "GitDagBundle"])
def klass(
    request: pytest.FixtureRequest, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    """The same class, its dag-processor started anew with the other bundle for the second."""
    if request.param == "GitDagBundle":
        provider = tmp_path_factory.mktemp("provider")
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*uv, "--target", str(provider), *GIT_PROVIDER], check=True, timeout=300)
        assert isinstance(stage.airflow, OtherAirflow)
        stage.airflow.read_by_git(stage.hub.git_url, provider)
    return stage


def dag(name: str, imports: str = "") -> str:
    return samples.dag("ana", name, imports=imports)


def judged(stage: Stage, message: str, files: Mapping[str, str | None]) -> dict[str, Any]:
    """Push as Ana, wait for the end, and return the verdicts by file name."""
    ana = stage.student("ana")
    ana.commit(message, {f"{ANA}/{name}": text for name, text in files.items()})
    push = ana.push()
    verdicts(stage, push, "ana")
    page = stage.get(f"/commits/{push.sha}").text
    assert "proven by two stamps" in page
    said = stage.get(f"/api/v1/commits/{push.sha}").json()["verdicts"]
    return {Path(verdict["path"]).name: verdict for verdict in said}


def test_new_changed_broken_mended_and_deleted_files_are_judged_by_two_stamps(
    klass: Stage, request: pytest.FixtureRequest
) -> None:
    new = "git.py" if "Git" in request.node.name else "local.py"
    name = new.removesuffix(".py")
    said = judged(klass, "New and broken", {new: dag(name), "stays.py": dag("stays", BROKEN)})
    assert (said[new]["outcome"], said[new]["dag_ids"]) == ("parsed", [f"ana_{name}"])
    assert said["stays.py"]["outcome"] == "broken"
    assert said["stays.py"]["error"]["type"] == "ModuleNotFoundError"
    assert (
        said["stays.py"]["error"]["line"]
        == dag("stays", BROKEN).splitlines().index(BROKEN.strip()) + 1
    )
    proofs = [verdict["proof"] for verdict in said.values()]

    mended = {"stays.py": dag("stays"), new: dag(f"{name}2")}
    said = judged(klass, "Mended and renamed", mended)
    assert (said["stays.py"]["outcome"], said["stays.py"]["dag_ids"]) == ("parsed", ["ana_stays"])
    assert (said[new]["outcome"], said[new]["dag_ids"]) == ("parsed", [f"ana_{name}2"])
    proofs += [verdict["proof"] for verdict in said.values()]

    said = judged(klass, "Gone", {new: None})
    assert said[new]["outcome"] == "deleted"
    assert {*proofs, said[new]["proof"]} == {"stamps"}
