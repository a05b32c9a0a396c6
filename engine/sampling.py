"""The settings of one run: what is asked of the sampler, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from engine.errors import InvalidSampling


class Bounds(NamedTuple):
    """Inclusive range of a numeric setting; `above` makes the lower end exclusive, `below` the upper."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def hold(self, value: float) -> bool:
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return over and under

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        high = f"below {self.high:g}" if self.below else f"at most {self.high:g}"
        return f"{low} and {high}"


REAL_BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "temperature": Bounds(0.0, 2.0),
        "top_p": Bounds(0.0, 1.0, above=True),
        "min_p": Bounds(0.0, 1.0, below=True),
        "repetition_penalty": Bounds(0.0, 2.0, above=True),
        "presence_penalty": Bounds(-2.0, 2.0),
        "frequency_penalty": Bounds(-2.0, 2.0),
    }
)
INTEGER_BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "top_k": Bounds(0, 1_000_000),
        "seed": Bounds(0, 2**63 - 1),
        "max_tokens": Bounds(1, 1_000_000),
        "logprobs": Bounds(0, 20),
        "min_tokens": Bounds(0, 1_000_000),
    }
)
OPTIONAL = frozenset({"seed", "max_tokens"})
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1_000
MAX_STOP_TOKENS = 100
MAX_LOGIT_BIASES = 1_000


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen and when the run ends; immutable and valid once made.

    temperature: divides the logits; 0 is greedy. top_k: keep the k likeliest, 0 keeps all. top_p: keep the smallest
    set whose probability reaches p. min_p: drop what is below min_p times the likeliest.
    repetition_penalty: as in CTRL (arXiv:1909.05858), over prompt and answer; presence_penalty and
    frequency_penalty: as in OpenAI's API, over the answer. seed: None draws one, which `Run.stats` tells.
    max_tokens: None goes on to the end of the context. min_tokens: before so many, no token that ends the answer is
    chosen. stop: strings that end the answer and are not part of it; stop_token_ids: tokens that do, beside the model's
    own. logit_bias: added to the logits of these ids. ignore_eos: go on past the end token. logprobs: how many
    alternatives each step keeps.

    Raises InvalidSampling for an unknown name, a wrong type or a value out of range.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    ignore_eos: bool = False
    logprobs: int = 0
    min_tokens: int = 0
    stop_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, bounds in REAL_BOUNDS.items():
            object.__setattr__(self, name, _real(name, getattr(self, name), bounds))
        for name, bounds in INTEGER_BOUNDS.items():
            value = getattr(self, name)
            if value is not None or name not in OPTIONAL:
                object.__setattr__(self, name, _integer(name, value, bounds))
        if not isinstance(self.ignore_eos, bool):
            raise InvalidSampling(f"ignore_eos must be true or false, not {self.ignore_eos!r}", "ignore_eos")
        object.__setattr__(self, "stop", _stops(self.stop))
        object.__setattr__(self, "logit_bias", _biases(self.logit_bias))
        object.__setattr__(self, "stop_token_ids", _stop_tokens(self.stop_token_ids))
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise InvalidSampling(
                f"min_tokens is {self.min_tokens}, but max_tokens only {self.max_tokens}", "min_tokens"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Sampling:
        """Build from plain data, such as a stored preset; unknown names are refused."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(str(name) for name in settings if name not in known):
            raise InvalidSampling(f"unknown sampling setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data that `from_dict` takes back."""
        settings = {f.name: getattr(self, f.name) for f in fields(self)}
        settings["stop"] = list(self.stop)
        settings["stop_token_ids"] = list(self.stop_token_ids)
        settings["logit_bias"] = {str(token): bias for token, bias in self.logit_bias.items()}
        return settings

    def replace(self, **changes: Any) -> Sampling:
        """A copy with some settings changed."""
        known = {f.name for f in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise InvalidSampling(f"unknown sampling setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return replace(self, **changes)


def _real(name: str, value: Any, bounds: Bounds) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < math.inf:
        raise InvalidSampling(f"{name} must be a number, not {value!r:.40}", name)
    if not bounds.hold(value):
        raise InvalidSampling(f"{name} must be {bounds}, not {value!r:.40}", name)
    return float(value)


def _integer(name: str, value: Any, bounds: Bounds) -> int:
    # Sliders and JSON clients send 40.0 for 40.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSampling(f"{name} must be a whole number, not {value!r:.40}", name)
    if not bounds.hold(value):
        raise InvalidSampling(f"{name} must be from {int(bounds.low)} to {int(bounds.high)}, not {value}", name)
    return value


def _stops(stop: Any) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MAX_STOPS:
        raise InvalidSampling(f"at most {MAX_STOPS} stop strings are possible, not {len(stops)}", "stop")
    for text in stops:
        if not isinstance(text, str) or not text or len(text) > MAX_STOP_CHARACTERS:
            raise InvalidSampling(
                f"a stop string must have 1 to {MAX_STOP_CHARACTERS:,} characters: {text!r:.40}", "stop"
            )
    return stops


def _stop_tokens(tokens: Any) -> tuple[int, ...]:
    tokens = tuple(tokens or ()) if isinstance(tokens, (list, tuple, type(None))) else (tokens,)
    if len(tokens) > MAX_STOP_TOKENS:
        raise InvalidSampling(
            f"at most {MAX_STOP_TOKENS} stop_token_ids are possible, not {len(tokens)}", "stop_token_ids"
        )
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise InvalidSampling(f"stop_token_ids must be token ids, not {token!r:.40}", "stop_token_ids")
    return tokens


def _biases(biases: Any) -> Mapping[int, float]:
    if not isinstance(biases, Mapping) or len(biases) > MAX_LOGIT_BIASES:
        raise InvalidSampling(f"logit_bias must map at most {MAX_LOGIT_BIASES:,} token ids to numbers", "logit_bias")
    parsed: dict[int, float] = {}
    for token, bias in biases.items():
        if not str(token).isdecimal():
            raise InvalidSampling(f"logit_bias must be keyed by token ids, not {token!r:.40}", "logit_bias")
        parsed[int(token)] = _real("logit_bias", bias, Bounds(-100.0, 100.0))
    return MappingProxyType(parsed)
