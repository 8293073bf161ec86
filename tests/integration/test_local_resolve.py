"""Whose fault it is that packages of the embedded Airflow don't resolve: the real uv, an index."""

from __future__ import annotations

import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deployer.edges.embedded import environment
from deployer.edges.embedded.environment import BaseEnvironment, resolve
from deployer.errors import DiskError, RequirementsRefused, ServicesError


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseEnvironment:
    monkeypatch.setattr(environment, "default_cache", lambda: tmp_path / "cache")
    made = BaseEnvironment()
    made.python = Path(sys.executable)
    made.pins = tmp_path / "pins.txt"
    made.pins.write_text("")
    return made


@pytest.fixture
def index(
    tmp_path: Path, base: BaseEnvironment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadingHTTPServer]:
    """An index that holds Airflow, as one empty wheel."""
    wheel = f"apache_airflow-{base.version}-py3-none-any.whl"
    packed, info = io.BytesIO(), f"apache_airflow-{base.version}.dist-info"
    with zipfile.ZipFile(packed, "w") as archive:
        about = f"Metadata-Version: 2.1\nName: apache-airflow\nVersion: {base.version}\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    page = tmp_path / "index" / "apache-airflow"
    page.mkdir(parents=True)
    (page / wheel).write_bytes(packed.getvalue())
    (page / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "index"))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "line",
    [
        "tool @ https://github.com/example/tool.git@0123456789012345678901234567890123456789",
        "tool @ https://someone:hunter2@nohost.invalid/tool-1.0-py3-none-any.whl",
        "tool @ https://nohost.invalid/tool-1.0.exe?token=hunter2",
        "nosuch-zz==1",
    ],
)
def test_what_uv_cannot_have_is_the_authors_while_the_index_answers(
    line: str, base: BaseEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        resolve(base, f"# ours\n{line}\n", scratch=tmp_path / "scratch", within_s=60)
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("index")
def test_a_disk_without_room_is_the_operators(
    base: BaseEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "NEEDS_BYTES", 1 << 60)
    with pytest.raises(DiskError, match=r"has [\d.]+ GiB free and a build of packages needs"):
        resolve(base, "nosuch-zz==1\n", scratch=tmp_path / "scratch", within_s=60)


@pytest.mark.usefixtures("index")
def test_resolving_past_its_time_is_the_authors_while_the_index_answers(
    base: BaseEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(RequirementsRefused, match=r"did not resolve .* within 0\.001 s"):
        resolve(base, "six\n", scratch=tmp_path / "scratch", within_s=0.001)


@pytest.mark.parametrize("within_s", [60, 0.001])
def test_an_index_out_of_reach_is_the_operators(
    within_s: float, index: ThreadingHTTPServer, base: BaseEnvironment,
    tmp_path: Path,
) -> None:  # fmt: skip
    index.shutdown()
    index.server_close()
    with pytest.raises(ServicesError, match="does not answer from this machine"):
        resolve(base, "six\n", scratch=tmp_path / "scratch", within_s=within_s)
