"""Prove that new packages can be imported beside Airflow: `import_check.py NAME…`.

Runs in Airflow's own environment, as a script. Each NAME is a distribution; it is broken
if it has modules and none of them can be imported (one that needs something optional may
fail). Prints `NAME: Type: message` for the first broken one and exits 1. The name is
printed before the attempt as well, so that a crash says whose it was.
"""

from __future__ import annotations

import importlib
import sys
from importlib import metadata


def modules_of(name: str) -> list[str]:
    """Return the distribution's top-level modules, without private ones and tests."""
    tops = {file.parts[0] for file in metadata.files(name) or () if file.suffix in {".py", ".so"}}
    names = {top.split(".")[0] for top in tops}
    return sorted(m for m in names - {"test", "tests"} if m.isidentifier() and m[0] != "_")


def broken(name: str) -> str | None:
    """Return why none of the distribution's modules can be imported, None if one can."""
    why = None
    for module in modules_of(name):
        try:
            importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001  # sys.exit at import is broken as well
            why = why or f"{type(error).__name__}: {error}"
        else:
            return None
    return why


def main() -> int:
    for name in sys.argv[1:]:
        print(f"{name}: crashes when it is imported", flush=True)  # noqa: T201  # the answer
        if why := broken(name):
            print(f"{name}: {why.splitlines()[0]}", flush=True)  # noqa: T201  # the answer
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
