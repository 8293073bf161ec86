"""The deployer that runs, as one wheel.

Students install it from their clone of the class's repository: no index knows it, and none of
them needs an account on, or a fork of, the repository that it comes from.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

from deployer.errors import OperatorError

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_DISTRIBUTION: Final = "airflow-class-deployer"
# What an installer adds beside the files of the wheel (PEP 376, PEP 610).
_INSTALLERS: Final = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
BUILD_TIMEOUT_S: Final = 120


def own_wheel() -> tuple[str, bytes]:
    """Return its file name and content.

    Raises:
        OperatorError: a checkout can't be built.
    """
    checkout = _PACKAGE.parent
    return _built(checkout) if (checkout / "pyproject.toml").is_file() else _packed_again()


def _built(checkout: Path) -> tuple[str, bytes]:
    """Build a checkout by the environment that runs it: it has the build's own packages."""
    with tempfile.TemporaryDirectory(prefix="deployer-wheel-") as place:
        command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel")
        try:
            subprocess.run(
                (*command, "--directory", place),
                cwd=checkout,
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
            said = exc.stderr if isinstance(exc, subprocess.CalledProcessError) else ""
            words = (said.strip().splitlines() or [str(exc)])[-1]
            raise OperatorError(
                f"no wheel can be built of {checkout} ({words}): install hatchling beside the "
                "deployer, or the deployer from a wheel"
            ) from exc
        (wheel,) = Path(place).glob("*.whl")
        return wheel.name, wheel.read_bytes()


def _packed_again() -> tuple[str, bytes]:
    """Pack what a wheel was unpacked to (the format: PEP 427)."""
    ours = metadata.distribution(_DISTRIBUTION)
    name = f"{_DISTRIBUTION.replace('-', '_')}-{ours.version}"
    about, packed, record = f"{name}.dist-info", BytesIO(), []
    with ZipFile(packed, "w", ZIP_DEFLATED) as wheel:
        for path in ours.files or ():
            inside = path.parts[0] == "deployer" or (
                path.parts[0] == about and path.name not in _INSTALLERS
            )
            if inside and path.suffix != ".pyc":
                content = Path(str(path.locate())).read_bytes()
                digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
                record.append(f"{path.as_posix()},sha256={digest},{len(content)}\n")
                wheel.writestr(path.as_posix(), content)
        wheel.writestr(f"{about}/RECORD", "".join(record) + f"{about}/RECORD,,\n")
    return f"{name}-py3-none-any.whl", packed.getvalue()
