"""Run one of Airflow's services: `start.py api-server`, `scheduler` or `dag-processor`.

The same as `airflow …`, but for what the services of a class are better without:

- The api-server builds close to a million objects before it answers, and Python looks for
  garbage among them over and over: 3 of the 10 s of CPU, in which the class has no Airflow.
  The others keep Python's own pace, for the tasks and parses that they fork inherit it.
- Some versions of the official entrypoint send SIGHUP to the whole container ten minutes
  after they installed packages at its start, to keep people from it
  (github.com/apache/airflow, scripts/docker/entrypoint_prod.sh, KILL_TIMEOUT). A class that
  chose the plain way means it.
- There, too, each start would compile Airflow anew (`compiled.py`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys

import compiled


def main() -> None:
    if sys.argv[1] == "api-server":
        gc.set_threshold(100_000, 50, 1000)
    if os.environ.get("_PIP_ADDITIONAL_REQUIREMENTS"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        compiled.link(compiled.VOLUME)
    from airflow.__main__ import main as airflow  # noqa: PLC0415  # after the above

    sys.argv[0] = "airflow"
    airflow()


if __name__ == "__main__":
    main()
