"""Steps towards a machine as it should be: each knows whether it is done, and how to do it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Failed(Exception):
    """What could not be done, and what to do about it: the whole message."""


def run(
    *argv: str | Path,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    given: str = "",
) -> str:
    """Run a command, with `given` as its input, and return what it printed.

    Raises:
        Failed: it ended badly; with its last words.
    """
    command = " ".join(map(str, argv))
    try:
        return subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            check=True,
            input=given,
            capture_output=True,
            text=True,
        ).stdout
    except FileNotFoundError as exc:
        raise Failed(f"{command}: there is no {exc.filename} on this machine") from exc
    except subprocess.CalledProcessError as exc:
        said = "\n".join((exc.stderr or exc.stdout).strip().splitlines()[-15:])
        raise Failed(f"{command} ended with {exc.returncode}:\n{said}") from exc


def works(*argv: str | Path, cwd: Path | None = None) -> bool:
    """Tell whether a command ends well."""
    try:
        run(*argv, cwd=cwd)
    except Failed:
        return False
    return True


def systemctl(*verb: str, unit: str) -> None:
    """Have systemd do something with a unit.

    Raises:
        Failed: it ended badly; with the last words of the unit.
    """
    try:
        run("systemctl", *verb, unit)
    except Failed as exc:
        said = run("journalctl", "--unit", unit, "--lines", "8", "--output", "cat")
        raise Failed(f"{exc}\n{said}".strip()) from exc


def move(old: Path, new: Path) -> None:
    """Move it; dying leaves it whole in one of both places, and no half in the other."""
    shutil.rmtree(new, ignore_errors=True)
    try:
        old.rename(new)
    except OSError:  # to another disk
        half, done = new.with_name(f"{new.name}.half"), old.with_name(f"{old.name}.before_move")
        shutil.copytree(old, half, symlinks=True, dirs_exist_ok=True)
        half.rename(new)
        old.rename(done)
        shutil.rmtree(done)


def nobody_elses(name: str, home: Path) -> bool:
    """Tell whether there is such a user.

    Raises:
        Failed: it is somebody else's account, which would get Docker, and be removed in the end.
    """
    if not _known(pwd.getpwnam, name):
        return False
    if (found := pwd.getpwnam(name).pw_dir) != str(home):
        raise Failed(
            f"there is another user {name} here, at home in {found}: the deployer needs this name"
            " for itself. Give that user another one (usermod --login), then again"
        )
    return True


@dataclass
class Machine:
    """Does what is not done yet; in a dry run it only tells.

    Attributes:
        changed: what it did, or would do, in order.
        unfinished: file of what was changed since all had been brought to its consequence (a
            restart, a reload, a build): a run that was cut off, or failed, leaves it to the next.
        left: what it held at the start of this run.
    """

    dry: bool
    unfinished: Path | None = None
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.unfinished and self.unfinished.exists():
            self.left = self.unfinished.read_text().splitlines()

    def ensure(self, what: str, done: Callable[[], bool], do: Callable[[], object]) -> None:
        """Have `what` done. Dying in the middle of `do` leaves what the next run does again."""
        if done():
            return
        print(f"would do: {what}" if self.dry else what, flush=True)
        self.changed.append(what)
        if not self.dry:
            self._note(what)
            do()

    def finished(self) -> None:
        """All that was changed is brought to its consequence."""
        if self.unfinished and not self.dry:
            self.unfinished.unlink(missing_ok=True)

    def touched(self, *words: str) -> bool:
        """Tell whether one of these is part of what was changed, now or in a run cut off."""
        return any(word in what for what in (*self.left, *self.changed) for word in words)

    def group(self, name: str) -> None:
        self.ensure(
            f"group {name}",
            lambda: _known(grp.getgrnam, name),
            lambda: run("groupadd", "--system", name),
        )

    def user(self, name: str, home: Path, *groups: str) -> None:
        """A system user without a password or a shell, in a group of its name and in `groups`."""
        self.ensure(
            f"user {name}",
            lambda: nobody_elses(name, home),
            lambda: run(
                *("useradd", "--system", "--user-group", "--no-create-home"),
                *("--home-dir", home, "--shell", "/usr/sbin/nologin", name),
            ),
        )
        for group in groups:
            self._member(name, group)

    def no_user(self, name: str, home: Path) -> None:
        """Remove a user; one whose home is another is somebody else's, and stays."""
        self.ensure(
            f"remove user {name}",
            lambda: not _known(pwd.getpwnam, name) or pwd.getpwnam(name).pw_dir != str(home),
            lambda: run("userdel", name),
        )

    def _note(self, what: str) -> None:
        # Before the first install and after the last there is no folder for it, and nothing runs.
        if self.unfinished and self.unfinished.parent.is_dir():
            with self.unfinished.open("a") as file:
                file.write(f"{what}\n")

    def _member(self, name: str, group: str) -> None:
        self.ensure(
            f"user {name} in the group {group}",
            lambda: _known(grp.getgrnam, group) and name in grp.getgrnam(group).gr_mem,
            lambda: run("usermod", "--append", "--groups", group, name),
        )

    def folder(self, path: Path, owner: str = "root:root", mode: int = 0o755) -> None:
        def make() -> None:
            path.mkdir(parents=True, exist_ok=True)
            _give(path, owner, mode)

        self.ensure(f"folder {path}", lambda: path.is_dir() and _is(path, owner, mode), make)

    def file(
        self, path: Path, text: str | bytes, owner: str = "root:root", mode: int = 0o644
    ) -> None:
        """A file with this content; nobody else can read it for a moment either."""
        content = text.encode() if isinstance(text, str) else text

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f"{path.name}.new")
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            _give(new, owner, mode)
            new.replace(path)

        self.ensure(
            f"file {path}",
            lambda: path.is_file() and path.read_bytes() == content and _is(path, owner, mode),
            write,
        )

    def link(self, path: Path, target: str) -> None:
        """A symbolic link, led elsewhere by one rename."""

        def lead() -> None:
            new = path.with_name(f"{path.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(path)

        self.ensure(
            f"link {path} to {target}",
            lambda: path.is_symlink() and str(path.readlink()) == target,
            lead,
        )

    def gone(self, path: Path) -> None:
        def remove() -> None:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

        self.ensure(f"remove {path}", lambda: not os.path.lexists(path), remove)


def _known(find: Callable[[str], object], name: str) -> bool:
    try:
        find(name)
    except KeyError:
        return False
    return True


def _give(path: Path, owner: str, mode: int) -> None:
    user, _, group = owner.partition(":")
    shutil.chown(path, user, group)
    path.chmod(mode)


def _is(path: Path, owner: str, mode: int) -> bool:
    found = path.stat()
    user, _, group = owner.partition(":")
    return (
        found.st_mode & 0o7777 == mode
        and _known(pwd.getpwnam, user)
        and _known(grp.getgrnam, group)
        and (found.st_uid, found.st_gid) == (pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
    )
