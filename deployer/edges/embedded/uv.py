"""uv, as the embedded Airflow runs it.

`requirements.txt` comes with a push, and uv runs on the operator's machine. So that a push
can neither run code there nor read the operator's files: only wheels are installed (no
setup script ever runs), the text is checked first (`deployer.core.requirements.meaning`), and the
environment is cut down to what uv needs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from deployer.core.requirements.blame import End, Ended
from deployer.edges.embedded.settings import INHERITED
from deployer.errors import ServicesError

_FROM_OUTSIDE = {signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM}
"""Of others a program dies by itself: what it loads has crashed it."""


def run_uv(args: Sequence[str], *, within_s: float, cwd: Path) -> Ended:
    """Run uv, which comes with the deployer's extras `check` and `demo`.

    Raises:
        ServicesError: it is not there, can't be started, or something else ended it.
    """
    if find_spec("uv") is None:
        raise ServicesError(
            "uv is not installed beside the deployer: install the deployer with its extra `check`"
            ' (docs/check.md, "Getting it")'
        )
    return run([sys.executable, "-m", "uv", "--no-progress", *args], within_s=within_s, cwd=cwd)


def run(
    argv: Sequence[str], *, within_s: float, cwd: Path, env: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end, and kill it with all its children when the time is over.

    Raises:
        ServicesError: it can't be started, or something else ended it.
    """
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env or uv_environment(os.environ)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as exc:
        raise ServicesError(f"{argv[0]} can't be started: {exc}") from exc
    try:
        text, _ = child.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        return Ended(End.OUT_OF_TIME, 0, f"{_name(argv)} did not finish within {within_s:g} s")
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if -child.returncode in _FROM_OUTSIDE:
        raise ServicesError(f"{_name(argv)} was ended by signal {-child.returncode}")
    return Ended(End.EXITED, child.returncode, text)


def uv_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return what uv may see: no secret of the deployer's, but the operator's `UV_…`."""
    return {
        name: value
        for name, value in outer.items()
        if name in INHERITED or name.startswith(("UV_", "XDG_"))
    }


def install_args(
    python: Path, requirements: Path, pins: Path, *, dry_run: bool = False
) -> tuple[str, ...]:
    """Return the arguments that install wheels alone and leave Airflow's own pins as they are."""
    return (
        *("pip", "install", "--python", str(python)),
        *("--only-binary", ":all:", "--constraint", str(pins)),
        *(("--dry-run",) if dry_run else ()),
        *("--requirement", str(requirements)),
    )


def probe_args(python: Path, version: str, target: Path) -> tuple[str, ...]:
    """Return the arguments that see whether the index gives out Airflow; installs nothing."""
    return (
        *("pip", "install", "--python", str(python), "--no-cache", "--dry-run", "--no-deps"),
        *("--target", str(target), f"apache-airflow=={version}"),
    )


def _name(argv: Sequence[str]) -> str:
    return " ".join(Path(part).name for part in argv[:5])
