"""Who is let in, and how far: `core/access.py`, over requests.

Before anything else is done for a request, whatever its path and method: an address that is not
there is answered as one that is closed. A status's link carries its token from page to page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Flask, abort, g, request

from deployer.core.access import Link, Secret, fingerprint, is_own
from deployer.core.model import Deployment
from deployer.ports import Journal

OPEN = ("/webhook", "/healthz")
OF_ITS_OWN = "login"
"""Blueprint that sees for itself who may."""
COOKIE = "deployer_session"
CLOSED = "This is closed. Open the link of your commit's status, or ask your teacher."


def register(app: Flask, journal: Journal, now: Callable[[], datetime]) -> None:
    app.before_request(_Door(journal, now).let_in)
    app.add_template_global(opens)

    @app.url_defaults
    def carry(_endpoint: str, values: dict[str, Any]) -> None:
        if g.get("visitor"):
            values["token"] = request.args["token"]


def opens(
    *, sha: str | None = None, deployment: Deployment | None = None, folder: str | None = None
) -> bool:
    """Tell whether the visitor may go there; with nothing named: to the front page."""
    if "visitor" not in g:
        return False
    link: Link | None = g.visitor  # None: he may go anywhere
    return (
        link is None
        or (sha is not None and link.opens_commit(sha))
        or (deployment is not None and link.opens_deployment(deployment))
        or (folder is not None and link.opens_folder(folder))
    )


@dataclass(frozen=True, slots=True)
class _Door:
    journal: Journal
    now: Callable[[], datetime]

    def let_in(self) -> None:
        if request.path in OPEN or request.blueprint == OF_ITS_OWN:
            return
        link, sent = None, request.headers
        if not (is_own(request.remote_addr, sent.get("Host"), sent.keys()) or self._is_teacher()):
            token = request.args.get("token")
            link = Link.read(token, self.journal.link_key()) if token else None
            if link is None or not self._leads_here(link):
                abort(403, CLOSED)
        g.visitor = link

    def _is_teacher(self) -> bool:
        shown = {Secret.SESSION: request.cookies.get(COOKIE)}
        if request.authorization and request.authorization.type == "bearer":
            shown[Secret.BEARER] = request.authorization.token
        return any(
            secret and self.journal.admitted(fingerprint(purpose, secret), self.now())
            for purpose, secret in shown.items()
        )

    def _leads_here(self, link: Link) -> bool:
        asked: dict[str, Any] = request.view_args or {}
        match request.endpoint:
            case "static":
                return True
            case "pages.commit":
                return link.opens_commit(asked["sha"])
            case "pages.folder":
                return link.opens_folder(asked["name"])
            case "pages.deployment":
                found = self.journal.deployment(asked["number"])
                return found is not None and link.opens_deployment(found)
            case _:
                return False
