"""The tables of docs/benchmarks.md, out of what `scripts/bench --json` printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

PARTS = ("wait", "fetch", "plan", "preflight", "publish", "parse", "report")
"""Where the time of a push goes, in order; see `staging.parts`."""

Found = Mapping[str, Any]
Rows = Iterator[tuple[str, ...]]


def markdown(found: Found) -> str:
    """Return the tables of the benchmarks that are in `found`, by name."""
    return "\n\n".join(
        f"{name}\n\n{_table(rows(found[name]))}" for name, rows in TABLES.items() if name in found
    )


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head, *body = rows
    rule = ("---",) * len(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def _peers(found: Found) -> Rows:
    ours, cron, tuned, times = (found[key] for key in ("ours", "cron", "tuned", "times_faster"))
    yield "", "new file", "changed file", "pushes"
    for name, side in (("the deployer", ours), ("`git pull` each second, tuned", tuned)):
        yield (
            f"{name}: median (worst)",
            *(_median_and_worst(side[kind]) for kind in ("new_file", "changed_file")),
            str(side["n"]),
        )
    yield (
        "cron, Airflow's defaults: median (worst) measured",
        *(_median_and_worst(cron[kind]) for kind in ("new_file", "changed_file")),
        str(cron["new_file"]["n"]),
    )
    yield (
        "cron, Airflow's defaults: mean (worst) computed",
        *(
            f"{cron['computed'][f'{kind}_mean_s']:g} s ({cron['computed'][f'{kind}_worst_s']:g} s)"
            for kind in ("new_file", "changed_file")
        ),
        "",
    )
    yield (
        "times faster than cron: computed, measured",
        *(
            f"{times[f'than_cron_computed_{kind}']}, {times[f'than_cron_measured_{kind}']}"
            for kind in ("new_file", "changed_file")
        ),
        "",
    )
    yield "times faster than the tuned poll, all pushes", str(times["than_tuned"]), "", ""


def _median_and_worst(figures: Found) -> str:
    return f"{figures['median_s']:.2f} s ({figures['max_s']:.2f} s)"


def _scale(found: Found) -> Rows:
    sizes = found["sizes"]
    each: Mapping[str, Callable[[Found], str]] = {
        "files written": lambda size: str(size["files_written"]),
        "files parsed": lambda size: str(size["files_parsed"]),
        "REST calls": lambda size: f"{size['rest_calls']:g}",
        "push to last status, median": lambda size: f"{size['median_s']:.2f} s",
        "worst": lambda size: f"{size['max_s']:.2f} s",
        **{f"of which {part}": _part(part) for part in PARTS},
        "all files by one push, the first time": lambda size: f"{size['first_deployment_s']:.0f} s",
    }
    yield "DAG files", *sizes
    for name, of in each.items():
        yield name, *(of(size) for size in sizes.values())


def _part(name: str) -> Callable[[Found], str]:
    return lambda size: f"{size['parts_s'].get(name, 0):.3f} s"


def _burst(found: Found) -> Rows:
    halves = found["within_10_s"], found["one_after_another"]
    yield f"{found['pushes']} pushes", "within 10 s", "one after another"
    for name, key in (
        ("deployments", "deployments"),
        ("statuses posted", "statuses_posted"),
        ("first to last push, s", "pushing_s"),
        ("first push to last verdict, s", "first_push_to_last_verdict_s"),
        ("first push to last status, s", "first_push_to_last_status_s"),
    ):
        yield name, *(str(half[key]) for half in halves)
    slow = found["beside_slow_files"]
    yield f"a neighbour's verdict beside {slow['files']} slow files, s", str(slow["verdict_s"]), ""
    yield "all of those judged, s", str(slow["all_s"]), ""


def _idle(found: Found) -> Rows:
    cpu, memory = found["cpu_an_hour_s"], found["memory_bytes"]
    parts = ("web", "worker", "dag_processor", "airflow_s_own_dag_processor")
    yield "", "web", "worker", "the class's dag-processor", "Airflow's own dag-processor"
    yield "CPU seconds an hour", *(str(cpu[part]) for part in parts)
    yield "memory (PSS)", *(f"{memory[part] / 1e6:.0f} MB" for part in parts)
    yield "of which the warm parser", "", f"{memory['worker_s_parser'] / 1e6:.0f} MB", "", ""
    yield "requests an hour to Airflow", "0", str(found["rest_calls_an_hour"]), "", ""
    yield "requests an hour to git's host", "0", str(found["git_host_requests_an_hour"]), "", ""


TABLES: Mapping[str, Callable[[Found], Rows]] = {
    "peers": _peers,
    "scale": _scale,
    "burst": _burst,
    "idle": _idle,
}
