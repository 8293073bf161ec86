"""Have installed packages find nothing of the class's where they look for what may not be there.

A release's `dags` is on sys.path, so each student's folder is a package. Called as something that
a package tries to import and can do without (`simplejson`, for requests), one folder was taken for
that, and whoever's file imported requests was broken.
"""

from __future__ import annotations

import sys
from dis import opmap
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class _Guard(MetaPathFinder):
    root = ""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002  # the base's
        if path is not None:  # of a package that was found
            return None
        ours = [entry for entry in sys.path if f"{entry}/".startswith(self.root)]
        if PathFinder.find_spec(name, ours) and self._is_asked_by_a_package():
            others = [entry for entry in sys.path if entry not in ours]
            if not PathFinder.find_spec(name, others):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

    def _is_asked_by_a_package(self) -> bool:
        """Tell whether it is a statement of an installed file, which asks for nobody else.

        `import_module` is a call: of Airflow's, say, for a name that a DAG gave it.
        """
        frame = sys._getframe(2)  # noqa: SLF001  # nothing else tells
        while frame.f_code.co_filename.startswith("<frozen importlib") and frame.f_back:
            frame = frame.f_back
        file, at = frame.f_code.co_filename, frame.f_lasti
        is_statement = frame.f_code.co_code[at] == opmap["IMPORT_NAME"]
        return is_statement and not file.startswith(("<", self.root))


def guard(root: Path) -> None:
    """Keep what is below `root`, a release, from the installed packages of this process."""
    _Guard.root = f"{root}/"
    if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        sys.meta_path.insert(sys.meta_path.index(PathFinder), _Guard())
