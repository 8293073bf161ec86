"""What scripts/install writes, and that docs/install.md speaks of what there is."""

from __future__ import annotations

import errno
import getpass
import http.server
import re
import shutil
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest

from scripts.installation import answers, machine, texts, upgrading, wanted
from scripts.installation.machine import Failed, Machine

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/install.md").read_text()


def test_a_value_is_set_where_its_name_stands_as_a_comment_too() -> None:
    text = "A=1\n#B=2\n# B=is not this\n"
    assert texts.with_values(text, {"A": "x", "B": "y", "C": "z"}) == (
        "A=x\nB=y\n# B=is not this\nC=z\n"
    )


def test_a_value_with_a_backslash_is_written_as_it_is() -> None:
    assert texts.with_values("A=1\n", {"A": r"\1\n"}) == "A=\\1\\n\n"


def test_secrets_are_made_once_and_for_what_a_newer_example_adds() -> None:
    first = texts.with_secrets("A=\n", "A=\n")
    assert len(texts.value(first, "A")) >= 32
    second = texts.with_secrets(first, "A=\nB=\n#C=\n")
    assert second.startswith(first)
    assert texts.value(second, "B") not in {"", texts.value(first, "A")}
    assert texts.with_secrets(second, "A=\nB=\n") == second


def test_a_student_keeps_the_password_and_is_listed_once() -> None:
    listed = texts.with_students("# the class\namy:her own:one\n", ["amy", "bob", "bob"])
    assert re.fullmatch(r"# the class\namy:her own:one\nbob:(\w{5}-){2}\w{5}\n", listed)


def test_the_sheet_has_a_line_for_each_student() -> None:
    sheet = texts.to_hand_out("# x:y\namy:her own:one\n", "airflow.school.org")
    assert sheet == ("https://airflow.school.org   account student-amy   password her own:one\n")


def test_answers_are_kept_as_flags_and_come_back(tmp_path: Path) -> None:
    kept = tmp_path / "install.conf"
    given = answers.read(["--repo=a/b", "--name=d.org", "--setting=X=a=b", "--tls=internal"], kept)
    kept.write_text(answers.keep(given))
    again = answers.read(["--name=e.org", "--setting=Y=2"], kept)
    assert (again.repo, again.name, again.tls) == ("a/b", "e.org", "internal")
    assert again.setting == {"X": "a=b", "Y": "2"}
    assert again.airflow_name == "airflow.d.org"  # as it was, until it is said anew


def test_what_airflows_settings_became_since_stays_unless_it_is_said_anew(tmp_path: Path) -> None:
    kept = tmp_path / "install.conf"
    kept.write_text("--repo=a/b\n--name=d.org\n--setting=IMAGE=3.3.1\n--setting=Y=1\n")
    given = answers.read(["--setting=Z=2"], kept)
    became = "IMAGE=3.3.2\nZ=1\n"  # by `deployer airflow-version`, and by the teacher
    assert texts.unchanged(became, given.setting, given.now) == {"Y": "1", "Z": "2"}
    again = answers.read(["--setting=IMAGE=3.3.1"], kept)
    assert texts.unchanged(became, again.setting, again.now) == {"IMAGE": "3.3.1", "Y": "1"}


# --- what is asked ----------------------------------------------------------------------


def answered(monkeypatch: pytest.MonkeyPatch, *said: str, flags: tuple[str, ...] = ()) -> str:
    """Return what is kept of these answers at a terminal; all of them are asked for."""
    left = list(said)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: left.pop(0))
    monkeypatch.setattr(getpass, "getpass", lambda _: left.pop(0))
    given = answers.read(flags, Path("none"))
    assert left == []
    return answers.keep(given)


def test_what_a_flag_said_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("students", "token"):
        (tmp_path / name).touch()
    files = (f"--students={tmp_path}/students", f"--token-file={tmp_path}/token")
    flags = ("--name=d.org", "--branch=live", "--airflow-name=a.org", *files)
    kept = answered(monkeypatch, "a/b", flags=flags)
    assert kept == "--repo=a/b\n--branch=live\n--name=d.org\n--airflow-name=a.org\n--tls=acme\n"


def test_an_empty_answer_takes_what_is_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = answered(monkeypatch, "a/b", "", "d.org", "", "", "")
    assert "--branch=main\n--name=d.org\n--airflow-name=airflow.d.org\n" in kept


def test_an_answer_that_can_not_be_is_asked_for_once_more_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "students"
    listed.write_text("amy")
    hosts = ("", "D", "d.org", "a", "")
    repos = ("https://github.com/a/b", "a/b")
    answered(monkeypatch, *repos, "", *hosts, "not-there", str(listed), "")
    told = capsys.readouterr().out
    assert "'https://github.com/a/b' can't be --repo: as in https://github.com/OWNER/NAME" in told
    assert "not-there can't be read" in told


# --- what stands in the machine's way ------------------------------------------------------


def test_an_account_of_somebody_else_is_neither_taken_nor_removed(tmp_path: Path) -> None:
    host = Machine(dry=False)
    with pytest.raises(Failed, match="another user root here, at home in /root"):
        host.user("root", tmp_path)
    host.no_user("root", tmp_path)
    assert host.changed == []


def test_a_unit_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*argv: str) -> str:
        if argv[0] == "systemctl":
            raise Failed("see journalctl")
        return "address already in use\n"

    monkeypatch.setattr(machine, "run", run)
    with pytest.raises(Failed, match=r"see journalctl\naddress already in use"):
        machine.systemctl("restart", unit="caddy")


def test_settings_with_which_a_process_would_not_start_are_refused() -> None:
    wrong = "DEPLOYER_GITHUB_REPO=a/b\nDEPLOYER_PARSE_TIMEOUT=5\nDEPLOYER_POLL_INTERVAL_S=x\n"
    with pytest.raises(Failed, match=r"^DEPLOYER_PARSE_TIMEOUT .*\nDEPLOYER_POLL_INTERVAL_S .*$"):
        wanted.loads(Path(sys.executable), wrong)
    wanted.loads(Path(sys.executable), "DEPLOYER_GITHUB_REPO=a/b\n")


def test_whether_web_answers_is_not_asked_through_the_schools_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: it would stand in the tests' output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setattr(upgrading, "HEALTH", f"http://127.0.0.1:{server.server_port}/healthz")
        monkeypatch.setattr(upgrading, "HEALTHY_WITHIN_S", 0)
        try:
            upgrading.wait_until_it_answers(Machine(dry=False))
        finally:
            server.shutdown()
    assert asked == ["/healthz"]


@pytest.mark.parametrize("dies_at", ["copytree", "rename", "rmtree"])
def test_what_is_moved_to_another_disk_is_whole_in_one_place_whoever_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "webhook_secret").write_text("s")
    rename = Path.rename

    def renames(path: Path, to: Path) -> Path:
        if (path, to) == (old, new):
            raise OSError(errno.EXDEV, "another disk")
        if dies_at == "rename":
            raise KeyboardInterrupt
        return rename(path, to)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", renames)
    if dies_at == "copytree":
        monkeypatch.setattr(shutil, "copytree", dies)
    if dies_at == "rmtree":
        monkeypatch.setattr(shutil, "rmtree", lambda path, **_: None if path == new else dies())
    with pytest.raises(KeyboardInterrupt):
        machine.move(old, new)
    assert old.exists() != new.exists()
    assert [*tmp_path.glob("old/*"), *tmp_path.glob("new/*")] == [
        (old if old.exists() else new) / "webhook_secret"
    ]


@pytest.mark.parametrize("wrong", ["--repo=b", "--name=d", "--airflow-name=d.org {"])
def test_an_answer_that_can_not_be_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Failed, match=wrong.partition("=")[0]):
        answers.read(["--repo=a/b", "--name=d.org", wrong], tmp_path / "none")


def test_a_dry_run_that_nobody_can_be_asked_in_takes_names_that_stand_for_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    given = answers.read(["--dry-run", "--name=d.org"], tmp_path / "none")
    assert (given.repo, given.name) == ("OWNER/NAME", "d.org")
    with pytest.raises(Failed, match="--repo"):
        answers.read(["--name=d.org"], tmp_path / "none")


def test_a_name_that_would_be_two_accounts_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "students"
    listed.write_text("amy # first\n\nBob:x\n")
    with pytest.raises(Failed, match="Bob:x"):
        answers.students(listed)


def test_each_flag_that_the_page_gives_the_installer_is_one_of_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("students.txt", "token"):
        (tmp_path / name).touch()
    lines = [line for line in PAGE.splitlines() if line.startswith("scripts/install")]
    assert len(lines) >= 5
    for line in lines:
        answers.read([*line.split()[1:], "--repo=a/b", "--name=d.org"], tmp_path / "none")


@pytest.mark.parametrize("unit", sorted(path.name for path in (ROOT / "systemd").glob("*.timer")))
def test_the_page_says_what_each_timer_does(unit: str) -> None:
    assert f"| `{unit.removesuffix('.timer')}` |" in PAGE


def test_a_teacher_reads_no_more_than_three_minutes_to_the_first_green_commit() -> None:
    way = PAGE[PAGE.index("## Before you begin") : PAGE.index("## Each week")]
    assert len(way.split()) <= 3 * 210
