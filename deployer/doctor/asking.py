"""One HTTP request, bounded, and no answer told in plain words."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from deployer.core.doctor.lines import Ailment

TIMEOUT_S = 8.0
"""For connecting, and for each read."""

_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class NoAnswer(Ailment):
    """Nobody answers there within the bound."""


def ask(
    method: str,
    url: str,
    *,
    remedy: str,
    outside: bool = True,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, object] | None = None,
) -> httpx.Response:
    """Return the answer, whatever its status; redirects are not followed.

    `outside`: by the proxy of the environment, if there is one; never for loopback.

    Raises:
        NoAnswer: with `remedy`.
    """
    try:
        with httpx.Client(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=outside,
            mounts=dict.fromkeys(_LOOPBACK),
        ) as client:
            return client.request(method, url, headers=headers, json=body)
    except (httpx.RequestError, httpx.InvalidURL) as exc:
        raise NoAnswer(f"no answer from {url} ({_plain(exc)})", remedy) from exc


def _plain(exc: Exception) -> str:
    if isinstance(exc, httpx.TimeoutException):
        return f"not within {TIMEOUT_S:g} s"
    return " ".join(str(exc).split()) or type(exc).__name__
