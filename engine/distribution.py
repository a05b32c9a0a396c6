"""The distribution of one next token, and what sampling settings make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from engine.sampler import Sampler, candidates
from engine.sampling import Sampling
from engine.scores import Scores, scores_of

DroppedBy = Literal["temperature", "top_k", "top_p", "min_p"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One token that may come next.

    logprob, rank: under the model's own distribution; the rank from 1. penalty: what penalties and bias add to its
    logit. share: its probability after all settings. dropped_by: the setting that leaves it none; at temperature 0
    all but the likeliest are dropped.
    """

    token: int
    logprob: float
    rank: int
    penalty: float
    share: float
    dropped_by: DroppedBy | None


@dataclass(frozen=True, slots=True)
class Shaped:
    """What settings make of a distribution: its likeliest candidates, and how many tokens are left after each filter,
    by its name, in the order they are applied; `all` of them at first."""

    candidates: tuple[Candidate, ...]
    kept: dict[str, int]


class Distribution:
    """Of a next token, before any setting. logits: float32 [vocabulary].

    Two lines show it: `distribution.top(5)` gives the likeliest (id, logprob) pairs, and
    `distribution.shaped(Sampling(temperature=1.2, top_p=0.9))` what the sampler would choose from.
    """

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    @property
    def entropy(self) -> float:
        """In nats."""
        return self._scores.entropy

    def logprob(self, token: int) -> float:
        return self._scores.logit(token) - self._scores.normaliser

    def rank(self, token: int) -> int:
        """The token's place among all, from 1."""
        return self._scores.rank(token)

    def top(self, count: int) -> list[tuple[int, float]]:
        """The likeliest (id, logprob) pairs, the likeliest first."""
        values, ids = self._scores.likeliest(count)
        return list(zip(ids.tolist(), (values - self._scores.normaliser).tolist(), strict=True))

    def shaped(
        self,
        sampling: Sampling,
        *,
        prompt: Sequence[int] = (),
        answer: Sequence[int] = (),
        count: int = 20,
        also: Sequence[int] = (),
    ) -> Shaped:
        """What the settings leave of it. prompt, answer: the tokens before, which penalties look at.

        count: how many of the likeliest candidates are told. also: tokens that are told in any case, after these.
        """
        sampler = Sampler(sampling, 0, prompt, len(self.logits))
        sampler.resume(answer)
        adjusted = sampler.adjusted(self._scores)
        ids, weights, after_top_k, after_top_p = candidates(adjusted, sampling)
        shares = dict(zip(ids.tolist(), (weights / weights.sum()).tolist(), strict=True))
        greedy = sampling.temperature == 0.0
        found = adjusted.likeliest(after_top_k)[1].tolist() if not greedy else ids.tolist()
        places = {token: place for place, token in enumerate(found)}

        def dropped_by(token: int) -> DroppedBy | None:
            if token in shares:
                return None
            if greedy:
                return "temperature"
            place = places.get(token)
            return "top_k" if place is None else "top_p" if place >= after_top_p else "min_p"

        tokens = list(dict.fromkeys([*(token for token, _ in self.top(count)), *also]))
        told = tuple(
            Candidate(
                token,
                self.logprob(token),
                self.rank(token),
                float(adjusted.logit(token) - self._scores.logit(token)),
                shares.get(token, 0.0),
                dropped_by(token),
            )
            for token in tokens
        )
        kept = {"all": len(self.logits), "top_k": after_top_k, "top_p": after_top_p, "min_p": len(ids)}
        return Shaped(told, kept)

    @cached_property
    def _scores(self) -> Scores:
        (scores,) = scores_of(torch.from_numpy(self.logits).unsqueeze(0), len(self.logits))
        return scores
