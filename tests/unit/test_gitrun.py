"""What of git's words is shown."""

from __future__ import annotations

from deployer.core.settings import Secret
from deployer.edges.git.command import GitRunner


def test_neither_the_token_nor_the_urls_password_is_shown() -> None:
    url = "https://bot:pass-word@host/o/n.git"
    runner = GitRunner(url, token=lambda: Secret("tok/en+1"))

    ran = runner.run(f"{url} tok/en+1 tok%2Fen%2B1 pass-word", timeout_s=20, asks_host=True)

    said = "git: 'https://****@host/o/n.git **** **** ****' is not a git command"
    assert ran.words.startswith(said)


def test_the_account_of_an_ssh_url_is_no_secret_and_a_password_is() -> None:
    words = "git@host: Permission denied (hush); o/n.git"
    assert GitRunner("ssh://git@host/o/n.git").redacted(words) == words
    assert "hush" not in GitRunner("ssh://git:hush@host/o/n.git").redacted(words)


def test_lines_that_end_in_a_carriage_return_are_lines() -> None:
    said = GitRunner("/x").redacted("ssh: refused\r\nReceiving 1%\rfatal: no")
    assert said.split() == ["ssh:", "refused", "Receiving", "1%", "fatal:", "no"]


def test_what_a_host_says_cannot_steer_a_terminal() -> None:
    assert GitRunner("/x").redacted("remote: \x1b[2Jhello\n\udcff") == "remote: ?[2Jhello\n?"
