"""What the web process answers, over a journal in memory."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from deployer.core.model import (
    Deployment,
    Ending,
    LeftOut,
    Live,
    Outcome,
    ParseError,
    Plan,
    Proof,
    Pulse,
    RequirementsDiff,
    Running,
    State,
    Status,
    StatusState,
    StepName,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.core.webhook import BODY_LIMIT
from deployer.errors import JournalError
from deployer.ports import Journal
from deployer.web import Receiving, create_app
from tests.fakes.bell import FakeBell
from tests.fakes.journal import FakeJournal

SECRET = "a secret of thirty-two characters"
REPO = "teacher/class-airflow"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal(now=lambda: NOW)


@pytest.fixture
def bell() -> FakeBell:
    return FakeBell()


@pytest.fixture
def client(journal: FakeJournal, bell: FakeBell) -> FlaskClient:
    return client_of(journal, bell)


def client_of(
    journal: Journal,
    bell: FakeBell | None = None,
    *,
    public_url: str | None = None,
    branch: str = "main",
    repo: str = REPO,
) -> FlaskClient:
    app = create_app(
        journal=journal,
        bell=bell or FakeBell(),
        receiving=Receiving((SECRET,), repo, branch),
        public_url=public_url,
        now=lambda: NOW,
    )
    return app.test_client()


def push(**changed: object) -> bytes:
    fields: dict[str, object] = {
        "ref": "refs/heads/main",
        "before": B,
        "after": A,
        "repository": {"full_name": REPO},
        "pusher": {"name": "lasse"},
    }
    return json.dumps(fields | changed).encode()


def signed(body: bytes, **headers: str) -> dict[str, str]:
    """Return GitHub's headers for `body`; further ones with `_` for `-`."""
    return {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": GUID,
        "X-Hub-Signature-256": "sha256="
        + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    } | {name.replace("_", "-"): value for name, value in headers.items()}


def deliver(
    client: FlaskClient, body: bytes, headers: Mapping[str, str] | None = None
) -> TestResponse:
    return client.post("/webhook", data=body, headers=headers or signed(body))


# --- deliveries -------------------------------------------------------------


def test_a_push_is_in_the_journal_when_the_202_comes_and_the_bell_has_rung(
    client: FlaskClient, journal: FakeJournal, bell: FakeBell
) -> None:
    response = deliver(client, push())
    assert (response.status_code, response.json) == (
        202,
        {"delivery": GUID, "result": "queued", "reason": "push to main"},
    )
    assert [(made.sha, made.before) for made in journal.unseen()] == [(A, B)]
    assert bell.rings == 1


def test_a_push_as_a_form_is_taken_too(client: FlaskClient, journal: FakeJournal) -> None:
    body = urlencode({"payload": push().decode()}).encode()
    response = deliver(client, body, signed(body, Content_Type="application/x-www-form-urlencoded"))
    assert response.status_code == 202
    assert [made.sha for made in journal.unseen()] == [A]


def test_a_delivery_that_comes_again_is_a_duplicate(
    client: FlaskClient, journal: FakeJournal
) -> None:
    deliver(client, push())
    response = deliver(client, push())
    assert response.status_code == 202
    assert response.json is not None
    assert response.json["result"] == "duplicate"
    assert len(journal.unseen()) == 1


@pytest.mark.parametrize(
    ("body", "level"),
    [
        (push(repository={"full_name": "teacher/renamed"}), "warning"),
        (push(ref="refs/heads/draft"), "info"),
    ],
)
def test_a_push_of_another_repository_is_a_warning_for_it_may_be_ours_renamed(
    client: FlaskClient, body: bytes, level: str
) -> None:
    with capture_logs() as logs:
        deliver(client, body)
    assert [line["log_level"] for line in logs if line["event"] == "delivery"] == [level]


NEW = "school/new-name"
OURS, OURS_RENAMED = {"id": 7, "full_name": REPO}, {"id": 7, "full_name": NEW}
CALLED = f"{REPO} is called {NEW} now: set DEPLOYER_GITHUB_REPO={NEW} and restart web and worker"


def nth(client: FlaskClient, number: int, repository: object) -> TestResponse:
    body = push(repository=repository, after=f"{number:040x}")
    return deliver(client, body, signed(body, X_GitHub_Delivery=f"guid-{number}"))


def test_a_push_of_the_renamed_repository_is_taken_at_once_with_a_warning(
    client: FlaskClient, journal: FakeJournal
) -> None:
    nth(client, 1, OURS)
    with capture_logs() as logs:
        answers = [nth(client, number, OURS_RENAMED).json for number in (2, 3)]
    assert [(answer["result"], answer["reason"]) for answer in answers if answer] == [
        ("queued", f"push to main; {CALLED}")
    ] * 2
    assert [made.sha for made in journal.unseen()] == [f"{number:040x}" for number in (1, 2, 3)]
    assert [line["log_level"] for line in logs if line["event"] == "delivery"] == ["warning"] * 2


@pytest.mark.parametrize("repository", [{"id": 8, "full_name": NEW}, {"full_name": NEW}])
def test_a_push_of_a_number_that_nobody_knows_stays_ignored(
    client: FlaskClient, repository: object
) -> None:
    nth(client, 1, OURS)
    answer = nth(client, 2, repository).json
    assert answer is not None
    assert answer["result"] == "ignored"


def test_the_repository_that_had_the_name_before_is_foreign_once_its_successor_was_pushed_to(
    client: FlaskClient,
) -> None:
    answers = [
        nth(client, number, repository).json
        for number, repository in enumerate((OURS, {"id": 8, "full_name": REPO}, OURS_RENAMED), 1)
    ]
    assert [answer["result"] for answer in answers if answer] == ["queued", "queued", "ignored"]


def test_only_a_push_under_another_name_asks_the_journal() -> None:
    response = deliver(client_of(Unreadable()), push(repository=OURS))
    assert response.status_code == 202
    response = deliver(client_of(Unreadable()), push(repository=OURS_RENAMED))
    assert response.status_code == 503


def test_an_ignored_delivery_that_comes_again_is_looked_at_anew(
    journal: FakeJournal,
) -> None:
    results = []
    for branch in ("master", "trunk", "main", "main", "master"):
        response = deliver(client_of(journal, branch=branch), push())
        assert response.json is not None
        results.append(response.json["result"])
    assert results == ["ignored", "ignored", "queued", "duplicate", "duplicate"]
    assert [made.sha for made in journal.unseen()] == [A]


@pytest.mark.parametrize(
    ("body", "event", "reason"),
    [
        (push(ref="refs/heads/draft"), "push", "'refs/heads/draft' is not branch main"),
        (b'{"zen": "Keep it logically awesome."}', "ping", "ping"),
        (b"{}", "issues", "event issues is of no interest, only push is"),
    ],
)
def test_what_is_not_for_us_is_ignored_with_its_reason(
    client: FlaskClient, journal: FakeJournal, body: bytes, event: str, reason: str
) -> None:
    response = deliver(client, body, signed(body, X_GitHub_Event=event))
    assert (response.status_code, response.json) == (
        202,
        {"delivery": GUID, "result": "ignored", "reason": reason},
    )
    assert journal.unseen() == ()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"not JSON", {}, 400, id="not JSON"),
        pytest.param(push(after=5), {}, 400, id="a wrong type"),
        pytest.param(push(), {"X_GitHub_Delivery": "no guid!"}, 400, id="no guid"),
        pytest.param(push(), {"X_Hub_Signature_256": "sha256=" + "0" * 64}, 401, id="forged"),
        pytest.param(push(), {"X_Hub_Signature_256": "sha256=é"}, 401, id="not ASCII"),
        pytest.param(push(), {"Content_Type": "text/plain"}, 415, id="another type"),
        pytest.param(push(), {"Content_Encoding": "gzip"}, 415, id="encoded"),
        pytest.param(b"x" * (BODY_LIMIT + 1), {}, 413, id="too long"),
    ],
)
def test_what_is_refused_has_a_reason_of_one_line_and_leaves_no_trace(
    journal: FakeJournal, bell: FakeBell, body: bytes, headers: dict[str, str], status: int
) -> None:
    client = client_of(journal, bell)
    response = deliver(client, body, signed(body, **headers))
    assert response.status_code == status
    assert response.json is not None
    assert list(response.json) == ["error"]
    assert "\n" not in response.json["error"]
    assert (journal.announced, bell.rings) == ({}, 0)
    assert deliver(client, push()).json == {
        "delivery": GUID,
        "result": "queued",
        "reason": "push to main",
    }


def test_a_missing_signature_is_refused(client: FlaskClient) -> None:
    headers = signed(push())
    del headers["X-Hub-Signature-256"]
    assert deliver(client, push(), headers).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_deliveries_come_by_post_alone(client: FlaskClient, method: str) -> None:
    response = client.open("/webhook", method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.is_json


def test_a_journal_that_cant_be_written_is_503_and_says_nothing_of_the_inside(
    client: FlaskClient, journal: FakeJournal, bell: FakeBell
) -> None:
    journal.broken = True
    response = deliver(client, push())
    assert response.status_code == 503
    assert "disk full" not in response.text
    assert bell.rings == 0


def test_a_bug_is_500_and_says_nothing_of_the_inside() -> None:
    class Buggy(FakeJournal):
        def record_delivery(self, **_: object) -> bool:
            raise KeyError("an internal detail")

    response = deliver(client_of(Buggy()), push())
    assert response.status_code == 500
    assert response.json == {"error": "internal error; the log tells more"}


# --- health -----------------------------------------------------------------


class Unreadable(FakeJournal):
    def pulse(self) -> Pulse:
        raise JournalError("/srv/secret/place: disk I/O error")

    def deployments(self, **_: object) -> tuple[Deployment, ...]:
        raise JournalError("/srv/secret/place: disk I/O error")


def test_healthz_is_200_while_the_journal_can_be_read(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/api/v1/deployments"])
def test_an_unreadable_journal_is_503_and_says_nothing_of_the_inside(path: str) -> None:
    response = client_of(Unreadable()).get(path)
    assert response.status_code == 503
    assert "secret" not in response.text


def test_readyz_gives_an_unreadable_journal_as_its_reason() -> None:
    response = client_of(Unreadable()).get("/readyz")
    assert response.json == {"ready": False, "reasons": ["the journal is out of reach"]}


def test_readyz_gives_the_reasons_against(client: FlaskClient, journal: FakeJournal) -> None:
    journal.beat(at=NOW - timedelta(minutes=3), tip=None, tip_checked_at=None)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json == {
        "ready": False,
        "reasons": [
            "the worker's last heartbeat was 3 min ago",
            "the branch's tip was never checked",
        ],
    }


def test_readyz_is_200_when_all_is_well(client: FlaskClient, journal: FakeJournal) -> None:
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    journal.set_live(Live(A))
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"ready": True, "reasons": []})


def test_readyz_tells_of_a_new_name_until_it_is_set(
    client: FlaskClient, journal: FakeJournal
) -> None:
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    journal.set_live(Live(A))
    for number, repository in enumerate((OURS, OURS_RENAMED), 1):
        nth(client, number, repository)
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"ready": True, "reasons": [CALLED]})
    response = client_of(journal, repo=NEW).get("/readyz")
    assert (response.status_code, response.json) == (200, {"ready": True, "reasons": []})


def test_metrics_are_what_a_prometheus_reads(client: FlaskClient, journal: FakeJournal) -> None:
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    journal.set_live(Live(A))
    nth(client, 1, OURS)
    for seconds in (1, 3):
        number = journal.queue(
            A, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW
        )
        ending = Ending(A, State.SUCCEEDED)
        journal.end(number, ending, at=NOW + timedelta(seconds=seconds), statuses=[])
    response = client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert found["deployer_ready",] == 1
    assert found["deployer_deployments", "succeeded"] == 2
    assert found["deployer_deliveries", "queued"] == 1
    assert found["deployer_deployment_seconds", "0.95"] == 3
    assert found["deployer_heartbeat_timestamp_seconds",] == NOW.timestamp()
    assert found["deployer_outbox_owed",] == 0


def test_metrics_of_an_empty_journal_are_told(client: FlaskClient) -> None:
    response = client.get("/metrics")
    assert "deployer_ready 0.0" in response.text
    assert "heartbeat" not in response.text


# --- what there is to show --------------------------------------------------


@pytest.fixture
def history(journal: FakeJournal) -> FakeJournal:
    """Three deployments: lasse's, live; maria's, broken, covering C; one under way."""
    made = 0
    for sha, covers, state, verdicts in (
        (A, (), State.SUCCEEDED, [Verdict("dags/lasse/taxi.py", Outcome.PARSED, ("taxi",))]),
        (B, (C,), State.BROKEN, [MARIAS]),
        (D, (), None, []),
    ):
        made = journal.queue(
            sha, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW
        )
        journal.start(made, at=NOW, base_sha=None, covers=covers)
        journal.add_step(made, StepRecord(StepName.FETCH, "ok", NOW, NOW, f"fetched {SCRIPT}"))
        if state is None:
            continue
        journal.set_plan(made, PLAN)
        ending = Ending(sha, state, verdicts=tuple(verdicts), reason=f"why {SCRIPT}")
        journal.end(made, ending, at=NOW + timedelta(seconds=1.25))
        said = Status(sha, "airflow/deploy", StatusState.SUCCESS, f"live {SCRIPT}")
        journal.owe([said], deployment=made, at=NOW)
    journal.set_live(Live(B))
    return journal


MARIAS = Verdict(
    "dags/maria/orders.py",
    Outcome.BROKEN,
    (),
    ParseError(SCRIPT, f"No module named {SCRIPT}", 12, f"Traceback {SCRIPT}"),
    Proof.RELEASE,
    warnings=(f"no such pool {SCRIPT}",),
)
PLAN = Plan(
    requirements=RequirementsDiff(added=(SCRIPT,)),
    refused=f"no such package {SCRIPT}",
    left_out=(LeftOut(f"dags/{SCRIPT}", f"left out {SCRIPT}"),),
)


def shas(response: TestResponse) -> list[str]:
    assert response.status_code == 200
    assert response.json is not None
    return [deployment["sha"] for deployment in response.json["deployments"]]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [D, B, A]),
        ("?limit=1", [D]),
        ("?limit=100", [D, B, A]),
        ("?limit=&folder=&state=", [D, B, A]),
        ("?folder=maria", [B]),
        ("?folder=nobody", []),
        ("?state=succeeded", [A]),
        ("?state=broken&folder=lasse", []),
    ],
)
def test_the_api_lists_deployments_newest_first(
    client: FlaskClient, query: str, expected: list[str]
) -> None:
    assert shas(client.get(f"/api/v1/deployments{query}")) == expected


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("state=done", "state"),
        ("folder=a/b", "folder"),
        ("folder=%00", "folder"),
    ],
)
def test_a_bad_parameter_is_400_and_named(client: FlaskClient, query: str, said: str) -> None:
    response = client.get(f"/api/v1/deployments?{query}")
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"].startswith(said)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("path", ["/api/v1/deployments/2", f"/api/v1/commits/{B}"])
def test_the_api_gives_one_deployment(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.json is not None
    assert (response.json["id"], response.json["sha"]) == (2, B)
    assert response.json["verdicts"][0]["folder"] == "maria"


@pytest.mark.usefixtures("history")
def test_an_overtaken_commit_is_judged_by_the_deployment_that_covers_it(
    client: FlaskClient,
) -> None:
    response = client.get(f"/api/v1/commits/{C}")
    assert response.json is not None
    assert response.json["sha"] == B
    assert "overtaken" in client.get(f"/commits/{C}").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/deployments/7", 404),
        ("/api/v1/deployments/99999999999", 404),
        ("/api/v1/deployments/x", 404),
        (f"/api/v1/commits/{A}", 404),
        ("/api/v1/commits/abc1234", 400),
        ("/api/v1/nonsense", 404),
    ],
)
def test_the_api_answers_what_it_does_not_have_in_json(
    client: FlaskClient, path: str, status: int
) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response.json is not None
    assert list(response.json) == ["error"]


def test_a_commit_that_waits_for_the_worker_is_told_from_one_that_nobody_pushed(
    client: FlaskClient, journal: FakeJournal
) -> None:
    journal.request_deploy(B, Trigger.MANUAL)
    deliver(client, push())
    for sha, there, words in (
        (A, "2026-03-01 12:00:00 UTC; it waits for the worker", f"push named commit {A} at"),
        (B, "No push to the branch has ended", f"commit {B} is not known yet"),
    ):
        page, said = client.get(f"/commits/{sha}"), client.get(f"/api/v1/commits/{sha}")
        assert (page.status_code, said.status_code) == (404, 404)
        assert there in page.text
        assert said.json is not None
        assert words in said.json["error"]


@pytest.mark.parametrize("path", ["/api/v1/deployments", "/static/style.css", "/"])
def test_what_is_read_has_no_options(client: FlaskClient, path: str) -> None:
    assert client.options(path).status_code == 405


def test_a_wrong_method_names_the_right_one(client: FlaskClient) -> None:
    response = client.delete("/api/v1/deployments")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.is_json


def test_a_redirect_of_routing_is_no_fault(client: FlaskClient) -> None:
    response = client.get("/deployments//2")
    assert response.status_code == 308
    assert response.headers["Location"].endswith("/deployments/2")


# --- pages ------------------------------------------------------------------

PAGES = ["/", "/deployments/2", f"/commits/{B}", "/folders/maria"]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("path", PAGES)
def test_what_students_wrote_is_text_on_each_page(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text


@pytest.mark.usefixtures("history")
def test_a_deployments_page_has_the_line_the_message_and_the_trace(client: FlaskClient) -> None:
    page = client.get("/deployments/2").text
    for shown in ("dags/maria/orders.py:12", "No module named", "<details>", "Traceback"):
        assert shown in page
    for shown in ("left out", "no such package", "fetched", "airflow/deploy", "1.25 s"):
        assert shown in page


@pytest.mark.parametrize("proof", Proof)
def test_a_deployments_page_says_what_proves_a_verdict(
    client: FlaskClient, journal: FakeJournal, proof: Proof
) -> None:
    made = journal.queue(A, base_sha=None, ref="refs/heads/main", trigger=Trigger.POLL, at=NOW)
    journal.set_verdicts(made, [Verdict("dags/a/b.py", Outcome.PARSED, proof=proof)])
    text = client.get(f"/deployments/{made}").text
    said = [words for words in ("proven by", "told by the isolated parse") if words in text]
    assert len(said) == (proof is not Proof.NONE)


@pytest.mark.usefixtures("history")
def test_the_front_page_says_what_is_live_and_how_the_worker_is(client: FlaskClient) -> None:
    page = client.get("/").text
    assert f'href="/commits/{B}"' in page
    assert "the worker has never run" in page
    for deployment in (1, 2, 3):
        assert f'href="/deployments/{deployment}"' in page


def test_the_front_page_tells_of_packages_that_are_not_those_of_what_is_live(
    client: FlaskClient, journal: FakeJournal
) -> None:
    assert "packages differ" not in client.get("/").text
    journal.beat(at=NOW, drift="packages differ (<cowsay>)")
    assert "packages differ (&lt;cowsay&gt;)" in client.get("/").text


def test_the_front_page_tells_who_froze_deployments_and_why(
    client: FlaskClient, journal: FakeJournal
) -> None:
    journal.freeze("exam <1>", by="lasse", until=None)
    page = client.get("/").text
    assert "Frozen: exam &lt;1&gt;" in page
    assert "by lasse" in page
    journal.unfreeze(by="lasse")
    assert "Frozen" not in client.get("/").text


def test_the_front_page_of_a_new_installation_is_there(client: FlaskClient) -> None:
    assert "No deployment yet" in client.get("/").text


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("path", "refreshes"), [("/deployments/3", True), ("/deployments/2", False)]
)
def test_a_page_refreshes_itself_only_while_its_deployment_runs(
    client: FlaskClient,
    path: str,
    refreshes: bool,  # noqa: FBT001  # a parameter of the table
) -> None:
    assert ('http-equiv="refresh"' in client.get(path).text) is refreshes


def test_the_front_page_does_not_grow_old_where_nothing_runs(client: FlaskClient) -> None:
    assert 'http-equiv="refresh" content="30"' in client.get("/").text


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("path", ["/", "/deployments/3", f"/commits/{'9' * 40}"])
def test_who_needs_longer_to_read_stops_the_refreshing(client: FlaskClient, path: str) -> None:
    assert f'href="{path}?still=1">Stop refreshing' in client.get(path).text
    still = client.get(f"{path}?still=1").text
    assert 'http-equiv="refresh"' not in still
    assert f'href="{path}">Refresh' in still


def test_the_front_page_tells_at_what_a_deployment_is_and_for_what_one_waits(
    client: FlaskClient, journal: FakeJournal
) -> None:
    for sha in (A, B):
        journal.queue(sha, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW)
    journal.start(1, at=NOW, base_sha=None, covers=(A,))
    journal.doing(1, Running(StepName.DRAIN, NOW, "waiting for taxi.load"))
    said = Status(B, "airflow/deploy", StatusState.PENDING, "waits")
    journal.wait_for((2,), "aaaaaaa: packages change", at=NOW, statuses=(said,))
    page = client.get("/").text
    assert "drain: waiting for taxi.load" in page
    assert "waits for aaaaaaa: packages change" in page


def test_a_status_that_github_refused_for_good_is_not_told_as_still_to_come(
    client: FlaskClient, journal: FakeJournal
) -> None:
    made = journal.queue(A, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW)
    said = Status(A, "airflow/deploy", StatusState.SUCCESS, "live")
    journal.owe([said], deployment=made, at=NOW)
    journal.refused(journal.due(NOW)[0].id, error="GitHub answered 422: No commit found")
    page = client.get(f"/deployments/{made}").text
    assert "not posted" in page
    assert "GitHub answered 422: No commit found" in page
    assert "not yet" not in page


def test_a_file_without_a_verdict_says_so_in_words(
    client: FlaskClient, journal: FakeJournal
) -> None:
    made = journal.queue(A, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW)
    journal.start(made, at=NOW, base_sha=None, covers=())
    late = Verdict("dags/tom/slow.py", Outcome.TIMEOUT, waited_s=90.2)
    journal.end(made, Ending(A, State.BROKEN, verdicts=(late,)), at=NOW)
    assert "no verdict from Airflow within 90 s" in client.get(f"/deployments/{made}").text


@pytest.mark.parametrize(
    "path",
    [
        "/deployments/7",
        f"/commits/{A}",
        "/commits/abc1234",
        "/folders/nobody",
        "/folders/%00",
        "/nonsense",
        f"/{SCRIPT}",
    ],
)
def test_what_is_not_there_is_a_page_of_its_own(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 404
    assert page.mimetype == "text/html"
    assert "<script" not in page.text


@pytest.mark.parametrize("path", ["/", "/readyz", "/static/style.css", "/nonsense", "/webhook"])
def test_a_browser_is_told_to_run_nothing(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        headers = response.headers
    policy = [rule.strip() for rule in headers["Content-Security-Policy"].split(";")]
    assert {"default-src 'none'", "style-src 'self'"} <= set(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("path", PAGES)
def test_pages_carry_no_style_or_script_that_the_policy_would_stop(
    client: FlaskClient, path: str
) -> None:
    page = client.get(path).text
    assert "style=" not in page
    assert "<style" not in page
    with client.get("/static/style.css") as style:
        assert style.mimetype == "text/css"


@pytest.mark.parametrize("asked", ["/deployer/nonsense", "/nonsense"])
def test_links_start_with_the_path_of_the_public_address(journal: FakeJournal, asked: str) -> None:
    """Whether the proxy strips that path or not."""
    client = client_of(journal, public_url="https://class.example.org/deployer")
    assert 'href="/deployer/"' in client.get(asked).text


def test_deliveries_are_taken_below_the_path_of_the_public_address(journal: FakeJournal) -> None:
    client = client_of(journal, public_url="https://class.example.org/deployer/")
    response = client.post("/deployer/webhook", data=push(), headers=signed(push()))
    assert response.status_code == 202
