"""What is shown of git's words."""

from __future__ import annotations

import pytest

from deployer.core.settings import Secret
from deployer.edges.git.command import GitRunner, cause, redacted, secrets_of

URL = "https://github.com/o/class.git"
NO_ACCESS = (
    "fatal: Could not read from remote repository.\n\n"
    "Please make sure you have the correct access rights\nand the repository exists."
)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            f"fatal: unable to access '{URL}/': Could not resolve host: github.com",
            "Could not resolve host: github.com",
        ),
        (
            f"remote: Repository not found.\nfatal: repository '{URL}/' not found",
            "repository not found; Repository not found.",
        ),
        (
            f"remote: Invalid username or token.\nfatal: Authentication failed for '{URL}/'",
            "Authentication failed; Invalid username or token.",
        ),
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "could not read Username: terminal prompts disabled",
        ),
        (
            f"ssh: connect to host github.com port 22: Connection refused\r\n{NO_ACCESS}",
            "connect to host github.com port 22: Connection refused",
        ),
        (
            f"git@github.com: Permission denied (publickey).\r\n{NO_ACCESS}",
            "git@github.com: Permission denied (publickey).",
        ),
        (
            (
                "error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec\n"
                "error: 3 bytes of body are still expected\n"
                "fetch-pack: unexpected disconnect while reading sideband packet\n"
                "fatal: early EOF\nfatal: fetch-pack: invalid index-pack output"
            ),
            (
                "RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec;"
                " 3 bytes of body are still expected"
            ),
        ),
        (
            (
                "remote: Enumerating objects: 304, done.        \n"
                "remote: Counting objects: 100% (304/304)        \r"
                "remote: Counting objects: 100% (304/304), done.        \n"
                "remote: Total 304 (delta 0), reused 0 (delta 0), pack-reused 0\n"
                "Receiving objects:   0% (1/304)\rfatal: write error: No space left on device\n"
                "fatal: fetch-pack: invalid index-pack output"
            ),
            "write error: No space left on device",
        ),
        (
            # git shows a tab as a question mark
            "fatal: detected dubious ownership at '/r'\nTo add it, call:\n\n?git config X",
            "detected dubious ownership at '/r'; To add it, call:; git config X",
        ),
        ("fatal: early EOF", "early EOF"),
        ("", ""),
    ],
)
def test_why_git_failed_comes_first_and_no_address_with_it(words: str, told: str) -> None:
    assert cause(words, URL) == told


def test_an_address_that_is_a_path_is_left_out_too() -> None:
    words = f"fatal: '/srv/class.git' does not appear to be a git repository\n{NO_ACCESS}"
    assert cause(words, "/srv/class.git") == "does not appear to be a git repository"


def test_places_in_the_mirror_are_told() -> None:
    words = "error: cannot lock ref 'refs/heads/main': Unable to create '/m/x.lock': File exists"
    assert cause(words, URL) == words.removeprefix("error: ")


# -- secrets


def test_neither_the_token_nor_the_urls_password_is_shown() -> None:
    url = "https://bot:pass-word@host/o/n.git"
    runner = GitRunner(url, token=lambda: Secret("tok/en+1"))

    ran = runner.run(f"{url} tok/en+1 tok%2Fen%2B1 pass-word", timeout_s=20, asks_host=True)

    said = "git: 'https://****@host/o/n.git **** **** ****' is not a git command"
    assert ran.words.startswith(said)


def test_the_account_of_an_ssh_url_is_no_secret_and_a_password_is() -> None:
    words = "git@host: Permission denied (hush); o/n.git"
    assert redacted(words, secrets_of("ssh://git@host/o/n.git", None)) == words
    assert "hush" not in redacted(words, secrets_of("ssh://git:hush@host/o/n.git", None))


def test_lines_that_end_in_a_carriage_return_are_lines() -> None:
    said = redacted("ssh: refused\r\nReceiving 1%\rfatal: no", ())
    assert said.split() == ["ssh:", "refused", "Receiving", "1%", "fatal:", "no"]


def test_what_a_host_says_cannot_steer_a_terminal() -> None:
    assert redacted("remote: \x1b[2Jhello\n\udcff", ()) == "remote: ?[2Jhello\n?"
