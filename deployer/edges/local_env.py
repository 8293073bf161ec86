"""The embedded Airflow's Python environments.

One *base* environment for the machine, in a cache: made once from the hash-locked file
beside this module, compiled, with an empty migrated database next to it. Each place's own
environments are clones of it by hard link (0.3 s, no disk) plus the class's packages:

    <state>/env/1, 2, …   environments; each holds the text it was made of
    <state>/env/current   what runs
    <state>/env/next      built and not yet running
    <state>/env/previous  what ran before, for going back

A clone keeps its modification times, so the base's `.pyc` serve it. Its scripts name the
base's interpreter, so nothing here runs a script: always `<env>/bin/python -m …`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deployer.edges import local_uv as uv
from deployer.errors import RequirementsRefused, ServicesError

LOCK = Path(__file__).with_name("local_airflow.txt")
INSTALL_TIMEOUT_S = 600.0
CHECK_TIMEOUT_S = 120.0


class BaseEnvironment:
    """Airflow as locked, shared by all places of this user."""

    def __init__(self, cache: Path) -> None:
        text = LOCK.read_bytes()
        version = re.search(rb"^apache-airflow==(\S+)", text, flags=re.MULTILINE)
        python = f"py{sys.version_info.major}.{sys.version_info.minor}"
        self.key = hashlib.sha256(text).hexdigest()[:12]
        self.directory = (
            cache / f"airflow-{version[1].decode() if version else ''}-{python}-{self.key}"
        )
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
        with _locked(self.directory.with_suffix(".lock")):
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
        return self._checked(uv.run_uv(args, within_s=INSTALL_TIMEOUT_S, cwd=self.directory))

    def _python(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        argv = [str(self.python), *args]
        whole = {**uv.uv_environment(os.environ), **(env or {})}
        return self._checked(
            uv.run(argv, within_s=INSTALL_TIMEOUT_S, cwd=self.directory, env=whole)
        )

    @staticmethod
    def _checked(answer: uv.Answer) -> str:
        if answer.status:
            raise ServicesError(f"Airflow can't be installed: {_end_of(answer.text)}")
        return answer.text


class Environments:
    """One place's environments."""

    def __init__(self, directory: Path, base: BaseEnvironment, files: Path) -> None:
        self._directory = directory
        self._base = base
        self._check = files / "import_check.py"

    def python(self) -> Path:
        """Return the interpreter of what runs, by its own path.

        Not through the link: a process that is not restarted would import from the next one.
        """
        current = self._target("current")
        if current is None:
            raise ServicesError("the embedded Airflow was never started: run `deployer demo`")
        return current / "bin" / "python"

    def text(self) -> str | None:
        """Return the `requirements.txt` that `current` was made of, None before the first."""
        current = self._target("current")
        return _text_file(current).read_text() if current else None

    def ensure_current(self) -> None:
        """Make the first environment, without packages of the class."""
        if self._target("current") is None:
            self._point("current", self._clone(""))

    def build(
        self, text: str, airflow_env: Mapping[str, str], *, in_use: Collection[Path]
    ) -> tuple[str, ...]:
        """Make `next` of `text`; return the distributions that it adds to Airflow's own.

        `in_use`: environments that processes run on, whatever the links say.

        Dying in the middle leaves a directory that no link names; the next build removes it.

        Raises:
            RequirementsRefused: it does not install, or not work.
            ServicesError: uv itself failed, or took too long.
        """
        safe = uv.safe_requirements(text)
        self._remove_unnamed(in_use)
        made = self._clone(text)
        python = made / "bin" / "python"
        asked = made / "asked.txt"
        asked.write_text(safe)
        answer = uv.run_uv(
            uv.install_args(python, asked, self._base.pins),
            within_s=INSTALL_TIMEOUT_S,
            cwd=made,
        )
        _raise_for(text, answer, "uv pip install")
        new = uv.added(answer.text)
        checks = (
            ("uv pip check", [sys.executable, "-m", "uv", "pip", "check", "--python", str(python)]),
            ("import", [str(python), str(self._check), *(name.partition("==")[0] for name in new)]),
            ("Airflow's start", [str(python), "-m", "airflow", "version"]),
        )
        for what, argv in checks:
            env = None if what == "uv pip check" else airflow_env
            said = uv.run(argv, within_s=CHECK_TIMEOUT_S, cwd=made, env=env)
            if said.status:
                raise RequirementsRefused(f"installs, but {what} fails: {_end_of(said.text)}")
        self._point("next", made)
        return new

    def advance(self) -> None:
        """Make `next` the current one; nothing to do where there is none.

        In this order, so that dying between two lines leaves a `next` that is current
        already: the same calls again do no harm.
        """
        new, old = self._target("next"), self._target("current")
        if new is None:
            return
        if old and old != new:
            self._point("previous", old)
        self._point("current", new)
        (self._directory / "next").unlink()

    def go_back(self) -> bool:
        """Undo the last `build`; return whether `current` moved."""
        if self._target("next"):
            (self._directory / "next").unlink()
            return False
        before = self._target("previous")
        if before is None:
            return False
        self._point("current", before)
        (self._directory / "previous").unlink()
        return True

    def _clone(self, text: str) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(entry.name) for entry in self._directory.iterdir() if entry.name.isdigit()]
        made = self._directory / str(max(numbers, default=0) + 1)
        try:
            shutil.copytree(self._base.venv, made, symlinks=True, copy_function=_link_or_copy)
            _text_file(made).write_text(text)
        except OSError as exc:
            raise ServicesError(f"Airflow's environment can't be copied: {exc}") from exc
        return made

    def _target(self, link: str) -> Path | None:
        try:
            return self._directory / (self._directory / link).readlink()
        except FileNotFoundError:
            return None

    def _point(self, link: str, target: Path) -> None:
        new = self._directory / f"{link}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(target.name)
        new.replace(self._directory / link)

    def _remove_unnamed(self, in_use: Collection[Path]) -> None:
        named = {*in_use, *(self._target(link) for link in ("current", "next", "previous"))}
        for entry in self._directory.iterdir() if self._directory.exists() else ():
            if entry.name.isdigit() and entry not in named:
                shutil.rmtree(entry, ignore_errors=True)


def resolve(base: BaseEnvironment, text: str, *, scratch: Path, within_s: float) -> tuple[str, ...]:
    """Return what `text` would add beside Airflow's own pins; installs nothing.

    Raises:
        RequirementsRefused: it does not resolve, or is not allowed.
        ServicesError: uv failed for another reason, or took longer than `within_s`.
    """
    safe = uv.safe_requirements(text)
    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / "asked.txt"
    file.write_text(safe)
    args = uv.install_args(base.python, file, base.pins, dry_run=True)
    answer = uv.run_uv(args, within_s=within_s, cwd=scratch)
    _raise_for(text, answer, "uv pip install --dry-run")
    return uv.added(answer.text)


def _raise_for(text: str, answer: uv.Answer, what: str) -> None:
    if answer.status == uv.UNSOLVABLE:
        raise uv.refusal(text, answer.text)
    if answer.status:
        raise ServicesError(f"{what} failed: {uv.reason_of(answer.text)}")


def _text_file(environment: Path) -> Path:
    return environment / "requirements.txt"


def _end_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
