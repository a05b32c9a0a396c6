"""Messages as chat templates read them, from messages as OpenAI's API writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from engine.errors import TemplateError

ROLES = frozenset({"system", "user", "assistant", "tool", "developer"})
# Of the result of a call: which call, and of which function.
RESULT_FIELDS = ("tool_call_id", "name")
SHORT_ID = 9


def checked(message: Mapping[str, Any], *, short_ids: bool = False) -> dict[str, Any]:
    """A message with what templates know of it: role (one of ROLES), content, `reasoning_content` and `tool_calls` of
    an answer, `tool_call_id` and `name` of a call's result. The arguments of calls, JSON in a text, become objects, as
    transformers wants them.

    short_ids: whether the ids of calls become nine letters and digits, on which Mistral's templates insist. Raises
    TemplateError.
    """
    role, content, reasoning = message.get("role"), message.get("content"), message.get("reasoning_content")
    if role not in ROLES:
        raise TemplateError(f"a message has the role {role!r:.40}; known are {', '.join(sorted(ROLES))}")
    if not isinstance(content, str) or not isinstance(reasoning, (str, type(None))):
        other = reasoning if isinstance(content, str) else content
        raise TemplateError(f"the content of a message must be text, not {type(other).__name__}")
    shown: dict[str, Any] = {"role": role, "content": content}
    if reasoning:
        shown["reasoning_content"] = reasoning
    if calls := message.get("tool_calls"):
        shown["tool_calls"] = [_call(call, short_ids) for call in calls]
    if role == "tool":
        shown |= {name: str(message[name]) for name in RESULT_FIELDS if message.get(name)}
        if short_ids:
            shown["tool_call_id"] = _short(shown.get("tool_call_id", ""))
    return shown


def size_of(value: Any) -> int:
    """Characters of the texts in messages or tools, roughly."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(size_of(key) + size_of(each) for key, each in value.items())
    return sum(map(size_of, value)) if isinstance(value, (list, tuple)) else 8


def _call(call: Any, short_id: bool) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    name, arguments = (
        (function.get("name"), function.get("arguments")) if isinstance(function, Mapping) else (None, None)
    )
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise TemplateError("a call of a tool has a function with a name and the JSON of its arguments")
    try:
        parsed = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"the arguments of the call of {name!r:.80} are no JSON: {error!s:.100}") from None
    if not isinstance(parsed, dict):
        raise TemplateError(f"the arguments of the call of {name!r:.80} are no JSON object")
    id = str(call.get("id") or "")
    told = {"name": name, "arguments": parsed}
    return {"id": _short(id) if short_id else id, "type": "function", "function": told}


def _short(id: str) -> str:
    fits = len(id) == SHORT_ID and id.isascii() and id.isalnum()
    return id if fits else sha256(id.encode("utf-8", "replace")).hexdigest()[:SHORT_ID]
