"""What a backup is: what its manifest says, which one is refused, which ones are too many.

Pure: texts in, values out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
JOURNAL: Final = "journal"
SETTINGS: Final = "settings"
DATABASES: Final = "databases"
_KIND: Final = "backup of a class deployer"
_NAME: Final = re.compile(r"deployer-\d{8}T\d{6}Z\.tar\.gz")


@dataclass(frozen=True, slots=True)
class BackupOrigin:
    """What a backup is of; it goes back only into the same.

    Attributes:
        repo: the class's, `owner/name`.
        services: as the setting says, `compose` or `local`.
    """

    repo: str
    services: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first entry of a backup.

    Attributes:
        made_by: version of the deployer.
        revision: of the journal's schema.
        files: names of all that follow it.
    """

    origin: BackupOrigin
    made_by: str
    made_at: str
    revision: str
    files: tuple[str, ...]
    format: int = FORMAT
    kind: str = _KIND

    @property
    def databases(self) -> tuple[str, ...]:
        """Services whose databases it holds."""
        return tuple(
            PurePosixPath(name).stem
            for name in sorted(self.files)
            if name.startswith(f"{DATABASES}/")
        )


def written(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), indent=2)


def read(text: bytes) -> Manifest | None:
    """Return the manifest, None: it is none of ours, or of a format that is to come."""
    try:
        told = json.loads(text)
        names = tuple(map(str, told["files"]))
        origin = BackupOrigin(**{name: str(value) for name, value in told["origin"].items()})
        manifest = Manifest(**told | {"origin": origin, "files": names})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return manifest if (manifest.kind, manifest.format) == (_KIND, FORMAT) else None


def against(manifest: Manifest, here: BackupOrigin, revisions: Collection[str]) -> str | None:
    """Return why a backup can't go back into `here`, None: it can.

    `revisions`: of the journal's schema that this deployer knows.
    """
    if manifest.revision not in revisions:
        return f"was made by a newer deployer ({manifest.made_by}): install that one first"
    for name, theirs in asdict(manifest.origin).items():
        ours = getattr(here, name)
        if theirs != ours:
            return f"is of another deployer: its {name} is {theirs}, here it is {ours}"
    return None


def is_inside(name: str) -> bool:
    """Tell whether a name in an archive is one that a backup has, and leads nowhere else."""
    top, *below = name.split("/")
    known = top in {SETTINGS, DATABASES} if below else top in {SETTINGS, JOURNAL}
    return known and "\0" not in name and not {"", ".", ".."} & set(below)


def name_at(at: datetime) -> str:
    """Return the name of a backup in a directory of such."""
    return f"deployer-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar.gz"


def too_many(names: Collection[str], keep: int) -> tuple[str, ...]:
    """Return those of our backups that are older than the newest `keep`."""
    ours = sorted(name for name in names if _NAME.fullmatch(name))
    return tuple(ours[:-keep])
