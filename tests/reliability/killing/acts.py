"""What is pushed while a process dies, and how each commit must end.

Each is played many times in the same class, so each leaves it as it can be played again; `n` makes
its texts new. A colour that depends on whether one push overtakes the other is given as both.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.reliability.killing.outside import REFUSED
from tests.reliability.killing.world import World

Act = Callable[[World, int], None]
GOOD = {"airflow/deploy": "success"}


def dag(n: object, more: str = "") -> str:
    return f"from airflow.sdk import dag  # {n}\n{more}"


def first(world: World, n: int) -> None:
    """Fill the repository, which nothing of the deployer has seen."""
    world.push(
        {
            "dags/lasse/taxi.py": dag(n),
            "dags/maria/weather.py": dag(n, "from maria import helper\n"),
            "dags/maria/helper.py": f"WORD = {n}\n",
            "dags/maria/old.py": dag(n),
            "dags/nils/held.py": dag(n),
            "include/table.csv": f"{n}\n",
            "requirements.txt": "",
        },
        GOOD | {f"airflow/{name}": "success" for name in ("lasse", "maria", "nils")},
    )


def change(world: World, n: int) -> None:
    """Let one student push one file."""
    world.push({"dags/lasse/taxi.py": dag(n)}, GOOD | {"airflow/lasse": "success"})


def lesson(world: World, n: int) -> None:
    """Let three pushes come at once: a broken file; a helper and a deletion; an include."""
    world.push({"dags/lasse/taxi.py": dag(n, "BROKEN\n")}, GOOD | {"airflow/lasse": "failure"})
    old = "dags/maria/old.py" if "dags/maria/old.py" in world.live else "dags/maria/young.py"
    new = "dags/maria/young.py" if old.endswith("old.py") else "dags/maria/old.py"
    world.push(
        {"dags/maria/helper.py": f"WORD = {n}\n", old: None, new: dag(n)},
        GOOD | {"airflow/maria": "success"},
    )
    world.push({"include/table.csv": f"{n}\n"}, GOOD)


def held(world: World, n: int) -> None:
    """Push what would hurt others beside what would not: it is held; in the next, it is mended."""
    path = "dags/nils/held.py"
    was_held = "HARM" in world.repo.git("show", f"main:{path}").decode()
    if was_held:
        world.push({path: dag(n)}, GOOD | {"airflow/nils": "success"})
    else:
        world.push(
            {path: dag(n, "HARM\n"), "dags/lasse/taxi.py": dag(n)},
            GOOD | {"airflow/nils": "failure", "airflow/lasse": "success"},
            held=[path],
        )


def packages(world: World, n: int) -> None:
    """Let packages change, and a file with them."""
    world.push(
        {"requirements.txt": f"polars=={n}\n", "dags/lasse/taxi.py": dag(n)},
        GOOD | {"airflow/lasse": "success"},
    )


def refused(world: World, n: int) -> None:
    """Ask for packages that do not install; the next push asks for others."""
    world.push({"requirements.txt": f"{REFUSED}=={n}\n"}, {"airflow/deploy": "failure"})


def forced(world: World, n: int) -> None:
    """Let a forced push remove a commit that was just announced."""
    base = world.repo.tip()
    before = dict(world.live)
    either = "success|error"
    world.push(
        {"dags/lasse/taxi.py": dag(f"{n} gone")},
        # What git never showed has no known changes.
        {"airflow/deploy": either, "airflow/lasse": f"{either}|nothing"},
    )
    world.live = before
    world.push({"dags/lasse/taxi.py": dag(n)}, GOOD | {"airflow/lasse": "success"}, onto=base)


ACTS: dict[str, Act] = {
    act.__name__: act for act in (change, lesson, held, packages, refused, forced)
}
