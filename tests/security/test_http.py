"""HTTP from somebody hostile at a web process: signatures, bodies, bytes, paths."""

from __future__ import annotations

import gzip
import json
import socket
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from deployer.core import webhook
from deployer.core.webhook import BODY_LIMIT
from deployer.edges.processes.server import SETTINGS, _Threads
from tests.web_process import (
    BODY,
    REPO,
    SECRET,
    WRONG,
    Web,
    answer,
    chunked,
    peak_mb,
    request,
    running,
    signature,
)

NEXT_SECRET = "the one that is being rotated in"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    secrets = {"DEPLOYER_WEBHOOK_SECRET": f"{SECRET},{NEXT_SECRET}"}
    with running(tmp_path_factory.mktemp("web"), more=secrets) as started:
        yield started
        assert started.process.poll() is None
        log = (started.state_dir / "stderr").read_text()
        assert "request_failed" not in log
        assert not {SECRET, NEXT_SECRET} & {one for one in (SECRET, NEXT_SECRET) if one in log}


def asked(web: Web, sent: bytes) -> tuple[int, str, set[str]]:
    """Return the status, the text and which deliveries are known only since then."""
    before = web.known()
    with web.connect() as client:
        client.sendall(sent)
        said = answer(client)
    text: str = said.text  # type: ignore[attr-defined]  # `answer` carries it along
    return said.status, text, web.known() - before


def whole(web: Web, sent: bytes) -> bytes:
    """Return all that is answered until the other end hangs up."""
    with web.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        said = bytearray()
        with suppress(ConnectionResetError):
            while piece := client.recv(65536):
                said += piece
    return bytes(said)


def pushed(**changed: object) -> bytes:
    """Return a push with fields changed; `...` leaves one out."""
    fields = json.loads(BODY) | changed
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


# --- signatures -------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Hub_Signature_256": None},
        {"X_Hub_Signature_256": ""},
        {"X_Hub_Signature_256": WRONG},
        {"X_Hub_Signature_256": signature(BODY, "another secret, as long as that")},
        {"X_Hub_Signature_256": signature(BODY, "")},
        {"X_Hub_Signature_256": signature(BODY + b" ")},
        {"X_Hub_Signature_256": signature(BODY).upper()},
        {"X_Hub_Signature_256": signature(BODY).replace("sha256", "SHA256")},
        {"X_Hub_Signature_256": signature(BODY)[:-1]},
        {"X_Hub_Signature_256": signature(BODY) + "00"},
        {"X_Hub_Signature_256": signature(BODY).removeprefix("sha256=")},
        {"X_Hub_Signature_256": f"sha256=\u0660{signature(BODY)[8:]}"},
        {"X_Hub_Signature_256": f"{signature(BODY)}, {signature(BODY)}"},
        {"X_Hub_Signature_256": None, "X_Hub_Signature": "sha1=" + "0" * 40},
        {"X_Hub_Signature_256": None, "Authorization": "Bearer " + SECRET},
    ],
)
def test_what_is_not_signed_is_a_401_and_leaves_nothing(
    web: Web, headers: dict[str, str | None]
) -> None:
    assert asked(web, request(None, body=BODY, **headers))[::2] == (401, set())


@pytest.mark.parametrize("good_first", [True, False])
def test_two_signatures_are_none(web: Web, *, good_first: bool) -> None:
    good, bad = (f"X-Hub-Signature-256: {one}\r\n".encode() for one in (signature(BODY), WRONG))
    both = good + bad if good_first else bad + good
    sent = request(X_Hub_Signature_256=None).replace(b"\r\n\r\n", b"\r\n" + both + b"\r\n", 1)
    assert asked(web, sent)[::2] == (401, set())


def test_a_header_spelt_with_underscores_is_not_that_header(web: Web) -> None:
    sent = request().replace(b"X-Hub-Signature-256", b"X_Hub_Signature_256")
    status, _, new = asked(web, sent)
    assert status in {400, 401}
    assert not new


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
def test_while_secrets_are_rotated_either_signs(web: Web, secret: str) -> None:
    sent = request(X_Hub_Signature_256=signature(BODY, secret))
    assert asked(web, sent)[0] == 202


def test_names_of_headers_may_be_in_any_case(web: Web) -> None:
    sent = request().replace(b"X-Hub-Signature-256", b"x-hUB-signature-256")
    assert asked(web, sent)[0] == 202


def test_every_secret_is_compared_in_constant_time_whichever_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def digests(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("deployer.core.webhook.hmac.compare_digest", digests)
    headers = {
        "content-type": "application/json",
        "x-github-event": "ping",
        "x-github-delivery": "1",
        "x-hub-signature-256": signature(b"{}"),
    }
    webhook.receive(
        headers, b"{}", secrets=[SECRET, NEXT_SECRET], repo=REPO, branch="main", newest=lambda: None
    )
    assert len(compared) == 2


# --- bodies -----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"Hello",
        b'{"a": NaN}',
        b'{"a": 1e5, "b": -Infinity}',
        pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", id="huge number"),
        pytest.param(b"[" * 200_000, id="deep"),
        b'{"a": "\xed\xa0\x80"}',
        "{}".encode("utf-16"),
        BODY + b"\x00",
        BODY + BODY,
        gzip.compress(BODY),
        pushed(ref=...),
        pushed(after="--upload-pack=touch x"),
        pushed(after="A" * 40),
        pushed(repository=None),
    ],
)
def test_a_signed_body_that_is_no_delivery_is_a_400_and_leaves_nothing(
    web: Web, body: bytes
) -> None:
    status, text, new = asked(web, request(body=body))
    assert (status, new) == (400, set())
    assert json.loads(text).keys() == {"error"}


def test_an_empty_body_is_a_400(web: Web) -> None:
    sent = request(body=b"", X_Hub_Signature_256=signature(b""))
    assert asked(web, sent)[::2] == (400, set())


def test_the_largest_body_that_github_sends_is_taken_and_one_byte_more_is_not(web: Web) -> None:
    body = BODY + b" " * (BODY_LIMIT - len(BODY))
    assert asked(web, request("largest", body=body))[::2] == (202, {"largest"})
    assert asked(web, request("too-large", body=body + b" "))[::2] == (413, set())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": None}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content_Type": "application/json, text/plain"}, 415),
        ({"Content_Type": "application/json; charset=utf-16"}, 202),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "deflate"}, 415),
        ({"Content_Encoding": "identity"}, 415),
    ],
)
def test_a_body_is_json_as_it_is_or_a_415(
    web: Web, headers: dict[str, str | None], status: int
) -> None:
    assert asked(web, request(None, body=BODY, **headers))[0] == status


def test_what_was_packed_is_never_unpacked(web: Web) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    before_mb = peak_mb(web)
    assert asked(web, request(body=bomb, Content_Encoding="gzip"))[0] == 415
    assert asked(web, request(body=zlib.compress(BODY), Content_Encoding="deflate"))[0] == 415
    assert asked(web, request(body=bomb))[0] == 400
    assert peak_mb(web) - before_mb < 50


def test_of_a_name_that_is_there_twice_the_last_counts_as_in_every_json_of_pythons(
    web: Web,
) -> None:
    twice = b'{"ref": "refs/heads/main", ' + pushed(ref="refs/heads/other")[1:]
    status, text, _ = asked(web, request(body=twice))
    assert (status, json.loads(text)["result"]) == (202, "ignored")


def test_a_trailer_signs_nothing(web: Web) -> None:
    head = request(
        body=b"", Content_Length=None, Transfer_Encoding="chunked", X_Hub_Signature_256=None
    )
    trailer = f"X-Hub-Signature-256: {signature(BODY)}\r\n\r\n".encode()
    sent = head + chunked(BODY, 100).removesuffix(b"\r\n") + trailer
    assert whole(web, sent).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("event", "changed", "result"),
    [
        ("issues", {}, "ignored"),
        ("ping", {}, "ignored"),
        ("push", {"repository": {"full_name": "teacher/another"}}, "ignored"),
        ("push", {"repository": {"full_name": "teacher/class-airflow\n", "id": 1}}, "ignored"),
        ("push", {"ref": "refs/heads/other"}, "ignored"),
        ("push", {"ref": "refs/heads/MAIN"}, "ignored"),
        ("push", {"ref": "refs/tags/main"}, "ignored"),
        ("push", {"ref": "main"}, "ignored"),
        ("push", {"ref": "refs/heads/main/../main"}, "ignored"),
        ("push", {"ref": "\ud800<script>\x1b[2J"}, "ignored"),
        ("push", {"deleted": True, "after": "0" * 40}, "ignored"),
        ("push", {"after": "0" * 40}, "ignored"),
        ("push", {"before": "0" * 40}, "queued"),
        ("push", {"repository": {"full_name": REPO.upper(), "id": 10**400}}, "queued"),
        ("push", {"pusher": {"name": "\ud800\x1b[2J" * 99}}, "queued"),
        ("push", {"commits": [{"url": "file:///etc/passwd"}] * 99}, "queued"),
    ],
)
def test_only_a_push_to_the_branch_is_queued(
    web: Web, event: str, changed: dict[str, object], result: str
) -> None:
    guid = str(uuid.uuid4())
    sent = request(guid, body=pushed(**changed), X_GitHub_Event=event)
    status, text, new = asked(web, sent)
    assert (status, json.loads(text)["result"], new) == (202, result, {guid})
    assert text.isascii()


# --- bytes that are hardly HTTP ---------------------------------------------

MANY: dict[str, str | None] = {f"X_{n}": "a" for n in range(65)}
SMUGGLED = request("smuggled")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(request(Transfer_Encoding="chunked") + SMUGGLED, id="CL and TE"),
        pytest.param(
            request().replace(b"Content-Length", b"Content-Length: 0\r\nContent-Length") + SMUGGLED,
            id="two CL",
        ),
        pytest.param(request(Content_Length="+5"), id="signed CL"),
        pytest.param(request(Content_Length="0x10"), id="hexadecimal CL"),
        pytest.param(request(Content_Length="-1"), id="negative CL"),
        pytest.param(request(Content_Length="5, 5"), id="list of CL"),
        pytest.param(
            request(Content_Length=None, Transfer_Encoding="xchunked") + SMUGGLED, id="unknown TE"
        ),
        pytest.param(
            request(Content_Length=None, Transfer_Encoding="chunked, identity") + SMUGGLED,
            id="TE that ends otherwise",
        ),
        pytest.param(
            request(Transfer_Encoding="chunked").replace(b"HTTP/1.1", b"HTTP/1.0") + SMUGGLED,
            id="TE in HTTP/1.0",
        ),
        pytest.param(request(X_A="b\r\n c"), id="obs-fold"),
        pytest.param(request(X_A="b\0c"), id="NUL"),
        pytest.param(request(X_A="b\rc"), id="bare CR"),
        pytest.param(request(X_A="b\nX-C: d"), id="bare LF"),
        pytest.param(request().replace(b"Host: ", b"Host : "), id="blank before the colon"),
        pytest.param(request().replace(b"Host: ", b"Ho st: "), id="blank in a name"),
        pytest.param(request().replace(b"\r\nHost", b"\r\n: x\r\nHost"), id="no name"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/3.0\r\n\r\n", id="HTTP/3.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n", id="NUL in the method"),
        pytest.param(b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="long line"),
        pytest.param(request(X_A="a" * 9_000), id="long header"),
        pytest.param(
            request(None, body=BODY, **{f"X_{n}": "a" for n in range(65)}), id="many headers"
        ),
        pytest.param(b"\x16\x03\x01 this is TLS\r\n\r\n", id="TLS"),
    ],
)
def test_what_two_servers_could_read_differently_is_refused_once_and_hung_up_on(
    web: Web, sent: bytes
) -> None:
    before = web.known()
    said = whole(web, sent)
    assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert said.count(b"HTTP/1.1 ") == 1
    assert web.known() == before


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "OPTIONS", "PUT", "DELETE", "FOO"])
def test_another_method_is_a_405(web: Web, method: str) -> None:
    sent = request().replace(b"POST", method.encode(), 1)
    assert asked(web, sent)[::2] == (405, set())


def test_as_many_stalled_clients_as_there_are_threads_hold_up_nobody_for_long(web: Web) -> None:
    half = request(X_Hub_Signature_256=WRONG, Content_Length="1000", body=b"")
    with ExitStack() as stalled:
        for sent in [half, half[:50]] * (SETTINGS["threads"] // 2):
            client = stalled.enter_context(web.connect())
            client.sendall(sent)
        assert web.deliver("behind-the-stalled") == 202


# --- paths ------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/static/../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/webhook.py",
        "/static/..%2f..%2fwebhook.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/",
        "//evil.example/",
        "/WEBHOOK",
        "/webhook/",
        "/webhook%2f..",
        "/deployments/0x1",
        "/deployments/-1",
        "/deployments/" + "9" * 400,
        "/commits/" + "A" * 40,
        "/commits/" + "a" * 39 + "%0a",
        "/folders/%00",
        "/folders/..%2f..",
        "/folders/%1b[2J",
        "/folders/%ff%fe",
        "/folders/%f0%9f%92%a9",
        "/folders/" + "a" * 300,
        "/folders/<script>alert(1)</script>",
        "/folders/{{7*7}}",
        "/api/v1/commits/..",
        "/api/v1/deployments/1;2",
        "/api/v1/deployments?limit=1e3",
        "/api/v1/deployments?folder=%00",
        "/api/v1/deployments?state=%27%20OR%201=1",
        "/;/metrics",
        "/.env",
        "/.git/config",
    ],
)
def test_an_odd_address_leads_nowhere_and_is_not_repeated_as_markup(web: Web, path: str) -> None:
    said = whole(web, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status = int(said.split(b" ", 2)[1])
    assert 300 <= status < 500
    assert not (300 <= status < 400 and b"evil.example" in said)
    for harm in (b"root:", b"<script>", b"\x1b", b">49<", b"Traceback", b"SECRET", b"/deployer/"):
        assert harm not in said
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("host", ["evil.example", "x@evil.example", "127.0.0.1:1/<script>"])
def test_the_host_that_a_client_names_appears_in_no_page(web: Web, host: str) -> None:
    said = whole(web, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert host.encode() not in said


# --- much, and slowly -------------------------------------------------------


def test_a_body_announced_as_too_long_is_refused_before_a_byte_of_it_was_sent(web: Web) -> None:
    with web.connect() as client:
        client.sendall(request(Content_Length=str(BODY_LIMIT + 1), body=b""))
        assert answer(client).status == 413


@pytest.mark.parametrize("changed", [{}, {"X_Hub_Signature_256": WRONG}])
@pytest.mark.parametrize("more", [1, BODY_LIMIT - len(BODY)])
def test_a_body_that_ends_before_its_length_is_not_taken(
    web: Web, changed: dict[str, str | None], more: int
) -> None:
    length = str(len(BODY) + more)
    said = whole(web, request("cut-short", body=BODY, Content_Length=length, **changed))
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"the body is not all there" in said
    assert "cut-short" not in web.known()


def test_chunks_in_another_encoding_are_refused(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="gzip, chunked", body=b"")
    assert asked(web, head + chunked(BODY, 100))[::2] == (415, set())


def test_chunks_over_the_limit_are_refused(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="chunked", body=b"")
    with web.connect() as client:
        client.sendall(head + chunked(bytes(BODY_LIMIT + 1), 1024 * 1024))
        assert answer(client).status == 413


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X_Hub_Signature_256": None}, 401),
        ({"X_Hub_Signature_256": "sha256=00"}, 401),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
    ],
)
def test_what_its_headers_refuse_is_answered_before_a_byte_of_the_body_was_sent(
    web: Web, changed: dict[str, str | None], status: int
) -> None:
    head = request(Content_Length=str(BODY_LIMIT), body=b"", **changed)
    with web.connect() as client:
        client.sendall(head)
        assert answer(client).status == status


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X_Hub_Signature_256": None}, 401),
        ({"X_Hub_Signature_256": WRONG}, 401),
        ({"X_Hub_Signature_256": None, "Connection": "close"}, 401),
        ({"X_Hub_Signature_256": None, "Content_Length": str(BODY_LIMIT + 1)}, 413),
    ],
)
def test_a_client_that_sends_all_of_a_refused_body_before_it_listens_reads_the_answer(
    web: Web, changed: dict[str, str | None], status: int
) -> None:
    length = int(changed.get("Content_Length") or BODY_LIMIT)
    with web.connect() as client:
        client.sendall(request(**{"Content_Length": str(length), **changed}, body=b""))
        client.sendall(bytes(length))
        assert answer(client).status == status


def test_what_is_refused_is_read_on_without_copying_what_is_read_ahead() -> None:
    left = bytearray(BODY_LIMIT)
    asked_for: list[int] = []

    def recv(most: int) -> bytes:
        asked_for.append(most)
        piece = bytes(left[:most])
        del left[:most]
        return piece

    parser = RequestParser(Config(), SimpleNamespace(recv=recv), ("127.0.0.1", 1))
    head = request(Content_Length=str(BODY_LIMIT), body=b"")
    parser.unreader.buf.write(head)
    next(parser)
    conn: Any = SimpleNamespace(parser=parser)
    worker: Any = None  # of which nothing is used
    assert _Threads._keepalive_after(worker, conn, keepalive=True)
    assert not left
    assert max(asked_for) <= 8192


def test_large_bodies_of_strangers_are_not_in_memory_together(tmp_path: Path) -> None:
    head = request(X_Hub_Signature_256=WRONG, Content_Length=str(BODY_LIMIT), body=b"")
    body = bytes(BODY_LIMIT)

    with running(tmp_path) as web, ThreadPoolExecutor(16) as strangers:

        def send(_: int) -> int | None:
            with web.connect() as client:
                client.sendall(head)
                # Who is refused and then takes longer than READ_ON_S is hung up on.
                with suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(body)
                    return answer(client).status
            return None

        before = peak_mb(web)
        statuses = set(strangers.map(send, range(16)))
        assert statuses <= {401, 503, None}
        assert 401 in statuses
        assert peak_mb(web) - before < 150
        assert web.deliver("1") == 202


def test_a_malformed_chunk_is_refused_and_the_connection_closed(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="chunked", body=b"")
    with web.connect() as client:
        client.sendall(head + b"-1\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(client).status == 400
        assert client.recv(1) == b""


def test_headers_without_end_are_refused(web: Web) -> None:
    with web.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000)
        assert answer(client).status == 431
