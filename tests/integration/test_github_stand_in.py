"""The stand-in for GitHub, with real git clients and a real receiver of its deliveries."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Response

from deployer.core.model import Status, StatusState
from deployer.core.settings import Secret
from deployer.demo.github import StandIn
from deployer.demo.github.delivering import HOOK_ID, Delivery
from deployer.demo.github.statuses import PostedStatus
from deployer.edges.github.statuses import GitHub
from deployer.ports import Accepted, RetryLater
from tests.github.watched import watched
from tests.github_faults import Fault, Faults
from tests.integration.waiting import eventually
from tests.loopback import LOOPBACK

REPO = "class/airflow-class"
SECRET = "It's a Secret to Everybody"
TOKEN = "a-token"
ZERO = "0" * 40
BOUND_S = 60.0

GET, POST = LOOPBACK.get, LOOPBACK.post
HEADERS = {
    "Accept": "application/vnd.github+json",
    "Authorization": f"Bearer {TOKEN}",
    "X-GitHub-Api-Version": "2022-11-28",
}


# -- the world around it


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)
        return payload


class Receiver:
    """Takes deliveries on a free port; `status` is what it answers."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Student:
    """A clone, and git in it."""

    def __init__(self, path: Path, git_url: str) -> None:
        self.path = path
        self._run("clone", "--quiet", git_url, str(path))
        self.git("checkout", "-B", "main")

    def git(self, *arguments: str) -> str:
        return self._run("-C", str(self.path), *arguments)

    def commit(self, path: str, content: str | bytes, message: str = "a change") -> str:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self, *arguments: str) -> None:
        self.git("push", "--quiet", "origin", *(arguments or ("main",)))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_AUTHOR_NAME": "Lasse Berg",
                "GIT_AUTHOR_EMAIL": "lasse@example.org",
                "GIT_COMMITTER_NAME": "Lasse Berg",
                "GIT_COMMITTER_EMAIL": "lasse@example.org",
            },
        )
        return done.stdout.strip()


def delivered(github: StandIn, count: int) -> list[Delivery]:
    """Return the deliveries once there are `count` of them."""
    eventually(lambda: len(github.webhook.deliveries) >= count, BOUND_S)
    return github.webhook.deliveries


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def github(tmp_path: Path, receiver: Receiver) -> Iterator[StandIn]:
    with StandIn(tmp_path / "github", repo=REPO, secret=SECRET, token=TOKEN) as stand_in:
        stand_in.webhook.url = receiver.url
        yield stand_in


@pytest.fixture(autouse=True)
def violations(github: StandIn) -> Iterator[list[str]]:
    """Return what is not as GitHub describes it; the test that provokes some takes it out."""
    with watched(github) as watch:
        yield watch.violations


@pytest.fixture
def lasse(tmp_path: Path, github: StandIn) -> Student:
    return Student(tmp_path / "lasse", github.git_url)


def post_status(github: StandIn, sha: str, body: object, **headers: str) -> httpx.Response:
    return POST(f"{github.url}/repos/{REPO}/statuses/{sha}", json=body, headers=HEADERS | headers)


def get(github: StandIn, path: str) -> httpx.Response:
    return GET(f"{github.url}/repos/{REPO}{path}", headers=HEADERS)


# -- git and its deliveries


def test_a_push_is_delivered_signed_with_githubs_headers(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    sha = lasse.commit("dags/lasse/taxi.py", "x = 1", "taxi\n\nwith a body")
    lasse.push()

    (delivery,) = delivered(github, 1)

    (received,) = receiver.received
    signature = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["X-Hub-Signature-256"] == f"sha256={signature}"
    assert received.headers["X-GitHub-Event"] == "push"
    assert received.headers["X-GitHub-Delivery"] == delivery.guid
    assert received.headers["X-GitHub-Hook-ID"] == str(HOOK_ID)
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"].startswith("GitHub-Hookshot/")
    payload = received.payload
    assert payload["ref"] == "refs/heads/main"
    assert (payload["before"], payload["after"]) == (ZERO, sha)
    assert (payload["created"], payload["deleted"], payload["forced"]) == (True, False, False)
    assert payload["repository"]["full_name"] == REPO
    assert isinstance(payload["repository"]["id"], int)
    assert payload["pusher"]["name"] == "lasse-berg"
    assert (delivery.status, delivery.status_code) == ("OK", 202)


def test_a_clone_gets_what_was_pushed(github: StandIn, lasse: Student, tmp_path: Path) -> None:
    sha = lasse.commit("dags/lasse/taxi.py", "x = 1")
    lasse.push()

    maria = Student(tmp_path / "maria", github.git_url)

    assert maria.git("rev-parse", "HEAD") == sha


def test_a_push_too_big_for_one_request_buffer_arrives_whole(
    github: StandIn, lasse: Student, tmp_path: Path
) -> None:
    # Over http.postBuffer (1 MiB) git probes first and then sends chunks of unknown length.
    blob = os.urandom(3 * 1024 * 1024)
    lasse.commit("data.bin", blob)
    lasse.push()

    maria = Student(tmp_path / "maria", github.git_url)

    assert (maria.path / "data.bin").read_bytes() == blob


def test_a_fetch_with_a_long_gzipped_request_is_understood(
    github: StandIn, lasse: Student, tmp_path: Path
) -> None:
    # Git compresses requests over 1 KiB: a fetch that offers many commits is one.
    lasse.commit("a", "0")
    lasse.push()
    maria = Student(tmp_path / "maria", github.git_url)
    for number in range(40):
        maria.commit("b", str(number))
    sha = lasse.commit("a", "1")
    lasse.push()

    maria.git("fetch", "--quiet", "origin")

    assert maria.git("rev-parse", "origin/main") == sha


def test_a_forced_push_says_so_and_the_old_commit_can_still_be_fetched(
    github: StandIn, receiver: Receiver, lasse: Student, tmp_path: Path
) -> None:
    base = lasse.commit("a", "1")
    dropped = lasse.commit("a", "2")
    lasse.push()
    lasse.git("reset", "--quiet", "--hard", base)
    new = lasse.commit("a", "3")
    lasse.push("--force", "main")

    delivered(github, 2)

    payload = receiver.received[1].payload
    assert (payload["before"], payload["after"], payload["forced"]) == (dropped, new, True)
    maria = Student(tmp_path / "maria", github.git_url)
    maria.git("fetch", "--quiet", "origin", dropped)


def test_a_deleted_branch_ends_in_zeros(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    sha = lasse.commit("a", "1")
    lasse.push("main", "main:topic")
    delivered(github, 2)
    lasse.push("--delete", "topic")

    delivered(github, 3)

    payload = receiver.received[2].payload
    assert payload["ref"] == "refs/heads/topic"
    assert (payload["before"], payload["after"], payload["deleted"]) == (sha, ZERO, True)


def test_a_push_that_moves_nothing_is_not_announced(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    lasse.commit("a", "1")
    lasse.push()
    lasse.push()
    lasse.commit("a", "2")
    lasse.push()

    delivered(github, 2)

    first, second = (one.payload for one in receiver.received)
    assert (first["before"], second["before"]) == (ZERO, first["after"])


def test_a_refused_delivery_is_kept_and_not_sent_again(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    receiver.status = 500
    lasse.commit("a", "1")
    lasse.push()
    (failed,) = delivered(github, 1)
    receiver.status = 202
    lasse.commit("a", "2")
    lasse.push()

    again = delivered(github, 2)[1]

    assert (failed.status_code, again.status_code) == (500, 202)
    assert again.payload["before"] == failed.payload["after"]
    assert len(receiver.received) == 2


def test_a_receiver_out_of_reach_is_kept_as_502(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    receiver.close()
    lasse.commit("a", "1")
    lasse.push()

    (delivery,) = delivered(github, 1)

    assert (delivery.status, delivery.status_code) == ("failed to connect", 502)


def test_what_can_not_be_sent_at_all_fails_who_sends_it(github: StandIn) -> None:
    with pytest.raises(UnicodeEncodeError):
        github.webhook.send("push", {"ref": "refs/heads/\udce9"})
    github.webhook.url = "http://[::1:80/"
    with pytest.raises(httpx.InvalidURL):
        github.webhook.send("ping", {})
    assert github.webhook.deliveries == []


def test_another_repository_is_not_found(github: StandIn, lasse: Student) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        lasse.git("ls-remote", f"{github.url}/class/other.git")

    assert "not found" in caught.value.stderr


# -- commit statuses


def test_statuses_are_kept_and_listed_as_github_does(github: StandIn, lasse: Student) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    for context, state in [
        ("airflow/deploy", "pending"),
        ("airflow/lasse", "failure"),
        ("Airflow/Deploy", "success"),
    ]:
        assert post_status(github, sha, {"context": context, "state": state}).status_code == 201

    listed = get(github, "/commits/heads/main/statuses").json()

    assert [s["state"] for s in listed] == ["success", "failure", "pending"]


def test_a_status_wakes_who_waits_for_it(github: StandIn, lasse: Student) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    board = GitHub(github.url, REPO, lambda: Secret(TOKEN))
    poster = threading.Thread(
        target=board.post, args=(Status(sha, "airflow/deploy", StatusState.SUCCESS, "live"), None)
    )
    poster.start()

    status = github.wait_for_status(sha, "airflow/deploy", {"success", "failure"}, BOUND_S)

    poster.join()
    board.close()
    assert (status.state, status.description) == ("success", "live")


def test_waiting_for_a_status_is_bounded_and_tells_what_there_was(
    github: StandIn, lasse: Student
) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    post_status(github, sha, {"context": "airflow/deploy", "state": "pending"})

    with pytest.raises(TimeoutError, match="airflow/deploy=pending"):
        github.wait_for_status(sha, "airflow/deploy", {"success"}, 0.01)


@pytest.mark.parametrize(
    ("sha", "body", "message"),
    [
        ("f" * 40, {"state": "success"}, f"No commit found for SHA: {'f' * 40}"),
        ("main", {"state": "success"}, "sha must be a 40 character SHA1"),
    ],
)
def test_a_status_on_no_commit_is_a_422(
    github: StandIn, sha: str, body: object, message: str
) -> None:
    answer = post_status(github, sha, body)

    assert (answer.status_code, answer.json()["message"]) == (422, message)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"description": "x" * 141}, "description is too long (maximum is 140 characters)"),
        ({"target_url": "javascript:alert(1)"}, "Target url must use http(s) scheme"),
    ],
)
def test_a_status_that_github_would_refuse_is_a_422(
    github: StandIn, lasse: Student, more: dict[str, str], message: str
) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()

    answer = post_status(github, sha, {"state": "success"} | more)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == message


def test_a_context_takes_a_thousand_statuses(github: StandIn, lasse: Student) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    for _ in range(1000):
        github._statuses.add(PostedStatus(sha, "airflow/deploy", "success", None, None))

    full = post_status(github, sha, {"state": "success", "context": "AIRFLOW/deploy"})
    other = post_status(github, sha, {"state": "success", "context": "airflow/lasse"})

    assert (full.status_code, other.status_code) == (422, 201)


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_a_wrong_token_is_a_401(github: StandIn, authorization: str) -> None:
    headers = {name.encode(): value.encode() for name, value in HEADERS.items()}
    headers[b"Authorization"] = authorization.encode()

    answer = POST(
        f"{github.url}/repos/{REPO}/statuses/{'f' * 40}",
        json={"state": "success"},
        headers=headers,
    )

    assert answer.status_code == 401


# -- held against GitHub's description


@pytest.mark.parametrize(
    ("body", "violation"),
    [
        ({}, "'state' is a required property"),
        ({"state": "done"}, "'done' is not one of"),
        ({"state": "success", "context": 7}, "body.context: 7 is not of type 'string'"),
        ([], "body: [] is not of type 'object'"),
    ],
)
def test_a_body_that_is_not_githubs_is_refused_and_recorded(
    github: StandIn, lasse: Student, violations: list[str], body: object, violation: str
) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()

    answer = post_status(github, sha, body)

    assert answer.status_code == (422 if isinstance(body, dict) else 400)
    assert github.statuses(sha) == ()
    assert violation in violations.pop()


def test_a_body_that_is_not_json_is_a_400_and_recorded(
    github: StandIn, violations: list[str]
) -> None:
    answer = POST(f"{github.url}/repos/{REPO}/statuses/{'f' * 40}", content=b"{", headers=HEADERS)

    assert answer.status_code == 400
    assert "not JSON" in violations.pop()


def test_half_a_body_is_the_networks_and_not_recorded(github: StandIn) -> None:
    host, _, port = github.url.removeprefix("http://").rpartition(":")
    lines = [
        f"POST /repos/{REPO}/statuses/{'f' * 40} HTTP/1.1",
        "Content-Length: 99",
        "User-Agent: x",
    ]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]

    with socket.create_connection((host, int(port))) as end:
        end.sendall("\r\n".join([*lines, "", "{"]).encode())
        end.shutdown(socket.SHUT_WR)
        assert end.recv(99).startswith(b"HTTP/1.1 400 ")


def test_a_target_url_of_null_is_githubs(github: StandIn) -> None:
    answer = post_status(github, "f" * 40, {"state": "success", "target_url": None})
    assert answer.json()["message"].startswith("No commit found")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("User-Agent", "", 403),
        ("X-GitHub-Api-Version", "1999-01-01", 400),
        ("Accept", "text/html", 422),  # served: there is no such commit
    ],
)
def test_a_header_that_github_asks_for_is_missed(
    github: StandIn, violations: list[str], header: str, value: str, status: int
) -> None:
    answer = post_status(github, "f" * 40, {"state": "success"}, **{header: value})

    assert answer.status_code == status
    assert header in violations.pop()


def test_a_query_that_github_does_not_know_is_recorded(
    github: StandIn, violations: list[str]
) -> None:
    get(github, "/commits/main/statuses?per_page=many")
    get(github, "/commits/main/statuses?limit=5")

    assert "'many' is not of type 'integer'" in violations.pop(0)
    assert "limit: not a parameter" in violations.pop()


@pytest.mark.parametrize(
    ("status", "body", "violation"),
    [
        (201, {"state": "success"}, "'url' is a required property"),
        (299, {}, "does not answer 299"),
        (201, {"creator": {"url": "nowhere"}}, "is not a 'uri'"),
        (422, {"documentation_url": "x"}, "message"),
    ],
)
def test_an_answer_that_is_not_githubs_is_recorded(
    github: StandIn, status: int, body: object, violation: str
) -> None:
    github.server.app = Response(json.dumps(body), status, content_type="application/json")
    with watched(github) as watch:
        post_status(github, "f" * 40, {"state": "success"})
        assert violation in "\n".join(watch.violations)
        watch.violations.clear()


# -- faults, as the deployer meets them


def test_faults_are_met_once_each_in_order_and_then_it_works(
    github: StandIn, lasse: Student
) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    status = Status(sha, "airflow/deploy", StatusState.PENDING, "queued")
    board = GitHub(github.url, REPO, lambda: Secret(TOKEN))
    faults = Faults(github)
    faults.add(Fault(status=500, times=2))
    faults.add(Fault(status=403, headers={"retry-after": "9"}))
    faults.add(Fault(drop=True))

    answers = [board.post(status, None) for _ in range(5)]

    board.close()
    assert [type(answer) for answer in answers] == [RetryLater] * 4 + [Accepted]
    assert isinstance(answers[2], RetryLater)
    assert answers[2].after_s == 9.0
    assert len(github.statuses(sha)) == 1


def test_a_slow_github_is_given_up(github: StandIn) -> None:
    Faults(github).add(Fault(delay_s=60.0))
    with httpx.Client(timeout=httpx.Timeout(BOUND_S, read=0.2)) as client:
        board = GitHub(github.url, REPO, lambda: Secret(TOKEN), client=client)

        answer = board.post(Status("f" * 40, "airflow/deploy", StatusState.ERROR, "x"), None)

    assert isinstance(answer, RetryLater)
    assert answer.reason == "no answer from GitHub: ReadTimeout: timed out"


def test_a_renamed_repository_is_followed_on_the_same_host(github: StandIn, lasse: Student) -> None:
    sha = lasse.commit("a", "1")
    lasse.push()
    board = GitHub(github.url, "class/old-name", lambda: Secret(TOKEN))
    new_home = f"{github.url}/repos/{REPO}/statuses/{sha}"
    Faults(github).add(Fault(status=301, headers={"Location": new_home}))

    answer = board.post(Status(sha, "airflow/deploy", StatusState.SUCCESS, "live"), None)

    board.close()
    assert answer == Accepted()
    assert len(github.statuses(sha)) == 1


def test_gits_side_can_fail_too(github: StandIn, lasse: Student) -> None:
    Faults(github).add(Fault(status=503, on="git"))

    with pytest.raises(subprocess.CalledProcessError):
        lasse.git("ls-remote", "origin")

    assert lasse.git("ls-remote", "origin") == ""


# -- the page


def test_the_page_lists_commits_with_their_newest_statuses(github: StandIn, lasse: Student) -> None:
    sha = lasse.commit("a", "1", "<b>mend</b> the taxi")
    lasse.push()
    delivered(github, 1)
    page = "https://deployer.example.org/commits/1"
    post_status(github, sha, {"context": "airflow/lasse", "state": "pending"})
    post_status(
        github,
        sha,
        {
            "context": "airflow/lasse",
            "state": "failure",
            "description": "line 12",
            "target_url": page,
        },
    )

    text = GET(github.url).text

    assert "&lt;b&gt;mend&lt;/b&gt; the taxi" in text
    assert sha[:7] in text
    assert "line 12" in text
    assert f'href="{page}"' in text
    assert 'title="pending"' not in text


def test_the_page_of_an_empty_repository_says_so(github: StandIn) -> None:
    assert "Nothing was pushed to main yet" in GET(github.url).text


def test_a_restart_serves_the_same_repository(tmp_path: Path) -> None:
    root = tmp_path / "github"
    with StandIn(root, secret=SECRET, token=TOKEN) as first:
        student = Student(tmp_path / "lasse", first.git_url)
        sha = student.commit("a", "1")
        student.push()
    with StandIn(root, secret=SECRET, token=TOKEN) as second:
        assert second.repository.commit_of("main") == sha


@pytest.mark.parametrize(
    "path",
    [
        f"{REPO}/commits/nowhere/statuses",
        "class/other/commits/main/statuses",
    ],
)
def test_what_is_not_there_is_githubs_404(github: StandIn, path: str) -> None:
    answer = GET(f"{github.url}/repos/{path}", headers=HEADERS)

    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


def test_while_the_hook_is_switched_off_events_are_lost(
    github: StandIn, receiver: Receiver, lasse: Student
) -> None:
    github.webhook.url = None
    lasse.commit("a", "1")
    lasse.push()
    github.webhook.url = receiver.url
    sha = lasse.commit("a", "2")
    lasse.push()

    delivered(github, 1)

    assert [one.payload["after"] for one in receiver.received] == [sha]
