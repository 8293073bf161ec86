"""The embedded Airflow's Python environments.

One *base* environment for the machine, in a cache: made once from the hash-locked file
beside this module, compiled, with an empty migrated database next to it. Each place's own
environments are clones of it by hard link (0.3 s, no disk) plus the class's packages:

    <state>/env/1, 2, …   environments; each holds the text it was made of
    <state>/env/current, next, previous   links to them (deployer.edges.packages.slots)

A clone keeps its modification times, so the base's `.pyc` serve it. Its scripts name the
base's interpreter, so nothing here runs a script: always `<env>/bin/python -m …`.

`requirements.txt` comes with a push, and uv runs on the operator's machine. So that a push
can neither run code there nor read the operator's files: only wheels are installed (no
setup script ever runs), the text is checked first (`deployer.core.requirements.meaning`), and the
environment is cut down to what uv needs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from deployer.core.requirements.blame import CommandEnd, Ended, Place, Task, blame, too_much
from deployer.core.requirements.meaning import safe_requirements
from deployer.edges.embedded.airflow_settings import INHERITED
from deployer.edges.packages.installer_output import added, last_line, reason_of, refusal
from deployer.edges.packages.slots import LinkSlots, Slot, check_room
from deployer.errors import RequirementsRefused, ServicesError

LOCK = Path(__file__).with_name("airflow.txt")
INSTALL_TIMEOUT_S = 600.0
CHECK_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 60.0
NEEDS_BYTES = 1 << 30
_PLACE = Place("this machine", "its network and DNS, and the UV_… settings")
_TEXT = "requirements.txt"  # of an environment: what it was made of
_FROM_OUTSIDE = {signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM}
"""Of others a program dies by itself: what it loads has crashed it."""


class BaseEnvironment:
    """Airflow as locked, shared by all places of this user; kept in a cache between runs."""

    def __init__(self) -> None:
        text = LOCK.read_bytes()
        version = re.search(rb"^apache-airflow==(\S+)", text, flags=re.MULTILINE)
        self.version = version[1].decode() if version else ""
        python = f"py{sys.version_info.major}.{sys.version_info.minor}"
        self.key = hashlib.sha256(text).hexdigest()[:12]
        name = f"airflow-{self.version}-{python}-{self.key}"
        self.directory = default_cache().absolute() / name
        self.venv = self.directory / "venv"
        self.python = self.venv / "bin" / "python"
        self.pins = self.directory / "pins.txt"
        self.database = self.directory / "empty.db"
        self._ready = self.directory / "ready"

    def ensure(self, progress: Callable[[str], None]) -> None:
        """Make it unless it is there.

        Dying in the middle leaves no `ready`, and it is made anew.

        Raises:
            ServicesError: a download failed, or the disk is full.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self.directory.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._ready.exists() and self.python.exists():
                return
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True)
            progress("installing Airflow into an environment of its own")
            self._uv("venv", "--python", sys.executable, str(self.venv))
            self._uv("pip", "install", "--python", str(self.python), "--require-hashes",
                     "--only-binary", ":all:", "--requirement", str(LOCK))  # fmt: skip
            pins = self._uv("pip", "freeze", "--quiet", "--python", str(self.python))
            self.pins.write_text(pins)
            progress("compiling it")
            # 6 s once; each of the three processes starts 2.5 s sooner for it, each time.
            self._python("-m", "compileall", "-q", "-j", "0", str(self.venv / "lib"))
            progress("making its database")
            home = self.directory / "home"
            self._python("-m", "airflow", "db", "migrate", env={
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            })  # fmt: skip
            shutil.rmtree(home, ignore_errors=True)
            self._ready.touch()

    def _uv(self, *args: str) -> str:
        return self._checked(run_uv(args, within_s=INSTALL_TIMEOUT_S, cwd=self.directory))

    def _python(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        argv = [str(self.python), *args]
        whole = {**uv_environment(os.environ), **(env or {})}
        return self._checked(run(argv, within_s=INSTALL_TIMEOUT_S, cwd=self.directory, env=whole))

    @staticmethod
    def _checked(answer: Ended) -> str:
        if not answer.well:
            raise ServicesError(f"Airflow can't be installed: {last_line(answer.text)}")
        return answer.text


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/class-deployer`, or `~/.cache/class-deployer`."""
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "class-deployer"


class Environments:
    """One place's environments."""

    def __init__(self, directory: Path, base: BaseEnvironment, files: Path) -> None:
        self.slots = LinkSlots(directory)
        self._base = base
        self._check = files / "import_check.py"

    def python(self, slot: Slot = Slot.CURRENT) -> Path:
        """Return the interpreter of what runs, or of another slot, by its own path.

        Not through the link: a process that is not restarted would import from the next one.

        Raises:
            ServicesError: nothing has that name.
        """
        environment = self.slots.target(slot)
        if environment is None:
            raise ServicesError(f"the embedded Airflow has no {slot} packages: run `deployer demo`")
        return environment / "bin" / "python"

    def text(self) -> str | None:
        """Return the `requirements.txt` of what was last found healthy, None if not known."""
        current = self.slots.healthy()
        return (current / _TEXT).read_text() if current else None

    def ensure_current(self) -> None:
        """Make the first environment, without packages of the class.

        Raises:
            ServicesError, DiskError: it can't be copied.
        """
        if self.slots.target(Slot.CURRENT) is None:
            self.slots.point(Slot.CURRENT, self._clone(""))

    def build(
        self, text: str, airflow_env: Mapping[str, str], *, in_use: Collection[Path]
    ) -> tuple[str, ...]:
        """Make `next` of `text`; return the distributions that it adds to Airflow's own.

        `in_use`: environments that processes run on, whatever the links say.

        Dying in the middle leaves a directory that no link names; the next build removes it.

        Raises:
            RequirementsRefused: it does not install, or not work.
            ServicesError: it need not be the text's fault.
            DiskError: it may be the disk's.
        """
        safe_requirements(text)  # refused before anything is copied
        self.slots.remove_unnamed(in_use)
        made = self._clone(text)
        python = made / "bin" / "python"
        task = Task("install", INSTALL_TIMEOUT_S)
        new = _install(self._base, python, text, task, scratch=made)
        checks = (
            ("uv pip check", [sys.executable, "-m", "uv", "pip", "check", "--python", str(python)]),
            ("import", [str(python), str(self._check), *(name.partition("==")[0] for name in new)]),
            ("Airflow's start", [str(python), "-m", "airflow", "version"]),
        )
        for what, argv in checks:
            env = None if what == "uv pip check" else airflow_env
            said = run(argv, within_s=CHECK_TIMEOUT_S, cwd=made, env=env)
            if said.end is not CommandEnd.EXITED:
                raise too_much(said, Task("pass the checks", CHECK_TIMEOUT_S))
            if said.status:
                raise RequirementsRefused(f"installs, but {what} fails: {last_line(said.text)}")
        self.slots.point(Slot.NEXT, made)
        return new

    def _clone(self, text: str) -> Path:
        made = self.slots.unused()
        try:
            shutil.copytree(self._base.venv, made, symlinks=True, copy_function=_link_or_copy)
            (made / _TEXT).write_text(text)
        except OSError as exc:
            raise ServicesError(f"Airflow's environment can't be copied: {exc}") from exc
        return made


def resolve(base: BaseEnvironment, text: str, *, scratch: Path, within_s: float) -> tuple[str, ...]:
    """Return what `text` would add beside Airflow's own pins; installs nothing.

    Raises:
        RequirementsRefused: it does not resolve, or is not allowed.
        ServicesError: it need not be the text's fault.
        DiskError: it may be the disk's.
    """
    task = Task("resolve beside Airflow's own pins", within_s)
    return _install(base, base.python, text, task, scratch=scratch, dry_run=True)


def _install(
    base: BaseEnvironment,
    python: Path,
    text: str,
    task: Task,
    *,
    scratch: Path,
    dry_run: bool = False,
) -> tuple[str, ...]:
    """Have uv install `text`, or tell what it would; where it does not, ask the index whose fault.

    Raises:
        RequirementsRefused, ServicesError
        DiskError: it may be the disk's fault.
    """
    safe = safe_requirements(text)
    scratch.mkdir(parents=True, exist_ok=True)
    asked = scratch / "asked.txt"
    asked.write_text(safe)
    args = install_args(python, asked, base.pins, dry_run=dry_run)
    answer = run_uv(args, within_s=task.within_s, cwd=scratch)
    if answer.well:
        return added(answer.text)
    check_room(scratch, NEEDS_BYTES, "`uv cache prune` ")
    # Whether the index gives out Airflow; installs nothing.
    args = (
        *("pip", "install", "--python", str(base.python), "--no-cache", "--dry-run", "--no-deps"),
        *("--target", str(scratch / "probe"), f"apache-airflow=={base.version}"),
    )
    probe = run_uv(args, within_s=PROBE_TIMEOUT_S, cwd=scratch)
    silence = None if probe.well else reason_of(probe.text)
    raise blame(answer, task, refusal(text, answer.text), silence=silence, place=_PLACE)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


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
        return Ended(
            CommandEnd.OUT_OF_TIME, 0, f"{_name(argv)} did not finish within {within_s:g} s"
        )
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if -child.returncode in _FROM_OUTSIDE:
        raise ServicesError(f"{_name(argv)} was ended by signal {-child.returncode}")
    return Ended(CommandEnd.EXITED, child.returncode, text)


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


def _name(argv: Sequence[str]) -> str:
    return " ".join(Path(part).name for part in argv[:5])
