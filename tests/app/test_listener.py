"""The socket of the server: what is refused, in one line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.listener import AddressRefused, PortInUse, address_of, listen, require_accounts
from app.store import Store


def test_a_port_in_use_is_refused() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)


def test_the_address_is_the_one_that_answers() -> None:
    with listen("localhost", 0) as listener:
        address = address_of(listener)
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5):
            pass


def test_connections_send_at_once() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.invalid"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        listen(host, 0)
    assert "\n" not in str(refused.value)


def test_other_computers_are_served_only_with_accounts(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, listen("0.0.0.0", 0) as listener:
        with pytest.raises(AddressRefused, match="'fireside user add NAME'") as refused:
            require_accounts(listener, store)
        assert "\n" not in str(refused.value)
        store.users.add("Anna", "hash")
        require_accounts(listener, store)
        assert address_of(listener).startswith("http://127.0.0.1:")
