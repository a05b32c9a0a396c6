"""What all replies have in common: who they are from, what they cost, and how they are sent."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.api.answers import Answers, ClientGone
from app.api.errors import ApiError, api_error
from app.backend import BackendRun
from app.store.text import storable
from engine import EngineInfo

DONE = b"data: [DONE]\n\n"


def head(prefix: str, kind: str, model: str, info: EngineInfo) -> dict[str, Any]:
    """The fields that a reply begins with, the same in each of its chunks."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": f"fs-{info.digest[:12]}",
    }


def usage(runs: Sequence[BackendRun], n: int) -> dict[str, Any]:
    """What runs have used. n: how many answers each prompt has; a prompt counts once."""
    stats = [run.stats for run in runs]
    prompt = sum(each.prompt_tokens for each in stats[::n])
    completion = sum(each.new_tokens for each in stats)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(each.cached_tokens for each in stats[::n])},
    }


def finish_reason(reason: str | None) -> str | None:
    """As OpenAI's API has it: an answer that was cut off by its reader has stopped."""
    return "stop" if reason == "cancelled" else reason


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {storable(json.dumps(data, ensure_ascii=False, separators=(',', ':')))}\n\n".encode()


async def streamed(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Events of chunks. What fails after the first is told in the stream, which then ends without `[DONE]`."""
    try:
        async for chunk in chunks:
            yield event(chunk)
    except ClientGone:
        return
    except Exception as error:
        if (known := api_error(error)) is None:
            known = ApiError("the server failed: try again", 500, type="server_error")
            yield event(known.body())
            raise
        yield event(known.body())
        return
    yield DONE


def all_usage(answers: Answers, n: int, wanted: bool, reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The last chunk of a stream, where it is wanted: what was used, and no choices."""
    return [reply | {"choices": [], "usage": usage(answers.runs, n)}] if wanted else []
