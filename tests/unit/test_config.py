"""Settings: four sources, one round of mistakes, no secret in any text."""

from __future__ import annotations

import os
import re
import subprocess
import traceback
from contextlib import nullcontext
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from deployer import app
from deployer.config import PREFIX, Settings, load
from deployer.core.settings import (
    Secret,
    branch_name,
    in_plain,
    passwords_within,
    scheme_of,
    secrets_within,
)
from deployer.errors import SettingsError

README = Path(__file__).parents[2] / "README.md"
LEAST = {"DEPLOYER_GITHUB_REPO": "class/airflow-class"}
SECRET, OTHER = "correct horse 01", "battery staple 2"


def loaded(**given: str) -> Settings:
    """Load the least that is needed, and `given`, by lower-case names."""
    return load(LEAST | {f"{PREFIX}{name.upper()}": value for name, value in given.items()})


def mistakes(environ: dict[str, str], *, needs: tuple[str, ...] = ()) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ, needs=needs)
    return caught.value.mistakes


def mistake(**given: str) -> str:
    """Return the only mistake in `given`."""
    (only,) = mistakes(LEAST | {f"{PREFIX}{name.upper()}": v for name, v in given.items()})
    return only


def revealed(secrets: tuple[SettingsError | Settings, ...]) -> str:
    """Return everything that a log or a screen could show of them."""
    shown = [repr(secrets), str(secrets)]
    for thing in secrets:
        shown += [repr(thing), str(thing)]
        if isinstance(thing, SettingsError):
            shown += traceback.format_exception(thing)
    return "\n".join(shown)


def secrets_of(found: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in found.webhook_secret]


# --- what is given, what is not ------------------------------------------------


def test_with_the_repository_alone_all_else_has_a_default() -> None:
    found = load(LEAST)
    assert (found.github_repo, found.branch, found.bind) == (
        "class/airflow-class",
        "main",
        "127.0.0.1:9000",
    )
    assert found.repo_url == "https://github.com/class/airflow-class.git"
    assert found.journal_url == "sqlite:////var/lib/deployer/deployer.db"
    assert (found.github_token, found.public_url, found.webhook_secret) == (None, None, ())


def test_what_is_given_is_read_as_what_it_is() -> None:
    found = loaded(
        state_dir="/tmp/state",  # noqa: S108 - nothing is written there
        parse_timeout_s="2.5",
        keep_releases="3",
        keep_days="7",
        compose_project="my_class-2",
        recreate_services="airflow-scheduler, airflow-worker,",
        public_url="https://deploy.example.org/class/",
        github_token="ghp_abc",
    )
    assert found.state_dir == Path("/tmp/state")  # noqa: S108 - as above
    assert (found.parse_timeout_s, found.keep_releases, found.keep_days) == (2.5, 3, 7)
    assert found.compose_project == "my_class-2"
    assert found.recreate_services == ("airflow-scheduler", "airflow-worker")
    assert found.public_url == "https://deploy.example.org/class"
    assert found.github_token is not None
    assert found.github_token.get_secret_value() == "ghp_abc"


def test_an_empty_value_is_one_that_was_not_given() -> None:
    found = loaded(branch="", github_token="", database_url="", repo_url="", public_url="")
    assert found == load(LEAST)
    assert mistakes({"DEPLOYER_GITHUB_REPO": ""}) == ("DEPLOYER_GITHUB_REPO is required",)


def test_a_misspelt_name_that_begins_like_a_required_one_hides_nothing() -> None:
    found = mistakes({"DEPLOYER_GITHUB_REPOSITORY": "class-org/class"})
    assert found[0] == "DEPLOYER_GITHUB_REPO is required"
    assert found[1].startswith("DEPLOYER_GITHUB_REPOSITORY is not a setting of the deployer")


def test_blanks_around_a_value_are_none_of_it(tmp_path: Path) -> None:
    file = env_file(tmp_path / "env", "DEPLOYER_BRANCH=' live '\nDEPLOYER_BIND=' '\n")
    found = load(
        {**file, "DEPLOYER_GITHUB_REPO": " a/b\n", "DEPLOYER_STATE_DIR": f" {tmp_path} "}
        | {"DEPLOYER_KEEP_RELEASES": " 3", "DEPLOYER_PUBLIC_URL": "  "}
    )
    assert (found.github_repo, found.branch, found.keep_releases) == ("a/b", "live", 3)
    assert found.state_dir == tmp_path
    assert (found.public_url, found.bind) == (None, loaded().bind)


def test_an_address_for_git_that_is_given_is_not_derived() -> None:
    assert loaded(repo_url="file:///srv/class.git").repo_url == "file:///srv/class.git"


def test_a_database_url_is_the_journals() -> None:
    found = loaded(database_url="postgresql://deployer:word@db/journal")
    assert found.journal_url == "postgresql://deployer:word@db/journal"


def test_names_without_the_prefix_are_somebody_elses() -> None:
    assert load(LEAST | {"BRANCH": "other", "AIRFLOW__CORE__X": "y"}) == load(LEAST)


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        loaded().branch = "other"  # type: ignore[misc]


# --- mistakes ------------------------------------------------------------------


def test_all_mistakes_are_reported_at_once() -> None:
    found = mistakes(
        {
            "DEPLOYER_BRNACH": "main",
            "DEPLOYER_KEEP_RELEASES": "0",
            "DEPLOYER_SERVICES": "swarm",
            "DEPLOYER_PARSE_TIMEOUT_S": "-1",
            "DEPLOYER_WEBHOOK_SECRET": "short",
            "DEPLOYER_BIND": "9000",
            "DEPLOYER_ENV_FILE": "/nowhere/env",
            "DEPLOYER_GITHUB_TOKEN_FILE": "/nowhere/token",
        }
    )
    assert found == (
        "DEPLOYER_BIND must be host:port or unix:/path; for all addresses use 0.0.0.0:port",
        "DEPLOYER_BRNACH is not a setting of the deployer; did you mean DEPLOYER_BRANCH?",
        "DEPLOYER_ENV_FILE /nowhere/env can't be read: No such file or directory",
        "DEPLOYER_GITHUB_TOKEN_FILE: /nowhere/token can't be read: No such file or directory",
        "DEPLOYER_KEEP_RELEASES must be a whole number from 1 to 10000",
        (
            "DEPLOYER_PARSE_TIMEOUT_S must be a number of seconds without a unit, "
            "more than 0 and 86400 at most"
        ),
        "DEPLOYER_SERVICES must be compose or local",
        "DEPLOYER_WEBHOOK_SECRET must have at least 16 characters in each secret",
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEPLOYER_branch", "DEPLOYER_BRANCH"),
        ("DEPLOYER_BRANCH_FILE", None),
        ("DEPLOYER_WEBHOOK_SECRETS", "DEPLOYER_WEBHOOK_SECRET"),
        ("DEPLOYER_HEALTH_TIMEOUT", "DEPLOYER_HEALTH_TIMEOUT_S"),
        ("DEPLOYER_GITHUB_TOKEN_FLIE", "DEPLOYER_GITHUB_TOKEN_FILE"),
        ("DEPLOYER_ENVFILE", "DEPLOYER_ENV_FILE"),
        ("DEPLOYER_", None),
        ("DEPLOYER_COLOUR_OF_THE_SKY", None),
    ],
)
def test_an_unknown_name_is_a_mistake_and_what_was_meant_is_named(
    name: str, meant: str | None
) -> None:
    hint = f"; did you mean {meant}?" if meant else ""
    assert mistakes({**LEAST, name: "x"}) == (f"{name} is not a setting of the deployer{hint}",)


@pytest.mark.parametrize("text", ["3m", "180s", "3 min", "1h", "0x10"])
def test_seconds_with_a_unit_are_told_to_have_none(text: str) -> None:
    assert mistake(health_timeout_s=text).startswith(
        "DEPLOYER_HEALTH_TIMEOUT_S must be a number of seconds without a unit"
    )


def test_what_a_command_needs_is_a_mistake_where_it_is_missing() -> None:
    found = mistakes({}, needs=("webhook_secret",))
    assert found == ("DEPLOYER_GITHUB_REPO is required", "DEPLOYER_WEBHOOK_SECRET is required")
    assert loaded(webhook_secret=SECRET).webhook_secret


FOLDERS = ("state_dir", "checkout_dir", "compose_file")


def test_one_mistake_is_not_reported_twice() -> None:
    for wrong in ({"WEBHOOK_SECRET": "short"}, {"WEBHOOK_SECRET_FILE": "/nowhere"}):
        environ = LEAST | {f"{PREFIX}{name}": value for name, value in wrong.items()}
        assert len(mistakes(environ, needs=("webhook_secret",))) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("github_repo", bad) for bad in ("class", "a/b/c", "https://github.com/a/b", "a/..")),
        *(("github_repo", bad) for bad in ("a/.", "-a/b", "a b/c", "a/b\nc")),
        *(
            ("branch", bad)
            for bad in ("-x", "a..b", "a/.b", "a.lock/b", "HEAD", "a b", "/a", "é\nb")
        ),
        *(("branch", bad) for bad in ("--upload-pack=touch x", "-d")),
        *(
            ("repo_url", bad)
            for bad in ("--upload-pack=touch /x", "fd::17", "git://host/o/n.git", "https://h/x\ny")
        ),
        *(
            ("repo_url", bad)
            for bad in (
                "-oProxyCommand=x",
                "ext::sh -c x",
                "ftp://h/x",
                "http://[",
                "https://h/\x1b[2J",
            )
        ),
        *(("github_api_url", bad) for bad in ("api.github.com", "ftp://h", "http://", "//h")),
        *(
            ("airflow_url", bad)
            for bad in ("http://h:99999", "http://h:x", "http://[::1", "http:/h")
        ),
        *(("public_url", bad) for bad in ("https://h/?a=b", "https://h/#a", "https://h h/", "x")),
        *(
            ("bind", bad)
            for bad in ("localhost", ":80", "h:", "h:65536", "::1:80", "h:8\n0", "h:x")
        ),
        *(("bind", bad) for bad in ("[]:80", "[:::::]:1", "[1.2.3.4]:1", "*:80", "[::1:80")),
        *(("bind", bad) for bad in ("unix:relative", "unix:", "http://h:80", "h:\uff11\uff12")),
        *(("services", bad) for bad in ("swarm", "Compose")),
        *(("recreate_services", bad) for bad in (",", " , ", "a b", "--all", "a,$x")),
        *(("compose_project", bad) for bad in ("Class", "-x", "a b", "a/b")),
        *(("keep_releases", bad) for bad in ("0", "-1", "x", "10001", "1.5")),
        *(("keep_days", bad) for bad in ("0", "-1", "x", "3651", "1.5")),
        *(("poll_interval_s", bad) for bad in ("0", "-1", "x", "nan", "inf", "86401")),
        *(("webhook_secret", bad) for bad in ("x" * 15, f"{SECRET},short", ",", " , ")),
        *(("github_token", bad) for bad in ("a b", "a\nb", "tök")),
        *(("notify_urls", bad) for bad in (",", "mail", "json://", "json://h/x mail", "a b://h")),
        *(("database_url", bad) for bad in ("mysql://h/x", "/var/lib/x.db", "deployer.db")),
        *(("database_url", f"sqlite:{bad}") for bad in ("//", "///", "///:memory:", "//var/x.db")),
        *(("database_url", f"sqlite:{bad}") for bad in ("///:memory:?cache=shared", "///?a=b")),
        *(("database_url", f"sqlite:{bad}") for bad in ("////", "////srv/", "////srv/?a=b")),
        *(("repo_url", bad) for bad in ("https://", "http:///o/n", "ssh://", "https://:443/o/n")),
        *((name, bad) for name in FOLDERS for bad in ("~", "~/x", "$HOME/x", "${HOME}/x")),
    ],
)
def test_a_wrong_value_is_a_mistake_of_its_name(name: str, value: str) -> None:
    said = mistake(**{name: value})
    assert said.startswith(f"{PREFIX}{name.upper()} ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("github_repo", good)
            for good in ("a/b", "my-class/airflow_2.x", "student_corp/.github")
        ),
        *(("repo_url", good) for good in ("git@github.com:a/b.git", "ssh://git@h:22/a", "/srv/r")),
        *(
            ("bind", good)
            for good in ("[::1]:9000", "0.0.0.0:80", "localhost:0", "unix:/run/d.sock")
        ),
        *(("branch", good) for good in ("main", "feature/x", "v1.0", "løn", "a@b")),
        *(("airflow_url", good) for good in ("http://[::1]:8080", "https://airflow.example.org/x")),
        *(
            ("database_url", good)
            for good in (
                "postgresql+psycopg://h/x",
                "postgresql://u:a/b:c?d@[::1]:5432/x?sslmode=require",
                "postgresql://u:p%40@h:/x",
                "postgresql:///x?host=/run/postgresql",
                "sqlite:////srv/a@b/c@d.db",
                "sqlite:///here.db",
            )
        ),
        *(("repo_url", good) for good in ("file:///srv/r", "h:a://b")),
        ("services", "local"),
    ],
)
def test_a_right_value_is_taken_as_it_is(name: str, value: str) -> None:
    found = getattr(loaded(**{name: value}), name)
    assert getattr(found, "get_secret_value", lambda: found)() == value


# --- git's own rules -----------------------------------------------------------


pieces = st.lists(st.sampled_from([*"ab.@{}/-~^:?*[\\ \x7fé", ".lock", "HEAD"]), max_size=5)


@settings(max_examples=100)
@given(pieces.map("".join))
def test_a_branch_is_taken_if_git_would_take_it(name: str) -> None:
    git = ["git", "check-ref-format", "--branch", name]
    taken = subprocess.run(git, check=False, capture_output=True, cwd=os.sep).returncode == 0
    with nullcontext() if taken else pytest.raises(ValueError, match="no name of a git branch"):
        assert branch_name(name) == name


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("https://github.com/a/b.git", "https"),
        ("git@github.com:a/b.git", "ssh"),
        ("./a:b", "file"),
        ("", None),
        ("ext::sh", None),
        ("--upload-pack=x", None),
        ("git://h/x", None),
        ("https://h/\n", None),
    ],
)
def test_an_address_needs_one_known_protocol(url: str, scheme: str | None) -> None:
    assert scheme_of(url) == scheme


# --- the file of settings --------------------------------------------------------


def env_file(path: Path, text: str | bytes) -> dict[str, str]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {"DEPLOYER_ENV_FILE": str(path)}


def test_a_file_may_hold_the_settings(tmp_path: Path) -> None:
    given_there = env_file(
        tmp_path / "env",
        "# the class of spring\n"
        "DEPLOYER_GITHUB_REPO=class/airflow-class\n\n"
        "export DEPLOYER_BRANCH='live'\n"
        'DEPLOYER_AIRFLOW_PASSWORD="a$HOME #1"\r\n'
        "COMPOSE_PROJECT_NAME=class\n"
        "DEPLOYER_PUBLIC_URL=\n",
    )
    found = load(given_there)
    assert (found.github_repo, found.branch) == ("class/airflow-class", "live")
    assert found.airflow_password is not None
    assert found.airflow_password.get_secret_value() == "a$HOME #1"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    given_there = env_file(tmp_path / "env", "DEPLOYER_GITHUB_REPO=a/b\nDEPLOYER_BRANCH=there\n")
    assert load(given_there | {"DEPLOYER_BRANCH": "here"}).branch == "here"
    assert load(given_there | {"DEPLOYER_BRANCH": ""}).branch == "there"


def test_mistakes_in_the_file_are_reported_with_all_others(tmp_path: Path) -> None:
    path = tmp_path / "env"
    given_there = env_file(
        path, "DEPLOYER_GITHUB_REPO=x\n\n\n=oops\nDEPLOYER_BRNACH=main\nDEPLOYER_ENV_FILE=more\n"
    )
    assert mistakes(given_there, needs=("webhook_secret",)) == (
        "DEPLOYER_BRNACH is not a setting of the deployer; did you mean DEPLOYER_BRANCH?",
        f"DEPLOYER_ENV_FILE {path}, line 4: can't be understood",
        "DEPLOYER_ENV_FILE is not a setting of the deployer",
        "DEPLOYER_GITHUB_REPO must be owner/name",
        "DEPLOYER_WEBHOOK_SECRET is required",
    )


def test_of_a_name_that_stands_in_the_file_twice_the_last_counts(tmp_path: Path) -> None:
    twice = env_file(tmp_path / "env", "DEPLOYER_BRANCH=a\nDEPLOYER_BRANCH=b\n")
    assert load(LEAST | twice).branch == "b"
    emptied = env_file(tmp_path / "env", "DEPLOYER_BRANCH=a b\nDEPLOYER_BRANCH=\n")
    assert load(LEAST | emptied) == load(LEAST)


def test_an_unknown_name_is_a_mistake_even_without_a_value(tmp_path: Path) -> None:
    environ = env_file(tmp_path / "env", "DEPLOYER_BRNACH=\nDEPLOYER_BIDN\n")
    assert mistakes({**LEAST, **environ, "DEPLOYER_KEEP_DAY": " "}) == (
        "DEPLOYER_BIDN is not a setting of the deployer; did you mean DEPLOYER_BIND?",
        "DEPLOYER_BRNACH is not a setting of the deployer; did you mean DEPLOYER_BRANCH?",
        "DEPLOYER_KEEP_DAY is not a setting of the deployer; did you mean DEPLOYER_KEEP_DAYS?",
    )


def test_a_file_that_is_no_text_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "env"
    found = mistakes(LEAST | env_file(path, b"DEPLOYER_BRANCH=\xff\n"))
    assert found == (f"DEPLOYER_ENV_FILE {path} can't be read: not UTF-8",)
    assert mistakes(env_file(path, b"\xff"), needs=("webhook_secret",)) == found
    assert mistakes({**LEAST, "DEPLOYER_ENV_FILE": str(tmp_path)}) == (
        f"DEPLOYER_ENV_FILE {tmp_path} can't be read: Is a directory",
    )


# --- secrets ---------------------------------------------------------------------


def test_secrets_are_rotated_by_naming_both() -> None:
    assert secrets_of(loaded(webhook_secret=f"{SECRET}, {OTHER}")) == [SECRET, OTHER]


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET},{OTHER}\n", encoding="utf-8-sig")  # as editors of Windows do
    environ = {**LEAST, "DEPLOYER_WEBHOOK_SECRET_FILE": str(path)}
    assert secrets_of(load(environ, needs=("webhook_secret",))) == [SECRET, OTHER]


def test_a_file_of_a_secret_may_be_named_in_the_file_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    environ = env_file(tmp_path / "env", f"DEPLOYER_WEBHOOK_SECRET_FILE={path}\n")
    assert secrets_of(load(LEAST | environ)) == [SECRET]


def test_a_file_of_several_lines_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n{OTHER}\n")
    assert mistake(webhook_secret_file=str(path)) == (
        f"DEPLOYER_WEBHOOK_SECRET_FILE: {path} holds more than one line"
    )
    path.write_text("short")
    assert mistake(webhook_secret_file=str(path)) == (
        f"DEPLOYER_WEBHOOK_SECRET_FILE: {path} must have at least 16 characters in each secret"
    )


def test_a_file_of_a_secret_that_is_empty_is_a_mistake_where_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("\n")
    environ = {**LEAST, "DEPLOYER_WEBHOOK_SECRET_FILE": str(path)}
    assert load(environ) == load(LEAST)
    assert mistakes(environ, needs=("webhook_secret",)) == (
        f"DEPLOYER_WEBHOOK_SECRET_FILE: {path} is empty",
    )


def test_a_credential_that_is_empty_is_a_mistake_where_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "webhook_secret"
    path.touch()
    environ = {**LEAST, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(environ) == load(LEAST)
    assert mistakes(environ, needs=("webhook_secret",)) == (
        f"DEPLOYER_WEBHOOK_SECRET: {path} is empty",
    )
    assert load(environ | {"DEPLOYER_WEBHOOK_SECRET": SECRET}, needs=("webhook_secret",))


def test_systemds_credentials_are_secrets(tmp_path: Path) -> None:
    (tmp_path / "webhook_secret").write_text(f"{SECRET}\n")
    (tmp_path / "branch").write_text("not a secret, not ours")
    found = load({**LEAST, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert secrets_of(found) == [SECRET]
    assert found.github_token is None
    assert found.branch == "main"


def test_a_credential_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "github_token").mkdir()
    assert mistakes({**LEAST, "CREDENTIALS_DIRECTORY": str(tmp_path)}) == (
        f"DEPLOYER_GITHUB_TOKEN: {tmp_path / 'github_token'} can't be read: Is a directory",
    )


def test_the_value_wins_over_the_file_and_the_file_over_the_credential(tmp_path: Path) -> None:
    (tmp_path / "webhook_secret").write_text("by credential 01")
    (tmp_path / "file").write_text("by its own file 1")
    environ = {**LEAST, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    environ["DEPLOYER_WEBHOOK_SECRET_FILE"] = str(tmp_path / "file")
    assert secrets_of(load(environ)) == ["by its own file 1"]
    environ |= env_file(tmp_path / "env", "DEPLOYER_WEBHOOK_SECRET='by the env file'\n")
    assert mistakes(environ) != ()  # 15 characters: it is the one that counts
    environ["DEPLOYER_WEBHOOK_SECRET"] = SECRET
    assert secrets_of(load(environ)) == [SECRET]


def test_settings_show_no_secret() -> None:
    found = loaded(
        webhook_secret=f"{SECRET},{OTHER}",
        github_token="ghp_abc",
        airflow_password="hunter2",
        database_url="postgresql://deployer:swordfish@db/journal",
    )
    shown = revealed((found,))
    for secret in (SECRET, OTHER, "ghp_abc", "hunter2", "swordfish"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook_secret", "swordfish"),
        ("github_token", "swordfish and more"),
        ("database_url", "mysql://deployer:swordfish@db/journal"),
        *(
            ("database_url", f"postgresql://deployer:{bad}")
            for bad in (
                "swordfish@h:port/db",
                "swordfish@h:54 32/db",
                "swordfish@h:65536/db",
                "swordfish@h:123456/db",
                "swordfish@[::1/db",
                "swordfish@::1]/db",
                "sword[swordfish@h/db",
                "sword@swordfish@h/db",
                "sword@swordfish/db@h",
                "swordfish",
            )
        ),
        ("repo_url", "https://deployer:swordfish@github.com/a/b"),
        ("repo_url", "https://swordfish@github.com/a/b"),
        ("repo_url", "ssh://git:swordfish@github.com/a/b"),
        ("repo_url", "https://deployer:swordfish/x@github.com/a/b"),
        ("airflow_url", "http://admin:swordfish@127.0.0.1:8080"),
        ("airflow_url", "http://admin:swordfish"),
        ("public_url", "https://swordfish@deploy.example.org"),
        ("github_api_url", "https://swordfish@api.github.com"),
    ],
)
def test_no_mistake_shows_a_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({**LEAST, f"{PREFIX}{name.upper()}": value, "DEPLOYER_KEEP_RELEASES": "x"})
    assert len(caught.value.mistakes) == 2
    assert "swordfish" not in revealed((caught.value,))


# --- the README ------------------------------------------------------------------


def test_the_readme_lists_every_setting_with_its_default() -> None:
    table = re.search(
        r"<!-- settings -->(.*)<!-- /settings -->", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert table, "the README's settings stand between <!-- settings --> and <!-- /settings -->"
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+) \| (.+) \|$", table[1], re.MULTILINE)
    found = {name.lower(): default.strip() for name, _meaning, default in rows}
    assert list(found) == [one.name for one in fields(Settings)]
    for name, default in found.items():
        assert default.startswith(expected_in_readme(name)), name


def expected_in_readme(name: str) -> str:
    """Return what a setting's default begins with, as the README says it."""
    special = {
        "github_repo": "required",
        "webhook_secret": "required",
        "repo_url": "`https://github.com/<GITHUB_REPO>.git`",
        "database_url": "SQLite file in `STATE_DIR`",
        "notify_urls": "none",
    }
    default = next(one.default for one in fields(Settings) if one.name == name)
    if name in special:
        return special[name]
    if default is None:
        return "none"
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


def test_a_token_is_read_again_where_it_comes_from_and_the_last_one_stays(tmp_path: Path) -> None:
    file, hidden = tmp_path / "token", list[str]()
    environ = LEAST | {"DEPLOYER_GITHUB_TOKEN_FILE": str(file)}
    token_now = app.TokenNow(environ, Secret("first-token"), hidden.append)
    for token in ("first-token", "second-token"):
        file.write_text(f"{token}\n")
        assert token_now() == Secret(token)
    assert hidden == ["second-token"]
    file.write_text("")
    assert token_now() == Secret("second-token")
    file.unlink()
    with capture_logs():
        assert token_now() == Secret("second-token")


def test_addresses_of_apprise_may_hold_commas_and_are_secrets() -> None:
    found = loaded(notify_urls="mailto://me:hush@h?to=a@h.dk,b@h.dk, discord://1234/abcd\n")
    assert [url.get_secret_value() for url in found.notify_urls] == [
        "mailto://me:hush@h?to=a@h.dk,b@h.dk",
        "discord://1234/abcd",
    ]
    assert "hush" not in repr(found)


@pytest.mark.parametrize(
    ("address", "secret", "shown"),
    [
        ("mailto://me:hush@smtp1.example.org", "hush", "smtp1.example.org"),
        ("tgram://123456789:AAbb-cc1/42", "AAbb-cc1", "42"),
        ("https://hooks.slack.com/services/T0001234/B0001234", "B0001234", "services"),
        ("discord://1234567890/s%2Fcret-token1", "s/cret-token1", "discord"),
    ],
)
def test_what_is_secret_in_an_address_is_known_by_itself(
    address: str, secret: str, shown: str
) -> None:
    found = secrets_within(address)
    assert address in found
    assert secret in found
    assert shown not in found


def test_a_secret_is_told_in_plain_where_there_is_one() -> None:
    assert [in_plain(Secret("hunter2")), in_plain(None)] == ["hunter2", None]


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql://u:hu%40sh@h/db", {"hu%40sh", "hu@sh"}),
        ("postgresql+psycopg://u:h/ush@h:5432/db?sslmode=require", {"h/ush"}),
        ("postgresql://u@h/db", set()),
        ("sqlite:////var/lib/deployer/deployer.db", set()),
    ],
)
def test_a_databases_password_is_known_as_it_stands_and_as_it_is_used(
    url: str, passwords: set[str]
) -> None:
    assert set(passwords_within(url)) == passwords
