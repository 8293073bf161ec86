"""A parse that ends when a test says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployer.demo.student import Push


@dataclass(frozen=True)
class Hold:
    """Holds up the import of a DAG file inside Airflow's dag-processor, and there alone."""

    folder: Path

    @property
    def _gate(self) -> Path:
        return self.folder / "hold"

    @property
    def _inside(self) -> Path:
        return self.folder / "inside"

    def lines(self) -> str:
        return f"""\
import time
from pathlib import Path
HOLD, INSIDE, END = Path({str(self._gate)!r}), Path({str(self._inside)!r}), time.monotonic() + 90
if "/.tmp-" not in __file__ and HOLD.exists():  # not the isolated parse
    INSIDE.write_text(__file__)
    while HOLD.exists() and time.monotonic() < END:
        time.sleep(0.02)
"""

    def begin(self) -> None:
        self._inside.unlink(missing_ok=True)
        self._gate.touch()

    def has_inside(self, push: Push) -> bool:
        """Tell whether the file of that push is being imported."""
        return self._inside.exists() and f"/releases/{push.sha}/" in self._inside.read_text()

    def end(self) -> None:
        self._gate.unlink()
