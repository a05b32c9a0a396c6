"""The socket the server listens on, bound before anything slow is begun."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from app.errors import AppError

if TYPE_CHECKING:
    from app.store import Store


class PortInUse(AppError):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} of {host} is in use: stop the other program or choose one with --port")


class AddressRefused(AppError):
    """The address cannot be listened on, or is open to others."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortInUse or AddressRefused.

    Nothing is answered yet; whether an address beyond loopback may be, `require_accounts` says.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Taken over by its connections. asyncio sets it only where the protocol is named, which not every system's
        # accept() does; without it each answer waits up to 40 ms for the other side to acknowledge its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def require_accounts(listener: socket.socket, store: Store) -> None:
    """For a listener that other computers reach: raises AddressRefused unless there are accounts."""
    if not store.users.any():
        raise AddressRefused(
            f"{listener.getsockname()[0]} is to be reached by other computers: make an account first with "
            "'fireside user add NAME', or use 127.0.0.1"
        )


def own_names() -> tuple[str, ...]:
    """What other computers in the same network may call this one."""
    name = socket.gethostname().lower()
    return name, f"{name.partition('.')[0]}.local"


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
