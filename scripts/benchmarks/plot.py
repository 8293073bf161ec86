"""`scripts/plot FILE`: draw what `scripts/bench --json` or `scripts/soak soak --json` printed.

The pictures are the same bytes for the same figures: no dates, no random ids, text as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.benchmarks.tables import PARTS, markdown

PICTURES = Path("docs/benchmarks")
COLOURS = ("#57606a", "#8c6bb1", "#41ab5d", "#fe9929", "#0969da", "#9ecae1", "#cf222e")
OURS, THEIRS = "#0969da", "#8c959f"
INK = "#57606a"  # readable on GitHub's light page and on its dark one
TOGETHER = 20
"""Pushes of a soak that are one point."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(file: Path) -> None:
    """Draw the pictures of the documentation; print the tables of docs/benchmarks.md."""
    found = json.loads(file.read_text(encoding="utf-8"))
    PICTURES.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        if name in found:
            _save(name, draw, found[name])
    if found.keys() - {"soak"}:
        print(markdown(found))


def _save(name: str, draw: Callable[[Axes, Mapping[str, Any]], None], found: Any) -> None:  # noqa: ANN401  # JSON
    mpl.rcParams.update({
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": "sans-serif",
        "font.size": 9,
        **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor"], INK),
        **dict.fromkeys(["xtick.color", "ytick.color"], INK),
    })  # fmt: skip
    figure = Figure(figsize=(7.2, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes, found)
    figure.savefig(
        PICTURES / f"{name}.svg", transparent=True, metadata={"Date": None, "Creator": None}
    )


def _peers(axes: Axes, found: Mapping[str, Any]) -> None:
    """Medians as bars on a logarithmic scale, the worst as a tick behind each."""
    cron = found["cron"]
    bars = [
        ("the deployer", found["ours"], OURS),
        ("git pull each second, tuned", found["tuned"], THEIRS),
        ("cron, a changed file", cron["changed_file"], THEIRS),
        ("cron, a new file", cron["new_file"], THEIRS),
    ]
    for row, (_, side, colour) in enumerate(bars):
        axes.barh(row, side["median_s"], color=colour, height=0.6)
        axes.plot([side["max_s"]], [row], marker="|", markersize=12, color=INK)
        axes.annotate(
            f"{side['median_s']:.3g} s",
            (side["max_s"], row),
            xytext=(8, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.3, 1500)
    axes.set_xticks([1, 10, 60, 300], ["1 s", "10 s", "1 min", "5 min"])
    axes.minorticks_off()
    axes.set_xlabel("from git push to the verdict: median, and | the worst")


def _scale(axes: Axes, found: Mapping[str, Any]) -> None:
    """Where the time of one changed file goes, at each size."""
    sizes = found["sizes"]
    for row, size in enumerate(sizes.values()):
        left = 0.0
        for part, colour in zip(PARTS, COLOURS, strict=True):
            seconds = size["parts_s"].get(part, 0.0)
            axes.barh(row, seconds, left=left, color=colour, height=0.6, label=part)
            left += seconds
        axes.annotate(
            f"{left:.2f} s",
            (left, row),
            xytext=(6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(range(len(sizes)), [f"{int(size):,} files" for size in sizes])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("seconds from the delivery to the last status, one file changed; medians")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[: len(PARTS)],
        labels[: len(PARTS)],
        ncols=len(PARTS),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        frameon=False,
        handlelength=1.0,
        columnspacing=1.2,
    )


def _soak(axes: Axes, found: Mapping[str, Any]) -> None:
    """Memory and journal over the pushes; of each few, the median and the worst to a verdict."""
    series = found["series"]
    pushes = [one["push"] for one in series]
    for name, label, colour in (
        ("web_rss_bytes", "memory of web", COLOURS[1]),
        ("worker_rss_bytes", "of worker", COLOURS[4]),
        ("journal_bytes", "journal", COLOURS[2]),
    ):
        axes.plot(pushes, [one[name] / 2**20 for one in series], color=colour, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("MiB")
    axes.set_xlabel("pushes")
    times = sorted((int(push), seconds) for push, seconds in found["verdict_s"].items())
    some = [times[at : at + TOGETHER] for at in range(0, len(times), TOGETHER)]
    verdicts = axes.twinx()
    verdicts.spines[["top"]].set_visible(False)
    for name, of, style in (("to the verdict", median, "-"), ("worst", max, ".")):
        verdicts.plot(
            [part[0][0] for part in some],
            [of(seconds for _, seconds in part) for part in some],
            style,
            color=COLOURS[3],
            markersize=3,
            label=name,
        )
    verdicts.set_yscale("log")
    verdicts.set_ylim(0.1, 1000)
    verdicts.yaxis.set_major_formatter("{x:g}")
    verdicts.set_ylabel("seconds")
    axes.figure.legend(loc="outside upper center", ncols=5, frameon=False)


DRAWINGS: Mapping[str, Callable[[Axes, Mapping[str, Any]], None]] = {
    "peers": _peers,
    "scale": _scale,
    "soak": _soak,
}


if __name__ == "__main__":
    main()
