"""Where everything is on the machine, and what a version of the deployer consists of."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from scripts.installation.machine import run

ROOT = Path(__file__).resolve().parents[2]
ETC = Path("/etc/deployer")
OPT = Path("/opt/deployer")
STATE = Path("/var/lib/deployer")
JOURNAL = STATE / "deployer.db"
CHECKOUT = Path("/srv/class-airflow")
BACKUPS = Path("/var/backups/deployer")
KEPT = BACKUPS / "etc"  # what `uninstall` leaves of ETC
UNITS = Path("/etc/systemd/system")
COMMAND = Path("/usr/local/bin/deployer")
CADDYFILE = Path("/etc/caddy/Caddyfile")
UV, UVS_LOCK = OPT / "uv", ROOT / "locks/uv.txt"
ANSWERS = "install.conf"
LOCK = Path("/run/deployer-install.lock")
USERS = {"deployer": STATE, "deployer-web": Path("/nonexistent")}
"""Those of worker and web, and their homes."""
UNFINISHED = "unfinished"  # in OPT: `Machine.unfinished`
CURRENT, PREVIOUS = OPT / "current", OPT / "previous"
BEGUN = "begun"  # in OPT: names what is being put in or taken out, until all of that is done
CADDYS_BEFORE = CADDYFILE.with_name("Caddyfile.before-deployer")
CADDYS_REPLACED = CADDYFILE.with_name("Caddyfile.replaced")  # ours, with what was added to it

SHARED = (
    "docker-compose.yaml",
    "docker-compose.plain.yaml",
    "Dockerfile",
    ".dockerignore",
    "requirements.txt",
    "airflow.env.example",
    "Caddyfile",
    "systemd",
    "include/airflow",
    "scripts/installation/deployer.sh",
)
"""What a version brings beside its environment; kept with it, for the way back."""


def version() -> str:
    """Name what this checkout would install: its version and a digest of its files."""
    digest = hashlib.sha256()
    for part in (*SHARED, "deployer", "locks/install.txt", "pyproject.toml"):
        for path in sorted([ROOT / part, *(ROOT / part).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    number = re.search(
        r'"(.*)"', (ROOT / "deployer/__init__.py").read_text().split("__version__")[1]
    )
    return f"{number[1] if number else '0'}-{digest.hexdigest()[:8]}"


def share(name: str) -> Path:
    return OPT / name / "share"


def named_by(link: Path) -> str | None:
    """Return the version that `current` or `previous` names."""
    return str(link.readlink()) if link.is_symlink() else None


def begun() -> str | None:
    """Return the version that is being put in or taken out; a run that was cut off leaves it."""
    return named_by(OPT / BEGUN)


def uv_is_there() -> bool:
    stamp = UV / ".lock"
    return stamp.exists() and stamp.read_bytes() == UVS_LOCK.read_bytes()


def make_uv() -> None:
    """Make what makes environments, in one of its own."""
    shutil.rmtree(UV, ignore_errors=True)
    run(sys.executable, "-m", "venv", UV)
    pip = (UV / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "--require-hashes", "-r", UVS_LOCK, env=_caches())
    shutil.copy(UVS_LOCK, UV / ".lock")


def make_environment(name: str) -> None:
    """Make /opt/deployer/NAME: an environment of hashed wheels, and what is shared.

    Its last file says that it is whole: dying before leaves what the next run makes anew.
    """
    home, uv = OPT / name, UV / "bin/uv"
    shutil.rmtree(home, ignore_errors=True)
    run(uv, "venv", "--quiet", "--python", sys.executable, home)
    install = (uv, "pip", "install", "--quiet", "--python", home / "bin/python")
    compiled = (*install, "--compile-bytecode")
    run(*compiled, "--require-hashes", "-r", ROOT / "locks/install.txt", env=_caches())
    # uv would take an earlier build of this folder for it, as long as pyproject.toml is the same.
    run(*compiled, "--no-deps", "--no-build-isolation", ROOT, env={"UV_NO_CACHE": "1"})
    for part in SHARED:
        there = home / "share" / part
        there.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, there)
    run("chmod", "-R", "go=rX", home)
    (home / ".whole").touch()


def _caches() -> dict[str, str]:
    """What was downloaded is not kept, unless somebody says where."""
    return {} if "UV_CACHE_DIR" in os.environ else {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
