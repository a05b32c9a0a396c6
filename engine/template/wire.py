"""Messages between processes: a length of four bytes, big-endian, and so many bytes of JSON."""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")


def receive(stream: BinaryIO, most: int = sys.maxsize) -> Any:
    """The next message; None where the stream ends, or the message has more than `most` bytes."""
    head = stream.read(LENGTH.size)
    size = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else most + 1
    body = stream.read(size) if size <= most else b""
    return json.loads(body) if body and len(body) == size else None


def send(stream: BinaryIO, message: Any) -> None:
    # ASCII keeps lone surrogates, which a message may hold and UTF-8 may not.
    body = json.dumps(message).encode("ascii")
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()
