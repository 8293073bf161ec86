"""Tell when all of an HTTP/1.1 request has arrived, without parsing it.

Pure: bytes in, `Arrival` out. It only decides *when* gunicorn's strict parser gets the
bytes, never what they mean: if the two disagree, the connection is closed after the
answer. The framing is RFC 9112's, sections 6 and 7.
"""

from __future__ import annotations

import re
from enum import Enum, auto

BODY_LIMIT = 25 * 1024 * 1024
"""Bytes. GitHub does not deliver payloads over 25 MB."""

HEAD_LIMIT = 32 * 1024
"""Bytes of request line and headers together."""

FRAMING_LIMIT = 256 * 1024
"""Bytes of all chunks' lines and trailers: a body in crumbs would keep the event loop busy."""

_BLANK_LINE = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;|$)")


class Arrival(Enum):
    """What has arrived so far."""

    PARTIAL = auto()  # wait for more
    WHOLE = auto()  # one request, and perhaps the start of the next
    REFUSABLE = auto()  # the rest would not change the answer: too long, or not HTTP
    HEAD_TOO_LONG = auto()


class Inbox:
    """The bytes of one connection, on their way into gunicorn's parser.

    As an iterator it never waits: it yields what is here, then `b""`, which the parser
    takes for the end of the connection.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._bytes = bytearray()
        self._body_at: int | None = None  # None: the headers have not ended yet
        self._length: int | None = 0  # of the body; None: chunked
        self._chunk_at = 0  # where the next chunk's line starts, once it is here
        self._chunked_bytes = 0  # announced by the chunk lines read so far
        self.expects_continue = False

    def peek(self) -> bytes:
        return bytes(self._bytes)

    def __len__(self) -> int:
        return len(self._bytes)

    def __bool__(self) -> bool:
        return True  # an empty inbox is still one; gunicorn asks `if not self.iter`

    def __iter__(self) -> Inbox:
        return self

    def __next__(self) -> bytes:
        taken = bytes(self._bytes)
        self._clear()
        return taken

    def add(self, data: bytes) -> Arrival:
        """Take what the socket gave and say what there is now. Linear in what was added."""
        seen = len(self._bytes)
        self._bytes += data
        if self._body_at is None:
            end = self._bytes.find(_BLANK_LINE, max(0, seen - len(_BLANK_LINE) + 1))
            if end < 0:
                too_long = len(self._bytes) > HEAD_LIMIT
                return Arrival.HEAD_TOO_LONG if too_long else Arrival.PARTIAL
            self._read_head(end)
        if self._length is None:
            return self._walk_chunks()
        if self._length > BODY_LIMIT:
            return Arrival.REFUSABLE
        whole = len(self._bytes) >= (self._body_at or 0) + self._length
        return Arrival.WHOLE if whole else Arrival.PARTIAL

    def _read_head(self, end: int) -> None:
        head = bytes(self._bytes[: end + 2])
        # Whoever holds the socket answers "100 Continue"; gunicorn must not do it again.
        without = _EXPECT.sub(b"", head)
        self.expects_continue = without != head
        self._bytes[: end + 2] = without
        self._body_at = self._chunk_at = len(without) + 2
        length = _LENGTH.search(without)
        self._length = None if _CHUNKED.search(without) else int(length[1]) if length else 0

    def _walk_chunks(self) -> Arrival:
        while self._chunk_at <= len(self._bytes):
            eol = self._bytes.find(b"\r\n", self._chunk_at)
            if eol < 0:
                return self._unless_too_long(self._chunked_bytes)
            size = _CHUNK_SIZE.match(self._bytes, self._chunk_at, eol)
            if size is None:
                return Arrival.REFUSABLE
            length = int(size[1], 16)
            if length == 0:
                whole = self._bytes.find(_BLANK_LINE, eol) >= 0  # after the trailers, if any
                return Arrival.WHOLE if whole else self._unless_too_long(self._chunked_bytes)
            self._chunked_bytes += length
            self._chunk_at = eol + 2 + length + 2
        missing = self._chunk_at - 2 - len(self._bytes)
        return self._unless_too_long(self._chunked_bytes - missing)

    def _unless_too_long(self, arrived: int) -> Arrival:
        """Wait for more, if `arrived` bytes of the body and what is around them are bearable."""
        around = len(self._bytes) - (self._body_at or 0) - arrived
        too_long = arrived > BODY_LIMIT or around > FRAMING_LIMIT
        return Arrival.REFUSABLE if too_long else Arrival.PARTIAL
