"""A stand-in for the class's dag-processor: it speaks the real feed and parses as `parser` does."""

from __future__ import annotations

import selectors
import socket
import threading
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from deployer.edges.airflow.parse_feed import PLACE
from tests.integration.feed_peer import theirs

LOOK_EVERY_S = 0.02


class DagProcessor:
    """In a thread, for as long as the harness; workers come and go.

    Attributes:
        read: each path and text that was parsed, out of what was live.
    """

    def __init__(self, checkout: Path) -> None:
        self.read: set[tuple[str, str]] = set()
        self._checkout = checkout
        self._selector = selectors.DefaultSelector()
        self._life = uuid.uuid4().hex
        hello = {"feed": 1, "airflow": "none", "life": self._life, "release": None, "unfit": None}
        self._feed = theirs().Feed(
            checkout / PLACE, self._selector, hello=lambda: hello, heard=self._heard
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dag-processor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._selector.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            self._feed.connect()
            if not self._selector.get_map():
                self._over.wait(LOOK_EVERY_S)
                continue
            for key, _ in self._selector.select(LOOK_EVERY_S):
                handler, on_close = key.data
                end = key.fileobj
                if isinstance(end, socket.socket) and not handler(end):
                    on_close(end)
                    end.close()

    def _heard(self, message: Mapping[str, Any]) -> None:
        if "ask" not in message:
            return
        asked = message["ask"]
        # What is live may be moved under it at any moment, as it may under Airflow's own.
        with suppress(OSError):
            release = (self._checkout / "current").readlink().name
            files = self._listed(self._checkout / "releases" / release / "dags")
            self._feed.tell({"listed": {"release": release, "files": sorted(files)}})
            self._parse(release, [n for n in (*asked["first"], *asked["later"]) if n in files])

    def _listed(self, dags: Path) -> Collection[str]:
        texts = {str(path.relative_to(dags)): path.read_text() for path in dags.rglob("*.py")}
        return {name for name, text in texts.items() if "dag" in text and "airflow" in text}

    def _parse(self, release: str, names: Collection[str]) -> None:
        for name in names:
            text = (self._checkout / "releases" / release / "dags" / name).read_text()
            self.read.add((f"dags/{name}", text))
            bad = "BROKEN" in text
            errors = {name: "NameError: name 'BROKEN' is not defined\n"} if bad else {}
            *_, folder, stem = Path(f"dags/{name}").with_suffix("").parts
            result = {
                "release": release,
                "file": name,
                "ended": "parsed",
                "dag_ids": [] if bad else [f"{folder}_{stem}"],
                "errors": errors,
                "warnings": [],
                "seconds": 0.01,
                "code": None,
                "words": "",
            }
            self._feed.tell({"result": result})
