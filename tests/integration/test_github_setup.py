"""`deployer github`, and failed deliveries, against GitHub's description of its webhooks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deployer import app, config
from deployer.app.doctor import our_hook
from deployer.cli import main
from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.settings import Secret
from deployer.demo.stage import free_port
from deployer.doctor.github import OurHook
from deployer.edges.github.hooks import Hooks
from deployer.errors import OperatorError
from tests.classrepo import ClassRepo
from tests.fakes.github_hooks import REPO, TOKEN, GitHubHooks, github_hooks

PUBLIC = "https://class.example.org"
URL, PAGE = f"{PUBLIC}/webhook", f"https://github.com/{REPO}/settings/hooks"
SECRET = "a-webhook-secret-1"
NOW = datetime.now(UTC)
Command = Callable[..., tuple[int, dict[str, list[str]]]]


@pytest.fixture
def github() -> Iterator[GitHubHooks]:
    with github_hooks() as served:
        yield served


@pytest.fixture
def hook(github: GitHubHooks) -> OurHook:
    return OurHook(Hooks(github.url, REPO, Secret(TOKEN)), URL, PAGE)


@pytest.fixture
def command(
    github: GitHubHooks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Return what runs `deployer github`, and returns its exit status and lines by name."""
    host = ClassRepo(tmp_path / "host")
    host.write("dags/a.py", "1")
    host.commit()
    for name in [name for name in os.environ if name.startswith("DEPLOYER_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GITHUB_REPO": REPO,
        "GITHUB_API_URL": github.url,
        "GITHUB_TOKEN": TOKEN,
        "REPO_URL": host.url,
        "PUBLIC_URL": PUBLIC,
        "WEBHOOK_SECRET": f"{SECRET}, an-older-secret-2",
        "CHECKOUT_DIR": str(tmp_path / "srv"),
    }.items():
        monkeypatch.setenv(f"DEPLOYER_{name}", value)

    def run(*args: str) -> tuple[int, dict[str, list[str]]]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(("github", *args))
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err
        assert TOKEN not in said.out + said.err
        rows = [line.split("\t") for line in said.out.splitlines() if "\t" in line]
        return int(exited.value.code or 0), {row[1]: row for row in rows}

    return run


# --- the webhook -----------------------------------------------------------------


def test_the_hook_is_made_and_a_second_run_changes_nothing(
    github: GitHubHooks, command: Command
) -> None:
    status, said = command()
    assert status == 0
    assert said["webhook"][2] == f"made as number 1: {URL}, json, push"
    assert list(said) == ["GitHub token", "repository", "webhook"]
    (made,) = github.hooks
    assert made["config"] == {
        "url": URL,
        "content_type": "json",
        "insecure_ssl": "0",
        "secret": SECRET,
    }
    assert (made["events"], made["active"]) == (["push"], True)
    status, said = command()
    assert status == 0
    assert said["webhook"][2].startswith("number 1 is as it should be")
    assert github.wrote == [f"POST /repos/{REPO}/hooks"]


def test_a_dry_run_writes_nothing(github: GitHubHooks, command: Command) -> None:
    status, said = command("--dry-run")
    assert (status, github.hooks) == (0, [])
    assert said["webhook"][2].startswith("would be made: ")
    github.add(URL, content_type="form")
    status, said = command("--dry-run")
    assert said["webhook"][2] == "number 1 would be mended: the content type is not json"
    assert github.hooks[0]["config"]["content_type"] == "form"


def test_a_hook_made_by_hand_is_mended(github: GitHubHooks, hook: OurHook) -> None:
    github.add("https://ci.example.org/webhook", content_type="form")
    github.add(URL, content_type="form", insecure_ssl="1", secret="")
    said = hook.set_up(SECRET, anew=False, dry_run=False)
    assert said.startswith("number 2 was mended: the content type is not json, ")
    assert github.hooks[0]["config"]["content_type"] == "form"
    assert github.hooks[1]["config"]["secret"] == SECRET
    assert github.wrote == [f"PATCH /repos/{REPO}/hooks/2"]
    assert "is as it should be" in hook.set_up(SECRET, anew=False, dry_run=False)


def test_a_hook_whose_deliveries_are_answered_401_gets_our_secret(
    github: GitHubHooks, hook: OurHook
) -> None:
    github.add(URL, secret="a-secret-of-others", last_code=401)
    assert "the secrets differ" in hook.set_up(SECRET, anew=False, dry_run=False)
    assert github.hooks[0]["config"]["secret"] == SECRET


def test_a_secret_is_rotated_by_setting_it_anew(github: GitHubHooks, command: Command) -> None:
    github.add(URL, secret="an-older-secret-2")
    assert command("--secret")[0] == 0
    assert github.hooks[0]["config"]["secret"] == SECRET


def test_two_hooks_to_one_address_are_told(github: GitHubHooks, hook: OurHook) -> None:
    github.add(URL)
    github.add(URL)
    with pytest.raises(Ailment, match="2 webhooks deliver"):
        hook.set_up(SECRET, anew=False, dry_run=False)


@pytest.mark.parametrize("may", ["read", ""])
def test_where_the_token_may_not_it_is_said_what_to_click(
    github: GitHubHooks, command: Command, may: str
) -> None:
    github.may = may
    status, said = command()
    assert status == 1
    state, _, _, remedy = said["webhook"]
    assert state == "failed"
    for value in (PAGE, URL, "application/json", "Just the push event", "`Webhooks: read and"):
        assert value.replace("https://github.com", github.url) in remedy or value in remedy


def test_without_a_token_it_is_said_what_to_click(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEPLOYER_GITHUB_TOKEN")
    status, said = command()
    assert status == 1
    assert "make a fine-grained token" in said["GitHub token"][3]
    assert URL in said["webhook"][3]


def test_a_github_out_of_reach_is_told() -> None:
    api = Hooks(f"http://127.0.0.1:{free_port()}", REPO, Secret(TOKEN))
    with pytest.raises(OperatorError, match="no answer from GitHub"):
        OurHook(api, URL, PAGE).set_up(SECRET, anew=False, dry_run=False)


def test_a_command_that_reaches_no_github_says_so_by_its_exit_status(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    status, said = command()
    assert status == 3
    assert said["GitHub token"][0] == said["webhook"][0] == "failed"


def test_what_is_left_to_do_counts_more_than_what_gave_no_answer(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("DEPLOYER_GITHUB_TOKEN")
    assert command()[0] == 1


def test_the_page_to_click_on_is_that_of_the_site(command: Command) -> None:
    settings = config.load(os.environ)
    assert our_hook(settings, None).page.endswith(f"/{REPO}/settings/hooks")
    for api_url, page in (
        ("https://api.github.com", PAGE),
        ("https://git.example.org/api/v3", f"https://git.example.org/{REPO}/settings/hooks"),
    ):
        there = config.load(os.environ | {"DEPLOYER_GITHUB_API_URL": api_url})
        assert our_hook(there, None).page == page


def test_address_and_secret_are_needed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPLOYER_PUBLIC_URL")
    monkeypatch.delenv("DEPLOYER_WEBHOOK_SECRET")
    assert command()[0] == 2


# --- failed deliveries -----------------------------------------------------------


def test_lost_pushes_are_told_and_asked_for_again_once(github: GitHubHooks, hook: OurHook) -> None:
    github.add(URL)
    for number in range(150):  # more than a page
        github.deliver(f"ok-{number}", NOW - timedelta(minutes=300 - number), 202)
    github.deliver("old", NOW - timedelta(days=4), 502)
    github.deliveries.append(github.deliveries.pop(0))
    github.deliver("lost", NOW - timedelta(minutes=20), 502)
    github.deliver("refused", NOW - timedelta(minutes=10), 401)
    with pytest.raises(Ailment) as told:
        hook.deliveries(NOW)
    assert told.value.detail == (
        "2 pushes of the last three days did not arrive: lost (502), refused (401)"
    )
    assert hook.redeliver(NOW) == "2 pushes asked for again"
    assert hook.deliveries(NOW) == "all pushes of the last three days arrived"
    assert hook.redeliver(NOW) == "0 pushes asked for again"
    assert github.wrote == [
        f"POST /repos/{REPO}/hooks/1/deliveries/{n}/attempts" for n in (152, 153)
    ]


def test_a_push_lost_on_the_second_page_is_found(github: GitHubHooks, hook: OurHook) -> None:
    github.add(URL)
    github.deliver("lost", NOW - timedelta(minutes=400), 502)
    for number in range(150):
        github.deliver(f"ok-{number}", NOW - timedelta(minutes=300 - number), 202)
    assert hook.redeliver(NOW) == "1 push asked for again"


def test_the_command_asks_for_them_again(github: GitHubHooks, command: Command) -> None:
    github.add(URL)
    github.deliver("lost", NOW - timedelta(minutes=20), 502)
    assert command("--redeliver", "--dry-run")[0] == 1
    status, said = command("--redeliver")
    assert (status, said["failed deliveries"][2]) == (0, "1 push asked for again")


def test_a_token_that_may_not_see_hooks_is_no_failure_of_doctor(
    github: GitHubHooks, hook: OurHook
) -> None:
    github.may = ""
    with pytest.raises(NotApplicable, match="`Webhooks: read`"):
        hook.deliveries(NOW)
    with pytest.raises(NotApplicable, match="PUBLIC_URL"):
        OurHook(hook.api, None, PAGE).deliveries(NOW)


def test_a_token_that_may_only_read_is_told_what_to_click(
    github: GitHubHooks, hook: OurHook
) -> None:
    github.add(URL)
    github.deliver("lost", NOW - timedelta(minutes=20), 502)
    github.may = "read"
    with pytest.raises(Ailment, match="may not ask for deliveries again"):
        hook.redeliver(NOW)


def test_the_worker_asks_for_them_by_itself(github: GitHubHooks, command: Command) -> None:
    settings = config.load(os.environ)
    with capture_logs() as logs:
        assert (
            app._redeliver(settings, lambda: settings.github_token) == app.LONGER_S
        )  # there is no hook
        github.add(URL)
        github.deliver("lost", NOW - timedelta(minutes=20), 502)
        assert app._redeliver(settings, lambda: settings.github_token) == app.REDELIVER_S
    assert logs[-1]["of"] == ["lost"]
    assert len(github.wrote) == 1
