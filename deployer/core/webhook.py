"""Tell what one webhook delivery says: headers, raw bytes and secrets in, a value out.

Pure. The order is the point: content type and the signature's shape before the body is
read, then the signature over the bytes as delivered, then parsing; nothing unsigned is ever
parsed. Strict on the types of what is used, lenient on the rest. No address out of a payload
is ever used.

Shapes and headers: https://docs.github.com/en/webhooks/webhook-events-and-payloads
Signature: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs

from deployer.core.model import Origin
from deployer.errors import WebhookRejected

T = TypeVar("T")

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"  # what GitHub's API makes if not told otherwise
BODY_LIMIT = 25 * 1024 * 1024
"""Bytes; GitHub delivers no larger payload
(https://docs.github.com/en/webhooks/webhook-events-and-payloads)."""
NO_COMMIT = "0" * 40
"""GitHub's `before` of a new branch and `after` of a deleted one."""

_SHA = re.compile(r"[0-9a-f]{40}")
_GUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_EVENT = re.compile(r"[a-z0-9_.-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_LARGEST_ID = 2**63 - 1  # what the journal can hold
_LONGEST_SHOWN = 100  # characters of a foreign text in a reason


@dataclass(frozen=True, slots=True)
class Push:
    """The class's branch moved. A hint that it is dirty, never an order to deploy `after`.

    Attributes:
        ref: `refs/heads/<branch>`.
        before: tip before the push, None if the branch is new; after a forced push it
            may be a commit that nothing reaches any more.
        after: tip after the push.
        forced: history was rewritten.
        pusher: GitHub login for the log, None if the payload names none that can be shown.
        origin: the repository.
    """

    ref: str
    before: str | None
    after: str
    forced: bool
    pusher: str | None
    origin: Origin

    @property
    def settings_wrong(self) -> bool:
        """Whether they name the repository as it was called before."""
        return self.origin.renamed


@dataclass(frozen=True, slots=True)
class Ignored:
    """Genuine, but nothing to do; `reason` is one sentence.

    `settings_wrong`: perhaps they are, and the push is ours.
    """

    reason: str
    settings_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A genuine delivery.

    Attributes:
        guid: `X-GitHub-Delivery`; the same again if an administrator redelivers.
        event: `X-GitHub-Event`.
    """

    guid: str
    event: str
    content: Push | Ignored


def refuse_unsigned(headers: Mapping[str, str]) -> None:
    """Refuse by its headers what no body can make a delivery; names in any case of letters.

    Raises:
        WebhookRejected: 415 the body's type or encoding; 401 the signature is missing or none.
    """
    given = _by_lower_name(headers)
    # GitHub compresses nothing; unpacking before the signature check would be a bomb's chance.
    if "content-encoding" in given:
        raise WebhookRejected(415, "content encodings are not accepted")
    if given.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise WebhookRejected(415, "transfer encodings other than chunked are not accepted")
    if _content_type(given) not in {JSON, FORM}:
        raise WebhookRejected(415, f"content type must be {JSON} or {FORM}")
    if "x-hub-signature-256" not in given:
        raise WebhookRejected(401, "X-Hub-Signature-256 is missing: set the webhook's secret")
    if not _SIGNATURE.fullmatch(given["x-hub-signature-256"]):
        raise WebhookRejected(401, "X-Hub-Signature-256 must be sha256= and 64 hex digits")


def receive(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    repo: str,
    branch: str,
    newest: Callable[[], Origin | None],
) -> Delivery:
    """Return what a request says about `branch` of `repo` (`owner/name`).

    Args:
        headers: in any case of letters.
        body: as delivered, no decoding before.
        secrets: any one of them may have signed; an empty one never has.
        repo: class repository; GitHub's names are case-insensitive.
        branch: branch that is live; git's names are case-sensitive.
        newest: returns where the newest accepted push came from; asked about one that has another
            name than `repo`.

    Raises:
        WebhookRejected: 415 the body's type or encoding; 401 the signature is missing or
            wrong; 400 it is not a delivery of GitHub's shape. Nothing else is raised, but by
            `newest`.
    """
    refuse_unsigned(headers)
    given = _by_lower_name(headers)
    _verify(given["x-hub-signature-256"], body, secrets)
    guid = _header(given, "X-GitHub-Delivery", _GUID)
    event = _header(given, "X-GitHub-Event", _EVENT)
    payload = _parse(body, form=_content_type(given) == FORM)
    content: Push | Ignored
    match event:
        case "push":
            content = _push(payload, repo, branch, newest)
        case "ping":  # GitHub tries the address out when the hook is made
            content = Ignored("ping")
        case _:
            content = Ignored(f"event {event} is of no interest, only push is")
    return Delivery(guid, event, content)


def was_renamed(origin: Origin, newest: Origin | None) -> bool:
    """Tell whether a push under another name is the class repository's, by the newest accepted one.

    A repository made anew under the old name has a number of its own: once a push of it was
    accepted, the one that had this name before is foreign.
    """
    if newest is None or newest.repo_id is None or newest.repo_id != origin.repo_id:
        return False
    # Of another name, it was for another class, before the setting was changed.
    names = {newest.repo.casefold(), newest.known_as.casefold()}
    return origin.known_as.casefold() in names


def advice(origin: Origin) -> str:
    """Return what to do about the new name of the class repository."""
    return (
        f"{origin.known_as} is called {origin.repo} now:"
        f" set DEPLOYER_GITHUB_REPO={origin.repo} and restart web and worker"
    )


def _by_lower_name(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _verify(signature: str, body: bytes, secrets: Sequence[str]) -> None:
    claimed = signature.encode()
    # Every secret is tried, so that the time taken does not tell which one was close.
    matches = [hmac.compare_digest(claimed, _sign(secret, body)) for secret in secrets if secret]
    if not any(matches):
        raise WebhookRejected(401, "X-Hub-Signature-256 matches no secret")


def _sign(secret: str, body: bytes) -> bytes:
    # A secret out of the environment holds bytes that are not UTF-8 as surrogates.
    key = secret.encode(errors="surrogateescape")
    return b"sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest().encode()


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str:
    value = headers.get(name.lower(), "")
    if not shape.fullmatch(value):
        raise WebhookRejected(400, f"{name} is missing or not of GitHub's shape")
    return value


def _parse(body: bytes, *, form: bool) -> dict[str, Any]:
    try:
        # Decoded here, or json would guess UTF-16 and UTF-32 too.
        text = body.decode()
        if form:
            (text,) = parse_qs(text, errors="strict", strict_parsing=True)["payload"]
        payload = json.loads(text, parse_constant=_no_constant)
    except KeyError as exc:
        raise WebhookRejected(400, "the form has no field payload") from exc
    except (ValueError, RecursionError) as exc:
        # ValueError: not UTF-8, not a form, two payloads, not JSON, a number of 5,000 digits.
        raise WebhookRejected(400, "the body is not JSON") from exc
    if not isinstance(payload, dict):
        raise WebhookRejected(400, "the body is not a JSON object")
    return payload


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _push(
    payload: Mapping[str, Any], repo: str, branch: str, newest: Callable[[], Origin | None]
) -> Push | Ignored:
    repository = _typed(payload.get("repository"), dict, "repository")
    full_name = _typed(repository.get("full_name"), str, "repository.full_name")
    origin = Origin(_repo_id(repository.get("id")), full_name, repo)
    content = _of_branch(payload, branch, origin)
    if not origin.renamed or (_NAME.fullmatch(full_name) and was_renamed(origin, newest())):
        return content
    return Ignored(
        f"repository {_shown(full_name)} is not {repo}: if that was renamed, set"
        " DEPLOYER_GITHUB_REPO, restart web and worker, and redeliver this",
        settings_wrong=True,
    )


def _of_branch(payload: Mapping[str, Any], branch: str, origin: Origin) -> Push | Ignored:
    ref = _typed(payload.get("ref"), str, "ref")
    before = _sha(payload.get("before"), "before")
    after = _sha(payload.get("after"), "after")
    deleted = _typed(payload.get("deleted", False), bool, "deleted")
    forced = _typed(payload.get("forced", False), bool, "forced")

    if ref.startswith("refs/tags/"):
        return Ignored(f"{_shown(ref)} is a tag, only branch {branch} is deployed")
    if ref != f"refs/heads/{branch}":
        return Ignored(f"{_shown(ref)} is not branch {branch}")
    if deleted or after == NO_COMMIT:
        return Ignored(f"branch {branch} was deleted; what is live stays")
    return Push(
        ref=ref,
        before=None if before == NO_COMMIT else before,
        after=after,
        forced=forced,
        pusher=_pusher(payload.get("pusher")),
        origin=origin,
    )


def _typed(value: object, wanted: type[T], field: str) -> T:
    if not isinstance(value, wanted):
        raise WebhookRejected(400, f"{field} is missing or of the wrong type")
    return value


def _sha(value: object, field: str) -> str:
    if not isinstance(value, str) or not _SHA.fullmatch(value):
        raise WebhookRejected(400, f"{field} must be 40 lowercase hex digits")
    return value


def _repo_id(value: object) -> int | None:
    # Only ever compared, so a strange one is no reason to refuse; True is an int in Python.
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID:
        return value
    return None


def _pusher(value: object) -> str | None:
    name = value.get("name") if isinstance(value, dict) else None
    # For the log alone, so a strange one (lone surrogates, newlines) is no reason to refuse.
    shown = isinstance(name, str) and name.isprintable() and 0 < len(name) <= _LONGEST_SHOWN
    return name if shown else None


def _shown(text: str) -> str:
    """Quote a text of GitHub's for a reason: ASCII, one line, bounded."""
    return ascii(text[:_LONGEST_SHOWN])
