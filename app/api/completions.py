"""POST /v1/completions: texts gone on with, whole or in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response

from app.api.answers import Answers, EventStream, begin
from app.api.call import Call
from app.api.errors import ApiError
from app.api.logprobs import completion_logprobs
from app.api.replies import all_usage, finish_reason, head, streamed, usage
from app.api.schemas import CompletionRequest
from app.api.settings import choices_of, sampling_of
from app.backend import Backend
from engine import Step

# OpenAI's, for requests that do not say.
DEFAULT_MAX_TOKENS = 16


async def completion(wanted: CompletionRequest, call: Call) -> Response:
    """Answer; raises ApiError or EngineError before anything is sent."""
    wanted.refuse_unsupported()
    if wanted.echo and wanted.logprobs is not None:
        raise ApiError("the probabilities of a prompt are not told: leave out echo or logprobs", param="echo")
    if call.backend.info.remote and wanted.logprobs is not None:
        raise ApiError("an engine elsewhere tells probabilities of chats only", param="logprobs", code="unsupported")
    prompts, limit = wanted.prompts(), wanted.max_tokens if wanted.max_tokens is not None else DEFAULT_MAX_TOKENS
    sampling = sampling_of(wanted, call.backend.info, max_tokens=limit, logprobs=wanted.logprobs)
    settings = choices_of(sampling, wanted.n or 1)
    answers = await begin(
        call, (partial(call.backend.generate, prompt, each) for prompt in prompts for each in settings)
    )
    reply = head("cmpl", "text_completion", call.model, call.backend.info)
    begun = [_echoed(call.backend, prompt) if wanted.echo else "" for prompt in prompts for _ in settings]
    if wanted.stream:
        return EventStream(answers, streamed(_chunks(wanted, call, answers, reply, begun)))
    choices = await _choices(wanted, call, answers, begun)
    return JSONResponse(reply | {"choices": choices, "usage": usage(answers.runs, wanted.n or 1)})


async def _choices(wanted: CompletionRequest, call: Call, answers: Answers, begun: list[str]) -> list[dict[str, Any]]:
    """The whole answers. begun: what each begins with."""
    choices = [_choice(index, text) for index, text in enumerate(begun)]
    steps: list[list[Step]] = [[] for _ in begun]
    async for index, step in answers.steps():
        choices[index]["text"] += step.text
        choices[index]["finish_reason"] = finish_reason(step.finish_reason)
        steps[index].append(step)
    if wanted.logprobs is not None:
        for choice, its_steps in zip(choices, steps, strict=True):
            choice["logprobs"] = completion_logprobs(call.backend, its_steps, 0, wanted.logprobs > 0)
    return choices


async def _chunks(
    wanted: CompletionRequest,
    call: Call,
    answers: Answers,
    reply: dict[str, Any],
    begun: list[str],
) -> AsyncIterator[dict[str, Any]]:
    include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
    reply |= {"usage": None} if include_usage else {}
    for index, text in enumerate(begun):
        if text:
            yield reply | {"choices": [_choice(index, text)]}
    offsets = [0] * len(begun)
    async for index, step in answers.steps():
        choice = _choice(index, step.text, finish_reason(step.finish_reason))
        if wanted.logprobs is not None:
            told = completion_logprobs(call.backend, [step], offsets[index], wanted.logprobs > 0)
            choice["logprobs"] = told if told["tokens"] else None
            offsets[index] += sum(map(len, told["tokens"]))
        if step.text or step.finish_reason or choice["logprobs"]:
            yield reply | {"choices": [choice]}
    for last in all_usage(answers, wanted.n or 1, include_usage, reply):
        yield last


def _choice(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _echoed(backend: Backend, prompt: str | list[int]) -> str:
    return prompt if isinstance(prompt, str) else backend.detokenize(prompt)
