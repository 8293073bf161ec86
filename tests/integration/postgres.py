"""A PostgreSQL server of our own on loopback, for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.demo.stage import free_port

DEBIAN = Path("/usr/lib/postgresql")
BOUND_S = 180
PATIENTLY = ("-t", str(BOUND_S - 10))  # pg_ctl gives up by itself after 60 s


def binaries() -> Path | None:
    """Return the directory of PostgreSQL's programs, None if it is not installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """Run a server with an empty cluster; yield its SQLAlchemy URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="journal-pg-", ignore_cleanup_errors=True) as folder:
        data = f"{folder}/data"
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "postgres")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
        _run(programs / "initdb", "--no-sync", "--auth=trust", "--username=tests", "-D", data)
        _run(
            programs / "pg_ctl",
            "-w",
            *PATIENTLY,
            "-D",
            data,
            "-l",
            f"{folder}/log",
            "-o",
            options,
            "start",
        )
        try:
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/postgres"
        finally:
            _run(programs / "pg_ctl", "-w", "-m", "immediate", "-D", data, "stop")


def _run(program: Path, *args: str) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [program, *args],
        check=True,
        timeout=BOUND_S,
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
