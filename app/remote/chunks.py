"""One chunk of a streamed answer, from JSON that may be anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.remote.errors import ServerFailed
from engine.tools import CallDelta

TOKEN_ID = "token_id:"
MAX_TOKEN = 2**31
MAX_LOGPROB = 1e30
MAX_CALLS = 128
MAX_ID = 200


@dataclass(frozen=True, slots=True)
class Token:
    """id: in the server's vocabulary. logprob, top: as in `engine.Step`. data: its bytes, None where not told."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    data: bytes | None

    @property
    def rank(self) -> int | None:
        """Its place among the likeliest. None where it is the last that is told: servers tell what was chosen beside
        the likeliest, too, so that others may lie between."""
        likelier = sum(logprob > self.logprob for _, logprob in self.top)
        return likelier + 1 if likelier + 1 < len(self.top) else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one event adds. tokens: those whose ids are told. usage: the server's count, where it comes with it."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    tokens: tuple[Token, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None


def chunk_of(data: str) -> Chunk:
    """Read an event's data; raises ServerFailed for what is no chunk, and for an error that the server sends in it."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ServerFailed(f"the engine sent what is no JSON: {data!r:.80}") from error
    if not isinstance(value, dict):
        raise ServerFailed(f"the engine sent what is no chunk of an answer: {data!r:.80}")
    if value.get("error"):
        raise ServerFailed(f"the engine failed: {error_text(value)}")
    usage = value.get("usage") if isinstance(value.get("usage"), dict) else None
    choices = value.get("choices")
    # One answer is asked for; others, and choices that are none, are not looked at.
    choice = next((each for each in choices if _is_first(each)), None) if isinstance(choices, list) else None
    if choice is None:
        return Chunk(usage=usage)
    delta = choice.get("delta") if isinstance(choice.get("delta"), dict) else {}
    reason = choice.get("finish_reason")
    return Chunk(
        _text(delta.get("content")) or _text(choice.get("text")),
        _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
        _calls(delta.get("tool_calls")),
        _tokens(choice.get("logprobs")),
        reason if isinstance(reason, str) else None,
        usage,
    )


def error_text(value: Any) -> str:
    """What an error's body says, in one line of at most 300 characters."""
    for name in ("error", "message", "detail"):
        while isinstance(value, dict) and name in value:
            value = value[name]
    return " ".join(str(value).split())[:300]


def count(usage: Mapping[str, Any], *names: str) -> int | None:
    """A number in the usage, by the path of its names; None where there is no sound one."""
    value: Any = usage
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_TOKEN else None


def _is_first(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("index") in (0, None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _calls(calls: Any) -> tuple[CallDelta, ...]:
    """More of the calls of functions; what is none is left out."""
    found = []
    for place, call in enumerate(calls[:MAX_CALLS] if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            continue
        index = call.get("index", place)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < MAX_CALLS:
            continue
        name, arguments = _text(function.get("name")), function.get("arguments")
        # OpenAI's API has a text here; some servers send the object.
        written = json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments)
        if name or written:
            found.append(CallDelta(index, name, written, _text(call.get("id"))[:MAX_ID]))
    return tuple(found)


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    found = []
    for entry in content if isinstance(content, list) else ():
        if isinstance(entry, dict) and (pair := _pair(entry)):
            top = entry.get("top_logprobs")
            pairs = (_pair(each) for each in (top if isinstance(top, list) else ()) if isinstance(each, dict))
            found.append(Token(*pair, tuple(each for each in pairs if each), _data(entry.get("bytes"))))
    return tuple(found)


def _pair(entry: Mapping[str, Any]) -> tuple[int, float] | None:
    """Id and logprob; llama.cpp tells the id as `id`, vLLM in place of the text."""
    id, token, logprob = entry.get("id"), entry.get("token"), entry.get("logprob")
    if isinstance(token, str) and token.startswith(TOKEN_ID):
        digits = token.removeprefix(TOKEN_ID)
        id = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 11 else None
    if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < MAX_TOKEN:
        return None
    if not isinstance(logprob, (int, float)) or isinstance(logprob, bool):
        return None
    # Beyond what the store's 32 bits hold nothing is meant; minus infinity is a probability of zero.
    if not (-MAX_LOGPROB < logprob < MAX_LOGPROB or logprob == -math.inf):
        return None
    return id, float(logprob)


def _data(value: Any) -> bytes | None:
    try:
        return bytes(value) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None
