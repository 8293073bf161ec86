"""`scripts/install`: install, upgrade, go back, take away. A mode tells what is done, in order."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from scripts.installation import answers, places
from scripts.installation.machine import Failed, Machine
from scripts.installation.places import ANSWERS, COMMAND, CURRENT, ETC, KEPT, OPT, UNFINISHED
from scripts.installation.prerequisites import accounts_and_folders, alone, needed
from scripts.installation.removal import purge, uninstall
from scripts.installation.upgrading import FAULTS, no_other_is_begun, roll_back, upgrade
from scripts.installation.wanted import apply, environment


def main(argv: list[str]) -> int:
    dry = answers.parser().parse_args(argv).dry_run  # and --help is for anybody
    if os.getuid() != 0:
        print("scripts/install: run it as root (sudo scripts/install …)", file=sys.stderr)
        return 2
    os.umask(0o022)
    # By it we were found. The deployer that is on this machine has its own modules.
    os.environ.pop("PYTHONPATH", None)
    try:
        with alone(dry=dry):
            # After --uninstall they lie among the backups.
            given = answers.read(argv, (ETC if ETC.exists() else KEPT) / ANSWERS)
            machine = Machine(dry=given.dry_run, unfinished=OPT / UNFINISHED)
            modes: dict[str, Callable[[Machine, argparse.Namespace], None]] = {
                "install": install,
                "upgrade": upgrade,
                "rollback-upgrade": roll_back,
                "uninstall": uninstall,
                "purge": purge,
            }
            modes[given.mode](machine, given)
            machine.finished()
    except FAULTS as exc:
        print(f"scripts/install: {exc}", file=sys.stderr)
        return 1
    if not machine.changed:
        print("nothing to change")
    return 0


def install(machine: Machine, given: argparse.Namespace) -> None:
    """Have this checkout's version on the machine, as the answers say."""
    name, there = places.version(), places.named_by(CURRENT)
    if there not in {None, name}:
        raise Failed(f"{there} is installed, this checkout is {name}: scripts/install --upgrade")
    no_other_is_begun(name, there)
    needed(machine, given)
    accounts_and_folders(machine)
    environment(machine, name)
    apply(machine, given, name, before=name)
    if machine.dry or not machine.changed:
        return
    # Their exit status is their own: what they find stands there, and is mended without us.
    subprocess.run([COMMAND, "github"], check=False)
    if not given.without_services:
        subprocess.run([COMMAND, "doctor"], check=False)
    print(
        f"\nnext: deployer new-class DIR   writes the class's repository: push it to {given.repo}"
        f"\n      deployer login           a link that opens https://{given.name}/ to you"
        f"\n      {ETC}/students-to-hand-out   accounts and passwords of the class"
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, EOFError):
        print("\nscripts/install: cut off; the same again goes on", file=sys.stderr)
        sys.exit(130)
