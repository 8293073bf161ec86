"""What scripts/install writes, and that docs/install.md speaks of what there is."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest

from scripts.installation import answers, texts
from scripts.installation.machine import Failed

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
