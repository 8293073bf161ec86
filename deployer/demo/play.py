"""`deployer demo`: play the acts on a stage and show each as it happens."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from deployer.core.counts import counted
from deployer.demo.acts import Act, Expected, acts
from deployer.demo.stage import Stage
from deployer.errors import DeployerError

VERDICT_BOUND_S = 150.0
ICONS = {"success": ("✓", "green"), "failure": ("✗", "red"), "error": ("!", "red")}
ENDS = frozenset(ICONS)
ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
EXIT_OUT_OF_REACH = 3


def run_demo(*, once: bool, as_json: bool) -> int:
    """Play all acts; return the exit status: 0 if each ended as it should.

    Without `once` the stage stays up until Ctrl-C.
    """
    # What a program reads goes to standard output, everything else to standard error.
    out = Console(stderr=as_json, highlight=False, soft_wrap=True)
    began = time.monotonic()

    def say(text: str) -> None:
        out.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}", markup=True)

    _end_by_signals()
    wrong = ["it was stopped before its end"]
    with TemporaryDirectory(prefix="deployer-demo-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        try:
            with Stage(folder, say) as stage:
                wrong = _play(stage, out)
                _close(stage, out, wrong, as_json=as_json)
                if not once:
                    _stay(stage, out)
        except KeyboardInterrupt:
            out.print("stopped")
        except DeployerError as exc:
            out.print(Text(f"the demo could not go on: {exc}", style="red"))
            _show_logs(folder, out)
            return EXIT_OUT_OF_REACH
    return 1 if wrong else 0


def _end_by_signals() -> None:
    """Have what ends a program stop all that this one started, as Ctrl-C does."""

    def end(*_: object) -> NoReturn:
        for one in ENDINGS:  # else Airflow runs on where a second one comes while it is stopped
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in ENDINGS:
        # SIGINT is ignored in what a script's shell starts with `&`, SIGHUP because of nohup.
        if one is not signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, end)


def _play(stage: Stage, out: Console) -> list[str]:
    """Play the acts; return what did not come as it should."""
    wrong: list[str] = []
    out.print(f"\nGitHub's stand-in  {stage.hub.url}/\n")
    for number, act in enumerate(acts(), 1):
        out.print(Text(f"{number}. {act.title}", style="bold"))
        before = stage.airflow.pids()
        expected = act.play(stage)
        found = [fault for one in expected for fault in _follow(stage, one, out)]
        found += _restarts(act, before, stage.airflow.pids(), out)
        for fault in found:
            out.print(Text(f"   wrong: {fault}", style="red"))
        wrong += [f"{act.title}: {fault}" for fault in found]
    return wrong


def _follow(stage: Stage, expected: Expected, out: Console) -> Iterator[str]:
    """Wait for the statuses of one push, show them, and yield what is wrong with them."""
    push = expected.push
    for context, (state, says) in expected.contexts.items():
        try:
            posted = stage.hub.wait_for_status(push.sha, context, ENDS, VERDICT_BOUND_S)
        except TimeoutError:
            yield f"{push.sha[:7]} has no verdict in {context} after {VERDICT_BOUND_S:.0f} s"
            continue
        icon, style = ICONS[posted.state]
        seconds = posted.received_s - push.began
        out.print(
            Text.assemble(
                f"   {push.sha[:7]} ",
                (icon, style),
                f" {context:<20} {posted.description}",
                (f"  {seconds:.2f} s", "dim"),
            )
        )
        if posted.state != state:
            yield f"{context} is {posted.state}, not {state}"
        if says not in (posted.description or ""):
            yield f"{context} does not say {says!r}"
    shown = {status.context for status in stage.hub.statuses(push.sha)}
    for context in sorted(shown - expected.contexts.keys()):
        yield f"{push.sha[:7]} has a context too many: {context}"


def _restarts(
    act: Act, before: Mapping[str, int], after: Mapping[str, int], out: Console
) -> Iterator[str]:
    moved = sorted(name for name in before if after.get(name) != before[name])
    if moved:
        out.print(Text(f"   restarted: {', '.join(moved)}", style="dim"))
    if act.restarts and len(moved) != len(before):
        yield f"not restarted: {', '.join(sorted(before.keys() - set(moved)))}"
    if not act.restarts and moved:
        yield f"restarted without need: {', '.join(moved)}"


def _close(stage: Stage, out: Console, wrong: list[str], *, as_json: bool) -> None:
    if as_json:
        # A list has no traces, each deployment alone has them whole.
        listed = stage.get("/api/v1/deployments?limit=100").json()["deployments"]
        whole = [stage.get(f"/api/v1/deployments/{one['id']}").json() for one in listed]
        print(json.dumps({"deployments": whole}, indent=2))  # noqa: T201 - what --json is for
    if wrong:
        out.print(Text(f"\n{counted(wrong, 'expectation')} of the demo not met", style="red"))
    else:
        out.print(Text("\nevery commit ended as it should", style="green"))


def _stay(stage: Stage, out: Console) -> None:
    airflow = stage.airflow
    out.print(
        f"\nGitHub's stand-in  {stage.hub.url}/\n"
        f"deployer           {stage.web_url}/\n"
        f"Airflow            {airflow.url}/  ({airflow.username} / {airflow.password})\n"
        f"\nPush to it yourself:  git clone {stage.hub.git_url}\n"
        "Ctrl-C stops everything."
    )
    Event().wait()


def _show_logs(folder: Path, out: Console) -> None:
    """Show the last lines of what the processes wrote, since the folder will be gone."""
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        out.print(Text(f"{log.name}:\n  " + "\n  ".join(lines), style="dim"))
