"""What a page costs when the journal holds many deployments."""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from deployer import app, config
from deployer.edges.journal import SqlJournal
from deployer.edges.journal.database import Database

STUDENTS = 30
BOUND_S = 0.05
ASKED = (
    *("/", "/deployments/{}", "/folders/s07", "/api/v1/deployments?limit=20"),
    *("/readyz", "/metrics"),
)
TIMES = 15

_EACH = (
    "WITH RECURSIVE each(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM each WHERE i < :number), \
d AS (SELECT i, printf('%040x', i) sha, printf('s%02d', i % 30) folder, \
strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || (:number - i) || ' minutes') at FROM each) "
)
_ROWS = {
    "deliveries (guid, event, result, reason, ref, after, forced, pusher, received_at)": (
        "SELECT 'guid-' || i, 'push', 'queued', '', 'refs/heads/main', sha, 0, folder, at FROM d"
    ),
    'deployments (id, sha, base_sha, ref, "trigger", state, queued_at, started_at, finished_at, '
    "reason, plan, ending)": (
        "SELECT i, sha, printf('%040x', i - 1), 'refs/heads/main', 'webhook', 'succeeded', at, at, "
        "at, '', json_object('dag_files', json_array('dags/' || folder || '/a.py')), "
        "json_object('seconds', 0.4, 'waited_s', 0.4, 'refused', NULL, 'reason', '', "
        "'broke', json('[]'), 'duplicates', json('[]')) FROM d"
    ),
    'announcements (delivery, sha, forced, "trigger", received_at, deployment_id)': (
        "SELECT 'guid-' || i, sha, 0, 'webhook', at, i FROM d"
    ),
    "covers (deployment_id, position, sha)": "SELECT i, 0, sha FROM d",
    "folders (deployment_id, folder)": "SELECT i, folder FROM d",
    "steps (deployment_id, name, state, started_at, finished_at, detail)": (
        "SELECT i, column1, 'ok', at, at, 'done' FROM d, "
        "(VALUES ('fetch'), ('plan'), ('preflight'), ('publish'), ('parse'))"
    ),
    "verdicts (deployment_id, path, outcome, dag_ids, proof, waited_s)": (
        "SELECT i, 'dags/' || folder || '/a.py', 'parsed', json_array(folder || '_a'), 'release', "
        "0.4 FROM d"
    ),
    "outbox (place, standing, sha, context, context_key, state, description, owed_since, due_at, "
    "posted_at, attempts)": (
        "SELECT 4 * i + column1, 'posted', sha, iif(column1 % 2, 'airflow/deploy', "
        "'airflow/' || folder), iif(column1 % 2, 'airflow/deploy', 'airflow/' || folder), "
        "iif(column1 < 2, 'pending', 'success'), 'live', at, at, at, 1 FROM d, "
        "(VALUES (0), (1), (2), (3))"
    ),
    "statements (deployment_id, place)": (
        "SELECT i, 4 * i + column1 FROM d, (VALUES (0), (1), (2), (3))"
    ),
}


def fill(url: str, number: int) -> None:
    """Put `number` deployments into a SQLite journal, a minute apart."""
    SqlJournal.open(url, migrate=True).close()
    database = Database(url)
    with database.writing() as connection:
        for into, rows in _ROWS.items():
            connection.execute(text(f"INSERT INTO {into} {_EACH}{rows}"), {"number": number})
        now = "strftime('%Y-%m-%d %H:%M:%S.000000')"
        of_now = f"live_sha = :sha, tip = :sha, beat_at = {now}, tip_checked_at = {now}"
        last = {"sha": f"{number:040x}"}
        connection.execute(text(f"UPDATE worker SET {of_now}"), last)  # noqa: S608  # our own words
    database.engine.dispose()


def measured(folder: Path, number: int) -> dict[str, float]:
    """Return the median seconds that each page takes, by its address."""
    settings = config.load({
        "DEPLOYER_GITHUB_REPO": "class/airflow-class",
        "DEPLOYER_WEBHOOK_SECRET": "a secret of more than sixteen",
        "DEPLOYER_STATE_DIR": str(folder / "state"),
        "DEPLOYER_CHECKOUT_DIR": str(folder / "class"),
    })  # fmt: skip
    settings.state_dir.mkdir(parents=True)
    fill(settings.journal_url, number)
    browser = app.web_app(settings).test_client()
    took: dict[str, float] = {}
    for address in ASKED:
        runs = []
        for _ in range(TIMES):
            began = time.perf_counter()
            answer = browser.get(address.format(number // 2))
            runs.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
        took[address] = round(statistics.median(runs), 4)
    return took


def pruned(folder: Path, number: int, keep_days: int) -> dict[str, float]:
    """Prune a filled journal as the worker does; tell how many deployments were and are."""
    url = f"sqlite:///{folder / 'old.db'}"
    fill(url, number)
    slowest_s = 0.0
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        removed = 1
        while removed:
            began = time.perf_counter()
            removed = journal.prune(datetime.now(UTC) - timedelta(days=keep_days))
            slowest_s = max(slowest_s, time.perf_counter() - began)
        left = sum(journal.tally().deployments.values())
    return {"were": number, "left": left, "slowest_s": round(slowest_s, 2)}
