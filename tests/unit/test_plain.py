"""Which requests are plain, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.web import plain

HEAD = (
    b"POST /webhook HTTP/1.1\r\nHost: class.example.org\r\nContent-Type: application/json\r\n"
    b"X-GitHub-Event:push\r\nUser-Agent: \t GitHub Hookshot \r\nContent-Length: 5\r\n"
)
REQUEST = HEAD + b"\r\nhello"


def test_a_plain_request_becomes_what_wsgi_says() -> None:
    environ = plain.read(REQUEST)
    assert environ is not None
    assert environ["wsgi.input"].read() == b"hello"
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhook",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": "5",
        "CONTENT_TYPE": "application/json",
        "HTTP_HOST": "class.example.org",
        "HTTP_X_GITHUB_EVENT": "push",
        "HTTP_USER_AGENT": "GitHub Hookshot",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "special",
    [
        pytest.param(REQUEST.replace(b"POST", b"GET"), id="another method"),
        pytest.param(REQUEST.replace(b"1.1", b"1.0"), id="another version"),
        pytest.param(REQUEST.replace(b"/webhook", b"/web%68ook"), id="an escape in the path"),
        pytest.param(REQUEST.replace(b"/webhook", b"/webhook?x=1"), id="a query"),
        pytest.param(REQUEST.replace(b"/webhook", b"http://x/webhook"), id="a whole address"),
        pytest.param(HEAD + b"Host: other\r\n\r\nhello", id="a repeated header"),
        pytest.param(HEAD + b"Content-Length: 5\r\n\r\nhello", id="a repeated length"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nhello", id="an encoding"),
        pytest.param(HEAD + b"Connection: close\r\n\r\nhello", id="a last request"),
        pytest.param(HEAD + b"Expect: 100-continue\r\n\r\nhello", id="an expectation"),
        pytest.param(HEAD + b"X_Y: 1\r\n\r\nhello", id="an underscore"),
        pytest.param(HEAD + b"X : 1\r\n\r\nhello", id="a space before the colon"),
        pytest.param(HEAD + b"X: 1\r\n 2\r\n\r\nhello", id="a folded line"),
        pytest.param(HEAD + b"X: 1\nY: 2\r\n\r\nhello", id="a bare newline"),
        pytest.param(HEAD + b"X: \xc3\xa9\r\n\r\nhello", id="not ASCII"),
        pytest.param(HEAD + b"X: \x00\r\n\r\nhello", id="a NUL"),
        pytest.param(REQUEST.replace(b": 5", b": +5"), id="a length with a sign"),
        pytest.param(REQUEST.replace(b": 5", b": 05"), id="a length with a zero"),
        pytest.param(REQUEST + b"POST", id="the start of a next request"),
        pytest.param(REQUEST[:-1], id="a body that is not all there"),
        pytest.param(HEAD.replace(b"Content-Length: 5\r\n", b"") + b"\r\n", id="no length"),
        pytest.param(b"POST / HTTP/1.1\r\n\r\n", id="no headers"),
    ],
)
def test_what_leaves_something_to_interpret_is_not_plain(special: bytes) -> None:
    assert plain.read(special) is None


@given(st.binary(max_size=60), st.integers(0, len(REQUEST)), st.integers(0, len(REQUEST)))
def test_garbage_anywhere_never_becomes_another_body(rubbish: bytes, one: int, two: int) -> None:
    start, end = sorted((one, two))
    environ = plain.read(REQUEST[:start] + rubbish + REQUEST[end:])
    if environ is not None:
        body = environ["wsgi.input"].read()
        assert len(body) == int(environ["CONTENT_LENGTH"])
        assert not any(character in "\r\n\0" for value in texts(environ) for character in value)


def test_a_header_of_spaces_costs_no_more_than_its_length() -> None:
    """A pattern that tries each way to share them out would take minutes."""
    environ = plain.read(HEAD + b"X: " + b" " * 30_000 + b"x" + b" " * 30_000 + b"\r\n\r\nhello")
    assert environ is not None
    assert environ["HTTP_X"] == "x"


def texts(environ: dict[str, object]) -> list[str]:
    return [value for value in environ.values() if isinstance(value, str)]


def app_that(log: list[str]) -> Callable[..., Iterator[bytes]]:
    """Return an application that logs when it gets a request and when its answer is read."""

    def app(environ: dict[str, str], start: Callable[..., object]) -> Iterator[bytes]:
        log.append(f"got {environ['PATH_INFO']}")
        return answer(environ["PATH_INFO"], start)

    def answer(path: str, start: Callable[..., object]) -> Iterator[bytes]:
        log.append(f"read {path}")
        start("202 Accepted", [("Content-Length", "999"), ("X-Path", path)])
        yield b"done "
        yield path.encode()

    return app


def test_the_application_has_all_requests_before_an_answer_is_read() -> None:
    log: list[str] = []
    requests = [
        environ
        for path in (b"/a", b"/b")
        if (environ := plain.read(REQUEST.replace(b"/webhook", path)))
    ]
    answers = plain.answer(app_that(log), requests)
    assert log == ["got /a", "got /b", "read /a", "read /b"]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [b"done /a", b"done /b"]


def test_an_answer_is_framed_by_its_real_length_and_dated() -> None:
    environ = plain.read(REQUEST)
    assert environ is not None
    (answer,) = plain.answer(app_that([]), [environ])
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 202 Accepted"
    assert lines[1].startswith(b"Date: ")
    assert lines[1].endswith(b" GMT")
    assert set(lines[2:]) == {b"X-Path: /webhook", b"Content-Length: %d" % len(body)}
