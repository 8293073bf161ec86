"""`deployer worker` with nothing of Airflow behind it; all else is real.

Its services and its REST API are the fakes, its parser is `parser`, its dag-processor a thread at
the other end of the feed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path
from unittest.mock import patch

from deployer import app, config
from deployer.app.airflow import Host
from deployer.config import Settings
from deployer.core.requirements.meaning import safe_requirements
from deployer.edges.airflow.parse_feed import PLACE
from deployer.edges.parser.warm_parser import LocalParser
from tests.fakes.airflow import FakeAirflow
from tests.fakes.services import FakeServices
from tests.security import parser


class Services(FakeServices):
    """Refuses what no installer is given."""

    def resolve(self, text: str) -> str:
        safe_requirements(text)
        return super().resolve(text)


def host(settings: Settings) -> Host:
    parsing = LocalParser(lambda: Path(sys.executable), Path(parser.__file__))
    services = Services()
    threading.Thread(target=process, args=(settings.checkout_dir,), daemon=True).start()
    return Host(services, parsing, parsing, None, None, None)


def process(checkout: Path) -> None:
    """Be the dag-processor: tell what is asked for, as the release has it."""
    with socket.socket(socket.AF_UNIX) as feed:
        until_there = threading.Event()
        while feed.connect_ex(str(checkout / PLACE)):
            until_there.wait(0.02)
        tell(feed, {"feed": 1, "airflow": "3.3.2", "life": "1", "release": None, "unfit": None})
        with feed.makefile() as lines:
            for line in lines:
                if asked := json.loads(line).get("ask"):
                    answer(feed, checkout / "releases" / asked["release"] / "dags", asked)


def answer(feed: socket.socket, dags: Path, asked: dict[str, object]) -> None:
    release = asked["release"]
    found = {str(place.relative_to(dags)): parser.text_of(place) for place in dags.rglob("*.py")}
    listed = [name for name, text in found.items() if "airflow" in text and "dag" in text]
    tell(feed, {"listed": {"release": release, "files": listed}})
    for name in sorted({*asked["first"], *asked["later"]} & set(listed)):  # type: ignore[misc]
        trace = parser.error(dags / name, found[name])
        result = {
            "release": release,
            "file": name,
            "ended": "parsed",
            "dag_ids": parser.dag_ids(found[name]) if trace is None else [],
            "errors": {} if trace is None else {name: trace},
            "warnings": [],
            "seconds": 0.01,
            "code": None,
            "words": "",
        }
        tell(feed, {"result": result})


def tell(feed: socket.socket, message: object) -> None:
    feed.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    with (
        patch.object(app, "on_this_machine", host),
        patch("deployer.edges.airflow.rest.AirflowRest", lambda *_: FakeAirflow()),
    ):
        app.run_worker(config.load(os.environ))
