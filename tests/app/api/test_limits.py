"""How much one client, and how many clients at once, may ask for."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gguf import GGMLQuantizationType

from app.guard import MAX_BODY_BYTES, MAX_HEADER_BYTES
from app.store import Store
from benchmarks.streams import HEALTH, SLOWEST, measure, serving
from engine import Engine
from tests.app import plain_http
from tests.app.api.conftest import api_server
from tests.tiny import write_tiny_llama


def test_a_hundred_streams_at_once_answer_as_they_do_alone(tmp_path: Path) -> None:
    with (
        Engine.load(write_tiny_llama(tmp_path / "tiny.gguf", layers=1, context=512), kernels="torch") as engine,
        Store.open(tmp_path / "home") as store,
        api_server(store, engine) as address,
    ):
        found = asyncio.run(measure(address, streams=100, tokens=12))
        assert "fireside_api_answers_running 0.0" in plain_http.get(f"{address}/metrics").text
    assert len(found.together) == found.equal == 100
    assert len({stream.text for stream in found.together}) > 50
    assert found.slowest <= SLOWEST


@pytest.mark.slow
def test_health_is_told_while_a_hundred_streams_are_answered(tmp_path: Path) -> None:
    """By a server in a process of its own: here, its clients would hold it up."""
    model = write_tiny_llama(tmp_path / "tiny.gguf", context=1024, quantization=GGMLQuantizationType.Q8_0)
    with serving(model, tmp_path) as address:
        found = asyncio.run(measure(address))
    assert len(found.together) == found.equal == 100
    assert found.slowest <= SLOWEST
    assert found.health_p99 <= HEALTH


def test_a_body_that_is_too_large_is_refused_before_it_is_read(address: str) -> None:
    where = urlsplit(address)
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        *(f"Host: {where.netloc}", "Content-Type: application/json", f"Content-Length: {MAX_BODY_BYTES + 1}"),
    )
    with socket.create_connection((where.hostname, where.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        reply = client.makefile("rb")
        assert reply.readline().split()[1] == b"413"
        length = next(int(line.split(b":")[1]) for line in reply if line.lower().startswith(b"content-length:"))
        while reply.readline().strip():
            pass
        assert json.loads(reply.read(length))["error"]["message"]


def test_headers_that_are_too_large_are_refused(address: str) -> None:
    for headers in ({"x-long": "a" * MAX_HEADER_BYTES}, {f"x-{number}": "a" * 100 for number in range(400)}):
        response = plain_http.get(f"{address}/v1/models", headers=headers)
        assert response.status_code == 431
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
