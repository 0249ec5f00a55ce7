"""Reserves TCP ports on loopback."""

import socket
import sys


def free_port() -> int:
    """Return a free port, which no other process is given while this one runs (on Linux)."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    port = int(reservation.getsockname()[1])
    # Linux lets a server listen on the port while this socket stays bound to it, because both set
    # SO_REUSEADDR. Closed, the port could go to another test run before the server takes it.
    if sys.platform == "linux":
        reservation.detach()
    else:
        reservation.close()
    return port
