"""A port for a server that is started in a moment."""

from __future__ import annotations

import random
import socket

_PORTS = range(15_000, 32_000)
"""Below those that Linux gives to whoever connects (`net.ipv4.ip_local_port_range` begins at 32768): between the look
and the server's start no connection takes one of these."""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
