"""The stack's `.env` and Airflow's database, kept while another version is put in.

Implements `ports.OtherAirflow`. What is kept lies in a directory of its own, which nobody but its
maker may read: `env` and, written last, `version`; then `dump`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deployer.core.airflow_version import SETTING, image_of, naming
from deployer.core.stack import Stack
from deployer.edges.airflow import health
from deployer.edges.backup.databases import START_S, STOP_S, Databases
from deployer.edges.compose.runner import ComposeRunner, run, stop
from deployer.errors import AirflowKept, DiskError

INIT: Final = "airflow-init"
CONNECTION: Final = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
MIGRATE_S: Final = 3600.0
FITS: Final = (
    *("python", "-c"),
    "import class_seams as c; raise SystemExit(', '.join(c.missing()) or None)",
)
"""Ends with the words for what the class's dag-processor misses in this Airflow."""


@dataclass(eq=False)
class ComposeOtherAirflow:
    """Of one stack; `services` run Airflow's image, `kept` is the directory."""

    runner: ComposeRunner
    databases: Databases
    services: Sequence[str]
    airflow_url: str
    kept: Path

    def __post_init__(self) -> None:
        self._env = self.runner.project.file.with_name(".env")

    def running(self) -> str:
        return health.version(self.airflow_url)

    def begun(self) -> str | None:
        version = self.kept / "version"
        return version.read_text() if version.exists() else None

    def name(self, version: str) -> None:
        stack = self._stack()
        base, _ = stack.base(stack.image(self.services)), self._database(stack)
        image = image_of(version, base)
        if image is None:
            raise AirflowKept(
                f"{stack.file} builds Airflow of {base}: name that image by its version, as"
                f" {SETTING}=apache/airflow:3.3.2 in {self._env}"
            )
        try:
            self.forget()
            self.kept.mkdir(parents=True, mode=0o700)
            shutil.copy2(self._env, self.kept / "env")
            # Dying before this one leaves nothing begun, and dying after it the `.env` of before.
            (self.kept / "version").write_text(version)
            self._write(naming(image, self._env.read_text()))
        except OSError as exc:
            raise DiskError(f"{self._env} can't name another Airflow: {exc}") from exc
        stack = self._stack()
        if stack.base(stack.image(self.services)) != image:
            raise AirflowKept(
                f"{stack.file} does not build of the {SETTING} that {self._env} names: let the"
                f" argument of its `build` be ${{{SETTING}}}"
            )

    def keep_database(self) -> None:
        self._stop()
        part = self.kept / "dump.part"
        try:
            self.databases.dump(self._database(self._stack()), part)
            part.rename(self.kept / "dump")
        except OSError as exc:
            raise DiskError(f"{part} can't be written: {exc}") from exc

    def migrate(self) -> None:
        self.runner.run(run(INIT, *FITS), within_s=START_S)
        self.runner.run(run(INIT), within_s=MIGRATE_S)

    def take_back(self) -> None:
        try:
            self._write((self.kept / "env").read_text())
        except OSError as exc:
            raise DiskError(f"{self._env} can't be put back: {exc}; see {self.kept}") from exc
        dumped = self.kept / "dump"
        if dumped.exists():
            self._stop()
            database = self._database(self._stack())
            self.databases.load(database, dumped)
            # Dying after this one: the same once more, and one more database is aside.
            self.databases.swap(database, f"given_up_{datetime.now(UTC):%Y%m%dT%H%M%SZ}")

    def forget(self) -> None:
        (self.kept / "version").unlink(missing_ok=True)  # without it nothing is begun
        shutil.rmtree(self.kept, ignore_errors=True)

    def _stop(self) -> None:
        self.runner.run(stop(self.services, STOP_S), within_s=STOP_S + START_S)

    def _stack(self) -> Stack:
        stack = self.runner.stack(self.services)
        if stack.plain(self.services) or INIT not in stack.services:
            raise AirflowKept(
                f"{stack.file} has no service {INIT}, or its containers install packages"
                f" themselves: there change {SETTING} in {self._env} by hand"
            )
        return stack

    def _database(self, stack: Stack) -> str:
        """Return the service that holds Airflow's own, as the connection names its host."""
        url = stack.services[self.services[0]].environment.get(CONNECTION, "")
        host = urlsplit(url).hostname or ""
        if host not in self.databases.names():
            raise AirflowKept(
                f"Airflow's database is on {host or 'no host'}, which is no service of"
                f" {stack.file}: it can't be backed up from here. Back it up, then change"
                f" {SETTING} in {self._env} by hand"
            )
        return host

    def _write(self, text: str) -> None:
        """Write `.env` by rename, for it holds the class's only secrets; owner and mode stay."""
        new, was = self._env.with_name(".env.new"), self._env.stat()
        new.touch(mode=0o600)
        with new.open("w") as out:
            out.write(text)
            os.fchown(out.fileno(), was.st_uid, was.st_gid)
            os.fchmod(out.fileno(), was.st_mode & 0o777)
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._env)
