"""Read objects of a bare repository out of one git process that stays.

A new process costs 7 ms, and one push has some eight questions. `git cat-file --batch-command`
(git-cat-file(1), since git 2.36) looks refs and packs up anew for each, and ends when its standard
input does: with the worker, whatever ends that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from deployer.edges.git.command import GitRunner, Ran

if TYPE_CHECKING:
    from git.cmd import Git


class GitUnread(Exception):
    """Nothing could be read; `ran` is how git ended."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran
        super().__init__(ran.words)


Found: TypeAlias = tuple[bytes, bytes, bytes]
"""Id, type and content of an object; for `info` its size in place of that."""
_TRIES: Final = 2  # a process that somebody ended is no fault of the mirror's
_AT_ONCE: Final = 256
"""Questions asked before the first answer is read: both ways hold them (64 KiB, pipe(7))."""


class GitObjects:
    """What one repository holds; for one thread. Its process starts with the first question."""

    def __init__(self, git: GitRunner, repository: Path) -> None:
        self._git = git
        self._repository = repository
        self._process: Git.AutoInterrupt | None = None

    def ask(self, command: str, names: Sequence[str]) -> list[Found | None]:
        """Return what each of `names` names, None where that is nothing: its `info` or `contents`.

        Raises:
            GitUnread: the repository can't be read.
        """
        found: list[Found | None] = []
        for start in range(0, len(names), _AT_ONCE):
            found += self._asked(command, names[start : start + _AT_ONCE])
        return found

    def close(self) -> None:
        """End the process; the next question starts another."""
        self._process = None  # GitPython ends it as nobody holds its wrapper any more

    def _asked(self, command: str, names: Sequence[str]) -> list[Found | None]:
        for _ in range(_TRIES):
            try:
                return self._answers(command, names)
            except (OSError, EOFError) as exc:
                ran = self._end(exc)
        raise GitUnread(ran)

    def _answers(self, command: str, names: Sequence[str]) -> list[Found | None]:
        if self._process is None:
            self._process = self._git.start(
                f"--git-dir={self._repository}", "cat-file", "--batch-command"
            )
        asks, answers = self._process.stdin, self._process.stdout
        asks.write("".join(f"{command} {name}\n" for name in names).encode())
        asks.flush()
        found = [_answer(command, answers) for _ in names]
        if None in found:  # complaints about what is missing would fill the pipe some day
            self.close()
        return found

    def _end(self, why: OSError | EOFError) -> Ran:
        process, self._process = self._process, None
        if process is None:
            return Ran.not_started(OSError(*why.args))
        words = process.communicate()[1].decode(errors="replace")
        return Ran(process.returncode, b"", self._git.redacted(words))


def _answer(command: str, answers: IO[bytes]) -> Found | None:
    # BATCH OUTPUT: "<id> <type> <size>" LF, after `contents` content LF; "<name> missing" LF
    match answers.readline().split():
        case [name, kind, size] if command == "contents":
            content = answers.read(int(size) + 1)
            if len(content) != int(size) + 1:
                raise EOFError
            return name, kind, content[:-1]
        case [name, kind, size]:
            return name, kind, size
        case []:
            raise EOFError
        case _:
            return None
