"""The webhooks of a repository and their deliveries, through GitHub's REST API."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import httpx

from deployer.core.hooks import Delivery, Hook
from deployer.core.settings import Secret
from deployer.edges.github.statuses import GitHub, json_of
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

    def __init__(self, api_url: str, repo: str, token: Secret) -> None:
        # One a request: `GitHub` is for one thread, and lines of a check-up ask side by side.
        self._github = partial(GitHub, api_url, repo, lambda: token)
        self._path = f"/repos/{repo}/hooks"

    def all(self) -> tuple[Hook, ...]:
        return tuple(map(_hook, json_of(self._ask("GET", f"?per_page={PAGE}"))))

    def make(self, body: Mapping[str, Any]) -> int:
        """Make one and return its number."""
        number: int = json_of(self._ask("POST", "", {"name": "web", **body}))["id"]
        return number

    def mend(self, hook: int, body: Mapping[str, Any]) -> None:
        self._ask("PATCH", f"/{hook}", body)

    def deliveries(self, hook: int, since: datetime) -> tuple[Delivery, ...]:
        """Return the tries since then; of many the newest."""
        found: list[Delivery] = []
        params = httpx.QueryParams(per_page=PAGE)
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", f"/{hook}/deliveries?{params}")
            page = list(map(_delivery, json_of(answer)))
            found += [one for one in page if one.delivered_at >= since]
            further = answer.links.get("next", {}).get("url")
            if not further or not page or page[-1].delivered_at < since:
                break
            params = params.set("cursor", httpx.URL(further).params.get("cursor", ""))
        return tuple(found)

    def ask_again(self, hook: int, delivery: int) -> None:
        self._ask("POST", f"/{hook}/deliveries/{delivery}/attempts")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        with closing(self._github()) as github:
            answer = github.request(method, f"{self._path}{path}", body)
        if answer.is_success:
            return answer
        if answer.status_code in _FORBIDDEN and "retry-after" not in answer.headers:
            raise MayNot(github.refusal(answer))
        raise OperatorError(github.refusal(answer))


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
