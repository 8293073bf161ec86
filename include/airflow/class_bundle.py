"""The class's DAG bundle: hands Airflow a release's own directory, never the `current` link.

Runs inside Airflow (3.3) and imports nothing of the deployer. `current` names the live
release; the deployer swaps it by one rename. What follows from handing out
`<root>/releases/<name>/dags`:

- a DAG's `fileloc`, and the paths in an import error's trace, name the release that was
  really read, which is the deployer's proof of a verdict;
- a swap in the middle of a scan cannot mix two trees: the path moves at `refresh` alone;
- a run stays with the release that its DAG came from for as long as that is kept.

Airflow builds an instance in every process that needs one, and asks some for `path` without
`initialize` (`airflow/dag_processing/bundles/manager.py:604`), so a new instance already
knows its release. No state is shared and nothing is written, so no lock is needed.

`AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST`, with this file's directory on PYTHONPATH:

    [{"name": "class", "classpath": "class_bundle.ClassBundle",
      "kwargs": {"root": "<CHECKOUT_DIR>", "repo_url": "https://github.com/owner/name"}}]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion
from class_guard import guard


class ReleaseGone(RuntimeError):
    """A run is pinned to a release that is kept no longer."""


class ClassBundle(BaseDagBundle):
    """The releases under `root`, versioned by their names.

    Args:
        root: CHECKOUT_DIR: holds `releases/<name>/` and the link `current`.
        repo_url: the repository's page, for links to a version; None: no links.
        options: Airflow's own: `name`, `version`, `refresh_interval`.

    Attributes:
        root: CHECKOUT_DIR, as this container has it.
        release: name of the release that is handed out, None before the first.
    """

    supports_versioning = True

    def __init__(self, *, root: str, repo_url: str | None = None, **options: object) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self._repo_url = repo_url.rstrip("/") if repo_url else None
        self.release = self.version or self._live()

    def initialize(self) -> None:
        """Make the release importable.

        Raises:
            ReleaseGone: the pinned version has been removed.
        """
        if self.version and not self.path.is_dir():
            msg = (
                f"release {self.version} is no longer kept under {self.root / 'releases'}: "
                "clear the run and start it anew to use the code that is live"
            )
            raise ReleaseGone(msg)
        if self.release is None:
            self.path.mkdir(parents=True, exist_ok=True)
        _import_from(self._release_root(), pinned=self.version is not None)
        super().initialize()

    def refresh(self) -> None:
        """Move on to the release that is live now; a pinned bundle stays where it is."""
        if self.version is None:
            self.release = self._live()
            _import_from(self._release_root(), pinned=False)

    @property
    def path(self) -> Path:
        """The release's DAGs; before the first release, an empty directory of Airflow's own."""
        root = self._release_root()
        return root / "dags" if root else self.base_dir / "no-release-yet"

    def get_current_version(self) -> BundleVersion | None:
        """Return the release's name, None before the first release."""
        return BundleVersion(self.release) if self.release else None

    def view_url_template(self) -> str | None:
        """Return a link to the DAGs of a version's commit.

        Airflow fills it with `str.format(version=…)` (`airflow/models/dagbundle.py:103`); a
        release is named `<sha>` or `<sha>-<n>`, and `.40` leaves the commit of either.
        """
        return f"{self._repo_url}/tree/{{version!s:.40}}/dags" if self._repo_url else None

    def view_url(self, version: str | None = None) -> str | None:
        """Return that link filled in (Airflow's older way of asking)."""
        template = self.view_url_template()
        return template.format(version=version) if template and version else None

    def _release_root(self) -> Path | None:
        return self.root / "releases" / self.release if self.release else None

    def _live(self) -> str | None:
        try:
            return Path(os.readlink(self.root / "current")).name  # noqa: PTH115  # its text only
        except FileNotFoundError:
            return None


class _Importable:
    """The one release of this process whose `include` and `dags` can be imported."""

    entry: str | None = None
    pinned = False


def _import_from(root: Path | None, *, pinned: bool) -> None:
    """Put `root` at the end of sys.path in place of the release that was there.

    Parsing children are forked from the dag-processor after its `refresh` and inherit it; a
    task's process calls `initialize` itself. At the end, so that no student's module hides an
    installed one. The dag-processor also initialises the pinned bundle of an old run's
    callback; that must not take the live release from the files parsed next.
    """
    if pinned and _Importable.entry and not _Importable.pinned:
        return
    entry = str(root) if root else None
    if entry == _Importable.entry:
        return
    if _Importable.entry in sys.path:
        sys.path.remove(_Importable.entry)
    if root:
        sys.path.append(str(root))
        guard(root)
    _Importable.entry, _Importable.pinned = entry, pinned
