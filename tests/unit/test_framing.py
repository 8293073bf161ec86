"""When all of an HTTP request has arrived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.web.framing import BODY_LIMIT, FRAMING_LIMIT, HEAD_LIMIT, Arrival, Inbox

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"5\r\nhello\r\n3;x=y\r\n0\r\n\r\n0\r\nTrailer: z\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKS, CHUNKED + b"0\r\n\r\n"])
def test_a_request_is_whole_with_its_last_byte_and_not_before(request_bytes: bytes) -> None:
    inbox = Inbox()
    arrivals = [inbox.add(bytes([byte])) for byte in request_bytes]
    assert arrivals == [Arrival.PARTIAL] * (len(request_bytes) - 1) + [Arrival.WHOLE]


@given(st.sampled_from([POST, CHUNKS]), st.lists(st.integers(1, 40), max_size=20))
def test_how_the_bytes_are_cut_does_not_matter(request_bytes: bytes, sizes: list[int]) -> None:
    inbox = Inbox()
    arrival, rest = Arrival.PARTIAL, request_bytes
    for size in [*sizes, len(request_bytes)]:
        if rest:
            arrival, rest = inbox.add(rest[:size]), rest[size:]
    assert arrival is Arrival.WHOLE
    assert next(inbox) == request_bytes


def test_the_parser_is_given_each_byte_once_and_then_nothing() -> None:
    inbox = Inbox()
    inbox.add(POST)
    assert (next(inbox), next(inbox), len(inbox)) == (POST, b"", 0)


def test_the_start_of_a_next_request_does_not_hold_up_the_first() -> None:
    assert Inbox().add(POST + b"GET / HT") is Arrival.WHOLE


def test_a_body_announced_as_too_long_is_not_waited_for() -> None:
    head = f"POST / HTTP/1.1\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode()
    assert Inbox().add(head) is Arrival.REFUSABLE


def test_a_body_of_just_the_limit_is_waited_for() -> None:
    head = f"POST / HTTP/1.1\r\nContent-Length: {BODY_LIMIT}\r\n\r\n".encode()
    assert Inbox().add(head) is Arrival.PARTIAL


def test_chunks_are_waited_for_until_more_than_the_limit_is_here() -> None:
    inbox = Inbox()
    assert inbox.add(CHUNKED + b"%x\r\n" % (2 * BODY_LIMIT)) is Arrival.PARTIAL
    assert inbox.add(b"x" * BODY_LIMIT) is Arrival.PARTIAL
    assert inbox.add(b"x") is Arrival.REFUSABLE


@pytest.mark.parametrize(
    "never_ending",
    [
        pytest.param(b"-5\r\n", id="a negative size"),
        pytest.param(b"zz\r\n", id="a size that is none"),
        pytest.param(b"1" * (FRAMING_LIMIT + 1), id="a chunk's line without end"),
        pytest.param(b"0\r\n" + b"x" * (FRAMING_LIMIT + 1), id="trailers without end"),
    ],
)
def test_chunks_that_can_never_be_whole_are_not_waited_for(never_ending: bytes) -> None:
    assert Inbox().add(CHUNKED + never_ending) is Arrival.REFUSABLE


def test_a_body_in_crumbs_is_not_collected_for_ever() -> None:
    inbox = Inbox()
    inbox.add(CHUNKED)
    crumb = b"1\r\nx\r\n"
    arrivals = [inbox.add(crumb * 10_000) for _ in range(6)]
    assert arrivals == [Arrival.PARTIAL] * 5 + [Arrival.REFUSABLE]


def test_headers_without_end_are_given_up() -> None:
    inbox = Inbox()
    assert inbox.add(b"GET / HTTP/1.1\r\nX: ") is Arrival.PARTIAL
    assert inbox.add(b"x" * HEAD_LIMIT) is Arrival.HEAD_TOO_LONG


def test_a_client_that_asks_whether_to_go_on_is_noticed_and_the_parser_is_not_told() -> None:
    inbox = Inbox()
    asking = POST.replace(b"\r\nHost", b"\r\nExpect: 100-Continue\r\nHost")
    arrival = inbox.add(asking[:-2])
    assert (arrival, inbox.expects_continue) == (Arrival.PARTIAL, True)
    assert inbox.add(asking[-2:]) is Arrival.WHOLE
    assert next(inbox) == POST


def test_looking_takes_nothing_away() -> None:
    inbox = Inbox()
    inbox.add(POST)
    assert (inbox.peek(), next(inbox)) == (POST, POST)
