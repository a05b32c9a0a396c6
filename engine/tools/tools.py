"""The functions of one request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidTools

MAX_TOOLS = 128
# OpenAI's.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Of a function that says nothing of its arguments: it has none.
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tools:
    """Functions that an answer may call.

    functions: {"name", "description", "parameters"} each, of which the name is needed; parameters: the JSON schema of
    the arguments, an object. required: whether the answer has to be a call. only: the name of the one function that may
    be called. several: whether more than one call may be made at once.

    Raises InvalidTools for names that are none, appear twice or are not there.
    """

    functions: Sequence[Mapping[str, Any]]
    required: bool = False
    only: str | None = None
    several: bool = True

    def __post_init__(self) -> None:
        names = [function.get("name") for function in self.functions]
        if not 1 <= len(names) <= MAX_TOOLS:
            raise InvalidTools(f"an answer may have 1 to {MAX_TOOLS} tools, not {len(names)}")
        for name in names:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise InvalidTools(
                    f"a tool's name has 1 to 64 letters, digits, dashes and underscores, not {name!r:.80}"
                )
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InvalidTools(f"two tools have the name {twice!r}")
        if self.only is not None and self.only not in names:
            raise InvalidTools(f"there is no tool named {self.only!r:.80}")

    @property
    def callable(self) -> list[Mapping[str, Any]]:
        """Those that may be called."""
        return [each for each in self.functions if self.only in (None, each["name"])]

    def described(self) -> list[dict[str, Any]]:
        """As chat templates read them, which is as OpenAI's API writes them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": function["name"],
                    "description": function.get("description") or "",
                    "parameters": parameters(function),
                },
            }
            for function in self.functions
        ]


def parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a function's arguments."""
    schema = function.get("parameters")
    return NO_PARAMETERS if schema is None else schema
