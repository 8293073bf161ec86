"""Run git, and nothing but git, with a fixed environment, a bound and no secret on show.

GitPython is the runner. It hands its own environment on to git, so each command goes
through coreutils' `env -u`, which takes out all that git has no need of: `GIT_*`
variables that would redirect it, and the worker's secrets. coreutils' `timeout` bounds
it: SIGTERM to git and its helpers, upon which git removes its lock files, then SIGKILL.
(GitPython's own `kill_after_timeout` kills at once and leaves the locks.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from subprocess import PIPE
from typing import Final
from urllib.parse import quote, urlsplit

from git.cmd import Git

from deployer.core.remote import scheme_of
from deployer.errors import GitError, SettingsError

# What git may see of the worker's environment: where programs are, the machine's
# certificates and proxies (gitenvironment: git(1), curl(1)), an ssh agent.
_PASSED: Final = frozenset(
    {
        *("PATH", "TMPDIR", "SSH_AUTH_SOCK"),
        *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_PROXY_SSL_CAINFO"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
        *("http_proxy", "https_proxy", "HTTPS_PROXY"),
        *("all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    }
)
# A command that asks the host has git's ordinary configuration beside it: `safe.directory` for a
# repository of another user, a proxy, a certificate. What only reads must not depend on it.
_ORDINARY: Final = frozenset({"HOME", "XDG_CONFIG_HOME"})
_ISOLATED: Final = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
_TOKEN: Final = "DEPLOYER_GIT_TOKEN"  # noqa: S105 - the variable's name, not a secret
# `get` is the one request a helper must answer (gitcredentials(7)). GitHub takes any user
# name beside a token; this one is what its own Actions use.
_HELPER: Final = (
    '!f() { test "$1" = get && printf "username=x-access-token\\npassword=%s\\n" "$'
    + _TOKEN
    + '"; }; f'
)

_TIMED_OUT: Final = frozenset({124, 137})  # timeout(1): ended by SIGTERM, by SIGKILL
_NOT_FOUND: Final = 127  # env(1), timeout(1)
_SHOWN_CHARACTERS: Final = 600  # of git's own words in an error


@dataclass(frozen=True, slots=True)
class Ran:
    """How one git command ended; `words` is its standard error, secrets taken out."""

    status: int
    out: bytes
    words: str

    @property
    def timed_out(self) -> bool:
        return self.status in _TIMED_OUT


class GitRunner:
    """Runs git commands for one remote URL."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Take the remote's URL and the token that its host asks for, if any.

        Raises:
            SettingsError: git would not fetch from such a URL, or should not.
        """
        scheme = scheme_of(url)
        if scheme is None:
            raise SettingsError(
                ["DEPLOYER_REPO_URL: git fetches from https, http, ssh or file here"]
            )
        config = {
            "core.hooksPath": os.devnull,
            "gc.autoDetach": "false",  # we are the only writer, and know when we write
            # What the ordinary configuration must not turn on: see `edges.mirror`.
            "fetch.fsckObjects": "false",
            "protocol.allow": "never",
            f"protocol.{scheme}.allow": "always",
            # A stalled connection ends here, long before the bound of a whole clone.
            "http.lowSpeedLimit": "1000",  # bytes a second
            "http.lowSpeedTime": "20",  # seconds
        }
        environment = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        }
        self._secrets = _secrets(url, token)
        if token and scheme in {"http", "https"}:
            # Bound to the host: after a redirect to another one, git finds no helper.
            host = urlsplit(url).netloc.rpartition("@")[2]
            # No other helper before it, nor one that would keep the token.
            config["credential.helper"] = ""
            config[f"credential.{scheme}://{host}.helper"] = _HELPER
            environment[_TOKEN] = token
        self._environment = environment | _config_variables(config)

    def run(self, *args: str, timeout_s: float, asks_host: bool = False) -> Ran:
        """Run `git args…` to its end and return how it ended; never raises for its status.

        `asks_host`: with the ordinary configuration of the machine and of the worker's user.

        Raises:
            GitError: git is not installed.
        """
        status, out, words = Git().execute(
            self._command(args, timeout_s, _ORDINARY if asks_host else frozenset()),
            env=self._variables() | ({} if asks_host else _ISOLATED),
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
        )
        if status == _NOT_FOUND:
            raise GitError("git is not installed, or not in the PATH of the worker")
        return Ran(status, out, self.redacted(words))

    def start(self, *args: str) -> Git.AutoInterrupt:
        """Start `git args…`, its three pipes open; it ends when nobody holds what is returned."""
        return Git().execute(
            self._command(args), istream=PIPE, env=self._variables() | _ISOLATED, as_process=True
        )

    def _command(
        self,
        args: tuple[str, ...],
        timeout_s: float | None = None,
        passed: frozenset[str] = frozenset(),
    ) -> list[str]:
        kept = {*_PASSED, *passed, *self._environment, *([] if passed else _ISOLATED)}
        unset = [f"--unset={name}" for name in os.environ if name not in kept]
        bound = ["timeout", "--kill-after=5", str(timeout_s)] if timeout_s else []
        return ["env", *unset, *bound, "git", *args]

    def _variables(self) -> dict[str, str]:
        # Debian's git links curl with GnuTLS, which reads no SSL_CERT_FILE.
        bundle = os.environ.get("GIT_SSL_CAINFO") or os.environ.get("SSL_CERT_FILE")
        return self._environment | ({"GIT_SSL_CAINFO": bundle} if bundle else {})

    def redacted(self, words: str) -> str:
        """Return `words` fit to be shown: printable, cut to its end, secrets taken out."""
        for secret in self._secrets:
            words = words.replace(secret, "***")
        # The host's own words are among git's: no escape sequence of theirs reaches a terminal.
        printable = (c if c.isprintable() or c == "\n" else "?" for c in words.strip())
        return "".join(printable)[-_SHOWN_CHARACTERS:]


def _config_variables(config: Mapping[str, str]) -> dict[str, str]:
    """Return settings as environment variables, which git ranks as its command line's."""
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _secrets(url: str, token: str | None) -> tuple[str, ...]:
    """Return what must not be shown: the token, what the URL holds before its `@`."""
    userinfo = urlsplit(url).netloc.rpartition("@")[0] if "://" in url else ""
    secrets = {token or "", quote(token or "", safe=""), userinfo, userinfo.partition(":")[2]}
    return tuple(sorted(secrets - {""}, key=len, reverse=True))
