"""Run programs that have a Python environment of their own, so that no pin meets Airflow's.

dbt and Airflow both pin Jinja, click and more; in one environment, one of them would break.
`tools.txt` beside this file says what the environment holds. The first task that needs it
makes it (a minute; seconds where uv is at hand), below `$AIRFLOW_HOME/tools/`, for a
release is read-only. A changed `tools.txt` gets a new one beside the old.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException

REQUIREMENTS = Path(__file__).with_name("tools.txt")
HOPELESS = {os.EX_DATAERR, os.EX_NOINPUT}
"""Exit statuses by which a program says that trying again would not help (sysexits.h)."""
WHEELS = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(REQUIREMENTS))


def run(program: str, *args: str, env: Mapping[str, str]) -> None:
    """Run `program` of the tools' environment; what it prints goes to the task's log.

    Args:
        program: `python` or `dbt`.
        args: anybody on the machine can read them: a password goes into `env`.
        env: added to the environment.

    Raises:
        AirflowFailException: it failed, and would fail again.
        RuntimeError: it failed; Airflow tries again as often as the task's `retries` say.
    """
    status, last_line = _log(environment() / "bin" / program, *args, env=env)
    if status in HOPELESS:
        raise AirflowFailException(last_line)
    if status:
        raise RuntimeError(f"{program} ended with status {status}: {last_line}")


def environment() -> Path:
    """Return the tools' environment, made unless it is there.

    Raises:
        RuntimeError: a package could not be downloaded or installed.
    """
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    tools = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    made, ready = tools / key, tools / f"{key}.ready"
    # Of two tasks one makes it and the other waits. Whoever dies half-way leaves no `ready`.
    with (tools / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(made, ignore_errors=True)
            _install(made)
            ready.touch()
    return made


def _install(made: Path) -> None:
    python = str(made / "bin" / "python")
    if uv := shutil.which("uv"):
        _checked(uv, "venv", "--quiet", "--python", sys.executable, str(made))
        _checked(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *WHEELS)
    else:
        _checked(sys.executable, "-m", "venv", str(made))
        _checked(python, "-m", "pip", "install", "--quiet", *WHEELS)


def _checked(*command: str) -> None:
    status, last_line = _log(*command, env={})
    if status:
        msg = f"{REQUIREMENTS.name} can't be installed; the lines above say why: {last_line}"
        raise RuntimeError(msg)


def _log(*command: str | Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a command; return its exit status and the last line that it printed."""
    # Airflow's own settings hold secrets, and its PYTHONPATH names modules that are not ours.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "DBT_", "PG", "PYTHON"))
    }
    last_line = ""
    with subprocess.Popen(
        command,
        env={**kept, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        try:
            for line in child.stdout or ():
                print(line, end="", flush=True)
                last_line = line.strip() or last_line
        except BaseException:  # the task's time is over, or somebody ended it
            child.kill()
            raise
    return child.returncode, last_line
