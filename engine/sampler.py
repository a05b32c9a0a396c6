"""Chooses the next token from the logits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from engine.constraint import Constraint
from engine.errors import EngineError, InvalidSampling
from engine.sampling import Sampling
from engine.scores import Scores


class Choice(NamedTuple):
    """A token, its logprob under the model's own distribution, and the likeliest (id, logprob) pairs. Where these are
    asked for, the entropy of the distribution in nats and the token's rank in it, from 1; else None."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    entropy: float | None = None
    rank: int | None = None


class Candidates(NamedTuple):
    """What the filters of a setting leave of a distribution.

    ids: the likeliest first. weights: float64, proportional to their probabilities. after_top_k, after_top_p: how many
    were left by then; what follows, min_p, leaves all of `ids`.
    """

    ids: np.ndarray
    weights: np.ndarray
    after_top_k: int
    after_top_p: int


def candidates(scores: Scores, sampling: Sampling) -> Candidates:
    """Apply top-k, temperature, top-p and min-p in this order, each to what the one before it kept, renormalised.

    At temperature 0 the likeliest alone is left.
    """
    if sampling.temperature == 0.0:
        return Candidates(scores.ids[:1], np.ones(1), 1, 1)
    kept, ids = scores.likeliest(sampling.top_k or scores.count)
    after_top_k = len(ids)
    # Double precision, so that no probability of the tail is rounded away from the sums below.
    weights = np.exp((kept - kept[0]).astype(np.float64) / sampling.temperature)
    if sampling.top_p < 1.0:
        sums = weights.cumsum()
        weights = weights[sums - weights < sampling.top_p * sums[-1]]
    after_top_p = len(weights)
    if sampling.min_p:
        weights = weights[weights >= sampling.min_p * weights[0]]
    return Candidates(ids[: len(weights)], weights, after_top_k, after_top_p)


class Sampler:
    """The sampling state of one run: its random generator and the tokens seen so far.

    The order is penalties and bias, constraint, then the filters of `candidates`, then one draw by inverse
    distribution. The same settings, seed and logits give the same tokens.

    vocabulary: how many ids the tokenizer has. constraint: what the answer may say at all. ends: tokens that end it,
    which are not chosen before `Sampling.min_tokens`, unless there is nothing else to say.
    """

    def __init__(
        self,
        sampling: Sampling,
        seed: int,
        prompt: Sequence[int],
        vocabulary: int,
        constraint: Constraint | None = None,
        ends: Collection[int] = (),
    ) -> None:
        self.sampling = sampling
        self._constraint = constraint
        self._ends = sorted(ends)
        self._chosen = 0
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._seen: np.ndarray | None = None
        self._counts: np.ndarray | None = None
        self._bias: np.ndarray | None = None
        if sampling.repetition_penalty != 1.0:
            self._seen = np.zeros(vocabulary, np.bool_)
            self._seen[list(prompt)] = True
        if sampling.presence_penalty or sampling.frequency_penalty:
            self._counts = np.zeros(vocabulary, np.float32)
        if sampling.logit_bias:
            if (highest := max(sampling.logit_bias)) >= vocabulary:
                raise InvalidSampling(
                    f"logit_bias names token {highest}, but the vocabulary ends at {vocabulary - 1}", "logit_bias"
                )
            self._bias = np.zeros(vocabulary, np.float32)
            self._bias[list(sampling.logit_bias)] = list(sampling.logit_bias.values())

    def resume(self, answer: Sequence[int]) -> None:
        """Go on after these tokens of the answer, as if they had just been chosen."""
        for token in answer:
            self._remember(token)
            if self.sampling.temperature != 0.0:
                self._uniform()

    def choose(self, scores: Scores) -> Choice:
        """Pick a token; raises EngineError if the logits are not numbers."""
        normaliser = scores.normaliser
        if normaliser != normaliser:
            raise EngineError("the model computed values that are not numbers: the file may be damaged, fetch it again")
        token = self._draw(self.adjusted(scores))
        self._remember(token)
        logprob = scores.logit(token) - normaliser
        if not self.sampling.logprobs:
            return Choice(token, logprob, ())
        values, ids = scores.likeliest(self.sampling.logprobs)
        top = tuple(zip(ids.tolist(), (values - normaliser).tolist(), strict=True))
        return Choice(token, logprob, top, scores.entropy, scores.rank(token))

    def adjusted(self, scores: Scores) -> Scores:
        """After penalties, bias and constraint, as `candidates` filters them."""
        return scores if self._neutral else scores.adjusted(self._adjust(scores.logits))

    @property
    def _neutral(self) -> bool:
        """Whether nothing changes the logits."""
        parts = (self._seen, self._counts, self._bias, self._constraint)
        return all(part is None for part in parts) and not self._must_go_on

    @property
    def _must_go_on(self) -> bool:
        return self._chosen < self.sampling.min_tokens

    def _adjust(self, logits: np.ndarray) -> np.ndarray:
        """Apply bias, penalties and the constraint, in a copy."""
        sampling, logits = self.sampling, logits.copy()
        if self._seen is not None:
            seen = logits[self._seen]
            penalty = np.float32(sampling.repetition_penalty)
            logits[self._seen] = np.where(seen > 0, seen / penalty, seen * penalty)
        if self._counts is not None:
            logits -= (self._counts > 0) * np.float32(sampling.presence_penalty)
            logits -= self._counts * np.float32(sampling.frequency_penalty)
        if self._bias is not None:
            logits += self._bias
        if self._constraint is not None:
            logits[~self._constraint.allowed()] = -np.inf
        if self._must_go_on:
            going_on = logits.copy()
            going_on[self._ends] = -np.inf
            if going_on.max() > -np.inf:
                return going_on
        return logits

    def _draw(self, scores: Scores) -> int:
        if self.sampling.temperature == 0.0:
            return int(scores.ids[0])
        ids, weights, *_ = candidates(scores, self.sampling)
        sums = weights.cumsum()
        index = int(sums.searchsorted(self._uniform() * sums[-1], side="right"))
        return int(ids[min(index, len(weights) - 1)])

    def _uniform(self) -> float:
        return self._generator.random()

    def _remember(self, token: int) -> None:
        self._chosen += 1
        if self._constraint is not None:
            self._constraint.accept(token)
        if self._seen is not None:
            self._seen[token] = True
        if self._counts is not None:
            self._counts[token] += 1
