"""`scripts/bench`: run one benchmark or all, print a table or one JSON object by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import click

from scripts.benchmarks import ack, burst, idle, latency, peers, rollout, scale

Figures = dict[str, object]
BENCHMARKS: Mapping[str, Callable[[], Figures]] = {
    "latency": latency.run,
    "ack": ack.run,
    "scale": scale.run,
    "burst": burst.run,
    "peers": peers.run,
    "idle": idle.run,
    "rollout": rollout.run,
}


@click.command()
@click.argument("name", type=click.Choice(list(BENCHMARKS)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by name.")
def main(name: str | None, *, as_json: bool) -> None:
    """Measure on this machine; everything but the figures goes to standard error."""
    figures = {one: BENCHMARKS[one]() for one in ([name] if name else BENCHMARKS)}
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for one, found in figures.items():
        print(one)
        _print(found, indent=2)


def _print(found: Mapping[str, object], *, indent: int) -> None:
    for key, value in found.items():
        if isinstance(value, Mapping):
            print(f"{'':{indent}}{key}")
            _print(value, indent=indent + 2)
        else:
            print(f"{'':{indent}}{key:<24} {value}")


if __name__ == "__main__":
    main()
