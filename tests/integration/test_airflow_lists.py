"""Lists that move while they are read page after page: an Airflow that says so on cue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from deployer.edges.airflow.rest import AirflowRest
from deployer.errors import AirflowError

Lists = dict[str, list[dict[str, object]]]


@contextmanager
def serving(lists: Lists, then: Callable[[str], None]) -> Iterator[AirflowRest]:
    """Serve `lists` as Airflow does; `then` is told the kind after each page of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(201, {"access_token": "abc"})

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            kind = "dag_runs" if asked.path.endswith("/dagRuns") else "dags"
            query = parse_qs(asked.query)
            start = int(query["offset"][0])
            rows = lists[kind]
            if version := query.get("bundle_version"):
                rows = [row for row in rows if row["bundle_version"] in version]
            page, total = rows[start : start + int(query["limit"][0])], len(rows)
            then(kind)
            self._send(200, {kind: page, "total_entries": total})

        def _send(self, status: int, answer: object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield AirflowRest(f"http://127.0.0.1:{server.server_port}", "deployer", "x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.edges.airflow.calls.PAGE", 2)


def lists() -> Lists:
    """Return five DAGs and five unfinished runs, each of a release of its own."""
    return {
        "dags": [{"dag_id": f"d{n}", "bundle_version": f"dag-{n}"} for n in range(5)],
        "dag_runs": [
            {"dag_id": "d", "dag_run_id": f"r{n}", "bundle_version": f"run-{n}", "dag_versions": []}
            for n in range(5)
        ],
    }


EVERY = frozenset(f"{kind}-{n}" for kind in ("dag", "run") for n in range(5))
ASKED = EVERY | {"nobody's"}


def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    with serving(lists(), lambda _: None) as airflow:
        assert airflow.versions_in_use(ASKED) == EVERY


def test_a_question_about_releases_costs_the_same_however_many_dags_there_are() -> None:
    asked: list[str] = []
    served = lists()
    served["dag_runs"] = []
    served["dags"] += [{"dag_id": f"more{n}", "bundle_version": "dag-0"} for n in range(50)]
    with serving(served, asked.append) as airflow:
        assert airflow.versions_in_use(["dag-0", "nobody's"]) == {"dag-0"}
        assert asked == ["dags", "dags", "dag_runs"]
        assert airflow.versions_in_use([]) == frozenset()
        assert len(asked) == 3


def test_no_release_is_overlooked_when_the_list_shrinks_while_it_is_read() -> None:
    served = lists()
    gone: list[dict[str, object]] = []

    def shrink(asked: str) -> None:
        if asked == "dag_runs" and not gone:
            gone.append(served["dag_runs"].pop(0))

    with serving(served, shrink) as airflow:
        assert airflow.versions_in_use(ASKED) == EVERY
    assert gone


def test_a_list_that_never_stands_still_is_an_error_and_not_a_part() -> None:
    served = lists()

    def turn(asked: str) -> None:
        served[asked].append(served[asked].pop(0))

    with (
        serving(served, turn) as airflow,
        pytest.raises(AirflowError, match="changes while it is read"),
    ):
        airflow.versions_in_use(ASKED)
