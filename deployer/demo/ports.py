"""A port of this machine for a server that starts in a moment."""

from __future__ import annotations

import secrets
import socket

FIRST, LAST = 20_000, 32_000
"""Below those that Linux hands out by itself (ip_local_port_range, from 32768), to servers on
port 0 and to connections: nobody gets one of these unasked, however long it is until it is used."""


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
