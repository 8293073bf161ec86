"""The stand-in for GitHub, with requests and answers held against GitHub's own description."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Request, Response

from deployer.demo.github import StandIn
from tests.github.contract import Contract, Operation, header_mistakes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Watch:
    """Reads whatever the API of a stand-in is asked, and what it answers.

    Attributes:
        violations: what was not as GitHub describes it, requests and answers of our own.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self.violations: list[str] = []
        self._contract = Contract()
        self._app, stand_in.server.app = stand_in.server.app, self

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        found = self._contract.find(request.method, request.path)
        if found is None:  # git, the page, and what the stand-in does not have
            return self._app(environ, start)
        operation, path = found
        mistakes = self._mistakes_of(request, operation, path)
        answer = Response.from_app(self._app, environ)
        said = answer.get_json() if answer.is_json else None
        mistakes += self._contract.answer_mistakes(operation, answer.status_code, said)
        self.violations += [f"{operation}: {mistake}" for mistake in mistakes]
        return answer(environ, start)

    def _mistakes_of(
        self, request: Request, operation: Operation, path: dict[str, str]
    ) -> list[str]:
        mistakes = header_mistakes(request.headers)
        mistakes += self._contract.parameter_mistakes(operation, path, request.args)
        try:
            text = request.get_data()
        except ClientDisconnected:  # half a request is the network's fault
            return mistakes
        request.environ["wsgi.input"] = BytesIO(text)  # the stand-in reads it as well
        try:
            body = json.loads(text or "{}")
        except ValueError:
            return [*mistakes, "the body is not JSON"]
        return mistakes + self._contract.body_mistakes(operation, body)


@contextmanager
def watched(stand_in: StandIn) -> Iterator[Watch]:
    """Fail at the end of the block if anything was not as GitHub describes it."""
    watch = Watch(stand_in)
    yield watch
    assert watch.violations == []
