"""Calls of functions, read from a growing text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.tools.syntax import CallSyntax


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More of a call. index: its number in the answer. name: on the first of a call only. arguments: more of their
    JSON. id: on the first, where whoever made the call gave it one."""

    index: int
    name: str = ""
    arguments: str = ""
    id: str = ""


class CallReader:
    """Cuts a growing text into text and calls.

    The text is by `engine.tools.grammar`, so that whatever begins with the marker is calls. Held back is what may turn
    out to be the marker, and line breaks before it, which belong to neither; so what comes out does not depend on how
    the text was split. Of calls that are cut off comes out what is certain.
    """

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._held = ""
        self._state: Callable[[], bool] = self._text
        self._begun = False
        self._index = 0
        self._depth = 0
        self._quoted = self._escaped = False
        self._said: list[str] = []
        self._calls: list[CallDelta] = []

    def push(self, text: str) -> tuple[str, tuple[CallDelta, ...]]:
        """Take in more; returns the text and what there is of calls that are certain now."""
        self._held += text
        while self._state():
            pass
        said, calls = "".join(self._said), tuple(self._calls)
        self._said, self._calls = [], []
        return said, calls

    def finish(self) -> str:
        """End the text; returns what was held back of it, nothing once there are calls."""
        held, self._held = self._held, ""
        return held if self._state == self._text else ""

    def _text(self) -> bool:
        marker, text = self._syntax.marker, self._held
        if self._syntax.alone and (self._begun or not marker.startswith(text[: len(marker)])):
            place, certain = -1, len(text)
        elif (place := text.find(marker)) >= 0:
            certain = len(text[:place].rstrip("\n"))
        else:
            held = next((size for size in range(len(marker) - 1, 0, -1) if text.endswith(marker[:size])), 0)
            certain = len(text) - held
            if not self._syntax.alone:
                certain = len(text[:certain].rstrip("\n"))
        self._begun |= certain > 0
        self._said.append(text[:certain])
        if place < 0:
            self._held = text[certain:]
            return False
        self._held = text[place:]
        self._state = self._opening
        return True

    def _opening(self) -> bool:
        return self._past(self._syntax.opening + self._syntax.before_name, self._name)

    def _name(self) -> bool:
        name, found, rest = self._held.partition(self._syntax.after_name)
        if found:
            self._calls.append(CallDelta(self._index, name))
            self._held, self._state = rest, self._arguments
        return bool(found)

    def _arguments(self) -> bool:
        for place, character in enumerate(self._held):
            if self._ends(character):
                return self._argue(place + 1, self._after)
        return self._argue(len(self._held), None)

    def _argue(self, end: int, state: Callable[[], bool] | None) -> bool:
        if end:
            self._calls.append(CallDelta(self._index, arguments=self._held[:end]))
        self._held = self._held[end:]
        self._state = state or self._state
        return state is not None

    def _ends(self, character: str) -> bool:
        """Whether this is the last character of the arguments' object."""
        if self._quoted:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            else:
                self._quoted = character != '"'
        elif character == '"':
            self._quoted = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth == 0
        return False

    def _after(self) -> bool:
        syntax = self._syntax
        if self._past(syntax.after_arguments + syntax.between + syntax.before_name, self._name):
            self._index += 1
            return True
        return False

    def _past(self, text: str, state: Callable[[], bool]) -> bool:
        if not self._held.startswith(text):
            return False
        self._held, self._state = self._held[len(text) :], state
        return True
