"""The webhooks of a repository and their deliveries, through GitHub's REST API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx

from deployer.core.hooks import Delivery, Hook
from deployer.edges.github.statuses import headers_of, message_of, new_client, rights_of
from deployer.errors import MayNot, OperatorError

PAGE = 100
MOST_PAGES = 30
_FORBIDDEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class Hooks:
    """Implements `ports.Webhooks`, of one repository.

    Redirects are not followed: the token goes to one host.

    Args:
        token: needs *Webhooks: read*, to make, mend and ask again *write*.
    """

    def __init__(self, api_url: str, repo: str, token: str) -> None:
        self._url = f"{api_url}/repos/{repo}/hooks"
        self._token = token

    def all(self) -> tuple[Hook, ...]:
        answer = self._ask("GET", "", params={"per_page": str(PAGE)})
        return tuple(map(_hook, answer.json()))

    def make(self, body: Mapping[str, Any]) -> int:
        """Make one and return its number."""
        number: int = self._ask("POST", "", {"name": "web", **body}).json()["id"]
        return number

    def mend(self, hook: int, body: Mapping[str, Any]) -> None:
        self._ask("PATCH", f"/{hook}", body)

    def deliveries(self, hook: int, since: datetime) -> tuple[Delivery, ...]:
        """Return the tries since then; of many the newest."""
        found: list[Delivery] = []
        params = {"per_page": str(PAGE)}
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", f"/{hook}/deliveries", params=params)
            page = list(map(_delivery, answer.json()))
            found += [one for one in page if one.delivered_at >= since]
            further = answer.links.get("next", {}).get("url")
            if not further or not page or page[-1].delivered_at < since:
                break
            params["cursor"] = httpx.URL(further).params.get("cursor", "")
        return tuple(found)

    def ask_again(self, hook: int, delivery: int) -> None:
        self._ask("POST", f"/{hook}/deliveries/{delivery}/attempts")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        headers = headers_of(self._token)
        try:
            with new_client() as client:
                answer = client.request(
                    method, f"{self._url}{path}", json=body, params=params, headers=headers
                )
        except (httpx.RequestError, httpx.InvalidURL) as exc:
            raise OperatorError(self._clean(f"no answer from GitHub: {exc}")) from exc
        if answer.is_success:
            return answer
        said = self._clean(f"GitHub answered {answer.status_code}: {message_of(answer)}")
        if answer.status_code in _FORBIDDEN and "retry-after" not in answer.headers:
            raise MayNot(f"{said}{rights_of(answer)}")
        raise OperatorError(said)

    def _clean(self, text: str) -> str:
        return " ".join(text.replace(self._token, "[token]").split())


def _hook(shown: Mapping[str, Any]) -> Hook:
    config = shown["config"]
    return Hook(
        id=shown["id"],
        url=config.get("url", ""),
        content_type=config.get("content_type", "form"),
        insecure_ssl=str(config.get("insecure_ssl", "0")),
        has_secret=bool(config.get("secret")),
        events=frozenset(shown["events"]),
        active=shown["active"],
        last_code=shown["last_response"]["code"],
    )


def _delivery(shown: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=shown["id"],
        guid=shown["guid"],
        event=shown["event"],
        delivered_at=datetime.fromisoformat(shown["delivered_at"]),
        status_code=shown["status_code"],
        redelivery=shown["redelivery"],
    )
