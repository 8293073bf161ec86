"""How the scripts beside `deployer` answer to what they are not called with."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.pages import ROOT

SCRIPTS = ("check", "soak")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(("argument", "status"), [("--nope", 2), ("--help", 0)])
def test_a_script_says_how_it_is_called(script: str, argument: str, status: int) -> None:
    argv = [str(ROOT / "scripts" / script), argument]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == status
    usage, other = (said.stderr, said.stdout) if status else (said.stdout, said.stderr)
    assert usage.startswith(f"usage: scripts/{script} ")
    assert other == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="scripts/install is for root")
def test_a_dry_run_of_the_installer_tells_all_on_a_machine_without_systemd_too() -> None:
    said = subprocess.run(
        [ROOT / "scripts/install", "--dry-run"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert said.returncode == 0
    assert "would do: folder /var/lib/deployer\n" in said.stdout
