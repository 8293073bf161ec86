"""Run git, and nothing but git, with a fixed environment and a bound.

GitPython is the runner. It hands its own environment on to git, so each command goes
through coreutils' `env -u`, which takes out all that git has no need of: `GIT_*`
variables that would redirect it, and the worker's secrets. coreutils' `timeout` bounds
it: SIGTERM to git and its helpers, upon which git removes its lock files, then SIGKILL.
(GitPython's own `kill_after_timeout` kills at once and leaves the locks.) What comes from afar
is bounded by its silence: a slow link takes as long as it takes.

What is shown of git's words is printable, has no secret in it, and of a failure the cause first:
git begins with the address, which everybody knows, and ends with what follows from the cause; a
status has room for 140 characters.
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE
from typing import Final
from urllib.parse import quote, urlsplit

from git.cmd import Git

from deployer.core.settings import Secret, in_plain, scheme_of
from deployer.errors import GitError
from deployer.masking import without

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
_ENVIRONMENT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
}
_CONFIG: Final = {
    "core.hooksPath": os.devnull,
    "gc.autoDetach": "false",  # we are the only writer, and know when we write
    # What the ordinary configuration must not turn on: see `edges.git.mirror`.
    "fetch.fsckObjects": "false",
    "protocol.allow": "never",
    # A host that lets drops fall is not silent, and yet to be given up.
    "http.lowSpeedLimit": "1000",  # bytes a second
    "http.lowSpeedTime": "20",  # seconds
}
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
_READ_AT_ONCE: Final = 65_536  # bytes
_LOOKS: Final = 8  # whether bytes came, in the time for which there may be none
# git's exit status is 128 whatever happened; these words are the kernel's, not git's.
_OF_THE_MACHINE: Final = tuple(
    os.strerror(number)
    for number in (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    )
)

_SHOWN_CHARACTERS: Final = 600  # in an error
_PROGRESS: Final = re.compile(
    r"(remote: )?(Enumerating|Counting|Compressing|Receiving|Unpacking|Resolving|Checking)\b.*"
    r"|(remote: )?Total \d+ .*"
)
_WHO: Final = re.compile(r"(fatal|error|ssh): ")
_ADDRESS: Final = re.compile(r"(?: (?:for|from|of|to))? ?'[a-z+]+://[^']*'")
_FOLLOWS: Final = re.compile(
    r"Could not read from remote repository|Please make sure you have|and the repository exists"
    r"|the remote end hung up|early EOF|fetch-pack: |index-pack failed|unpack-objects failed"
    r"|protocol error: bad pack header|unable to fork"
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How one git command ended; `words` is its standard error, secrets taken out.

    Attributes:
        silent: it was ended because nothing came to it.
    """

    status: int
    out: bytes
    words: str
    silent: bool = False

    @classmethod
    def not_started(cls, exc: OSError) -> Ran:
        return cls(-1, b"", exc.strerror or str(exc))

    @property
    def timed_out(self) -> bool:
        return self.silent or self.status in _TIMED_OUT

    @property
    def kept_from_working(self) -> bool:
        """Tell whether this machine is to blame: no room, no rights, no memory, no time."""
        return (
            self.timed_out
            or self.status < 0  # ended by a signal, or never started
            or self.status == _NOT_FOUND
            or any(words in self.words for words in _OF_THE_MACHINE)
        )


class GitRunner:
    """Runs git commands for one remote URL."""

    def __init__(self, url: str, *, token: Callable[[], Secret | None] = lambda: None) -> None:
        """Take the remote's URL, and what returns the token that its host asks for, if any.

        It is asked for before each command that asks the host.
        """
        self._url, self._token = url, token
        self._secrets = secrets_of(url, None)

    def run(self, *args: str, timeout_s: float, asks_host: bool = False) -> Ran:
        """Run `git args…` to its end and return how it ended; never raises for its status.

        `asks_host`: with the ordinary configuration of the machine and of the worker's user.

        Raises:
            GitError: git is not installed.
        """
        command, environment = self._prepared(args, timeout_s, asks_host=asks_host)
        try:
            status, out, words = Git().execute(
                command,
                env=environment,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except OSError as exc:
            return Ran.not_started(exc)
        return self._ran(status, out, words)

    def follow(self, *args: str, silent_s: float, timeout_s: float) -> Ran:
        """Ask the host with `git args…`; once nothing has come for `silent_s`, it has timed out.

        Raises:
            GitError: git is not installed.
        """
        command, environment = self._prepared(args, timeout_s, asks_host=True)
        process = Git().execute(command, env=environment, as_process=True)
        said, words = process.stderr, b""
        poll = select.poll()
        poll.register(said, select.POLLIN)
        read, heard_at, silent = 0, time.monotonic(), False
        while True:
            if poll.poll(silent_s * 1000 / _LOOKS):
                part = os.read(said.fileno(), _READ_AT_ONCE)
                if not part:
                    break
                words = (words + part)[-_READ_AT_ONCE:]
                heard_at = time.monotonic()
            elif (now_read := _bytes_read(process.pid)) != read:
                read, heard_at = now_read, time.monotonic()
            elif not silent and time.monotonic() - heard_at > silent_s:
                silent = True
                process.terminate()  # coreutils' timeout hands it on, and kills soon after
        process.communicate()
        ran = self._ran(process.returncode, b"", words.decode(errors="replace"))
        return replace(ran, silent=silent)

    def start(self, *args: str) -> Git.AutoInterrupt:
        """Start `git args…`, its three pipes open; it ends when nobody holds what is returned."""
        command, environment = self._prepared(args)
        return Git().execute(command, istream=PIPE, env=environment, as_process=True)

    def _ran(self, status: int, out: bytes, words: str) -> Ran:
        if status == _NOT_FOUND:
            raise GitError("git is not installed, or not in the PATH of the worker")
        return Ran(status, out, self.redacted(words))

    def _prepared(
        self, args: tuple[str, ...], timeout_s: float | None = None, *, asks_host: bool = False
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the variables that git is given beside those passed on.

        The command takes out of the worker's environment what git has no need of.
        """
        environment = self._environment(asks_host=asks_host)
        kept = {*_PASSED, *environment, *(_ORDINARY if asks_host else ())}
        unset = [f"--unset={name}" for name in os.environ if name not in kept]
        bound = ["timeout", "--kill-after=5", str(timeout_s)] if timeout_s else []
        return ["env", *unset, *bound, "git", *args], environment

    def _environment(self, *, asks_host: bool) -> dict[str, str]:
        scheme = scheme_of(self._url)
        config = _CONFIG | {f"protocol.{scheme}.allow": "always"}
        environment = dict(_ENVIRONMENT)
        # Debian's git links curl with GnuTLS, which reads no SSL_CERT_FILE.
        if bundle := os.environ.get("GIT_SSL_CAINFO") or os.environ.get("SSL_CERT_FILE"):
            environment["GIT_SSL_CAINFO"] = bundle
        if not asks_host:
            return environment | _ISOLATED | _config_variables(config)
        token = in_plain(self._token())
        self._secrets = secrets_of(self._url, token)
        if token and scheme in {"http", "https"}:
            # Bound to the host: after a redirect to another one, git finds no helper.
            host = urlsplit(self._url).netloc.rpartition("@")[2]
            # No other helper before it, nor one that would keep the token.
            config |= {"credential.helper": "", f"credential.{scheme}://{host}.helper": _HELPER}
            environment[_TOKEN] = token
        return environment | _config_variables(config)

    def redacted(self, words: str) -> str:
        """Return `words` fit to be shown: printable, cut to its end, secrets taken out."""
        return redacted(words, self._secrets)


def _bytes_read(group: int) -> int:
    """Return what the processes of a group have read so far; coreutils' timeout makes one."""
    total = 0
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # it ended, or is no process
            if os.getpgid(int(process.name)) == group:
                total += int((process / "io").read_text().split()[1])  # "rchar: N", proc(5)
    return total


def _config_variables(config: Mapping[str, str]) -> dict[str, str]:
    """Return settings as environment variables, which git ranks as its command line's."""
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def redacted(words: str, secrets: Collection[str]) -> str:
    """Return `words` fit to be shown: printable, cut to their end, secrets taken out."""
    words = without(secrets, words)
    # The host's own words are among git's: no escape sequence of theirs reaches a terminal.
    lines = words.strip().replace("\r", "\n")  # so does progress, which writes over itself
    printable = (c if c.isprintable() or c == "\n" else "?" for c in lines)
    return "".join(printable)[-_SHOWN_CHARACTERS:]


def secrets_of(url: str, token: str | None) -> set[str]:
    """Return what must not be shown: the token, what the URL holds before its `@`."""
    userinfo = urlsplit(url).netloc.rpartition("@")[0] if "://" in url else ""
    if url.startswith("ssh://"):
        # Its user is an account, `git` mostly; elsewhere it may be a token.
        userinfo = userinfo.partition(":")[2]
    return {token or "", quote(token or "", safe=""), userinfo, userinfo.partition(":")[2]}


def cause(words: str, address: str) -> str:
    """Return git's standard error as one line: first why, last what the host says.

    `address` is left out, as is each URL; so are progress, and what only follows.
    """
    path = address.removeprefix("file://")
    own: list[str] = []
    hosts: list[str] = []
    follows: list[str] = []
    for line in re.split(r"[\r\n]+", words):
        said = " ".join(line.split()).removeprefix("?")  # what git makes of a tab
        if not said or _PROGRESS.fullmatch(said):
            continue
        if said.startswith("remote: "):
            hosts.append(said.removeprefix("remote: "))
            continue
        said = _WHO.sub("", said, count=1).replace(f"'{path}' ", "")
        said = _ADDRESS.sub("", said).removeprefix("unable to access: ").strip()
        (follows if _FOLLOWS.match(said) else own).append(said)
    return "; ".join(dict.fromkeys([*(own or follows), *hosts]))
