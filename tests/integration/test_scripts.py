"""How the scripts beside `deployer` answer to what they are not called with."""

from __future__ import annotations

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
