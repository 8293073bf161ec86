"""A real git repository in the class's shape, made commit by commit without a working copy.

    repo = ClassRepo(tmp_path / "class.git")
    repo.write("dags/lasse/taxi.py", "…")
    sha = repo.commit("taxi")        # refs/heads/main moved
    GitRepository(Mirror(repo.url, repo.branch, …))

Each commit is one `git fast-import`, which takes what `git add` would refuse: names
that are not UTF-8, links to anywhere, submodules without a repository.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_NAME": "Class" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "class@example.org" for who in ("AUTHOR", "COMMITTER")},
}
_FILE, _LINK, _SUBMODULE = "100644", "120000", "160000"


class ClassRepo:
    """A bare repository with one branch that moves at each `commit`."""

    def __init__(self, bare: Path, *, branch: str = "main") -> None:
        """Make an empty bare repository at `bare`."""
        self.bare = bare
        self.branch = branch
        self._changes: list[bytes] = []
        self._commits = 0
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", bare],
            check=True,
            env=_ENV,
        )

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def write(self, path: str | bytes, content: str | bytes, *, mode: str = _FILE) -> None:
        """Put a file into the next commit; `path` as bytes may be no UTF-8."""
        data = content.encode() if isinstance(content, str) else content
        self._changes.append(
            b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), _quoted(path), len(data), data)
        )

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the next commit."""
        self.write(path, target, mode=_LINK)

    def submodule(self, path: str, sha: str = "1" * 40) -> None:
        """Put a submodule into the next commit; nothing needs to exist."""
        self._changes.append(f"M {_SUBMODULE} {sha} ".encode() + _quoted(path) + b"\n")

    def tree(self, path: str, tree: str) -> None:
        """Put a folder into the next commit by its id (see `bomb`)."""
        self._changes.append(f"M 040000 {tree} ".encode() + _quoted(path) + b"\n")

    def bomb(self, levels: int, content: bytes = b"x") -> str:
        """Return a folder of ten folders of ten … of ten files, some hundred bytes in all."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=content).strip()
        lines, name = b"100644 blob %s\tf%d.py\n", blob
        for _ in range(levels):
            listed = b"".join(lines % (name, number) for number in range(10))
            lines, name = b"040000 tree %s\td%d\n", self.git("mktree", stdin=listed).strip()
        return name.decode()

    def remove(self, path: str | bytes) -> None:
        """Take a file or a folder out of the next commit."""
        self._changes.append(b"D " + _quoted(path) + b"\n")

    def commit(self, message: str = "a change", *, author: str = "class@example.org") -> str:
        """Commit what was written since the last commit; return its full id.

        `author`: an e-mail address.
        """
        self._commits += 1
        ref = f"refs/heads/{self.branch}"
        parent = f"from {ref}^0\n" if self.tip() else ""
        at = 1_700_000_000 + self._commits
        head = (
            f"commit {ref}\nauthor Author <{author}> {at} +0000\n"
            f"committer Class <class@example.org> {at} +0000\n"
            f"data {len(message.encode())}\n{message}\n{parent}"
        )
        self.git("fast-import", "--quiet", stdin=head.encode() + b"".join(self._changes))
        self._changes.clear()
        tip = self.tip()
        assert tip is not None
        return tip

    def reset(self, sha: str) -> None:
        """Move the branch as a forced push would; the next commit continues from `sha`."""
        self.git("update-ref", f"refs/heads/{self.branch}", sha)

    def tip(self) -> str | None:
        """Return the branch's commit, None before the first."""
        found = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{self.branch}")
        return found.decode().strip() or None

    def git(self, *args: str, stdin: bytes = b"") -> bytes:
        """Run git in this repository; return what it printed."""
        command = ["git", "--git-dir", str(self.bare), *args]
        return subprocess.run(
            command, input=stdin, check=True, capture_output=True, env=_ENV
        ).stdout


def _quoted(path: str | bytes) -> bytes:
    """Return `path` as fast-import wants it: in double quotes, odd bytes in octal."""
    raw = path.encode() if isinstance(path, str) else path
    plain = (byte if 0x20 <= byte < 0x7F and byte not in b'"\\' else None for byte in raw)
    body = "".join(
        chr(kept) if kept is not None else f"\\{byte:03o}"
        for kept, byte in zip(plain, raw, strict=True)
    )
    return f'"{body}"'.encode()
