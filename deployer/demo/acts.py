"""The acts of the demo: who pushes what, and how each commit must end.

An act that ends otherwise is a fault of the product, and the demo's exit status says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from deployer.app import sample_class
from deployer.core.model import REQUIREMENTS
from deployer.demo.stage import Stage
from deployer.demo.student import TAXI, WEATHER, Push, dag_file

PACKAGE = "cowsay"
"""Small, pure Python, and nothing that Airflow brings along."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How one pushed commit must end.

    Attributes:
        contexts: by context, and exactly these: the state, and what its description must hold.
    """

    push: Push
    contexts: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens.

    Attributes:
        play: does it, and returns what must come of it.
        restarts: Airflow's processes are restarted by it, else they must not be.
    """

    title: str
    play: Callable[[Stage], list[Expected]]
    restarts: bool = False


def acts() -> Iterator[Act]:
    """Yield the acts in the order in which they are played."""
    yield Act("the class repository goes live", _first)
    yield Act("lasse changes his DAG", _change)
    yield Act("maria pushes a file with a missing import", _missing_import)
    yield Act("lasse and maria push within a moment", _two_at_once)
    yield Act("maria mends hers", _mend)
    yield Act("a comment in requirements.txt", _comment)
    yield Act(f"a small real package: {PACKAGE}", _package, restarts=True)


def _live(push: Push, **says: str) -> Expected:
    """Expect success of `deploy` and of each folder, in descriptions that hold those texts."""
    told = {"deploy": ""} | says
    return Expected(push, {f"airflow/{name}": ("success", text) for name, text in told.items()})


def _first(stage: Stage) -> list[Expected]:
    teacher = stage.student("teacher")
    teacher.commit("Start the class repository", sample_class())
    says = {"deploy": "4 files parsed", "class_demo": "", "lasse": "lasse_taxi_pipeline"}
    return [_live(teacher.push(), **says, maria="")]


def _change(stage: Stage) -> list[Expected]:
    lasse = stage.student("lasse")
    text = lasse.read(TAXI).replace("max_active_runs=1", "max_active_runs=2")
    lasse.commit("Allow two runs at once", {TAXI: text})
    return [_live(lasse.push(), lasse="1 DAG: lasse_taxi_pipeline")]


def _missing_import(stage: Stage) -> list[Expected]:
    maria = stage.student("maria")
    text = maria.read(WEATHER).replace("import pendulum\n", "import pandas_typo\nimport pendulum\n")
    maria.commit("Use pandas", {WEATHER: text})
    line = text.splitlines().index("import pandas_typo") + 1
    says = f"weather.py:{line} ModuleNotFoundError: No module named 'pandas_typo'"
    contexts = {"airflow/deploy": ("success", ""), "airflow/maria": ("failure", says)}
    return [Expected(maria.push(), contexts)]


def _two_at_once(stage: Stage) -> list[Expected]:
    lasse, maria = stage.student("lasse"), stage.student("maria")
    lasse.commit("Add a report", {"dags/lasse/report.py": dag_file("lasse", "report")})
    first = lasse.push()
    maria.commit("Add a diary", {"dags/maria/diary.py": dag_file("maria", "diary")})
    second = maria.push()
    return [_live(first, lasse="lasse_report"), _live(second, maria="maria_diary")]


def _mend(stage: Stage) -> list[Expected]:
    maria = stage.student("maria")
    text = maria.read(WEATHER).replace("import pandas_typo\n", "")
    maria.commit("Do without pandas", {WEATHER: text})
    return [_live(maria.push(), maria="1 DAG: maria_weather")]


def _comment(stage: Stage) -> list[Expected]:
    teacher = stage.student("teacher")
    text = f"{teacher.read(REQUIREMENTS)}# Ask the teacher before you add a large one.\n"
    teacher.commit("Say how packages are added", {REQUIREMENTS: text})
    return [_live(teacher.push())]


def _package(stage: Stage) -> list[Expected]:
    lasse = stage.student("lasse")
    files = {
        REQUIREMENTS: f"{lasse.read(REQUIREMENTS)}{PACKAGE}\n",
        "dags/lasse/herd.py": dag_file(
            "lasse",
            "herd",
            imports=f"import {PACKAGE}\n",
            body=f'return len({PACKAGE}.get_output_string("cow", "moo"))',
        ),
    }
    lasse.commit(f"Use {PACKAGE}", files)
    return [_live(lasse.push(), lasse="lasse_herd")]
