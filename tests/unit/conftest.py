"""What the unit tests share."""

from __future__ import annotations

import hypothesis

# No deadline: a busy machine is no defect. No database: a run depends on the checkout alone.
hypothesis.settings.register_profile("deployer", deadline=None, database=None)
hypothesis.settings.load_profile("deployer")
