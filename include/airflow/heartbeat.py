"""Tell whether this container's own part of Airflow beats: `heartbeat.py JOB_TYPE`.

The health check of the scheduler (`SchedulerJob`) and of the dag-processor
(`DagProcessorJob`), neither of which can be asked over HTTP as it is. Both write a heartbeat
from inside their main loop each 5 s, so one that hangs does not count. Only the job of this
very container counts: for 30 s after it was replaced, the one before still looks alive.

Imports nothing of Airflow, which takes 3 s: psycopg2 alone, and it is over in a tenth of one.
Exit status 0: it beats; anything else: it does not (yet), or the database is out of reach.
"""

from __future__ import annotations

import os
import socket
import sys

import psycopg2

FRESH_S = 30
"""Airflow's own measure: `[scheduler] scheduler_health_check_threshold`."""

# The table is Airflow's (airflow/jobs/job.py); `hostname` is `[core] hostname_callable`.
QUERY = """
SELECT 1 FROM job
WHERE job_type = %s AND hostname = %s AND state = 'running'
  AND latest_heartbeat > now() - %s * interval '1 second'
LIMIT 1
"""


def main() -> int:
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = psycopg2.connect(address, connect_timeout=5)
    with connection, connection.cursor() as cursor:
        cursor.execute(QUERY, (sys.argv[1], socket.gethostname(), FRESH_S))
        beats = cursor.fetchone() is not None
    connection.close()
    return 0 if beats else 1


if __name__ == "__main__":
    sys.exit(main())
