"""Server-sent events (WHATWG HTML, section 9.2), from bytes however they are split, within bounds."""

from __future__ import annotations

from app.remote.errors import ServerFailed

MAX_LINE_BYTES = 1_000_000


class EventReader:
    """Bytes in, the data of whole events out.

    Comments and other fields than `data` are left out; what is not UTF-8 becomes U+FFFD. Raises ServerFailed for a
    line, or an event of several, above MAX_LINE_BYTES.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []
        self._size = 0
        self._after_cr = False

    def push(self, received: bytes) -> list[str]:
        """Take bytes in; the data of the events that are whole now."""
        events: list[str] = []
        if self._after_cr and received:
            # A line break may be cut in two.
            received, self._after_cr = received.removeprefix(b"\n"), False
        self._after_cr = received.endswith(b"\r")
        self._rest += received
        if b"\n" in received or b"\r" in received:
            *lines, rest = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            self._rest = bytearray(rest)
            for line in lines:
                self._bound(len(line))
                self._take(line.decode("utf-8", "replace"), events)
        self._bound(len(self._rest))
        return events

    def finish(self) -> list[str]:
        """The last event, where the empty line after it is missing."""
        events: list[str] = []
        for line in (self._rest.decode("utf-8", "replace"), ""):
            self._take(line, events)
        self._rest.clear()
        return events

    def _take(self, line: str, events: list[str]) -> None:
        if not line:
            if self._data:
                events.append("\n".join(self._data))
            self._data, self._size = [], 0
            return
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            # With its line break: empty lines of data are not free.
            self._size += len(value) + 1

    def _bound(self, line: int) -> None:
        if line + self._size > MAX_LINE_BYTES:
            raise ServerFailed(f"the engine sent an event of more than {MAX_LINE_BYTES:,} bytes: it was not read")
