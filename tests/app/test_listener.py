"""The socket of the server: what is refused, in one line."""

from __future__ import annotations

import socket

import pytest

from app.listener import AddressRefused, PortInUse, address_of, listen


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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.invalid", ""])
def test_only_this_computer_may_be_served(host: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        listen(host, 0)
    assert "\n" not in str(refused.value)
