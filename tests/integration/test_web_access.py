"""Who is let in by the web process, and how far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from deployer.core.access import Link, Purpose, fingerprint
from deployer.core.model import Ending, Outcome, ParseError, State, Trigger, Verdict
from deployer.errors import JournalError
from deployer.web import Receiving, create_app
from deployer.web.access import COOKIE
from tests.fakes.bell import FakeBell
from tests.fakes.journal import FakeJournal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40
PUBLIC = "https://class.example"
REPO = "teacher/class-airflow"
PASSED_ON = {"X-Forwarded-For": "203.0.113.9", "Host": "class.example"}
HOW_TO_GET_IN = "Open the link of your commit's status, or ask your teacher."
EVERYWHERE = [
    "/",
    "/readyz",
    "/metrics",
    "/static/style.css",
    "/deployments/2",
    "/deployments/99",
    f"/commits/{B}",
    f"/commits/{D}",
    "/commits/abc",
    "/folders/maria",
    "/folders/nobody",
    "/api/v1/deployments",
    "/api/v1/deployments/2",
    f"/api/v1/commits/{B}",
    "/api/v1/nonsense",
    "/nonsense",
    "/login",
]
"""What is there, and what is not."""


class Clock:
    """A time that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal() -> FakeJournal:
    """Three deployments: 1 of lasse, 2 of maria (broken) covering C, 3 of nobody's folder."""
    journal = FakeJournal(now=lambda: NOW)
    trace = ParseError("NameError", "name 'x' is not defined", 3, "a private trace")
    for sha, covers, path, error in (
        (A, (A,), "dags/lasse/taxi.py", None),
        (B, (C, B), "dags/maria/orders.py", trace),
    ):
        number = journal.queue(
            sha, base_sha=A, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=NOW
        )
        journal.start(number, at=NOW, base_sha=A, covers=covers)
        verdict = Verdict(path, Outcome.BROKEN if error else Outcome.PARSED, error=error)
        journal.end(number, Ending(sha, State.BROKEN, verdicts=(verdict,)), at=NOW)
    return journal


@pytest.fixture
def stranger(journal: FakeJournal, clock: Clock) -> FlaskClient:
    """A browser out in the world."""
    return browser(journal, clock)


class Outside(FlaskClient):
    """Asks through the proxy in front."""

    base_url = PUBLIC

    def open(self, *args: Any, **how: Any) -> TestResponse:  # noqa: ANN401 - Werkzeug's
        headers = PASSED_ON | how.pop("headers", {})
        return super().open(*args, headers=headers, base_url=self.base_url, **how)


def browser(journal: FakeJournal, clock: Clock, public_url: str = PUBLIC) -> FlaskClient:
    app = create_app(
        journal=journal,
        bell=FakeBell(),
        receiving=Receiving(("a secret of some length",), REPO, "main"),
        public_url=public_url,
        now=clock,
    )

    client = Outside(app)
    client.base_url = f"{urlsplit(public_url).scheme}://class.example"
    return client


def token(journal: FakeJournal, sha: str = B, context: str = "airflow/maria") -> str:
    return Link.of_status(sha, context).token(journal.link_key())


def login_link(journal: FakeJournal) -> str:
    until = NOW + timedelta(minutes=10)
    journal.admit(fingerprint(Purpose.LOGIN, "once"), at=NOW, until=until)
    return "/login?token=once"


def is_closed(answer: TestResponse) -> bool:
    """Tell whether it is 403, and see that it says how to get in and nothing else."""
    if answer.status_code != 403:
        return False
    said = unescape(answer.text)
    assert HOW_TO_GET_IN in said or answer.request.method == "HEAD"
    assert not re.search(rf"{REPO}|maria|lasse|trace|aaaa|bbbb|href|token", said)
    return True


# --- strangers -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", EVERYWHERE)
def test_a_stranger_is_told_nothing_but_how_to_get_in(
    stranger: FlaskClient, path: str, method: str
) -> None:
    assert is_closed(stranger.open(path, method=method))


def test_what_is_there_and_what_is_not_are_closed_alike(stranger: FlaskClient) -> None:
    pages = [p for p in EVERYWHERE if not p.startswith(("/api", "/readyz", "/metrics"))]
    assert len({stranger.get(path).data for path in pages}) == 1
    assert len({stranger.get(path).data for path in set(EVERYWHERE) - set(pages)}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "//deployments/2",
        "/deployments//2",
        "/deployments/2/",
        "/./deployments/2",
        "/healthz/../deployments/2",
        "/healthz/%2e%2e/deployments/2",
        "/webhook/..%2fdeployments/2",
        "/%64eployments/2",
        "/healthz/",
        "/webhook/",
        "/healthz%00",
        "/HEALTHZ",
        "/healthz;/deployments/2",
        "/static/../deployments/2",
        "/static/%2e%2e/templates/base.html",
        "/login/../deployments/2",
        "/deployments/2?x=/healthz",
        "/api/v1/../../healthz",
    ],
)
def test_no_spelling_of_a_path_leads_past_the_door(stranger: FlaskClient, path: str) -> None:
    assert is_closed(stranger.get(path))


def test_deliveries_and_health_are_open(stranger: FlaskClient) -> None:
    assert stranger.get("/healthz").status_code == 200
    assert stranger.head("/healthz").status_code == 200
    assert stranger.post("/webhook", data=b"{}").status_code in {401, 415}
    assert stranger.get("/webhook").status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"},
        {"X-Forwarded-For": "", "Host": "localhost"},
        {"X-Forwarded-For": "127.0.0.1, 127.0.0.1", "Host": "127.0.0.1:9000"},
        {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "localhost", "Host": "localhost"},
    ],
)
def test_a_proxied_request_that_claims_to_be_of_loopback_is_a_strangers(
    stranger: FlaskClient, headers: dict[str, str]
) -> None:
    assert is_closed(stranger.get("/", headers=headers))


@pytest.fixture
def machine(stranger: FlaskClient) -> FlaskClient:
    """A client on the machine itself."""
    return FlaskClient(stranger.application)


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"])
@pytest.mark.parametrize("path", ["/", "/api/v1/deployments", "/static/style.css"])
def test_all_is_open_to_the_machine_itself(machine: FlaskClient, host: str, path: str) -> None:
    with machine.get(path, headers={"Host": host}) as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ({"Host": "evil.example:9000"}, "127.0.0.1"),
        ({"Host": "localhost.evil.example"}, "127.0.0.1"),
        ({"Host": "localhost", "X-Real-IP": "203.0.113.9"}, "127.0.0.1"),
        ({"Host": "localhost", "Forwarded": "for=127.0.0.1"}, "127.0.0.1"),
        ({"Host": "localhost", "Via": "1.1 proxy"}, "127.0.0.1"),
        ({"Host": "localhost"}, "203.0.113.9"),
        ({"Host": "localhost"}, ""),
    ],
)
def test_who_is_not_of_the_machine_is_a_stranger(
    machine: FlaskClient, headers: dict[str, str], peer: str
) -> None:
    assert is_closed(machine.get("/", headers=headers, environ_overrides={"REMOTE_ADDR": peer}))


# --- the link of a status ------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [f"/commits/{B}", "/deployments/2", "/folders/maria", "/static/style.css"]
)
def test_a_statuss_link_opens_its_deployment_and_its_folder(
    stranger: FlaskClient, journal: FakeJournal, path: str
) -> None:
    with stranger.get(f"{path}?token={token(journal)}") as page:
        assert page.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/deployments/1",
        "/deployments/99",
        f"/commits/{A}",
        f"/commits/{C}",
        f"/commits/{D}",
        f"/commits/{B.upper()}",
        "/folders/lasse",
        "/folders/nobody",
        "/readyz",
        "/metrics",
        "/api/v1/deployments/2",
        f"/api/v1/commits/{B}",
        "/api/v1/deployments",
        "/login",
        "/nonsense",
        "//folders/maria",
        "/folders//maria",
        "/folders/maria/",
        "/folders/maria/../lasse",
        "/folders/maria%2f..%2flasse",
    ],
)
def test_a_statuss_link_opens_nothing_else(
    stranger: FlaskClient, journal: FakeJournal, path: str
) -> None:
    assert is_closed(stranger.get(f"{path}?token={token(journal)}"))


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_a_statuss_link_is_for_looking_alone(
    stranger: FlaskClient, journal: FakeJournal, method: str
) -> None:
    assert is_closed(stranger.open(f"/commits/{B}?token={token(journal)}", method=method))


def test_the_link_of_an_overtaken_commit_opens_the_deployment_that_covers_it(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    for path in (f"/commits/{C}", "/deployments/2"):
        page = stranger.get(f"{path}?token={token(journal, C, 'airflow/deploy')}")
        assert page.status_code == 200


def test_the_link_of_a_whole_commit_opens_no_folder(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    asked = f"?token={token(journal, B, 'airflow/deploy')}"
    assert stranger.get(f"/commits/{B}{asked}").status_code == 200
    assert is_closed(stranger.get(f"/folders/maria{asked}"))


def test_a_link_to_a_commit_that_is_not_known_yet_says_so(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    page = stranger.get(f"/commits/{D}?token={token(journal, D)}")
    assert page.status_code == 404
    assert "not known yet" in page.text


@pytest.mark.parametrize("path", [f"/commits/{B}", "/folders/maria"])
def test_each_way_on_from_a_students_page_is_open_to_him(
    stranger: FlaskClient, journal: FakeJournal, path: str
) -> None:
    page = stranger.get(f"{path}?token={token(journal)}").text
    ways = re.findall(r'href="([^"]+)"', page)
    assert {urlsplit(way).path for way in ways} >= {"/static/style.css"}
    assert len(ways) > 1
    for way in ways:
        with stranger.get(way.replace("&amp;", "&")) as answer:
            assert answer.status_code == 200, way
    assert A[:7] in page or path != f"/commits/{B}", "what is closed is told without a link"


def test_the_machines_own_pages_carry_no_token(machine: FlaskClient, journal: FakeJournal) -> None:
    assert "token" not in machine.get(f"/commits/{B}?token={token(journal)}").text


@pytest.mark.parametrize(
    ("sha", "context"), [(A, "airflow/maria"), (B, "airflow/lasse"), (A, "airflow/lasse")]
)
def test_the_token_of_another_commit_or_folder_opens_nothing_when_it_is_edited(
    stranger: FlaskClient, journal: FakeJournal, sha: str, context: str
) -> None:
    mine, other = token(journal, A, "airflow/lasse"), token(journal)
    parts, wanted = mine.split("."), other.split(".")
    for forged in (
        ".".join((wanted[0], parts[1], parts[2])),
        ".".join((parts[0], wanted[1], parts[2])),
        ".".join((wanted[0], wanted[1], parts[2])),
        other[:-1] + ("0" if other[-1] != "0" else "1"),
        other.upper(),
        f"{other}%00",
        f"%20{other}",
        "",
        "é",
        "x" * 3000,
    ):
        assert is_closed(stranger.get(f"/commits/{B}?token={forged}"))
        assert is_closed(stranger.get(f"/folders/maria?token={forged}"))


def test_links_of_before_are_closed_once_the_key_is_another(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    old = token(journal)
    journal.set_link_key("another")
    assert is_closed(stranger.get(f"/commits/{B}?token={old}"))
    assert stranger.get(f"/commits/{B}?token={token(journal)}").status_code == 200


def test_a_links_token_is_no_login_no_cookie_and_no_bearer(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    mine = token(journal)
    stranger.set_cookie(COOKIE, mine, domain="class.example")
    assert is_closed(stranger.get(f"/commits/{B}"))
    assert is_closed(stranger.get(f"/commits/{B}", headers={"Authorization": f"Bearer {mine}"}))
    assert is_closed(stranger.post(f"/login?token={mine}"))


def test_links_go_on_below_the_path_of_the_public_address(
    journal: FakeJournal, clock: Clock
) -> None:
    client = browser(journal, clock, public_url="https://class.example/deployer")
    page = client.get(f"/deployer/commits/{B}?token={token(journal)}")
    assert 'href="/deployer/static/style.css?token=' in page.text
    assert is_closed(client.get("/deployer/"))
    assert client.get("/deployer/healthz").status_code == 200


# --- the teacher ---------------------------------------------------------------------------


def test_the_teachers_link_shows_a_button_that_logs_in(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    link = login_link(journal)
    asked = stranger.get(link)
    assert asked.status_code == 200
    assert '<form method="post">' in asked.text
    assert "form-action 'self'" in asked.headers["Content-Security-Policy"]
    assert REPO not in asked.text
    answer = stranger.post(link)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert stranger.get("/").status_code == 200
    assert stranger.get("/api/v1/deployments").status_code == 200
    with stranger.get("/static/style.css") as style:
        assert style.status_code == 200


def test_the_sessions_cookie_is_kept_from_scripts_other_sites_and_plain_http(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    cookie = stranger.post(login_link(journal)).headers["Set-Cookie"]
    rules = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=2592000"} <= rules
    assert not any(rule.startswith("Domain") for rule in rules)


def test_over_plain_http_the_cookie_is_not_kept_from_it(journal: FakeJournal, clock: Clock) -> None:
    client = browser(journal, clock, public_url="http://class.example/deployer")
    cookie = client.post("/deployer" + login_link(journal)).headers["Set-Cookie"]
    assert "Secure" not in cookie
    assert "Path=/deployer" in cookie


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_only_looks_at_the_teachers_link_does_not_use_it_up(
    stranger: FlaskClient, journal: FakeJournal, method: str
) -> None:
    link = login_link(journal)
    for _ in range(3):
        answer = stranger.open(link, method=method)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    assert stranger.post(link).status_code == 303


def test_the_teachers_link_works_once(
    stranger: FlaskClient, journal: FakeJournal, clock: Clock
) -> None:
    link, other = login_link(journal), browser(journal, clock)
    assert stranger.post(link).status_code == 303
    for replayed in (other.get(link), other.post(link)):
        assert is_closed(replayed)
        assert "Set-Cookie" not in replayed.headers
    assert is_closed(other.get("/"))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_teachers_link_works_for_ten_minutes(
    stranger: FlaskClient, journal: FakeJournal, clock: Clock, method: str
) -> None:
    link = login_link(journal)
    clock.now += timedelta(minutes=10)
    assert is_closed(stranger.open(link, method=method))


@pytest.mark.parametrize("link", ["/login", "/login?token=", "/login?token=twice"])
def test_a_wrong_link_logs_nobody_in(
    stranger: FlaskClient, journal: FakeJournal, link: str
) -> None:
    login_link(journal)
    assert is_closed(stranger.post(link))
    assert is_closed(stranger.get(link))


@pytest.fixture
def teacher(stranger: FlaskClient, journal: FakeJournal) -> FlaskClient:
    stranger.post(login_link(journal))
    return stranger


def test_a_session_ends_after_thirty_days(teacher: FlaskClient, clock: Clock) -> None:
    clock.now += timedelta(days=30, seconds=-1)
    cookie = teacher.get_cookie(COOKIE, domain="class.example")
    assert cookie is not None
    headers = {"Cookie": f"{COOKIE}={cookie.value}"}
    assert teacher.get("/", headers=headers).status_code == 200
    clock.now += timedelta(seconds=1)
    assert is_closed(teacher.get("/", headers=headers))


def test_a_revoked_session_is_closed_at_once(teacher: FlaskClient, journal: FakeJournal) -> None:
    assert teacher.get("/").status_code == 200
    journal.revoke()
    assert is_closed(teacher.get("/"))


@pytest.mark.parametrize("path", ["/", f"/commits/{B}", "/folders/maria"])
def test_a_teacher_on_a_students_link_sees_all_of_it(
    teacher: FlaskClient, journal: FakeJournal, path: str
) -> None:
    page = teacher.get(f"{path}?token={token(journal)}").text
    assert 'href="/"' in page
    assert "token" not in page


def test_what_is_not_there_is_404_to_a_teacher(teacher: FlaskClient) -> None:
    assert teacher.get("/nonsense").status_code == 404
    assert 'href="/"' in teacher.get("/nonsense").text


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    "path", ["/readyz", "/metrics", "/api/v1/deployments", f"/api/v1/commits/{B}"]
)
def test_a_bearer_token_opens_what_programs_ask_for(
    stranger: FlaskClient, journal: FakeJournal, path: str
) -> None:
    journal.admit(fingerprint(Purpose.BEARER, "program"), at=NOW, until=None)
    assert stranger.get(path, headers=bearer("program")).status_code in {200, 503}
    for wrong in ("other", "", "program2", "Program", " "):
        assert is_closed(stranger.get(path, headers=bearer(wrong)))
    assert is_closed(stranger.get(path, headers={"Authorization": "Basic program"}))
    assert is_closed(stranger.get(f"{path}?token=program"))
    journal.revoke()
    assert is_closed(stranger.get(path, headers=bearer("program")))


def test_a_secret_for_one_thing_does_for_no_other(
    stranger: FlaskClient, journal: FakeJournal
) -> None:
    login_link(journal)
    journal.admit(fingerprint(Purpose.BEARER, "program"), at=NOW, until=None)
    assert is_closed(stranger.get("/", headers=bearer("once")))
    assert is_closed(stranger.get("/", headers={"Cookie": f"{COOKIE}=once"}))
    assert is_closed(stranger.get("/", headers={"Cookie": f"{COOKIE}=program"}))
    assert is_closed(stranger.post("/login?token=program"))


def test_no_secret_stands_in_the_log(stranger: FlaskClient, journal: FakeJournal) -> None:
    with capture_logs() as logs:
        stranger.get(f"/commits/{B}?token={token(journal)}")
        stranger.post(login_link(journal))
        stranger.get("/", headers=bearer("wrong-secret"))
        stranger.get(f"/?token={token(journal)}")
    assert [line["event"] for line in logs] == ["teacher logged in"]
    assert not re.search(r"dplr_|once|wrong-secret", str(logs))


# --- headers -------------------------------------------------------------------------------


class Unreadable(FakeJournal):
    def link_key(self) -> str:
        raise JournalError("/srv/secret/place: disk I/O error")

    def admitted(self, fingerprint: str, at: datetime) -> bool:
        raise KeyError("a bug")


def answers(clock: Clock, journal: FakeJournal) -> Iterator[TestResponse]:
    client, broken = browser(journal, clock), browser(Unreadable(), clock)
    yield client.get("/healthz")
    yield client.get("/webhook")
    yield client.get("/")
    yield client.get(f"/commits/{B}?token={token(journal)}")
    yield client.get(f"/commits/{D}?token={token(journal, D)}")
    yield client.get(login_link(journal))
    yield client.post(login_link(journal))
    yield client.get("/nonsense")
    yield broken.get(f"/commits/{B}?token={token(journal)}")
    yield broken.get("/", headers=bearer("x"))


def test_each_answer_forbids_scripts_frames_guesses_referrers_and_copies(
    clock: Clock, journal: FakeJournal
) -> None:
    codes = []
    for answer in answers(clock, journal):
        codes.append(answer.status_code)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert not re.search(r"<script|<style|style=| on\w+=", answer.text)
    assert codes == [200, 405, 403, 200, 404, 200, 303, 404, 503, 500]


def test_a_journal_out_of_reach_tells_a_stranger_nothing(
    clock: Clock, journal: FakeJournal
) -> None:
    page = browser(Unreadable(), clock).get(f"/commits/{B}?token={token(journal)}")
    assert page.status_code == 503
    assert REPO not in page.text
    assert "secret" not in page.text
