"""The socket the server listens on, bound before anything slow is begun."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from app.errors import AppError


class PortInUse(AppError):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} of {host} is in use: stop the other program or choose one with --port")


class AddressRefused(AppError):
    """The address cannot be listened on, or is open to others."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address; port 0 takes a free one. Raises PortInUse or AddressRefused."""
    if not is_loopback(host):
        raise AddressRefused(
            f"{host} can be reached by other computers, which needs accounts that Fireside does not have yet: "
            "use 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        reason = error.strerror or str(error)
        raise AddressRefused(f"cannot listen on {host}, port {port}: {reason}; choose another --port") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
