"""Who may see what: the machine itself and the teacher all, the link of a status its own pages.

Pure. A link's token is a signature over what it opens, so nothing of it is kept. A teacher's
secrets are random and kept as fingerprints, told apart by what they are for: none of them does for
another.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final

from deployer.core.model import Deployment
from deployer.core.reporting.contexts import of_folders

BEGINNING: Final = "dplr_"
"""Of each secret made here: `masking` knows it, so that none stands in a log."""
_TOKEN: Final = re.compile(rf"{BEGINNING}([0-9a-f]{{40}})\.([0-9a-f]{{32}})\.([0-9a-f]{{64}})")
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")
_PASSED_ON: Final = ("x-forwarded", "forwarded", "x-real-ip", "via")


class Purpose(StrEnum):
    """What a teacher's secret is for."""

    LOGIN = "login"  # a link that opens a session, once
    SESSION = "session"  # a browser's cookie
    BEARER = "bearer"  # a program's header


LASTS: Final = {Purpose.LOGIN: timedelta(minutes=10), Purpose.SESSION: timedelta(days=30)}


def fingerprint(purpose: Purpose, secret: str) -> str:
    """Return what is kept of a secret, and looked up by; it has 256 random bits of its own."""
    return sha256(f"{purpose} {secret}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Link:
    """What the link of a status opens.

    Attributes:
        sha: its commit; any deployment of it, or covering it, is shown.
        place: stands for its context, and so for a folder; in hex.
    """

    sha: str
    place: str

    @classmethod
    def of_status(cls, sha: str, context: str) -> Link:
        return cls(sha, sha256(context.casefold().encode()).hexdigest()[:32])

    def opens_commit(self, sha: str) -> bool:
        return sha == self.sha

    def opens_deployment(self, deployment: Deployment) -> bool:
        return self.sha in {deployment.sha, *deployment.covers}

    def opens_folder(self, folder: str) -> bool:
        (context,) = of_folders([folder])
        return self == Link.of_status(self.sha, context)

    def token(self, key: str) -> str:
        """Return what the link carries, signed with the journal's key."""
        return f"{BEGINNING}{self.sha}.{self.place}.{self._signature(key)}"

    def _signature(self, key: str) -> str:
        text = f"link of a status: {self.sha} {self.place}"
        return hmac.new(key.encode(), text.encode(), sha256).hexdigest()

    @classmethod
    def read(cls, token: str, key: str) -> Link | None:
        """Return what `token` opens, None: it is none, or was not signed with `key`."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        link = cls(found[1], found[2])
        return link if hmac.compare_digest(found[3], link._signature(key)) else None


def is_own(peer: str | None, host: str | None, headers: Iterable[str]) -> bool:
    """Tell whether a request comes from this machine itself, and not through a proxy on it.

    A page out of the internet that had its own name lead to 127.0.0.1 (DNS rebinding) has the
    teacher's browser send that name as `Host`.

    Args:
        peer: address of the other end; none for a Unix socket, behind which a proxy is.
        host: the request's `Host`.
        headers: names of all its headers.
    """
    asked = _HOST.fullmatch(host or "")
    name = (asked[1] or asked[2]).lower() if asked else ""
    return (
        _is_loopback(peer or "")
        and (name == "localhost" or _is_loopback(name))
        and not any(header.lower().startswith(_PASSED_ON) for header in headers)
    )


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback
