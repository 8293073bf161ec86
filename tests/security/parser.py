"""Airflow's isolated parser, stood in for: it reads a file and runs none of it.

Speaks what `include/airflow/preflight.py` says. A file's DAGs are its `dag_id="…"`, and it raises
what stands behind `raise`, so that a test can choose the words of both.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

DAG_ID = re.compile(r'dag_id="([^"]*)"')
RAISES = re.compile(r"^raise (.*)", re.MULTILINE)


def dag_ids(text: str) -> list[str]:
    return [json.loads(f'"{name}"') for name in DAG_ID.findall(text)]


def error(place: Path, text: str) -> str | None:
    """Return the traceback of a file that raises."""
    found = RAISES.search(text)
    if found is None:
        return None
    line, words = text[: found.start()].count("\n") + 1, json.loads(f'"{found[1]}"')
    frame = f'  File "{place}", line {line}, in <module>\n    {found[0]}\n'
    return f"Traceback (most recent call last):\n{frame}{words}\n"


def text_of(place: Path) -> str:
    return place.read_text(encoding="utf-8", errors="replace")


def main() -> None:
    def say(**message: object) -> None:
        print(json.dumps(message), flush=True)  # noqa: T201 - the protocol

    say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        number = asked.get("id")
        for path in asked.get("paths", ()):
            place = Path(asked["root"], path)
            text = text_of(place)
            trace = error(place, text)
            say(id=number, started=path)
            say(
                id=number,
                path=path,
                ended="reported",
                dag_ids=dag_ids(text) if trace is None else [],
                errors={} if trace is None else {path.removeprefix("dags/"): trace},
            )
        if number is not None:
            say(id=number, done=True)


if __name__ == "__main__":
    main()
