"""Bytes of tokens in, text that can be shown out."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

from engine.reasoning import ThinkTags, ThoughtSplitter
from engine.tools.reader import CallDelta, CallReader
from engine.tools.syntax import CallSyntax


class Shown(NamedTuple):
    """What can be shown: more of the model's thoughts, more of its answer, more of the calls that follow it."""

    reasoning: str
    text: str
    calls: tuple[CallDelta, ...] = ()


NOTHING = Shown("", "")


class AnswerStream:
    """Turns the bytes of one answer into text, never half a character and never part of a tag or a stop string.

    stop: strings that end the answer; the one that is complete first ends it, of two that end at the same character
    the longer. They are looked for in the answer, not in the thoughts and calls. tags: of a reasoning model; thinking:
    its prompt has opened the thoughts. syntax: of the calls that the answer may make. What is held back is the start
    of a character, or the longest end of the text that a tag or a stop string may begin with, and nothing else, so the
    text does not depend on how its bytes were split. Bytes that are not UTF-8 become U+FFFD.

    stopped: True once a stop string was seen; the text before it has been given out, the rest is dropped.
    """

    def __init__(
        self,
        stop: Sequence[str] = (),
        tags: ThinkTags | None = None,
        *,
        thinking: bool = False,
        syntax: CallSyntax | None = None,
    ) -> None:
        self.stopped = False
        self._stop = tuple(filter(None, stop))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = ThoughtSplitter(tags, thinking) if tags else None
        self._reader = CallReader(syntax) if syntax else None
        self._held = ""

    def push(self, data: bytes) -> Shown:
        """Take a token's bytes; returns what is certain now, possibly nothing."""
        return self._take(self._decoder.decode(data))

    def finish(self) -> Shown:
        """End the answer; returns what was held back, nothing after a stop string."""
        begun = self._take(self._decoder.decode(b"", final=True))
        rest = self._read(*self._splitter.finish()) if self._splitter else NOTHING
        if self._reader:
            last = self._until_stop("", self._reader.finish())
            rest = Shown(rest.reasoning, rest.text + last.text, rest.calls)
        held, self._held = self._held, ""
        return Shown(begun.reasoning + rest.reasoning, begun.text + rest.text + held, begun.calls + rest.calls)

    def _take(self, text: str) -> Shown:
        return self._read(*(self._splitter.push(text) if self._splitter else ("", text)))

    def _read(self, reasoning: str, text: str) -> Shown:
        if self._reader is None:
            return self._until_stop(reasoning, text)
        text, calls = self._reader.push(text)
        if not calls:
            return self._until_stop(reasoning, text)
        # No stop string goes on in a call.
        shown, held = self._until_stop(reasoning, text), self._held
        self._held = ""
        return shown if self.stopped else Shown(shown.reasoning, shown.text + held, calls)

    def _until_stop(self, reasoning: str, text: str) -> Shown:
        if self.stopped:
            return NOTHING
        text = self._held + text
        if seen := [(start + len(stop), start) for stop in self._stop if (start := text.find(stop)) >= 0]:
            self.stopped = True
            self._held = ""
            return Shown(reasoning, text[: min(seen)[1]])
        certain = len(text) - self._possible_start(text)
        self._held = text[certain:]
        return Shown(reasoning, text[:certain])

    def _possible_start(self, text: str) -> int:
        """Length of the longest end of `text` that is a proper prefix of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        return next((size for size in range(min(longest, len(text)), 0, -1) if self._begins_stop(text[-size:])), 0)

    def _begins_stop(self, end: str) -> bool:
        return any(stop.startswith(end) and stop != end for stop in self._stop)
