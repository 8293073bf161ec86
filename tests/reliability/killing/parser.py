"""A stand-in for the isolated parser (`include/airflow/preflight.py`), which imports no Airflow.

A file that holds the word HARM ends its parser; one that holds BROKEN raises; any other holds one
DAG that is named after its folder and itself.
"""

import json
import sys
from pathlib import Path


def found(root: Path, path: str) -> dict[str, object]:
    text = (root / path).read_text()
    if "HARM" in text:
        return {"ended": "exit", "code": 3}
    errors = {}
    if "BROKEN" in text:
        errors[path.removeprefix("dags/")] = "NameError: name 'BROKEN' is not defined\n"
    *_, folder, name = Path(path).with_suffix("").parts
    dag_ids = [] if errors else [f"{folder}_{name}"]
    return {"ended": "reported", "code": None, "dag_ids": dag_ids, "errors": errors}


def say(**value: object) -> None:
    print(json.dumps(value), flush=True)


def main() -> None:
    say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "cancel" in asked:
            say(id=asked["cancel"], done=True)
            continue
        for path in asked["paths"]:
            say(id=asked["id"], started=path)
            say(id=asked["id"], path=path, **found(Path(asked["root"]), path))
        say(id=asked["id"], done=True)


main()
