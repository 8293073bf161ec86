"""Webhook deliveries: what is accepted, what is ignored, what is rejected and how."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.core.model import Origin
from deployer.core.webhook import (
    FORM,
    JSON,
    Delivery,
    Ignored,
    Push,
    receive,
)
from deployer.errors import WebhookRejected

SECRET = "a secret of thirty-two characters"
REPO = "teacher/class-airflow"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
BEFORE = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
AFTER = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5"
ZEROS = "0" * 40
DEEP = pytest.param(b"[" * 200_000, id="deep")

# The time that an example takes is no matter here.
examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


def payload(**changed: object) -> dict[str, Any]:
    """Return a push of GitHub's shape with some fields changed; `...` leaves one out."""
    fields: dict[str, object] = {
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": AFTER,
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": "https://github.com/teacher/class-airflow/compare/a...b",
        "commits": [],
        "head_commit": None,
        "repository": {"id": 1, "full_name": REPO, "clone_url": "https://evil.example/x.git"},
        "pusher": {"name": "lasse", "email": "lasse@example.org"},
        "sender": {"login": "lasse"},
    }
    return {name: value for name, value in (fields | changed).items() if value is not ...}


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def deliver(
    body: bytes | Mapping[str, object],
    *,
    event: str = "push",
    headers: Mapping[str, str | None] | None = None,
    secrets: tuple[str, ...] = (SECRET,),
    branch: str = "main",
    newest: Origin | None = None,
) -> Delivery:
    """Receive a signed delivery; a header of None is not sent."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "Content-Type": JSON,
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": GUID,
        "X-Hub-Signature-256": sign(raw),
        **(headers or {}),
    }
    present = {name: value for name, value in sent.items() if value is not None}
    return receive(present, raw, secrets=secrets, repo=REPO, branch=branch, newest=lambda: newest)


def rejection(
    body: bytes | Mapping[str, object],
    *,
    event: str = "push",
    headers: Mapping[str, str | None] | None = None,
    secrets: tuple[str, ...] = (SECRET,),
) -> tuple[int, str]:
    with pytest.raises(WebhookRejected) as caught:
        deliver(body, event=event, headers=headers, secrets=secrets)
    return caught.value.http_status, str(caught.value)


def ignored(
    body: Mapping[str, object],
    *,
    event: str = "push",
    branch: str = "main",
    newest: Origin | None = None,
) -> str:
    content = deliver(body, event=event, branch=branch, newest=newest).content
    assert isinstance(content, Ignored)
    return content.reason


# --- accepted --------------------------------------------------------------


def test_a_push_to_the_branch_is_read_whole() -> None:
    assert deliver(payload()) == Delivery(
        guid=GUID,
        event="push",
        content=Push(
            ref="refs/heads/main",
            before=BEFORE,
            after=AFTER,
            forced=False,
            pusher="lasse",
            origin=Origin(1, REPO, REPO),
        ),
    )


def test_a_form_says_the_same_as_json() -> None:
    form = urlencode({"payload": json.dumps(payload())}).encode()
    assert deliver(form, headers={"Content-Type": FORM}) == deliver(payload())


def test_a_form_keeps_plus_signs_and_foreign_letters() -> None:
    pushed = payload(pusher={"name": "Søren + Åse"})
    form = urlencode({"payload": json.dumps(pushed, ensure_ascii=False)}).encode()
    content = deliver(form, headers={"Content-Type": FORM}).content
    assert isinstance(content, Push)
    assert content.pusher == "Søren + Åse"


def test_a_ping_is_answered_whatever_it_holds() -> None:
    assert deliver({"zen": "Design for failure."}, event="ping").content == Ignored("ping")


def test_a_new_branch_has_no_tip_before() -> None:
    content = deliver(payload(before=ZEROS, created=True)).content
    assert isinstance(content, Push)
    assert content.before is None


def test_a_forced_push_says_so() -> None:
    content = deliver(payload(forced=True)).content
    assert isinstance(content, Push)
    assert content.forced


@pytest.mark.parametrize("style", [str.lower, str.upper, str.title])
def test_header_names_have_no_case(style: Callable[[str], str]) -> None:
    raw = json.dumps(payload()).encode()
    headers = {
        style("Content-Type"): JSON,
        style("X-GitHub-Event"): "push",
        style("X-GitHub-Delivery"): GUID,
        style("X-Hub-Signature-256"): sign(raw),
    }
    delivery = receive(
        headers, raw, secrets=[SECRET], repo=REPO, branch="main", newest=lambda: None
    )
    assert isinstance(delivery.content, Push)


@pytest.mark.parametrize("value", ["application/json; charset=utf-8", "Application/JSON ;x=y"])
def test_a_content_type_may_have_parameters(value: str) -> None:
    assert isinstance(deliver(payload(), headers={"Content-Type": value}).content, Push)


@pytest.mark.parametrize("name", ["Teacher/Class-Airflow", "TEACHER/CLASS-AIRFLOW"])
def test_the_repository_name_has_no_case(name: str) -> None:
    assert isinstance(deliver(payload(repository={"full_name": name})).content, Push)


@pytest.mark.parametrize(
    "field",
    ["commits", "sender", "head_commit", "compare", "base_ref", "created", "deleted", "forced"],
)
def test_what_is_not_needed_may_be_missing(field: str) -> None:
    assert deliver(payload(**{field: ...})) == deliver(payload())


def test_what_is_not_needed_may_have_any_type() -> None:
    odd = payload(commits="many", sender=7, head_commit=[], created="yes", news={"x": [None]})
    assert deliver(odd) == deliver(payload())


@pytest.mark.parametrize(
    "pusher",
    [
        ...,
        None,
        "lasse",
        {},
        {"name": None},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "\ud800"},
        {"name": "x" * 101},
    ],
)
def test_a_pusher_that_cannot_be_shown_is_nobody(pusher: object) -> None:
    content = deliver(payload(pusher=pusher)).content
    assert isinstance(content, Push)
    assert content.pusher is None


def test_of_a_repeated_key_the_last_counts() -> None:
    raw = json.dumps(payload()).encode().replace(b'{"ref"', b'{"ref": "refs/heads/x", "ref"', 1)
    assert deliver(raw) == deliver(payload())


# --- the signature ---------------------------------------------------------


def test_github_s_own_test_vector_is_accepted() -> None:
    # The vector's body is no JSON, so past the signature it is a 400: only a wrong one is a 401.
    vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": vector}
    secrets = ("It's a Secret to Everybody",)
    assert rejection(b"Hello, World!", headers=headers, secrets=secrets)[0] == 400
    assert rejection(b"Hello, World?", headers=headers, secrets=secrets)[0] == 401


def test_any_of_several_secrets_is_accepted() -> None:
    for secrets in ((SECRET, "new"), ("new", SECRET)):
        assert isinstance(deliver(payload(), secrets=secrets).content, Push)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        sign(b"another body"),
        sign(json.dumps(payload()).encode(), "another secret"),
        sign(json.dumps(payload()).encode()).removeprefix("sha256="),
        sign(json.dumps(payload()).encode()).upper(),
        "sha256=\xe9\xff",  # compare_digest raises TypeError on such a str
        "sha256=\ud800",
    ],
)
def test_a_missing_or_wrong_signature_is_a_401(signature: str | None) -> None:
    assert rejection(payload(), headers={"X-Hub-Signature-256": signature})[0] == 401


def test_the_legacy_sha1_signature_is_not_enough() -> None:
    raw = json.dumps(payload()).encode()
    legacy = "sha1=" + hmac.new(SECRET.encode(), raw, hashlib.sha1).hexdigest()
    headers = {"X-Hub-Signature-256": None, "X-Hub-Signature": legacy}
    assert rejection(raw, headers=headers)[0] == 401
    assert rejection(raw, headers={"X-Hub-Signature-256": legacy})[0] == 401


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
@pytest.mark.parametrize("signed_with", ["", SECRET])
def test_without_a_secret_nothing_is_accepted(secrets: tuple[str, ...], signed_with: str) -> None:
    raw = json.dumps(payload()).encode()
    headers = {"X-Hub-Signature-256": sign(raw, signed_with)}
    assert rejection(raw, headers=headers, secrets=secrets)[0] == 401
    assert rejection(raw, headers={"X-Hub-Signature-256": None}, secrets=secrets)[0] == 401


def test_an_empty_secret_beside_a_good_one_signs_nothing() -> None:
    raw = json.dumps(payload()).encode()
    headers = {"X-Hub-Signature-256": sign(raw, "")}
    assert rejection(raw, headers=headers, secrets=("", SECRET))[0] == 401


def test_a_secret_that_is_not_utf8_can_sign() -> None:
    raw = json.dumps(payload()).encode()
    digest = hmac.new(b"\xff" * 16, raw, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}"}
    # This is how os.environ shows such bytes.
    assert isinstance(deliver(raw, headers=headers, secrets=("\udcff" * 16,)).content, Push)


def test_the_signature_is_over_the_bytes_and_not_over_what_they_mean() -> None:
    form = urlencode({"payload": json.dumps(payload())}).encode()
    headers = {"Content-Type": FORM, "X-Hub-Signature-256": sign(json.dumps(payload()).encode())}
    assert rejection(form, headers=headers)[0] == 401


@pytest.mark.parametrize("body", [b"{", DEEP, b"\xff", b""])
def test_nothing_unsigned_is_parsed(body: bytes) -> None:
    assert rejection(body, headers={"X-Hub-Signature-256": "sha256=00"})[0] == 401


def test_no_rejection_tells_the_secret_or_the_right_signature() -> None:
    raw = json.dumps(payload()).encode()
    _, reason = rejection(raw, headers={"X-Hub-Signature-256": "sha256=00"})
    assert SECRET not in reason
    assert sign(raw)[7:] not in reason


# --- content type and encoding ---------------------------------------------


@pytest.mark.parametrize(
    "value", [None, "", "text/plain", "application/jsonx", "multipart/form-data; boundary=x"]
)
def test_another_content_type_is_a_415(value: str | None) -> None:
    assert rejection(payload(), headers={"Content-Type": value})[0] == 415


@pytest.mark.parametrize("value", ["gzip", "identity", "br, gzip", ""])
def test_any_content_encoding_is_a_415(value: str) -> None:
    assert rejection(payload(), headers={"Content-Encoding": value})[0] == 415


@pytest.mark.parametrize("value", ["gzip, chunked", "gzip", "identity", "chunked, chunked", ""])
def test_another_transfer_encoding_than_chunks_is_a_415(value: str) -> None:
    assert rejection(payload(), headers={"Transfer-Encoding": value})[0] == 415


@pytest.mark.parametrize("value", ["chunked", "Chunked "])
def test_chunks_are_taken(value: str) -> None:
    assert deliver(payload(), headers={"Transfer-Encoding": value}).event == "push"


def test_the_content_type_is_judged_before_the_signature() -> None:
    headers = {"Content-Type": "text/plain", "X-Hub-Signature-256": None}
    assert rejection(payload(), headers=headers)[0] == 415


# --- headers that name the delivery ----------------------------------------


@pytest.mark.parametrize(
    "guid", [None, "", "a" * 65, "a b", "a/../b", "72d3162e\n", "é", "<script>", "a;b"]
)
def test_a_delivery_without_a_guid_is_a_400(guid: str | None) -> None:
    assert rejection(payload(), headers={"X-GitHub-Delivery": guid}) == (
        400,
        "X-GitHub-Delivery is missing or not of GitHub's shape",
    )


@pytest.mark.parametrize("event", [None, "", "PUSH", "push\n", "x" * 65, "p\xfcsh"])
def test_a_delivery_without_an_event_is_a_400(event: str | None) -> None:
    assert rejection(payload(), headers={"X-GitHub-Event": event}) == (
        400,
        "X-GitHub-Event is missing or not of GitHub's shape",
    )


# --- ignored ---------------------------------------------------------------


@pytest.mark.parametrize("event", ["star", "projects_v2_item", "no-such.event"])
def test_another_event_is_ignored_whatever_its_fields(event: str) -> None:
    assert ignored({"action": "started", "ref": 7}, event=event) == (
        f"event {event} is of no interest, only push is"
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"repository": {"full_name": "teacher/other"}},
            (
                "repository 'teacher/other' is not teacher/class-airflow: if that was renamed, set"
                " DEPLOYER_GITHUB_REPO, restart web and worker, and redeliver this"
            ),
        ),
        ({"ref": "refs/heads/feature"}, "'refs/heads/feature' is not branch main"),
        ({"ref": "refs/heads/Main"}, "'refs/heads/Main' is not branch main"),
        ({"ref": "main"}, "'main' is not branch main"),
        ({"ref": "refs/heads/main\n"}, "'refs/heads/main\\n' is not branch main"),
        ({"ref": "refs/tags/v1"}, "'refs/tags/v1' is a tag, only branch main is deployed"),
        ({"ref": "refs/tags/main"}, "'refs/tags/main' is a tag, only branch main is deployed"),
        ({"deleted": True, "after": ZEROS}, "branch main was deleted; what is live stays"),
        ({"deleted": True}, "branch main was deleted; what is live stays"),
        ({"after": ZEROS}, "branch main was deleted; what is live stays"),
    ],
)
def test_a_push_of_something_else_is_ignored_with_its_reason(
    changed: dict[str, object], reason: str
) -> None:
    assert ignored(payload(**changed)) == reason


def test_the_branch_may_have_slashes() -> None:
    pushed = payload(ref="refs/heads/class/2025")
    assert isinstance(deliver(pushed, branch="class/2025").content, Push)
    assert ignored(pushed, branch="2025")


# --- another name -----------------------------------------------------------

NEW = "school/new-name"


def under_new_name(newest: Origin | None, **changed: object) -> Push | Ignored:
    pushed = payload(repository={"id": 7, "full_name": NEW}, **changed)
    return deliver(pushed, newest=newest).content


def test_a_push_under_a_new_name_is_ours_if_it_has_the_number_of_the_newest_accepted_one() -> None:
    for known in (
        Origin(7, REPO, REPO),
        Origin(7, REPO, REPO.upper()),
        Origin(7, NEW, REPO),
        Origin(7, REPO, "teacher/first-name"),
    ):
        content = under_new_name(known)
        assert isinstance(content, Push)
        assert (content.after, content.origin) == (AFTER, Origin(7, NEW, REPO))


def test_a_push_under_a_new_name_is_amiss_and_one_under_that_which_is_set_is_not() -> None:
    renamed = under_new_name(Origin(7, REPO, REPO))
    known = deliver(payload(repository={"id": 7, "full_name": REPO.upper()})).content
    assert isinstance(renamed, Push)
    assert isinstance(known, Push)
    assert (renamed.settings_wrong, known.settings_wrong) == (True, False)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(None, id="none was accepted"),
        pytest.param(Origin(8, REPO, REPO), id="another number, made anew under the old name"),
        pytest.param(Origin(None, REPO, REPO), id="no number"),
        pytest.param(Origin(7, NEW, NEW), id="accepted for the class of before"),
    ],
)
def test_a_push_under_another_name_is_foreign_if_nothing_says_that_it_is_ours(
    last: Origin | None,
) -> None:
    content = under_new_name(last)
    assert isinstance(content, Ignored)
    assert content.settings_wrong
    assert content.reason.startswith(f"repository {NEW!r} is not {REPO}: if that was renamed, set")


def test_what_is_ignored_under_the_old_name_is_under_the_new_one() -> None:
    content = under_new_name(Origin(7, REPO, REPO), ref="refs/heads/draft")
    assert content == Ignored("'refs/heads/draft' is not branch main")


@pytest.mark.parametrize("number", [..., None, True, "7", 7.0, 0, -7, 2**63, [7], {}])
def test_without_a_number_of_github_s_a_push_under_another_name_is_ignored(number: object) -> None:
    repository = {"id": number, "full_name": NEW}
    pushed = payload(repository={k: v for k, v in repository.items() if v is not ...})
    assert ignored(pushed, newest=Origin(None, REPO, REPO))


@pytest.mark.parametrize(
    "name", ["", "school", "school/new name", "school/é", "a/b/c", "a/" + "b" * 101]
)
def test_a_name_that_no_setting_could_hold_is_no_new_name(name: str) -> None:
    pushed = payload(repository={"id": 7, "full_name": name})
    assert ignored(pushed, newest=Origin(7, REPO, REPO))


@pytest.mark.parametrize("number", [..., None, True, "7", 2**63])
def test_under_the_name_that_is_set_a_push_needs_no_number(number: object) -> None:
    repository = {"id": number, "full_name": REPO}
    content = deliver(
        payload(repository={k: v for k, v in repository.items() if v is not ...})
    ).content
    assert isinstance(content, Push)
    assert content.origin == Origin(None, REPO, REPO)


@pytest.mark.parametrize(
    "text",
    [pytest.param("x" * 100_000, id="long"), pytest.param("\ud800\x00\n" * 1000, id="odd")],
)
def test_a_reason_is_short_and_plain_whatever_it_quotes(text: str) -> None:
    reasons = [
        ignored(payload(ref=text)),
        ignored(payload(ref=f"refs/tags/{text}")),
        ignored(payload(repository={"full_name": text})),
    ]
    for reason in reasons:
        assert len(reason) < 1000
        assert reason.isprintable()
        assert reason.isascii()


# --- not of the event's shape ----------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"Hello",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="huge"),
        DEEP,
        pytest.param(b'{"a":' * 200_000, id="deep-objects"),
        b'"\xff"',
        b'{"a": "\xed\xa0\x80"}',  # a surrogate as UTF-8 would have it
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"{}\x00",
        b"[]",
        b"null",
        b'"push"',
        b"7",
    ],
)
@pytest.mark.parametrize("event", ["push", "ping", "star"])
def test_a_body_that_is_no_json_object_is_a_400(body: bytes, event: str) -> None:
    assert rejection(body, event=event)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"payload=",
        b"payload=%7B",
        b"payload=%FF",
        b"other=%7B%7D",
        b"payload=%7B%7D&payload=%7B%7D",
        b"payload=%7B%7D&\xff",
        b"{}",
    ],
)
def test_a_form_without_one_json_payload_is_a_400(body: bytes) -> None:
    assert rejection(body, event="ping", headers={"Content-Type": FORM})[0] == 400


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("ref", [..., None, 7, ["refs/heads/main"]]),
        ("before", [..., None, 0, "", "abc", AFTER.upper(), AFTER + "\n", AFTER[:39], "0" * 64]),
        ("after", [..., None, 0, "", "abc", AFTER.upper(), AFTER + "\n", "--upload-pack=x"]),
        ("after", ["\u0660" * 40, "a" * 64]),
        ("deleted", [None, 0, "false"]),
        ("forced", [None, 1, "true"]),
        ("repository", [..., None, REPO, []]),
        ("repository", [{}, {"full_name": None}, {"full_name": 7}]),
    ],
)
def test_a_needed_field_of_the_wrong_type_is_a_400(field: str, values: list[object]) -> None:
    for value in values:
        status, reason = rejection(payload(**{field: value}))
        assert status == 400
        assert field in reason


# --- anything at all -------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def outcome(body: bytes, event: str, content_type: str) -> Delivery | int:
    """Return the delivery, or the status of the rejection; another exception fails the test."""
    try:
        return deliver(body, event=event, headers={"Content-Type": content_type})
    except WebhookRejected as rejected:
        return rejected.http_status


@examples
@given(
    body=st.binary(),
    content_type=st.sampled_from([JSON, FORM]),
    event=st.sampled_from(["push", "ping", "issues"]),
)
def test_signed_bytes_give_a_delivery_or_a_400(body: bytes, content_type: str, event: str) -> None:
    result = outcome(body, event, content_type)
    assert result == 400 or isinstance(result, Delivery)


@examples
@given(
    changed=st.dictionaries(st.sampled_from(sorted(payload())), JSON_VALUES),
    form=st.booleans(),
)
def test_a_payload_of_any_types_gives_a_delivery_or_a_400(
    changed: dict[str, object], *, form: bool
) -> None:
    text = json.dumps(payload(**changed))
    if form:
        result = outcome(urlencode({"payload": text}).encode(), "push", FORM)
    else:
        result = outcome(text.encode(), "push", JSON)
    assert result == 400 or isinstance(result, Delivery)


@examples
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "content-type",
                "content-encoding",
                "x-github-event",
                "x-github-delivery",
                "x-hub-signature-256",
            ]
        ),
        st.text(alphabet=st.characters(exclude_categories=())),
    )
)
def test_headers_of_any_text_are_rejected_and_nothing_worse(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRejected):
        receive(headers, b"{}", secrets=[SECRET], repo=REPO, branch="main", newest=lambda: None)


@examples
@given(signature=st.text(alphabet=st.characters(exclude_categories=())))
def test_a_signature_of_any_text_is_a_401(signature: str) -> None:
    assert rejection(payload(), headers={"X-Hub-Signature-256": signature})[0] == 401
