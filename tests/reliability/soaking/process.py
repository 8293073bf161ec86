"""`python -m …process web|worker`: the deployer's own, over the kill matrix's stand-ins.

A worker's Airflow, its packages and the program that parses a file are stand-ins, if `OUTSIDE` is
set; all else is real, but for waits that would be the most of a run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deployer import app, config
from deployer.worker import maintenance
from tests.reliability.killing import outside

OUTSIDE = "SOAK_OUTSIDE"
"""Names the folder in which the stand-ins keep what they know; without it Airflow is real."""


def main(role: str) -> None:
    settings = config.load(os.environ)
    if role == "web":
        app.run_web(settings)
        return
    if OUTSIDE in os.environ:
        outside.stand_in(Path(os.environ[OUTSIDE]))
    else:
        outside.hurry()
    maintenance.PRUNE_EVERY_S = 5.0  # the soak's days are short
    app.run_worker(settings)


if __name__ == "__main__":
    main(sys.argv[1])
