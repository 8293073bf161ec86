"""Who may see what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployer.core.access import BEGINNING, Link, Purpose, fingerprint, is_own
from deployer.core.model import Deployment, Plan, State, Trigger
from deployer.core.reporting.contexts import of_folders
from deployer.masking import masked

KEY, OTHER_KEY = "1" * 64, "2" * 64
A, B = "a" * 40, "b" * 40
LASSES = Link.of_status(A, "airflow/lasse")
OWN = ("127.0.0.1", "127.0.0.1:9000", ("Host", "Accept"))


# --- the link of a status ------------------------------------------------------------


def test_a_link_is_read_back_from_its_token() -> None:
    assert Link.read(LASSES.token(KEY), KEY) == LASSES


def test_a_token_signed_with_another_key_opens_nothing() -> None:
    assert Link.read(LASSES.token(OTHER_KEY), KEY) is None


def edited() -> dict[str, str]:
    token = LASSES.token(KEY)
    marias = Link.of_status(A, "airflow/maria").token(KEY)
    last = "0" if token[-1] != "0" else "1"
    return {
        "another commit": token.replace(A, B),
        "another folder": ".".join((token.split(".")[0], *marias.split(".")[1:2], token[-64:])),
        "another signature": token[:-1] + last,
        "no signature": token[:-64],
        "a shorter signature": token[:-1],
        "upper case": token.upper(),
        "one more": token + "0",
        "a line more": token + "\n",
        "no beginning": token.removeprefix(BEGINNING),
        "empty": "",
        "other letters": token[:-1] + "é",
    }


@pytest.mark.parametrize("token", edited().values(), ids=edited())
def test_an_edited_token_opens_nothing(token: str) -> None:
    assert Link.read(token, KEY) is None


def test_a_link_opens_its_own_commit_alone() -> None:
    assert LASSES.opens_commit(A)
    assert not LASSES.opens_commit(B)


def test_a_link_opens_the_deployments_of_its_commit_and_those_that_cover_it() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    other = Deployment(
        id=1,
        sha=B,
        base_sha=None,
        ref="refs/heads/main",
        trigger=Trigger.WEBHOOK,
        state=State.QUEUED,
        queued_at=now,
        plan=Plan(),
    )
    assert not LASSES.opens_deployment(other)
    assert LASSES.opens_deployment(replace(other, sha=A))
    assert LASSES.opens_deployment(replace(other, covers=(A,)))


@pytest.mark.parametrize("folder", ["lasse", "Lasse", "straße", "deploy", "x" * 255, "🦆"])
def test_a_link_opens_the_folders_of_its_context(folder: str) -> None:
    (context,) = of_folders([folder])
    link = Link.of_status(A, context)
    assert link.opens_folder(folder)
    assert not link.opens_folder("maria")


def test_a_link_opens_both_folders_that_differ_in_case_alone() -> None:
    (context,) = of_folders(["lasse", "Lasse"])
    assert all(Link.of_status(A, context).opens_folder(name) for name in ("lasse", "Lasse"))


def test_the_link_of_the_whole_commit_opens_no_folder() -> None:
    assert not Link.of_status(A, "airflow/deploy").opens_folder("deploy")


# --- a teacher's secrets ---------------------------------------------------------------


def test_a_secret_for_one_purpose_does_for_no_other() -> None:
    assert len({fingerprint(purpose, "the same") for purpose in Purpose}) == len(Purpose)


def test_a_fingerprint_does_not_show_its_secret() -> None:
    assert "hunter2" not in fingerprint(Purpose.BEARER, "hunter2")


@pytest.mark.parametrize("secret", [LASSES.token(KEY), f"{BEGINNING}{'-_aZ9' * 8}xyz"])
def test_each_secret_is_masked_wherever_it_is_quoted(secret: str) -> None:
    for text in (f"/commits/x?token={secret}", f"Cookie: deployer_session={secret}; x", secret):
        assert secret[10:20] not in masked(text)
        assert secret[-20:] not in masked(text)


# --- this machine itself -----------------------------------------------------------------


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_request_from_loopback_is_this_machines_own(peer: str) -> None:
    assert is_own(peer, *OWN[1:])


@pytest.mark.parametrize("peer", ["10.0.0.8", "::ffff:10.0.0.8", "fe80::1", "", None, "localhost"])
def test_a_request_from_elsewhere_or_a_unix_socket_is_not(peer: str | None) -> None:
    assert not is_own(peer, *OWN[1:])


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.1.2.3:80", "[::1]:9000", "[::1]"]
)
def test_a_request_to_loopback_is_this_machines_own(host: str) -> None:
    assert is_own(OWN[0], host, OWN[2])


@pytest.mark.parametrize(
    "host",
    [
        "class.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "localhost@evil.example",
        "evil.example, localhost",
        "localhost,evil.example",
        "localhost:9000:80",
        "localhost/",
        "[localhost]",
        "[::1",
        "::1",
        "0.0.0.0",  # noqa: S104 - a name that is asked for
        "127.1",
        "2130706433",
        "",
        None,
    ],
)
def test_a_request_to_any_other_name_is_not(host: str | None) -> None:
    assert not is_own(OWN[0], host, OWN[2])


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Real-IP",
        "Via",
    ],
)
def test_a_request_that_a_proxy_passed_on_is_not(header: str) -> None:
    assert not is_own(*OWN[:2], (*OWN[2], header))
