"""One client for what tests ask on loopback again and again.

`httpx.get` makes one each time, which reads all certificates: 50 ms of processor. No connection
is kept, for whoever is asked may be killed and started again.
"""

from __future__ import annotations

import httpx

LOOPBACK = httpx.Client(
    timeout=60, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
)
