"""Functions that an answer may call: what a request says of them, and how an answer tells its calls."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.errors import ApiError
from app.api.fields import Fields, Text
from engine.tools import CallDelta, Tools
from engine.tools.tools import MAX_TOOLS

# Of nine letters and digits: some models' templates take no other.
ID_CHARACTERS = string.ascii_letters + string.digits
ID_LENGTH = 9


class Function(Fields):
    """`strict` or not, the arguments are valid by the parameters."""

    name: str
    description: Text | None = None
    parameters: dict[str, Any] | None = None


class Tool(Fields):
    type: Literal["function"]
    function: Function


class FunctionName(Fields):
    name: str


class NamedTool(Fields):
    type: Literal["function"]
    function: FunctionName


class CalledFunction(Fields):
    """arguments: JSON."""

    name: str
    arguments: Text


class ToolCall(Fields):
    id: Annotated[str, Field(max_length=200)]
    type: Literal["function"]
    function: CalledFunction

    def plain(self) -> dict[str, Any]:
        function = {"name": self.function.name, "arguments": self.function.arguments}
        return {"id": self.id, "type": "function", "function": function}


ToolList = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]
ToolChoice = Literal["none", "auto", "required"] | NamedTool


def tools_of(tools: list[Tool] | None, choice: ToolChoice | None, parallel: bool | None) -> Tools | None:
    """The functions that the answer may call; None for none. Raises ApiError, InvalidTools."""
    if not tools:
        if choice in (None, "none", "auto"):
            return None
        raise ApiError("tool_choice asks for a call, but there are no tools", param="tool_choice")
    if choice == "none":
        return None
    only = choice.function.name if isinstance(choice, NamedTool) else None
    return Tools(
        [each.function.model_dump(include={"name", "description", "parameters"}) for each in tools],
        required=choice == "required" or only is not None,
        only=only,
        # Of a function that is named, one call is meant.
        several=parallel is not False and only is None,
    )


class Calls:
    """The calls of one answer while it is being written."""

    def __init__(self) -> None:
        self.whole: list[dict[str, Any]] = []

    def add(self, deltas: Iterable[CallDelta]) -> list[dict[str, Any]]:
        """Take in more; returns it as the `tool_calls` of a chunk."""
        told = []
        for delta in deltas:
            part: dict[str, Any] = {"index": delta.index, "function": {"arguments": delta.arguments}}
            if delta.index >= len(self.whole):
                # Whoever computes elsewhere may count as it likes.
                part["index"] = len(self.whole)
                id = delta.id or "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
                call = {"id": id, "type": "function", "function": {"name": delta.name, "arguments": ""}}
                self.whole.append(call)
                part |= {"id": id, "type": "function", "function": {"name": delta.name, "arguments": delta.arguments}}
            self.whole[part["index"]]["function"]["arguments"] += delta.arguments
            told.append(part)
        return told
