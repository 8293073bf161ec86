"""The installer on a machine of directories: what fails or is cut off loses nothing."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.installation import (
    copies,
    machine,
    places,
    prerequisites,
    removal,
    run,
    upgrading,
    wanted,
)
from scripts.installation.machine import Failed

FLAGS = ("--repo=a/b", "--name=deployer.school.org")
WEB, WORKER = wanted.PROCESSES
SPRING, SUMMER = "pushed in spring", "pushed in summer"
FULL = OSError(28, "No space left on device")


class Host:
    """Stands in for systemd, Caddy, Docker and the deployer's own command; files are real.

    Attributes:
        checkout: the version that the installer is called from.
        wrong: what a command with these words in it raises, one after the other.
        late: what a version that is only just starting makes of the journal (`migrate`).
        silent: versions whose web does not answer.
        stack: the services of Compose that run.
        commands: what was run, in order.
        units: the version on which each unit was last started.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.checkout = root, "v1-1"
        self.wrong: dict[str, list[BaseException]] = {}
        self.late: tuple[str, ...] = ()
        self.silent: set[str] = set()
        self.stack = set(wanted.STACK)
        self.commands: list[str] = []
        self.units: dict[str, str | None] = {}

    def run(self, *argv: str | Path, cwd: Path | None = None, **_: object) -> str:
        command = " ".join(map(str, argv))
        self.commands.append(command)
        for words, wrong in self.wrong.items():
            if wrong and words in command:
                raise wrong.pop(0)
        match [str(word) for word in argv]:
            case ["systemctl", "restart" | "start", *units]:
                self.units |= dict.fromkeys(units, self.version)
            case ["systemctl", "stop", *_] if self.late:
                self.migrate(*self.late)
                self.late = ()
            case [_, "backup", place]:
                assert not Path(place).exists()
                Path(place).write_text(" ".join(self.pushed))
            case ["docker", "compose", "ps", *_]:
                return " ".join(self.stack)
        return ""

    def environment(self, name: str) -> None:
        for part in places.SHARED:
            there, source = places.share(name) / part, places.ROOT / part
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, there)
        for part in ("Caddyfile", "docker-compose.yaml", "systemd/deployer-web.service"):
            with (places.share(name) / part).open("a") as file:
                file.write(f"# {name}\n")
        (places.OPT / name / ".whole").touch()

    def answer(self, _: object) -> None:
        if self.version in self.silent:
            raise Failed("web does not answer")

    def install(self, *flags: str) -> int:
        return run.main([*flags])

    def upgrade(self, to: str, *flags: str) -> int:
        self.checkout = to
        return self.install("--upgrade", *flags)

    def migrate(self, revision: str, *pushed: str) -> None:
        """Have the tables of `revision` in the journal, and these rows more."""
        with closing(sqlite3.connect(places.JOURNAL)) as journal, journal:
            journal.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num)")
            journal.execute("CREATE TABLE IF NOT EXISTS deployments (sha)")
            journal.execute("DELETE FROM alembic_version")
            journal.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
            journal.executemany("INSERT INTO deployments VALUES (?)", [(one,) for one in pushed])

    @property
    def pushed(self) -> list[str]:
        with closing(sqlite3.connect(places.JOURNAL)) as journal:
            return [sha for (sha,) in journal.execute("SELECT sha FROM deployments")]

    @property
    def version(self) -> str | None:
        return places.named_by(places.CURRENT)

    @property
    def previous(self) -> str | None:
        return places.named_by(places.PREVIOUS)

    def etc(self, name: str) -> str:
        return (places.ETC / name).read_text()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """v1-1 was upgraded to v2-2, which brought a migration."""
    host = Host(tmp_path)
    for module in (run, copies, prerequisites, removal, upgrading, wanted, places):
        for name, path in list(vars(module).items()):
            if isinstance(path, Path) and not path.is_relative_to(places.ROOT):
                monkeypatch.setattr(module, name, tmp_path / path.relative_to("/"))
        if hasattr(module, "run"):
            monkeypatch.setattr(module, "run", host.run)
    monkeypatch.setattr(machine, "run", host.run)
    monkeypatch.setattr(machine, "_give", lambda *_: None)
    monkeypatch.setattr(machine, "_is", lambda *_: True)
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(run, "subprocess", SimpleNamespace(run=lambda *_, **__: None))
    for module in (run, upgrading):
        monkeypatch.setattr(module, "needed", lambda *_: None)
        monkeypatch.setattr(module, "accounts_and_folders", lambda *_: None)
    monkeypatch.setattr(upgrading, "wait_until_it_answers", host.answer)
    monkeypatch.setattr(places, "version", lambda: host.checkout)
    monkeypatch.setattr(places, "uv_is_there", lambda: True)
    monkeypatch.setattr(places, "make_environment", host.environment)
    for folder in (
        places.ETC,
        places.OPT,
        places.STATE,
        places.BACKUPS,
        places.UNITS,
        places.CADDYFILE.parent,
        places.LOCK.parent,
        prerequisites.SYSTEMD,
    ):
        folder.mkdir(parents=True)
    assert host.install(*FLAGS) == 0
    host.migrate("0001", SPRING)
    assert host.upgrade("v2-2") == 0
    host.migrate("0002", SUMMER)
    host.commands.clear()
    return host


# --- what fails before anything is put in -------------------------------------------


@pytest.mark.parametrize("flag", ["--students", "--token-file"])
def test_a_file_of_the_teachers_that_is_not_there_changes_nothing(
    host: Host, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert host.upgrade("v3-3", f"{flag}={host.root}/not-there") == 1
    assert "not-there can't be read" in capsys.readouterr().err
    assert host.commands == []
    assert not places.share("v3-3").exists()


def test_a_name_that_can_not_be_changes_nothing(host: Host) -> None:
    listed = host.root / "students"
    listed.write_text("anna\nBernd\n")
    assert host.upgrade("v3-3", f"--students={listed}") == 1
    assert (host.commands, host.version, host.previous) == ([], "v2-2", "v1-1")


@pytest.mark.parametrize("wrong", [Failed("caddy does not start"), FULL])
def test_an_upgrade_that_put_nothing_in_leaves_the_journal_and_the_way_back_alone(
    host: Host, wrong: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    host.wrong["reload-or-restart caddy"] = [wrong]
    assert host.upgrade("v3-3") == 1
    said = capsys.readouterr().err
    assert str(wrong) in said
    assert "v2-2 runs again" in said
    assert host.pushed == [SPRING, SUMMER]
    assert (host.version, host.previous) == ("v2-2", "v1-1")
    assert host.etc("docker-compose.yaml").endswith("# v2-2\n")


def test_no_copy_of_the_journal_is_put_back_where_only_the_one_of_now_has_run(host: Host) -> None:
    """As `previous` and `current` are left by an upgrade of an older installer that failed."""
    places.PREVIOUS.unlink()
    places.PREVIOUS.symlink_to("v2-2")
    assert host.install("--rollback-upgrade") == 0
    assert host.pushed == [SPRING, SUMMER]


# --- what fails once it is put in -----------------------------------------------------


def test_a_version_that_migrates_and_does_not_answer_is_taken_back_with_its_tables(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def migrates(_: object) -> None:
        host.migrate("0003", "pushed to v3")
        raise Failed("web does not answer")

    monkeypatch.setattr(upgrading, "wait_until_it_answers", migrates)
    assert host.upgrade("v3-3") == 1
    assert host.pushed == [SPRING, SUMMER]
    assert (host.version, host.previous, host.units[WEB]) == ("v2-2", "v1-1", "v2-2")


def test_a_full_disk_takes_a_version_back_without_a_traceback(host: Host) -> None:
    host.wrong[f"restart {WORKER}"] = [FULL]
    assert host.upgrade("v3-3") == 1
    assert (host.version, host.units[WEB]) == ("v2-2", "v2-2")


def test_a_way_back_that_fails_says_why_it_began_and_is_gone_on_with(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.wrong["reload-or-restart caddy"] = [Failed("port 80 is taken"), Failed("still taken")]
    assert host.upgrade("v3-3") == 1
    said = capsys.readouterr().err
    assert "port 80 is taken\nand the way back to v2-2 failed: still taken" in said
    assert host.install("--rollback-upgrade") == 0
    assert (host.version, host.previous) == ("v2-2", "v1-1")
    assert host.pushed == [SPRING, SUMMER]


# --- what can't be, and what is the teacher's ------------------------------------------


def test_a_setting_with_which_nothing_would_start_is_refused_and_not_kept(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.OPT / "v2-2/bin").mkdir()
    (places.OPT / "v2-2/bin/python").touch()
    host.wrong["config.load"] = [Failed("python ended with 1:\nDEPLOYER_NO is unknown")]
    assert host.install("--setting=DEPLOYER_NO=1") == 1
    assert capsys.readouterr().err == "scripts/install: DEPLOYER_NO is unknown\n"
    assert not any("systemctl" in command for command in host.commands)
    assert host.install() == 0
    assert "DEPLOYER_NO" not in host.etc("install.conf") + host.etc("deployer-web.env")


def test_what_was_changed_by_hand_in_the_settings_stays_until_a_flag_says_it_anew(
    host: Host,
) -> None:
    for name in ("deployer-web.env", "deployer-worker.env"):
        (places.ETC / name).write_text(host.etc(name).replace("=a/b", "=a/renamed"))
        host.install()
        assert "DEPLOYER_GITHUB_REPO=a/renamed\n" in host.etc(name)
    assert host.install("--repo=a/other") == 0
    assert "DEPLOYER_GITHUB_REPO=a/other\n" in host.etc("deployer-web.env")


def test_a_password_of_airflows_settings_reaches_the_worker(host: Host) -> None:
    env = places.ETC / ".env"
    env.write_text(re.sub("(?m)^(DEPLOYER_AIRFLOW_PASSWORD)=.*$", r"\1=mine", env.read_text()))
    assert host.install() == 0
    assert "DEPLOYER_AIRFLOW_PASSWORD=mine\n" in host.etc("deployer-worker.env")


def test_what_was_added_to_caddys_file_is_kept_beside_the_new_one(host: Host) -> None:
    with places.CADDYFILE.open("a") as file:
        file.write("grafana.school.org {\n}\n")
    assert host.upgrade("v3-3") == 0
    assert "grafana" in places.CADDYS_REPLACED.read_text()
    assert not places.CADDYS_BEFORE.exists()


def test_a_file_of_airflows_that_a_version_no_longer_has_goes_unless_it_was_changed(
    host: Host,
) -> None:
    for name in ("left.py", "mine.py"):
        (places.share("v2-2") / "include/airflow" / name).touch()
        (places.ETC / "include/airflow" / name).write_text("" if name == "left.py" else "mine")
    assert host.upgrade("v3-3") == 0
    assert not (places.ETC / "include/airflow/left.py").exists()
    assert host.etc("include/airflow/mine.py") == "mine"


def test_an_upgrade_without_the_answers_of_before_changes_nothing(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.ETC / "install.conf").unlink()
    assert host.upgrade("v3-3") == 1
    assert "give --repo OWNER/NAME" in capsys.readouterr().err
    assert host.commands == []


def test_what_is_on_the_machine_does_not_run_on_the_checkouts_modules(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(places.ROOT))
    assert host.upgrade("v3-3") == 0
    assert "PYTHONPATH" not in os.environ


def test_a_checkout_where_the_deployer_is_installed_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prerequisites, "ROOT", places.OPT)
    for flags in ((), ("--upgrade",), ("--uninstall",)):
        assert host.install(*flags) == 1
        assert "move it" in capsys.readouterr().err
    assert host.commands == []


def test_without_systemd_nothing_is_begun(host: Host) -> None:
    prerequisites.SYSTEMD.rmdir()
    assert host.install() == 1
    assert host.commands == []


def test_two_at_a_time_are_one_too_many(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    with prerequisites.alone(dry=False):
        assert host.install() == 1
    assert "another scripts/install is at work" in capsys.readouterr().err
    assert host.install() == 0


def test_an_uninstall_makes_no_folder_where_nothing_was(host: Host) -> None:
    shutil.rmtree(places.STATE)
    assert host.install("--uninstall") == 0
    assert not places.STATE.exists()
    assert not places.CHECKOUT.exists()


# --- what is cut off --------------------------------------------------------------------


def cut_off(host: Host, at: str, *flags: str) -> None:
    """Have an upgrade to v3-3, or what the flags say, end at a command as by Ctrl-C."""
    host.wrong[at] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        host.install(*flags) if flags else host.upgrade("v3-3")
    host.commands.clear()


def test_an_upgrade_cut_off_before_it_put_anything_in_is_taken_back_to_what_runs(
    host: Host,
) -> None:
    cut_off(host, "reload-or-restart caddy")
    assert host.etc("docker-compose.yaml").endswith("# v3-3\n")
    assert host.install("--rollback-upgrade") == 0
    assert (host.version, host.previous) == ("v2-2", "v1-1")
    assert host.etc("docker-compose.yaml").endswith("# v2-2\n")
    assert host.pushed == [SPRING, SUMMER]


def test_an_upgrade_cut_off_just_before_current_moved_keeps_the_journal(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = machine.Machine.link

    def dies(this: machine.Machine, path: Path, target: str) -> None:
        if path == places.CURRENT:
            raise KeyboardInterrupt
        link(this, path, target)

    monkeypatch.setattr(machine.Machine, "link", dies)
    with pytest.raises(KeyboardInterrupt):
        host.upgrade("v3-3")
    monkeypatch.setattr(machine.Machine, "link", link)
    assert (host.version, host.previous) == ("v2-2", "v2-2")
    assert host.install("--rollback-upgrade") == 0
    assert host.pushed == [SPRING, SUMMER]


def test_a_way_back_cut_off_before_the_journal_takes_it_back_the_next_time(host: Host) -> None:
    cut_off(host, f"restart {WEB}")
    host.migrate("0003", "pushed to v3")
    host.wrong["systemctl stop"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        host.install("--rollback-upgrade")
    assert host.version == "v2-2"
    assert host.install("--rollback-upgrade") == 0
    assert host.pushed == [SPRING, SUMMER]


def test_an_upgrade_that_is_gone_on_with_is_taken_back_if_it_does_not_answer(host: Host) -> None:
    cut_off(host, f"restart {WEB}")
    host.migrate("0003", "pushed to v3")
    host.silent = {"v3-3"}
    assert host.upgrade("v3-3") == 1
    assert host.pushed == [SPRING, SUMMER]
    assert (host.version, host.previous) == ("v2-2", None)


def test_another_version_does_not_begin_where_an_upgrade_was_cut_off(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(host, "reload-or-restart caddy")
    for flags in (["--upgrade"], []):
        host.checkout = "v4-4" if flags else "v2-2"
        assert host.install(*flags) == 1
        assert "v3-3 is half put in" in capsys.readouterr().err
    assert host.commands == []


def test_a_way_back_waits_for_a_newer_version_that_migrates_only_then(host: Host) -> None:
    cut_off(host, f"restart {WEB}")
    host.late = ("0003", "pushed to v3")
    assert host.install("--rollback-upgrade") == 0
    assert host.pushed == [SPRING, SUMMER]
    assert host.version == "v2-2"


# --- what was changed, and not brought to its consequence ---------------------------------

BUILD, MAKE_ACCOUNTS = "docker compose build", "docker compose up --detach --no-deps airflow-init"


@pytest.mark.parametrize(
    "left",
    ["systemctl daemon-reload", "systemctl reload-or-restart caddy", f"restart {WEB}", BUILD],
)
def test_an_upgrade_that_was_cut_off_is_brought_to_its_end_by_the_next_run(
    host: Host, left: str
) -> None:
    cut_off(host, left)
    assert host.upgrade("v3-3") == 0
    assert any(left in command for command in host.commands)
    assert host.units == dict.fromkeys(wanted.PROCESSES, "v3-3")


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ("DEPLOYER_KEEP_RELEASES=4", f"restart {WEB}"),
        ("DEPLOYER_KEEP_RELEASES=4", f"restart {WORKER}"),
        ("AIRFLOW_PARALLELISM=3", BUILD),
    ],
)
def test_a_setting_that_was_not_taken_is_taken_by_the_next_run(
    host: Host, setting: str, left: str
) -> None:
    host.wrong[left] = [Failed("not now")]
    assert host.install(f"--setting={setting}") == 1
    host.commands.clear()
    assert host.install() == 0
    assert any(left in command for command in host.commands)


@pytest.mark.parametrize("left", [MAKE_ACCOUNTS, "up --detach --wait"])
def test_accounts_that_were_not_made_are_made_by_the_next_run(host: Host, left: str) -> None:
    listed = host.root / "students"
    listed.write_text("amy\n")
    if left != MAKE_ACCOUNTS:
        host.stack.clear()  # it is started first, which makes them too
    cut_off(host, left, f"--students={listed}")
    host.stack |= wanted.STACK
    assert host.install() == 0
    assert MAKE_ACCOUNTS in host.commands


def test_what_was_brought_to_its_end_is_not_done_again(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(host, f"restart {WEB}")
    assert host.upgrade("v3-3") == 0
    capsys.readouterr()
    assert host.upgrade("v3-3") == 0
    assert capsys.readouterr().out == "nothing to change\n"


def test_what_was_taken_back_leaves_nothing_to_be_done(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.silent = {"v3-3"}
    assert host.upgrade("v3-3") == 1
    capsys.readouterr()
    host.checkout = "v2-2"
    assert host.install() == 0
    assert capsys.readouterr().out == "nothing to change\n"


def test_a_dry_run_tells_what_was_left_and_leaves_it(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(host, f"restart {WEB}")
    for _ in range(2):
        capsys.readouterr()
        assert host.upgrade("v3-3", "--dry-run") == 0
        assert f"would do: restart {WEB}\n" in capsys.readouterr().out


@pytest.mark.parametrize("left", ["systemctl daemon-reload", "systemctl reload-or-restart caddy"])
def test_what_an_uninstall_left_is_done_by_the_next_one(host: Host, left: str) -> None:
    places.CADDYS_BEFORE.touch()
    cut_off(host, left, "--uninstall")
    assert host.install("--uninstall") == 0
    assert left in host.commands
    assert not places.OPT.exists()


# --- the backup of before -----------------------------------------------------------------


def test_each_try_of_an_upgrade_makes_its_backup_anew(host: Host) -> None:
    host.silent = {"v3-3"}
    assert host.upgrade("v3-3") == 1
    host.migrate("0002", "pushed in autumn")
    host.silent.clear()
    assert host.upgrade("v3-3") == 0
    assert backups() == {"before-v2-2.backup", "before-v3-3.backup"}
    assert "pushed in autumn" in (places.BACKUPS / "before-v3-3.backup").read_text()


def test_a_backup_that_fails_leaves_the_one_of_the_try_before(host: Host) -> None:
    host.silent = {"v3-3"}
    assert host.upgrade("v3-3") == 1
    before = (places.BACKUPS / "before-v3-3.backup").read_text()
    host.wrong[" backup "] = [Failed("Docker does not answer")]
    host.migrate("0002", "pushed in autumn")
    assert host.upgrade("v3-3") == 1
    assert (places.BACKUPS / "before-v3-3.backup").read_text() == before


def test_a_backup_that_was_cut_off_is_not_in_the_way_of_the_next(host: Host) -> None:
    (places.BACKUPS / "before-v3-3.backup.new").touch()
    assert host.upgrade("v3-3") == 0
    assert backups() == {"before-v2-2.backup", "before-v3-3.backup"}


def test_a_backup_goes_with_the_environment_of_its_version(host: Host) -> None:
    assert host.upgrade("v3-3") == 0
    (places.BACKUPS / "before-v2-2.backup.new").touch()  # as a cut off one leaves it
    assert host.upgrade("v4-4") == 0
    assert not (places.OPT / "v2-2").exists()
    assert backups() == {"before-v3-3.backup", "before-v4-4.backup"}


def backups() -> set[str]:
    return {path.name for path in places.BACKUPS.glob("*.backup*")}
