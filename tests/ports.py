"""Ports of the loopback address for servers that tests and benchmarks start.

They lie below those that Linux gives to outgoing connections, and none is given twice by one process: a port that the
system hands out as free may be taken by another before one listens there.
"""

import random
import socket

_ports = iter(random.sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now. Raises StopIteration: all were given."""
    while True:
        port = next(_ports)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
