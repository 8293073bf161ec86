"""Post commit statuses to GitHub's REST API.

One request a call, no retry and no pacing: the outbox owns both. An answer is
classified by its status code and headers, not by its text; that is passed on,
since GitHub says there what a person can mend, and that it does not know a commit
(`core/reporting/pacing.py`). "For good" is said only
when GitHub itself, in JSON, refused *this* status; whatever the teacher can mend
(token, rights, the repository's name, a proxy in between) is tried again, so
that nothing announced is forgotten.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from deployer import __version__
from deployer.core.model import Status, StatusRecord, StatusState
from deployer.core.settings import Secret, in_plain
from deployer.edges.http import PAST_THE_PROXY
from deployer.errors import OperatorError
from deployer.masking import without
from deployer.ports import Accepted, Posted, RefusedForGood, RetryLater
from deployer.ports.doctor import ServerAnswer

API_VERSION = "2022-11-28"
"""What github.com takes at least until March 2028, and every supported Enterprise Server."""

DEADLINE_S = 20.0
"""For a whole request, redirects and the answer's body included."""
TIMEOUT_S = 10.0
"""For each part of it: connecting, a read, a write."""
MAX_BODY = 1 << 20
"""Bytes of an answer that are read; GitHub's are a few thousand."""
KEEP_ALIVE_S = 60.0
"""Longer than a deployment, so that its last status needs no new TLS handshake."""
MAX_HOPS = 3
PAGE, MOST_PAGES = 100, 10
"""Statuses of a commit; GitHub takes 1000 of each context."""
MAX_MESSAGE = 300

UNSAID_LIMIT_S = 60.0
"""GitHub: without a header that says when, wait at least a minute."""
LONGEST_LIMIT_S = 3600.0
"""GitHub's longest window: a word of more is none of its."""

_MOVED = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_LIMITED = {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}


class GitHub:
    """The commit statuses of one repository. Use from one thread at a time.

    Args:
        api_url: `https://api.github.com`, an Enterprise Server's `…/api/v3`, or a stand-in.
        repo: `owner/name`.
        token: returns it as it is now, None: requests are nobody's. It needs *Commit statuses:
            write*, is sent to `api_url`'s host alone and found in no message: it is redacted by
            value, since GitHub keeps no fixed form.
        client: one to use instead of an own; it must not follow redirects by itself.
        deadline_s: after so long a request is given up, whatever still arrives.
    """

    def __init__(
        self,
        api_url: str,
        repo: str,
        token: Callable[[], Secret | None],
        *,
        client: httpx.Client | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._api_url = api_url
        self._repo = repo
        self._token = token
        self._sent: Secret | None = None  # with the last request
        self._client = client or httpx.Client(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE_S),
            mounts=PAST_THE_PROXY,
        )
        self._deadline_s = deadline_s
        self._socket: socket.socket | None = None  # of the connection that is kept alive
        self._over = threading.Event()  # the deadline of the request under way has passed

    def close(self) -> None:
        self._client.close()

    def post(self, status: Status, target_url: str | None) -> Posted:
        """Post one status; raises nothing, and takes `deadline_s` at most.

        Posting the same one again is harmless: GitHub shows the newest of a context.
        """
        url = f"{self._api_url}/repos/{self._repo}/statuses/{status.sha}"
        body = {
            "state": str(status.state),
            "context": status.context,
            "description": status.description,
        }
        if target_url is not None:
            body["target_url"] = target_url
        try:
            with self._within_the_deadline():
                return self._send(url, body)
        except OperatorError as exc:
            # If we die or time out here GitHub may have taken it: posted twice, shown once.
            return RetryLater(str(exc))

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ServerAnswer:
        answer = self.request(method, path, body)
        return ServerAnswer(answer.status_code, dict(answer.headers))

    def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> httpx.Response:
        """Return GitHub's answer, whatever its status; redirects are not followed.

        Raises:
            OperatorError: none came in time.
        """
        with self._within_the_deadline():
            return self._ask(f"{self._api_url}{path}", body, method)

    def told(self, sha: str) -> tuple[StatusRecord, ...]:
        """Return the statuses of a commit, newest first.

        Raises:
            OperatorError: it does not tell.
        """
        found: list[StatusRecord] = []
        for page in range(1, MOST_PAGES + 1):
            path = f"/repos/{self._repo}/commits/{sha}/statuses?per_page={PAGE}&page={page}"
            answer = self.request("GET", path)
            if answer.status_code != HTTPStatus.OK:
                raise OperatorError(self.refusal(answer))
            found += [_record(sha, shown) for shown in json_of(answer)]
            if len(found) < page * PAGE:
                break
        return tuple(found)

    def refusal(self, answer: httpx.Response) -> str:
        """Return in a sentence what GitHub refused, and which rights would do."""
        said = f"GitHub answered {answer.status_code}: {_message_of(answer)}{_rights_of(answer)}"
        return self._clean(said)

    @contextmanager
    def _within_the_deadline(self) -> Iterator[None]:
        """Shut the connection down when the deadline has passed: timeouts bound one read alone.

        The blocked read then ends at once, and a connection that is shut down is never reused.

        Raises:
            OperatorError: there is no answer.
        """
        self._over = threading.Event()
        timer = threading.Timer(self._deadline_s, self._cut_off, [self._over])
        timer.daemon = True
        timer.start()
        try:
            yield
        except (httpx.RequestError, httpx.InvalidURL) as exc:
            said = f"{type(exc).__name__}: {exc}"
            if self._over.is_set():
                said = f"the request was not over after {self._deadline_s:g} s"
            raise OperatorError(self._clean(f"no answer from GitHub: {said}")) from exc
        finally:
            timer.cancel()

    def _cut_off(self, over: threading.Event) -> None:
        over.set()
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep hold of the socket (https://www.encode.io/httpcore/extensions/#trace)."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._over.is_set():  # a name server may take longer than all that is given
                self._cut_off(self._over)

    def _send(self, url: str, body: Mapping[str, str]) -> Posted:
        """Send, following redirects (a renamed repository) with method and body kept."""
        for _ in range(MAX_HOPS):
            answer = self._ask(url, body)
            if answer.status_code not in _MOVED:
                return self._classify(answer)
            location = httpx.URL(url).join(answer.headers.get("location", ""))
            if _origin(location) != _origin(httpx.URL(url)):
                return RetryLater(
                    self._clean(
                        f"GitHub redirects to another host ({location}); the token is not sent"
                        " there. Set DEPLOYER_GITHUB_API_URL if that is right"
                    )
                )
            url = str(location)
        return RetryLater(f"GitHub redirected {MAX_HOPS} times in a row")

    def _ask(
        self, url: str, body: Mapping[str, object] | None, method: str = "POST"
    ) -> httpx.Response:
        if self._over.is_set():
            raise httpx.ReadTimeout("the deadline passed between two redirects")
        self._sent = self._token()
        with self._client.stream(
            method,
            url,
            json=body,
            headers=_headers_of(in_plain(self._sent)),
            extensions={"trace": self._trace},
        ) as answer:
            read = bytearray()
            for part in answer.iter_bytes():
                read += part
                if len(read) > MAX_BODY:
                    raise httpx.ReadError(f"its answer is longer than {MAX_BODY} bytes")
            # Decoded already, so without the headers that say how. As bytes: a proxy's may be any.
            headers = [
                (name, value)
                for name, value in answer.headers.raw
                if name.lower()
                not in {b"content-encoding", b"content-length", b"transfer-encoding"}
            ]
            return httpx.Response(answer.status_code, headers=headers, content=bytes(read))

    def _classify(self, answer: httpx.Response) -> Posted:
        code = answer.status_code
        said = f"GitHub answered {code}: {self._clean(_message_of(answer))}"
        ours = isinstance(_json(answer), dict)
        if code == HTTPStatus.CREATED and ours:
            return Accepted()
        if code in _LIMITED:
            return RetryLater(f"{said}{_rights_of(answer)}", _limit_s(answer))
        if code == HTTPStatus.UNAUTHORIZED:
            return RetryLater(
                f"{said}. The token has expired or is wrong: put a new one into"
                " DEPLOYER_GITHUB_TOKEN_FILE, or into DEPLOYER_GITHUB_TOKEN and restart the worker"
            )
        if code == HTTPStatus.NOT_FOUND:
            # An unknown commit is a 422; 404 hides a private repository from a weak token.
            return RetryLater(
                f"{said}. DEPLOYER_GITHUB_REPO={self._repo} is misspelt,"
                f" or the token may not write its commit statuses{_rights_of(answer)}"
            )
        # All else is not about this status: 410 (and 400) of an API version that is no more
        # (https://docs.github.com/en/rest/about-the-rest-api/api-versions), 451 of a repository.
        if ours and code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return RefusedForGood(said)
        return RetryLater(said)

    def _clean(self, text: str) -> str:
        """Take out the token, line breaks and whatever is beyond a readable length."""
        text = " ".join(without([in_plain(self._sent)], text).split())
        return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


def _headers_of(secret: str | None) -> dict[str, str]:
    """Return the headers of a request to GitHub; without a token it is nobody's."""
    return {
        "Accept": "application/vnd.github+json",
        # GitHub answers 403 to a request without one.
        "User-Agent": f"class-airflow-deployer/{__version__}",
        "X-GitHub-Api-Version": API_VERSION,
        **({"Authorization": f"Bearer {secret}"} if secret else {}),
    }


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def json_of(answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever was sent
    """Return what was sent.

    Raises:
        OperatorError: it is no JSON.
    """
    try:
        return answer.json()
    except (ValueError, RecursionError) as exc:  # UnicodeDecodeError included
        kind = answer.headers.get("content-type", "no content type")
        raise OperatorError(
            f"GitHub answered {answer.status_code}: no JSON ({kind}): see DEPLOYER_GITHUB_API_URL"
        ) from exc


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - likewise
    with suppress(OperatorError):
        return json_of(answer)
    return None


def _message_of(answer: httpx.Response) -> str:
    """Return what GitHub says is wrong: `message`, and each of `errors` as far as it says."""
    said = _json(answer)
    if not isinstance(said, dict):
        return f"no JSON ({answer.headers.get('content-type', 'no content type')})"
    errors = said.get("errors")
    details = [
        str(error.get("message") or f"{error.get('field')}: {error.get('code')}")
        if isinstance(error, dict)
        else str(error)
        for error in (errors if isinstance(errors, list) else [])
    ]
    return "; ".join([str(said.get("message", "no message")), *details])


def _limit_s(answer: httpx.Response) -> float:
    """Return how long GitHub wants to be left alone, in seconds.

    In the order of GitHub's best practices: `retry-after`, then `x-ratelimit-reset`
    if nothing remains, then a minute. A token without rights answers 403 too and
    can't be told from a secondary limit by its headers: it gets that minute.
    """
    retry_after = _number(answer.headers.get("retry-after"))
    if retry_after is not None:
        return min(retry_after, LONGEST_LIMIT_S)
    reset = _number(answer.headers.get("x-ratelimit-reset"))
    if reset is not None and _number(answer.headers.get("x-ratelimit-remaining")) == 0:
        # By GitHub's clock, as the reset is: ours may be wrong.
        with suppress(KeyError, ValueError):
            sent = parsedate_to_datetime(answer.headers["date"]).timestamp()
            return min(max(reset - sent, 1.0), LONGEST_LIMIT_S)
    return UNSAID_LIMIT_S


def _rights_of(answer: httpx.Response) -> str:
    """Return which rights would do. GitHub says so to fine-grained tokens."""
    needed = answer.headers.get("x-accepted-github-permissions")
    return f" (the token needs: {needed})" if needed else ""


def _record(sha: str, shown: Mapping[str, Any]) -> StatusRecord:
    words = shown["description"] or ""
    return StatusRecord(
        Status(sha, shown["context"], StatusState(shown["state"]), words),
        target_url=shown["target_url"],
        posted_at=datetime.fromisoformat(shown["created_at"]),
    )


def _number(text: str | None) -> float | None:
    """Return a header's whole number. None: no such header, or another form of it (a date)."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
