"""What the webhook on GitHub has to be, and which of its failed deliveries are asked for again.

Pure: `deployer.edges.github.hooks` reads and writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

EVENTS: Final = frozenset({"push"})
REFUSED: Final = 401  # what our web process answers to a signature that is not right
KEPT: Final = timedelta(days=3)
"""For which GitHub keeps a delivery and delivers it again."""
STILL_COMING: Final = timedelta(minutes=1)
"""In which a delivery that failed may be noted before one of the same event that did not."""
MOST: Final = 30
"""Asked for again at a time."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as GitHub shows it: not its secret.

    Attributes:
        insecure_ssl: `0` (GitHub verifies the certificate) or `1`.
        last_code: what its last delivery was answered, None: there was none.
    """

    id: int
    url: str
    content_type: str
    insecure_ssl: str
    has_secret: bool
    events: frozenset[str]
    active: bool
    last_code: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try of GitHub's to deliver an event; `guid` is the event's, the same for each try."""

    id: int
    guid: str
    event: str
    delivered_at: datetime
    status_code: int
    redelivery: bool

    @property
    def arrived(self) -> bool:
        return 200 <= self.status_code < 400  # noqa: PLR2004 - as GitHub counts it


def ours(hooks: Iterable[Hook], url: str) -> tuple[Hook, ...]:
    """Return those that deliver to `url`; more than one delivers everything twice."""
    return tuple(hook for hook in hooks if hook.url.rstrip("/").casefold() == url.casefold())


def amiss(hook: Hook) -> tuple[str, ...]:
    """Return what has to be mended of our hook, a few words each; nothing: it is as it should."""
    found = {
        "the content type is not json": hook.content_type != "json",
        "the certificate is not verified": hook.insecure_ssl != "0",
        "it has no secret": not hook.has_secret,
        "its last delivery was answered 401, the secrets differ": hook.last_code == REFUSED,
        "its events are not just the push": hook.events != EVENTS,
        "it is not active": not hook.active,
    }
    return tuple(words for words, is_so in found.items() if is_so)


def body(url: str, secret: str) -> dict[str, Any]:
    """Return what GitHub is sent to have the hook as it should be."""
    config = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret}
    return {"config": config, "events": sorted(EVENTS), "active": True}


def lost(tries: Sequence[Delivery], now: datetime) -> tuple[Delivery, ...]:
    """Return of each push of the last days that never arrived the newest try, oldest first."""
    arrived = {one.guid for one in tries if one.arrived}
    newest: dict[str, Delivery] = {}
    for one in sorted(tries, key=lambda one: (one.delivered_at, one.id)):
        age = now - one.delivered_at
        if one.event in EVENTS and one.guid not in arrived and STILL_COMING <= age < KEPT:
            newest[one.guid] = one
    return tuple(sorted(newest.values(), key=lambda one: (one.delivered_at, one.id)))


def to_ask_again(tries: Sequence[Delivery], now: datetime) -> tuple[Delivery, ...]:
    """Return the first of those that never arrived and were not yet asked for again."""
    asked = {one.guid for one in tries if one.redelivery}
    return tuple(one for one in lost(tries, now) if one.guid not in asked)[:MOST]
