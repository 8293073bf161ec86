"""Read objects of a bare repository out of one git process that stays.

A new process costs 7 ms, and one push has some eight questions. `git cat-file --batch-command`
(git-cat-file(1), since git 2.36) looks refs and packs up anew for each, and ends when its standard
input does: with the worker, whatever ends that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployer.edges.gitrun import GitRunner, Ran

if TYPE_CHECKING:
    from git.cmd import Git


class GitUnread(Exception):
    """Nothing could be read; `ran` is how git ended."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran
        super().__init__(ran.words)


_TRIES: Final = 2  # a process that somebody ended is no fault of the mirror's


class GitObjects:
    """What one repository holds; for one thread. Its process starts with the first question."""

    def __init__(self, git: GitRunner, repository: Path) -> None:
        self._git = git
        self._repository = repository
        self._process: Git.AutoInterrupt | None = None

    def commit(self, revision: str) -> str | None:
        """Return the id of the commit that `revision` names, None if there is none.

        Raises:
            GitUnread: the repository can't be read.
        """
        found = self._ask("info", f"{revision}^{{commit}}")
        return found[0].decode() if found else None

    def blob(self, blob: str) -> bytes | None:
        """Return a blob's content by its full id, None if there is no such blob.

        Raises:
            GitUnread: the repository can't be read.
        """
        found = self._ask("contents", blob)
        return found[2] if found and found[1] == b"blob" else None

    def close(self) -> None:
        """End the process; the next question starts another."""
        self._process = None  # GitPython ends it as nobody holds its wrapper any more

    def _ask(self, command: str, name: str) -> tuple[bytes, bytes, bytes] | None:
        """Return id, type and content (for `contents`) of what `name` names."""
        for _ in range(_TRIES):
            try:
                return self._answer(command, name)
            except (OSError, EOFError) as exc:
                ran = self._end(exc)
        raise GitUnread(ran)

    def _answer(self, command: str, name: str) -> tuple[bytes, bytes, bytes] | None:
        # BATCH OUTPUT: "<id> <type> <size>" LF, after `contents` content LF; "<name> missing" LF
        if self._process is None:
            self._process = self._git.start(
                f"--git-dir={self._repository}", "cat-file", "--batch-command"
            )
        asks, answers = self._process.stdin, self._process.stdout
        asks.write(f"{command} {name}\n".encode())
        asks.flush()
        match answers.readline().split():
            case [blob, kind, size] if command == "contents":
                content = answers.read(int(size) + 1)
                if len(content) != int(size) + 1:
                    raise EOFError
                return blob, kind, content[:-1]
            case [blob, kind, _]:
                return blob, kind, b""
            case []:
                raise EOFError
            case _:  # complaints about what is missing would fill the pipe some day
                self.close()
                return None

    def _end(self, why: OSError | EOFError) -> Ran:
        process, self._process = self._process, None
        if process is None:
            return Ran.not_started(OSError(*why.args))
        words = process.communicate()[1].decode(errors="replace")
        return Ran(process.returncode, b"", self._git.redacted(words))
