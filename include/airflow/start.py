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
- A scheduler that is to end may wait for ever (`class_executor.py`), one that is to make a billion
  tasks does nothing else (`class_expansion.py`), and one folder's tasks may take all places
  (`class_sharing.py`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread

import compiled


def main() -> None:
    sys.argv[0] = "airflow"  # as which DAG files see it, which are parsed in forks of this process
    if sys.argv[1] == "api-server":
        gc.set_threshold(100_000, 50, 1000)
    if os.environ.get("_PIP_ADDITIONAL_REQUIREMENTS"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        compiled.link(compiled.VOLUME)
    if sys.argv[1] == "dag-processor" and (reason := _class_dag_processor()):
        sys.stderr.write(f"Airflow's own dag-processor runs, not the class's: {reason}\n")
        _say_unfit(reason)
    if sys.argv[1] == "scheduler":
        _mend("class_executor")
        _mend("class_expansion")
        _mend("class_sharing")
    from airflow.__main__ import main as airflow  # noqa: PLC0415  # after the above

    airflow()


def _class_dag_processor() -> str:
    """Run the class's dag-processor, and end with it; return why that can't be.

    Whatever another Airflow lacks of what it builds on, the class goes on having DAGs.
    """
    gc.disable()  # nothing of what is imported is garbage; to look for it takes a fifth of the time
    try:
        import class_seams  # noqa: PLC0415  # Airflow, after the above

        missing = class_seams.missing()
    except Exception as exc:  # noqa: BLE001  # an import of what was moved, as a rule
        return f"{type(exc).__name__}: {exc}"
    finally:
        gc.enable()
    if missing:
        return f"it has no {', '.join(missing)} as in Airflow 3.3"
    sys.exit(class_seams.run())


def _mend(name: str) -> None:
    try:
        import_module(name).mend()  # Airflow, after the above
    except Exception as exc:  # noqa: BLE001  # whatever another Airflow lacks, the class has a scheduler
        sys.stderr.write(f"Airflow's own runs without {name}: {type(exc).__name__}: {exc}\n")


def _say_unfit(reason: str) -> None:
    """Have the deployer know, which waits for the class's dag-processor."""
    import parse_feed  # noqa: PLC0415  # nobody else needs it
    from airflow import __version__  # noqa: PLC0415  # after the above
    from airflow.configuration import conf  # noqa: PLC0415  # likewise

    for bundle in conf.getjson("dag_processor", "dag_bundle_config_list"):
        if root := bundle.get("kwargs", {}).get("root"):
            path = Path(root, parse_feed.PLACE)
            Thread(
                target=parse_feed.be_unfit, args=(path, __version__, reason), daemon=True
            ).start()


if __name__ == "__main__":
    main()
