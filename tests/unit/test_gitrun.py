"""What git is given: which URLs and branches, and what of its words is shown."""

from __future__ import annotations

import os
import subprocess

import pytest

from deployer.edges.gitrun import GitRunner, scheme_of
from deployer.edges.mirror import is_branch
from deployer.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("https://github.com/o/n.git", "https"),
        ("http://127.0.0.1:8000/o/n.git", "http"),
        ("ssh://git@host/o/n.git", "ssh"),
        ("git@github.com:o/n.git", "ssh"),
        ("file:///srv/class.git", "file"),
        ("/srv/class.git", "file"),
        ("./a:b", "file"),
    ],
)
def test_a_url_needs_one_protocol(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c id",
        "fd::17",
        "git://host/o/n.git",
        "ftp://host/x",
        "--upload-pack=touch /x",
        "https://h/x\n",
        "https://h/\u001b[2J",
    ],
)
def test_a_url_that_git_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="DEPLOYER_REPO_URL"):
        GitRunner(url)


@pytest.mark.parametrize(
    "name",
    [
        *("main", "feature/x", "a.b", "løn", "x@y", "a-b", "v1.0", "@@", "lock", "a.lockx"),
        *("", "-x", "--upload-pack=x", ".a", "a.", "a/", "/a", "a//b", "a/.b", "a..b", "a b"),
        *("a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}", "@", "a.lock", "a.lock/b"),
        *("a\x7f", "a\nb", "HEAD"),
    ],
)
def test_a_branch_name_is_judged_as_git_judges_it(name: str) -> None:
    git = subprocess.run(
        ["git", "check-ref-format", "--branch", name],
        check=False,
        capture_output=True,
        cwd=os.path.sep,
    )

    assert is_branch(name) is (git.returncode == 0)


def test_neither_the_token_nor_the_urls_password_is_shown() -> None:
    runner = GitRunner("https://bot:pass-word@host/o/n.git", token="tok/en+1")

    words = runner.redacted("fatal: https://bot:pass-word@host/ tok/en+1 tok%2Fen%2B1 pass-word")

    assert words == "fatal: https://***@host/ *** *** ***"


def test_what_a_host_says_cannot_steer_a_terminal() -> None:
    assert GitRunner("/x").redacted("remote: \x1b[2Jhello\n\udcff") == "remote: ?[2Jhello\n?"
