"""Any server at an address, asked without an account; implements `ports.doctor.Server`."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from deployer.errors import OperatorError
from deployer.ports.doctor import ServerAnswer

TIMEOUT_S = 8.0
"""For connecting, and for each read."""

PAST_THE_PROXY = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""An httpx client's `mounts`: a proxy of the environment is for the world outside alone."""


class HttpServer:
    """The server at `url`: by the proxy of the environment, if there is one; never on loopback."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ServerAnswer:
        url = f"{self._url}{path}"
        try:
            with httpx.Client(timeout=TIMEOUT_S, mounts=PAST_THE_PROXY) as client:
                answer = client.request(method, url, json=body)
        except (httpx.RequestError, httpx.InvalidURL) as exc:
            said = " ".join(str(exc).split()) or type(exc).__name__
            raise OperatorError(f"no answer from {url} ({said})") from exc
        return ServerAnswer(answer.status_code, dict(answer.headers))
