"""Starting the server: what is refused, and that nothing is started then."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.server import AddressRefused, PortInUse, serve


def start(home: Path, host: str = "127.0.0.1", port: int = 0) -> int:
    return serve(home=home, models_dir=home, model="smollm2-135m-instruct", host=host, port=port, open_browser=False)


def test_a_port_in_use_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} of 127.0.0.1 is in use"):
            start(tmp_path / "home", port=port)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.invalid", ""])
def test_only_this_computer_may_be_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        start(tmp_path / "home", host)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "home").exists()
