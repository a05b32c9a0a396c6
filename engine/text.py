"""Bytes of tokens in, text that can be shown out."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of one answer into text, never half a character and never part of a stop string.

    stop: strings that end the answer; the one that is complete first ends it, of two that end at the same
    character the longer. What is held back is the start of a character, or the longest end of the text that a
    stop string may begin with, and nothing else, so the text does not depend on how its bytes were split.
    Bytes that are not UTF-8 become U+FFFD.

    stopped: True once a stop string was seen; the text before it has been given out, the rest is dropped.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._stop = tuple(filter(None, stop))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes) -> str:
        """Take a token's bytes; returns the text that is certain now, possibly ""."""
        return self._take(self._decoder.decode(data))

    def finish(self) -> str:
        """End the answer; returns what was held back, "" after a stop string."""
        text = self._take(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _take(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        if seen := [(start + len(stop), start) for stop in self._stop if (start := text.find(stop)) >= 0]:
            self.stopped = True
            self._held = ""
            return text[: min(seen)[1]]
        certain = len(text) - self._possible_start(text)
        self._held = text[certain:]
        return text[:certain]

    def _possible_start(self, text: str) -> int:
        """Length of the longest end of `text` that is a proper prefix of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        return next((size for size in range(min(longest, len(text)), 0, -1) if self._begins_stop(text[-size:])), 0)

    def _begins_stop(self, end: str) -> bool:
        return any(stop.startswith(end) and stop != end for stop in self._stop)
