"""Chooses the next token from the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import EngineError, InvalidSampling
from engine.sampling import Sampling
from engine.scores import Scores, scores_of


class Choice(NamedTuple):
    """A token, its logprob under the model's own distribution, and the likeliest (id, logprob) pairs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


class Sampler:
    """The sampling state of one run: its random generator and the tokens seen so far.

    The order is penalties and bias, top-k, temperature, top-p, min-p, then one draw by inverse distribution. Each
    filter works on what the one before it kept, renormalised. The same settings, seed and logits give the same
    tokens.

    vocabulary: how many ids the tokenizer has.
    """

    def __init__(self, sampling: Sampling, seed: int, prompt: Sequence[int], vocabulary: int) -> None:
        self.sampling = sampling
        self._generator = torch.Generator().manual_seed(seed)
        self._seen: Tensor | None = None
        self._counts: Tensor | None = None
        self._bias: Tensor | None = None
        if sampling.repetition_penalty != 1.0:
            self._seen = torch.zeros(vocabulary, dtype=torch.bool)
            self._seen[torch.tensor(prompt)] = True
        if sampling.presence_penalty or sampling.frequency_penalty:
            self._counts = torch.zeros(vocabulary)
        if sampling.logit_bias:
            if (highest := max(sampling.logit_bias)) >= vocabulary:
                raise InvalidSampling(f"logit_bias names token {highest}, but the vocabulary ends at {vocabulary - 1}")
            self._bias = torch.zeros(vocabulary)
            for token, bias in sampling.logit_bias.items():
                self._bias[token] = bias

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
        token = self._draw(scores if self._neutral else self._adjusted(scores))
        self._remember(token)
        top: tuple[tuple[int, float], ...] = ()
        if self.sampling.logprobs:
            values, ids = scores.likeliest(self.sampling.logprobs)
            top = tuple(zip(ids.tolist(), (values - normaliser).tolist(), strict=True))
        return Choice(token, float(scores.logits[token]) - normaliser, top)

    @property
    def _neutral(self) -> bool:
        """Whether neither penalties nor biases change the logits."""
        return self._seen is None and self._counts is None and self._bias is None

    def _adjusted(self, scores: Scores) -> Scores:
        (adjusted,) = scores_of(self._adjust(scores.logits).unsqueeze(0), len(scores.logits))
        return adjusted

    def _adjust(self, logits: Tensor) -> Tensor:
        """Apply bias and penalties, into a copy."""
        sampling = self.sampling
        if self._seen is not None:
            penalty = sampling.repetition_penalty
            penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits = torch.where(self._seen, penalised, logits)
        if self._counts is not None:
            present = (self._counts > 0) * sampling.presence_penalty
            logits = logits - present - self._counts * sampling.frequency_penalty
        return logits if self._bias is None else logits + self._bias

    def _draw(self, scores: Scores) -> int:
        sampling = self.sampling
        if sampling.temperature == 0.0:
            return int(scores.ids[0])
        if sampling.top_k and sampling.top_k < len(scores.logits):
            kept, ids = scores.likeliest(sampling.top_k)
        else:
            kept, ids = scores.logits.sort(descending=True)
        # Double precision, so that no probability of the tail is rounded away from the sums below.
        probabilities = (kept.double() / sampling.temperature).softmax(dim=-1)
        if sampling.top_p < 1.0:
            before = probabilities.cumsum(dim=-1) - probabilities
            probabilities = probabilities[before < sampling.top_p]
        if sampling.min_p:
            probabilities = probabilities[probabilities >= sampling.min_p * probabilities[0]]
        cumulative = probabilities.cumsum(dim=-1)
        point = self._uniform() * cumulative[-1]
        index = int(torch.searchsorted(cumulative, point, right=True))
        return int(ids[min(index, len(probabilities) - 1)])

    def _uniform(self) -> Tensor:
        return torch.rand(1, dtype=torch.float64, generator=self._generator)

    def _remember(self, token: int) -> None:
        if self._seen is not None:
            self._seen[token] = True
        if self._counts is not None:
            self._counts[token] += 1
