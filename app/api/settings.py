"""The engine's settings for a request: what it says, over what the model's publisher recommends, over OpenAI's."""

from __future__ import annotations

from typing import Any

from app.api.schemas import AnswerRequest
from app.layers import recommendation
from engine import EngineInfo, Sampling

# Those of OpenAI's API: the model's own distribution.
NEUTRAL: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
SAME_NAME = (
    *("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
    *("seed", "max_tokens", "min_tokens", "stop", "stop_token_ids", "logit_bias", "ignore_eos"),
)
# What vLLM takes for "all of them".
ALL = -1
SEEDS = 2**63


def sampling_of(request: AnswerRequest, info: EngineInfo, **more: Any) -> Sampling:
    """more: settings that go by another name in the request; None is left out. Raises InvalidSampling."""
    given = {name: getattr(request, name) for name in SAME_NAME} | more
    if given["top_k"] == ALL:
        given["top_k"] = 0
    # OpenAI's API has negative seeds, too.
    if given["seed"] is not None and -SEEDS <= given["seed"] < 0:
        given["seed"] += SEEDS
    settings = {name: value for name, value in given.items() if value is not None}
    return Sampling.from_dict({**NEUTRAL, **recommendation(info), **settings})


def choices_of(sampling: Sampling, n: int) -> list[Sampling]:
    """The settings of n answers: with a seed, each has its own, counted from it."""
    seed = sampling.seed
    return [sampling if seed is None else sampling.replace(seed=(seed + index) % SEEDS) for index in range(n)]
