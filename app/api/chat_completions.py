"""POST /v1/chat/completions: an answer to a conversation, whole or in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response

from app.api.answers import Answers, EventStream, begin
from app.api.call import Call
from app.api.errors import ApiError
from app.api.logprobs import chat_logprobs
from app.api.replies import all_usage, finish_reason, head, streamed, usage
from app.api.schemas import ChatRequest
from app.api.settings import choices_of, sampling_of
from app.api.tools import Calls, tools_of
from engine import Step


async def chat_completion(wanted: ChatRequest, call: Call) -> Response:
    """Answer; raises ApiError or EngineError before anything is sent."""
    wanted.refuse_unsupported()
    if wanted.top_logprobs is not None and not wanted.logprobs:
        raise ApiError("top_logprobs needs logprobs", param="top_logprobs")
    limit = wanted.max_tokens if wanted.max_completion_tokens is None else wanted.max_completion_tokens
    # An engine elsewhere tells the probability of a token only beside alternatives.
    asked = max(wanted.top_logprobs or 0, 1) if wanted.logprobs else None
    sampling = sampling_of(wanted, call.backend.info, max_tokens=limit, logprobs=asked)
    messages, settings = wanted.conversation(), choices_of(sampling, wanted.n or 1)
    schema = wanted.response_format.schema_of_answer() if wanted.response_format else None
    if schema is not None and messages[-1]["role"] == "assistant":
        raise ApiError("an answer in JSON begins anew: leave out the last message", param="response_format")
    more: dict[str, Any] = {
        "schema": schema,
        "tools": tools_of(wanted.tools, wanted.tool_choice, wanted.parallel_tool_calls),
        "add_generation_prompt": wanted.add_generation_prompt is not False,
    }
    kept = call.keeper and call.keeper.follow(messages, sampling, call.backend.info, len(settings))
    answers = await begin(call, (partial(call.backend.chat, messages, each, **more) for each in settings), kept)
    if wanted.stream:
        reply = head("chatcmpl", "chat.completion.chunk", call.model, call.backend.info)
        return EventStream(answers, streamed(_chunks(wanted, call, answers, reply)))
    reply = head("chatcmpl", "chat.completion", call.model, call.backend.info)
    choices = await _choices(wanted, call, answers)
    return JSONResponse(reply | {"choices": choices, "usage": usage(answers.runs, wanted.n or 1)})


async def _choices(wanted: ChatRequest, call: Call, answers: Answers) -> list[dict[str, Any]]:
    """The whole answers."""
    choices = [_choice(index, {"role": "assistant", "content": "", "refusal": None}) for index in range(wanted.n or 1)]
    for choice in choices:
        choice["logprobs"] = {"content": [], "refusal": None} if wanted.logprobs else None
    calls = [Calls() for _ in choices]
    async for index, step in answers.steps():
        choice = choices[index]
        message = choice["message"]
        message["content"] += step.text
        if step.reasoning:
            message["reasoning_content"] = message.get("reasoning_content", "") + step.reasoning
        if wanted.logprobs:
            choice["logprobs"]["content"] += chat_logprobs(call.backend, step, wanted.top_logprobs or 0)
        calls[index].add(step.calls)
        choice["finish_reason"] = _reason(step, calls[index])
    for choice, made in zip(choices, calls, strict=True):
        if made.whole:
            choice["message"] |= {"tool_calls": made.whole, "content": choice["message"]["content"] or None}
    return choices


def _reason(step: Step, calls: Calls) -> str | None:
    """Why the answer has ended, if it has."""
    reason = finish_reason(step.finish_reason)
    return "tool_calls" if reason == "stop" and calls.whole else reason


def _choice(index: int, message: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "message": message, "logprobs": None, "finish_reason": None}


async def _chunks(
    wanted: ChatRequest, call: Call, answers: Answers, reply: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """The role of each answer first, then what each step adds, at last why each has ended and what all have used."""
    include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
    reply |= {"usage": None} if include_usage else {}
    for index in range(len(answers.runs)):
        yield _chunk(reply, index, {"role": "assistant", "content": ""})
    calls = [Calls() for _ in answers.runs]
    async for index, step in answers.steps():
        logprobs = chat_logprobs(call.backend, step, wanted.top_logprobs or 0) if wanted.logprobs else []
        delta: dict[str, Any] = {"reasoning_content": step.reasoning} if step.reasoning else {}
        delta |= {"content": step.text} if step.text or (logprobs and not delta) else {}
        delta |= {"tool_calls": told} if (told := calls[index].add(step.calls)) else {}
        if delta:
            yield _chunk(reply, index, delta, logprobs=logprobs)
        if step.finish_reason:
            yield _chunk(reply, index, {}, _reason(step, calls[index]))
    for last in all_usage(answers, wanted.n or 1, include_usage, reply):
        yield last


def _chunk(
    reply: dict[str, Any],
    index: int,
    delta: dict[str, Any],
    reason: str | None = None,
    logprobs: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    told = {"content": logprobs, "refusal": None} if logprobs else None
    return reply | {"choices": [{"index": index, "delta": delta, "logprobs": told, "finish_reason": reason}]}
