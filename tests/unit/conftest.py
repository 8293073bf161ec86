"""What the unit tests share."""

from __future__ import annotations

import hypothesis

# No deadline, no complaint of slowness: a busy machine is no defect. No database, no chance:
# a run depends on the checkout alone, with CI=true (for which hypothesis has settings of its own)
# or without.
hypothesis.settings.register_profile(
    "deployer",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deployer")
