"""Readers of settings: text in, value out; what git may be given as a branch and as an address.

Each raises a ValueError that says what the text must be, and shows none that may hold a secret.
Pure; `deployer.config` says which setting is read by which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

# git-check-ref-format(1), and what `git branch` refuses beyond it: a leading dash, `HEAD`.
_NO_BRANCH: Final = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock/|^[-./]|[./]$|\.lock$|^$|^HEAD$"
)
_ADDRESS: Final = r"[A-Za-z][A-Za-z0-9]*://[^\s/]"
_SERVER: Final = re.compile(
    r"([^:/@\[\]]*(:[^@\[\]]*)?@)?(\[[^\s/?\[\]]+\]|[^\s/:?\[\]]*)(:(?P<port>[0-9]{0,5}))?"
    r"(/[^?]*)?(\?.*)?"
)
"""Of PostgreSQL, as SQLAlchemy reads it: user, password, host, port, database, options."""
_SCHEMES: Final = frozenset({"https", "http", "ssh", "file"})


def in_plain(secret: Secret | None) -> str | None:
    return secret.get_secret_value() if secret else None


def scheme_of(url: str) -> str | None:
    """Return the one protocol that `url` needs: `https`, `http`, `ssh` or `file`.

    None: any other, a remote helper (`ext::…`), an option in disguise.
    """
    if not url or not url.isprintable():
        return None
    named = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if named:
        return named[1] if named[1] in _SCHEMES else None
    if url.startswith("-") or "::" in url:
        return None
    # git-fetch(1), "GIT URLS": host:path if no slash comes before the colon.
    return "ssh" if ":" in url.partition("/")[0] else "file"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Compares by what it holds, and prints as what it is."""

    _value: str

    def get_secret_value(self) -> str:
        """Return it in plain; the long name is easily found in the code."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


MIN_SECRET_LENGTH = 16
MAX_PORT = 65_535
MAX_SECONDS = 86_400
MAX_RELEASES = 10_000
MAX_DAYS = 3_650


def owner_and_name(text: str) -> str:
    # `.` and `..` would lead elsewhere in the API's paths.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+", text):
        raise ValueError("must be owner/name")
    return text


def branch_name(text: str) -> str:
    if _NO_BRANCH.search(text):
        raise ValueError("is no name of a git branch")
    return text


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    secrets = _listed(text)
    if not secrets:
        raise ValueError("holds no secret")
    if any(len(secret) < MIN_SECRET_LENGTH for secret in secrets):
        raise ValueError(f"must have at least {MIN_SECRET_LENGTH} characters in each secret")
    return tuple(map(Secret, secrets))


def token(text: str) -> Secret:
    if not all("!" <= letter <= "~" for letter in text):
        raise ValueError("holds a space, line break or accent, which no token does")
    return Secret(text)


def addresses(text: str) -> tuple[Secret, ...]:
    """Read what Apprise sends to; a comma may be part of an address."""
    urls = re.split(rf"[\s,]+(?={_ADDRESS})", text.strip(" ,\n"))
    if not all(re.fullmatch(rf"{_ADDRESS}\S*", url) for url in urls):
        raise ValueError("must be addresses as Apprise has them (mailto://…), comma-separated")
    return tuple(map(Secret, urls))


def secrets_within(address: str) -> tuple[str, ...]:
    """Return what is to be shown nowhere of an address of Apprise's: any part may be a token."""
    rest = address.partition("://")[2]
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    parts = {*re.split(r"[/?&=,:]", path), *host.split(":"), *user.split(":")}
    # A host's name is none, nor is a word that any line of a log may hold.
    tokens = {part for part in parts if re.fullmatch(r"(?=.*\d)[^.]{8,}", part)}
    found = {address, rest, user.partition(":")[2], *tokens}
    return tuple(sorted({*found, *map(unquote, found)} - {""}))


def passwords_within(url: str) -> tuple[str, ...]:
    """Return the password of a database's URL, as it stands there and as it is used; or nothing."""
    password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return tuple({password, unquote(password)} - {""})


def database(text: str) -> Secret:
    """Refuse what SQLAlchemy or psycopg would show a part of, or end in a traceback at."""
    kind = re.match(r"(sqlite|postgresql)(\+\w+)?://", text)
    if not kind:
        raise ValueError("must begin with sqlite:// or postgresql://")
    rest = text[kind.end() :]
    if kind[1] == "sqlite":
        if not re.fullmatch(r"/(?!:memory:(\?|$))[^?\n]*[^?/\n](\?.*)?", rest):
            raise ValueError("needs a file: sqlite:////path/to/journal.sqlite3")
    elif rest.count("@") > 1:
        raise ValueError("holds more than one @: a password's @ is written %40")
    elif not (server := _SERVER.fullmatch(rest)) or int(server["port"] or 0) > MAX_PORT:
        raise ValueError("must be like postgresql://user:password@host:5432/name")
    return Secret(text)


def kind_of_services(text: str) -> str:
    if text not in {"compose", "local"}:
        raise ValueError("must be compose or local")
    return text


def project(text: str) -> str:
    # github.com/compose-spec/compose-go: loader/normalize.go
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text):
        raise ValueError("needs lower-case letters, digits, - and _, a letter or digit first")
    return text


def service_names(text: str) -> tuple[str, ...]:
    names = _listed(text)
    if not names:
        raise ValueError("names no service")
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ValueError(f"names a service that can't be: {name!r}")
    return names


def http_address(text: str) -> str:
    parts = _parts(text)
    if (
        parts is None
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
    ):
        raise ValueError("must be an http(s) address, without a query")
    if "@" in parts.netloc:
        raise ValueError("must hold no user name or password")
    return text.rstrip("/")


def fetchable(text: str) -> str:
    scheme = scheme_of(text)
    parts = _parts(text)
    hostless = scheme != "file" and text.startswith(f"{scheme}://") and parts and not parts.hostname
    if scheme is None or parts is None or hostless:
        raise ValueError("must be an https, http or ssh address, or a path")
    # A token is often given as the user name.
    if parts.password or ("@" in parts.netloc and scheme in {"http", "https"}):
        raise ValueError("must hold no user name or password: give a token as GITHUB_TOKEN")
    return text


def bind_address(text: str) -> str:
    if re.fullmatch(r"unix:/.+", text):
        return text
    tcp = re.fullmatch(r"(?:\[(.*)\]|[^:\s/\[\]*]+):([0-9]{1,5})", text)
    if not tcp or int(tcp[2]) > MAX_PORT or (tcp[1] is not None and not _is_ipv6(tcp[1])):
        raise ValueError("must be host:port or unix:/path; for all addresses use 0.0.0.0:port")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not 0 < float(text) <= MAX_SECONDS:
        raise ValueError(
            f"must be a number of seconds without a unit, more than 0 and {MAX_SECONDS} at most"
        )
    return float(text)


def releases(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_RELEASES:
        raise ValueError(f"must be a whole number from 1 to {MAX_RELEASES}")
    return int(text)


def days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_DAYS:
        raise ValueError(f"must be a whole number of days from 1 to {MAX_DAYS}")
    return int(text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parts(url: str) -> SplitResult | None:
    """Return an address's parts, None if it has none; the reason could hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if url.isprintable() and " " not in parts.netloc else None
