"""Write the packages that the tests install beside those of the index.

usage: distributions.py DIRECTORY

- class-breaks-scheduler 1.0: installs, imports, and ends every scheduler as it starts;
- class-fails-to-build 1.0: has metadata, and a build that fails as one without a compiler does.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

MODULE = """\
import os, sys
from pathlib import Path

if b"scheduler" in Path("/proc/self/cmdline").read_bytes().split(b"\\0"):
    sys.stderr.write("class_breaks_scheduler: this scheduler can't start\\n")
    sys.stderr.flush()
    os._exit(1)
"""
SETUP = """\
import sys
from setuptools import setup
from setuptools.command.build_py import build_py

class Failing(build_py):
    def run(self):
        sys.exit("error: command 'gcc' failed: No such file or directory")

setup(name="class-fails-to-build", version="1.0", py_modules=["class_fails_to_build"],
      cmdclass={"build_py": Failing})
"""


def write_wheel(directory: Path) -> None:
    info = "class_breaks_scheduler-1.0.dist-info"
    files = {
        "class_breaks_scheduler.py": MODULE,
        # Read by every interpreter as it starts (docs.python.org/3/library/site.html).
        "class_breaks_scheduler.pth": "import class_breaks_scheduler\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: class-breaks-scheduler\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(text.encode())}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(directory / "class_breaks_scheduler-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def write_sdist(directory: Path) -> None:
    root = "class_fails_to_build-1.0"
    files = {
        "setup.py": SETUP,
        "class_fails_to_build.py": "",
        "PKG-INFO": "Metadata-Version: 2.1\nName: class-fails-to-build\nVersion: 1.0\n",
    }
    with tarfile.open(directory / f"{root}.tar.gz", "w:gz") as sdist:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size = len(text.encode())
            sdist.addfile(member, io.BytesIO(text.encode()))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write_wheel(place)
    write_sdist(place)
