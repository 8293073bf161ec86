"""An examiner, and the files that a test lets it look at."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from deployer.core.model import Examined, File, ParseError, Tree
from deployer.edges.parser.examiner import IsolatedExaminer, RunningExamination
from deployer.edges.parser.protocol import Limits
from deployer.ports import Examination, Examiner
from tests.fakes.examiner import FakeExaminer
from tests.integration.examiner.files import HEAD, MEMORY_MB, PARSE_S, holding, waiting_for

AIRFLOW_FILES = Path(__file__).parents[3] / "include" / "airflow"
SCRIPT = AIRFLOW_FILES / "preflight.py"
SHA = "0" * 40
LIMITS = Limits(wall_s=PARSE_S, memory_mb=MEMORY_MB)
BOUND_S = 180.0
"""For what is waited for: several parsers that start anew, each for 15 s on a slow machine."""
PATIENT = Limits(wall_s=60, memory_mb=MEMORY_MB)
"""For files that wait for a test."""
NEW = "only_in_what_was_built"
"""A module that the packages which run now do not have."""


class Disk:
    """Implements `Materialiser` for files that a test writes, laid out under `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.files: dict[str, bytes] = {}
        self.laid_out: list[Path] = []

    def write(self, path: str, content: str | bytes) -> str:
        self.files[path] = content.encode() if isinstance(content, str) else content
        return path

    @contextmanager
    def lay_out(self, tree: Tree, paths: Sequence[str]) -> Iterator[Path]:
        root = Path(tempfile.mkdtemp(dir=self.place)).resolve()
        self.laid_out.append(root)
        try:
            root.chmod(0o755)
            for path, content in self.files.items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            yield root
        finally:
            shutil.rmtree(root)


class Real:
    """A real examiner with the files it looks at."""

    def __init__(self, examiner: IsolatedExaminer, disk: Disk) -> None:
        self.examiner = examiner
        self.disk = disk

    def examine(self, *paths: str) -> tuple[Examined, ...]:
        return self.examiner.examine(self._tree(), paths)

    def begin(self, *paths: str) -> RunningExamination:
        return self.examiner.begin(self._tree(), paths)

    def look_at(self, content: str | bytes, *, name: str = "x.py") -> Examined:
        """Write one file and examine it."""
        (found,) = self.examine(self.disk.write(f"dags/lasse/{name}", content))
        return found

    def _tree(self) -> Tree:
        return Tree(SHA, {path: File(SHA) for path in self.disk.files})


def all_of(examination: Examination) -> Mapping[str, Examined]:
    """Wait for all results."""
    until(examination, lambda: examination.done)
    return examination.results


def until(examination: Examination, condition: Callable[[], bool]) -> None:
    """Wait with a bound, by the examination's own means."""
    until_s = time.monotonic() + BOUND_S
    while time.monotonic() < until_s:
        if condition():
            return
        examination.wait(0.1)
    pytest.fail(f"not within {BOUND_S:.0f} s")


class Subject(Protocol):
    """An examiner, and the means to make it meet each kind of file."""

    @property
    def examiner(self) -> Examiner: ...
    def good(self, path: str, dag_id: str) -> None: ...
    def broken(self, path: str) -> None: ...
    def harmful(self, path: str) -> None: ...
    def empty(self, path: str) -> None: ...
    def good_with_what_was_built(self, path: str, dag_id: str) -> None: ...
    def slow(self, path: str, dag_id: str) -> None:
        """Let the file take until `go_on`; but for that, a minute."""

    def go_on(self) -> None: ...


class FakeSubject:
    def __init__(self) -> None:
        self.examiner = FakeExaminer()

    def good(self, path: str, dag_id: str) -> None:
        self.examiner.finds(path, dag_ids=(dag_id,))

    def broken(self, path: str) -> None:
        self.examiner.finds(path, error=ParseError("NameError", "name 'x' is not defined", 2))

    def harmful(self, path: str) -> None:
        self.examiner.finds(path, harm="ends its parser with os._exit(3)")

    def empty(self, path: str) -> None:
        self.examiner.finds(path)

    def good_with_what_was_built(self, path: str, dag_id: str) -> None:
        error = ParseError("ModuleNotFoundError", f"No module named '{NEW}'", 1)
        self.examiner.finds(path, error=error)
        self.examiner.finds_on_built(path, dag_ids=(dag_id,))

    def slow(self, path: str, dag_id: str) -> None:
        self.examiner.finds(path, dag_ids=(dag_id,))
        self.examiner.slow[path] = PATIENT.wall_s

    def go_on(self) -> None:
        self.examiner.clock.sleep(PATIENT.wall_s)


class RealSubject:
    def __init__(self, real: Real) -> None:
        self.examiner = real.examiner
        self._disk = real.disk
        self._go = real.disk.place / f"go-{uuid4().hex}"  # the place is not this test's alone

    def good(self, path: str, dag_id: str) -> None:
        self._disk.write(path, holding(dag_id))

    def broken(self, path: str) -> None:
        self._disk.write(path, f"{HEAD}x\n")

    def harmful(self, path: str) -> None:
        self._disk.write(path, f"{HEAD}import os\nos._exit(3)\n")

    def empty(self, path: str) -> None:
        self._disk.write(path, "# neither a dag nor airflow\n")

    def good_with_what_was_built(self, path: str, dag_id: str) -> None:
        self._disk.write(path, f"import {NEW}\n{holding(dag_id)}")

    def slow(self, path: str, dag_id: str) -> None:
        self._disk.write(path, waiting_for(self._go, dag_id))

    def go_on(self) -> None:
        self._go.touch()
