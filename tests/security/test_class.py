"""What somebody who may push would try, from the push to the statuses, pages and logs."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.security.classroom import AIRFLOW_PASSWORD, DAG, TOKEN, Classroom, classroom
from tests.web_process import SECRET

TYPED = "hunter2-typed-by-a-student"
"""A password that a student put into the address of a requirement."""
JOURNAL = {"deployer.db", "deployer.db-wal", "deployer.db-shm", "journal"}
MARKUP = "<script>alert(1)</script>"
ANSI = "\\u001b[2J\\u202e\\u0000"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    with classroom(tmp_path_factory.mktemp("class")) as running:
        running.repo.write("dags/maria/good.py", DAG.format("maria_good"))
        running.repo.write("dags/lasse/good.py", DAG.format("lasse_good"))
        assert running.push()["state"] == "succeeded"
        yield running


def live(room: Classroom) -> dict[str, Path]:
    """Return what Airflow sees, by path."""
    current = room.folder / "class" / "current"
    return {str(file.relative_to(current)): file for file in current.rglob("*") if file.is_file()}


def test_words_of_a_file_are_text_on_pages_and_in_statuses_and_logs(room: Classroom) -> None:
    room.repo.write("dags/lasse/bad.py", DAG.format("x") + f"raise ValueError: {MARKUP}{ANSI}end\n")
    told = room.push()
    state, words = room.statuses(told)["airflow/lasse"]
    assert (state, told["state"]) == ("failure", "broken")
    assert words.startswith("bad.py:3 ValueError: " + MARKUP)
    assert words.isprintable()
    page = room.get(f"/commits/{told['sha']}").text
    assert "&lt;script&gt;" in page
    assert MARKUP not in page
    assert not {"\x1b", "\0", "\u202e"} & set(room.log("worker"))
    room.repo.remove("dags/lasse/bad.py")


NAMES = [
    MARKUP.replace("/", ""),
    "{{7*7}}",
    "'\";--",
    "**bold** [x](javascript:1)",
    "$(touch pwned)",
    "-rf",
    "--upload-pack=x",
    "\u200f\u05d0",
    "n" * 255,
    "\U0001f4a9",
    "a b%2f%00",
    "x" * 100 + "\u0301" * 50,
]


def test_folders_of_odd_names_are_deployed_under_those_names(room: Classroom) -> None:
    for name in NAMES:
        room.repo.write(f"dags/{name}/x.py", DAG.format("odd" + str(NAMES.index(name))))
    told = room.push()
    assert told["state"] == "succeeded"
    assert {verdict["folder"] for verdict in told["verdicts"]} >= set(NAMES)
    assert {f"dags/{name}/x.py" for name in NAMES} <= live(room).keys()
    asked = [f"/commits/{told['sha']}", *(f"/folders/{quote(name, safe='')}" for name in NAMES)]
    for page in map(room.get, asked):
        assert page.status_code == 200
        assert "<script>" not in page.text
        assert ">49<" not in page.text
    assert all(len(one["description"]) <= 140 for one in told["statuses"])
    assert not list(room.folder.rglob("pwned"))


HELD: list[tuple[str | bytes, str]] = [
    (b"dags/lasse/\xff\xfe.py", "not UTF-8"),
    ("dags/lasse/a\x1b[31m.py", "control character"),
    ("dags/lasse/a\nb.py", "control character"),
    ("dags/lasse/\u202eyp.live.py", "control character"),
    ("dags/lasse/" + "d/" * 300 + "x.py", "too long"),
    ("dags/include/__init__.py", "in place of everybody"),
    ("dags/lasse/x.pyc", "compiled"),
]


def test_names_that_would_do_harm_are_held_and_their_neighbours_go_live(room: Classroom) -> None:
    for path, _ in HELD:
        room.repo.write(path, DAG.format("held"))
    room.repo.write("dags/maria/beside.py", DAG.format("beside"))
    told = room.push()
    reasons = [v["error"]["message"] for v in told["verdicts"] if v["outcome"] == "held"]
    assert len(reasons) == len(HELD)
    assert all(any(why in reason for reason in reasons) for _, why in HELD)
    assert all(verdict["path"].isprintable() for verdict in told["verdicts"])
    assert "dags/maria/beside.py" in live(room)
    for path, _ in HELD:
        room.repo.remove(path)


def test_links_submodules_filters_and_hooks_of_a_tree_do_nothing(room: Classroom) -> None:
    room.repo.link("dags/lasse/passwd.txt", "/etc/passwd")
    room.repo.link("dags/lasse/up.txt", "../../../../../../etc/passwd")
    room.repo.link("dags/lasse/loop.py", "loop.py")
    room.repo.submodule("dags/lasse/module")
    room.repo.write(".gitmodules", '[submodule "m"]\n\tpath = dags/lasse/module\n\turl = --x\n')
    room.repo.write(".gitattributes", "* filter=evil export-ignore export-subst\n")
    room.repo.write(".git-hooks/post-checkout", "#!/bin/sh\ntouch pwned\n", mode="100755")
    room.repo.write("dags/lasse/subst.py", DAG.format("subst") + "# $Format:%H$\n")
    room.repo.write("dags/lasse/Case.py", DAG.format("upper"))
    room.repo.write("dags/lasse/case.py", DAG.format("lower"))
    told = room.push()
    found = live(room)
    assert not any(file.is_symlink() for file in found.values())
    assert not any("root:" in file.read_text(errors="replace") for file in found.values())
    assert "$Format:%H$" in found["dags/lasse/subst.py"].read_text()
    assert {"dags/lasse/Case.py", "dags/lasse/case.py"} <= found.keys()
    assert not list(room.folder.rglob("pwned"))
    held = {v["path"] for v in told["verdicts"] if v["outcome"] == "held"}
    assert held == {f"dags/lasse/{name}" for name in ("passwd.txt", "up.txt", "loop.py", "module")}


def test_bombs_weigh_what_they_weigh(room: Classroom) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("airflow_dag.py", bytes(200_000_000))
    room.repo.write("dags/lasse/bomb.zip", packed.getvalue())
    room.repo.write("dags/lasse/line.py", DAG.format("line") + "x = '" + "(" * 3_000_000 + "'\n")
    room.repo.write("dags/lasse/deep.py", DAG.format("deep") + "x = " + "(" * 100_000 + "\n")
    room.repo.write("dags/lasse/.airflowignore", " " * 40_000 + "x\n")
    room.repo.write("roster.yaml", "folders:\n  a: &a [" + "b," * 20_000 + "]\n" + "  c: *a\n" * 99)
    room.repo.tree("dags/many", room.repo.bomb(5))
    told = room.push()
    assert told["state"] in {"broken", "succeeded"}
    assert peak_mb(room.worker.pid) < 400
    assert not any(path.startswith("dags/many/") for path in live(room))
    held = {v["path"]: v["error"]["message"] for v in told["verdicts"] if v["outcome"] == "held"}
    assert "more than 512 characters" in held["dags/lasse/.airflowignore"]
    for path in ("dags/many", "dags/lasse/bomb.zip", "dags/lasse/.airflowignore", "roster.yaml"):
        room.repo.remove(path)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("six==1.17.0 \\\n    --hash=sha256:" + "0" * 64 + "\n", "succeeded"),
        (f"x @ https://student:{TYPED}@host.example/x-1-py3-none-any.whl\n", "succeeded"),
        (f"x @ git+https://{TYPED}@host.example/x\n", "broken"),
        (f"--extra-index-url https://student:{TYPED}@host.example/simple\n", "broken"),
        (f"x = https://student:{TYPED}@host.example/x y\n", "broken"),
        ("-r /etc/passwd\n", "broken"),
        ("${DEPLOYER_GITHUB_TOKEN}\n", "broken"),
        ("!\n[z-a]\n", "broken"),
        ("six\n" * 100_000, "broken"),
    ],
)
def test_requirements_reach_no_further_than_packages_and_their_passwords_are_shown_nowhere(
    room: Classroom, text: str, state: str
) -> None:
    room.repo.write("requirements.txt", text)
    told = room.push()
    assert told["state"] == state


def test_no_secret_is_in_any_output_after_all_that(room: Classroom) -> None:
    """The last: it looks at what all tests of this file left."""
    told = room.get("/api/v1/deployments?limit=100").json()["deployments"]
    pages = ["/", "/metrics", "/readyz", "/healthz", "/nowhere", "/api/v1/deployments?limit=100"]
    pages += [f"/deployments/{one['id']}" for one in told]
    pages += [f"/api/v1/deployments/{one['id']}" for one in told]
    said = {path: room.get(path).text for path in pages}
    said["statuses"] = json.dumps([one["statuses"] for one in told])
    for file in (room.folder / "web").rglob("*"):
        if file.is_file():
            said[file.name] = file.read_bytes().decode(errors="replace")
    said["worker's output"] = room.log("worker")
    for pid in (room.worker.pid, room.web.process.pid):
        said[f"{pid} in the process list"] = Path(f"/proc/{pid}/cmdline").read_text()
    with closing(sqlite3.connect(room.web.state_dir / "deployer.db")) as journal:
        said["journal"] = "\n".join(journal.iterdump())
    found = {
        (secret, place)
        for secret in (TOKEN, SECRET, AIRFLOW_PASSWORD, TYPED)
        for place, text in said.items()
        # What is live is in there word for word; whoever reads it can read the repository.
        if secret in text and not (secret == TYPED and place in JOURNAL)
    }
    assert not found


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)
