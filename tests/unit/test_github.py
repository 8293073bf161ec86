"""How `GitHub` asks, and how it classifies what it is answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import httpx
import pytest

from deployer.core.model import Status, StatusState
from deployer.core.settings import Secret
from deployer.edges.github.statuses import GitHub
from deployer.errors import OperatorError
from deployer.ports import Accepted, Posted, RefusedForGood, RetryLater

DATE, NOW = "Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000
"""By GitHub's clock."""
SHA = "0123456789" * 4
STATUS = Status(SHA, "airflow/deploy", StatusState.SUCCESS, "live: 2 files parsed in 0.9 s")
TOKEN = "gho_not-a-real-token-at-all"
API = "https://api.github.test"

Handler = Callable[[httpx.Request], httpx.Response]


def board(handler: Handler) -> GitHub:
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return GitHub(API, "class/airflow-class", lambda: Secret(TOKEN), client=client)


def answered(status: int, body: object = None, headers: dict[str, str] | None = None) -> Posted:
    said = {"message": "as GitHub puts it"} if body is None else body
    with_body = {"text": said} if isinstance(said, str) else {"json": said}
    answer = httpx.Response(status, headers=headers, **with_body)
    return board(lambda _request: answer).post(STATUS, None)


def retry(posted: Posted) -> RetryLater:
    assert isinstance(posted, RetryLater)
    return posted


def test_the_request_is_what_github_documents() -> None:
    seen: list[httpx.Request] = []

    def github(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"id": 1})

    assert board(github).post(STATUS, "https://deployer.test/commits/0") == Accepted()

    (request,) = seen
    assert request.method == "POST"
    assert str(request.url) == f"{API}/repos/class/airflow-class/statuses/{SHA}"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["user-agent"].startswith("class-airflow-deployer/")
    assert json.loads(request.content) == {
        "state": "success",
        "context": "airflow/deploy",
        "description": "live: 2 files parsed in 0.9 s",
        "target_url": "https://deployer.test/commits/0",
    }


# -- limits


@pytest.mark.parametrize("status", [403, 429])
def test_retry_after_is_obeyed(status: int) -> None:
    assert retry(answered(status, headers={"retry-after": "37"})).after_s == 37.0


@pytest.mark.parametrize("status", [403, 429])
def test_a_spent_limit_waits_for_its_reset_by_githubs_clock(status: int) -> None:
    headers = {"date": DATE, "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 240)}

    assert retry(answered(status, headers=headers)).after_s == 240.0


def test_retry_after_comes_before_the_reset() -> None:
    headers = {
        "retry-after": "5",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(NOW + 240),
    }

    assert retry(answered(403, headers=headers)).after_s == 5.0


def test_a_reset_in_the_past_still_waits_a_moment() -> None:
    headers = {
        "date": DATE,
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(NOW - 1000),
    }

    assert retry(answered(429, headers=headers)).after_s == 1.0


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "999999999"},
        {"date": DATE, "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"},
    ],
)
def test_no_limit_costs_more_than_githubs_longest_window(headers: dict[str, str]) -> None:
    assert retry(answered(429, headers=headers)).after_s == 3600.0


def test_a_limit_in_digits_that_are_no_number_waits_a_minute() -> None:
    odd = httpx.Response(429, headers=[(b"Retry-After", b"\xb2")], json={})  # a superscript two
    assert retry(board(lambda _request: odd).post(STATUS, None)).after_s == 60.0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "Fri, 31 Dec 2027 23:59:59 GMT"},
        {"date": DATE, "x-ratelimit-remaining": "12", "x-ratelimit-reset": str(NOW + 240)},
        {"date": DATE, "x-ratelimit-remaining": "0"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 240)},
        {"date": "soon", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 240)},
    ],
)
@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_that_says_nothing_waits_a_minute(status: int, headers: dict[str, str]) -> None:
    assert retry(answered(status, headers=headers)).after_s == 60.0


# -- what the teacher can mend


def test_a_token_without_the_right_is_tried_again_and_told_which_right_it_needs() -> None:
    posted = answered(403, headers={"x-accepted-github-permissions": "statuses=write"})

    assert "statuses=write" in retry(posted).reason
    assert retry(answered(403)).reason == "GitHub answered 403: as GitHub puts it"


def test_an_expired_token_is_tried_again_and_says_what_to_do() -> None:
    assert "DEPLOYER_GITHUB_TOKEN" in retry(answered(401)).reason


def test_404_is_tried_again_since_it_may_hide_a_private_repository() -> None:
    reason = retry(answered(404)).reason

    assert "class/airflow-class" in reason
    assert "the token may not write" in reason


def test_a_token_that_was_renewed_goes_with_the_next_request_and_stands_in_no_reason() -> None:
    given = []

    def github(request: httpx.Request) -> httpx.Response:
        given.append(request.headers["authorization"])
        if given[-1] == "Bearer new-token":
            return httpx.Response(201, json={"id": 1})
        return httpx.Response(401, json={"message": f"Bad credentials {given[-1]}"})

    now = [Secret(TOKEN)]
    client = httpx.Client(transport=httpx.MockTransport(github))
    board = GitHub(API, "a/b", lambda: now[0], client=client)
    for token in (TOKEN, "another-token"):
        now[0] = Secret(token)
        assert token not in retry(board.post(STATUS, None)).reason
    now[0] = Secret("new-token")
    assert board.post(STATUS, None) == Accepted()
    assert given == [f"Bearer {TOKEN}", "Bearer another-token", "Bearer new-token"]


# -- for good


def test_a_422_is_for_good_with_githubs_message() -> None:
    assert answered(422) == RefusedForGood("GitHub answered 422: as GitHub puts it")


@pytest.mark.parametrize("status", [400, 405, 409, 410, 451])
def test_a_refusal_that_is_not_of_this_status_is_tried_again_with_githubs_message(
    status: int,
) -> None:
    assert retry(answered(status)).reason == f"GitHub answered {status}: as GitHub puts it"


def test_a_422_tells_the_single_errors() -> None:
    posted = answered(
        422,
        {
            "message": "Validation Failed",
            "errors": [
                {"code": "custom", "message": "description is too long"},
                {"field": "target_url", "code": "invalid"},
                "another form",
            ],
        },
    )

    assert posted == RefusedForGood(
        "GitHub answered 422: Validation Failed; description is too long;"
        " target_url: invalid; another form"
    )


def test_a_long_message_is_cut() -> None:
    posted = answered(422, {"message": "x" * 5000})

    assert isinstance(posted, RefusedForGood)
    assert len(posted.reason) < 400
    assert posted.reason.endswith("…")


# -- not GitHub's word


@pytest.mark.parametrize("status", [200, 201, 400, 407, 413, 422, 502])
def test_an_answer_that_is_not_json_is_some_proxys_and_tried_again(status: int) -> None:
    posted = answered(status, "<html>blocked by policy</html>", {"content-type": "text/html"})

    assert "text/html" in retry(posted).reason


@pytest.mark.parametrize("body", [[1, 2], "null", "", "\udcff".encode("utf-8", "replace").decode()])
def test_a_201_without_a_json_object_is_not_taken_for_granted(body: object) -> None:
    assert isinstance(answered(201, body), RetryLater)


def test_a_header_that_is_not_ascii_takes_nothing_from_an_answer() -> None:
    odd = [(b"Via", b"1.1 B\xfcro"), (b"Retry-After", b"37")]
    refused, taken = (
        httpx.Response(status, headers=odd, json={"message": "as GitHub puts it"})
        for status in (429, 201)
    )
    assert retry(board(lambda _request: refused).post(STATUS, None)).after_s == 37.0
    assert board(lambda _request: taken).post(STATUS, None) == Accepted()


@pytest.mark.parametrize("status", [200, 204, 304, 408, 500, 502, 503, 504])
def test_what_is_neither_taken_nor_refused_is_tried_again(status: int) -> None:
    posted = retry(answered(status))

    assert posted.after_s is None
    assert str(status) in posted.reason


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("disconnected"),
        httpx.DecodingError("not gzip"),
    ],
)
def test_no_answer_is_tried_again(error: httpx.RequestError) -> None:
    def github(_request: httpx.Request) -> httpx.Response:
        raise error

    posted = retry(board(github).post(STATUS, None))

    assert type(error).__name__ in posted.reason


# -- redirects


def renamed(status: int, location: str) -> tuple[GitHub, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def github(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path.startswith("/repos/class/"):
            return httpx.Response(status, headers={"location": location})
        return httpx.Response(201, json={"id": 1})

    return board(github), seen


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", [f"{API}/repositories/7/statuses/x", "/repositories/7/s/x"])
def test_a_renamed_repository_is_followed_with_method_and_body(status: int, location: str) -> None:
    github, seen = renamed(status, location)

    assert github.post(STATUS, None) == Accepted()

    assert [request.method for request in seen] == ["POST", "POST"]
    assert seen[0].content == seen[1].content
    assert "authorization" in seen[1].headers


def test_after_the_deadline_no_redirect_is_followed() -> None:
    seen: list[httpx.Request] = []

    def github(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        for timer in threading.enumerate():
            if isinstance(timer, threading.Timer):
                timer.join(10)
        return httpx.Response(301, headers={"location": f"{API}/repositories/7/statuses/x"})

    client = httpx.Client(transport=httpx.MockTransport(github))
    slow = GitHub(API, "class/a", lambda: None, client=client, deadline_s=0.05)

    assert "was not over after 0.05 s" in retry(slow.post(STATUS, None)).reason
    assert len(seen) == 1


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.test/repos/x/y/statuses/z",
        "http://api.github.test/repositories/7/statuses/x",
        "https://api.github.test:8443/repositories/7/statuses/x",
        "https://api.github.test@evil.test/x",
        "//evil.test/x",
    ],
)
def test_the_token_is_never_sent_to_another_host(location: str) -> None:
    github, seen = renamed(301, location)

    posted = retry(github.post(STATUS, None))

    assert len(seen) == 1
    assert "another host" in posted.reason


@pytest.mark.parametrize("location", ["", "https://[broken/"])
def test_a_redirect_to_nowhere_ends(location: str) -> None:
    github, _ = renamed(307, location)

    assert isinstance(github.post(STATUS, None), RetryLater)


# -- the token


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_the_token_is_in_no_reason_even_if_github_echoes_it(status: int) -> None:
    posted = answered(status, {"message": f"Bad credentials: {TOKEN}", "errors": [TOKEN]})

    assert isinstance(posted, RetryLater | RefusedForGood)
    assert TOKEN not in posted.reason
    assert "****" in posted.reason


def test_the_token_is_in_no_reason_of_a_failed_connection() -> None:
    def github(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"proxy refused Bearer {TOKEN}")

    assert TOKEN not in retry(board(github).post(STATUS, None)).reason


def test_the_token_is_in_no_repr() -> None:
    github = board(lambda _request: httpx.Response(201, json={}))

    assert TOKEN not in repr(github) + repr(vars(github))


@pytest.mark.parametrize("body", ["<html>", "[" * 5000], ids=["a page", "nested deeply"])
def test_an_answer_that_is_no_json_is_told_with_what_to_look_at(body: str) -> None:
    answer = httpx.Response(200, text=body)
    with pytest.raises(OperatorError, match=r"no JSON .*: see DEPLOYER_GITHUB_API_URL"):
        board(lambda _request: answer).told(SHA)
    assert (
        retry(answered(500, body)).reason
        == "GitHub answered 500: no JSON (text/plain; charset=utf-8)"
    )
