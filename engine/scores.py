"""The logits of a step with what every sampler asks of them, found for all runs of the step at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# How many of the likeliest are found in any case: most settings look at no more.
LIKELIEST = 64


class Scores:
    """Of one token: the logits, the logarithm of the sum of their exponentials, and the LIKELIEST, the highest first,
    with their ids.

    row: float32 logits [vocabulary], where they were computed. They are brought from there when they are looked at,
    which most settings do not; what is found for all is here, in numpy's arrays, whose operations on a few numbers
    cost a fraction of torch's. entropy: of the model's own distribution, in nats; where it is not given, it is computed
    when it is asked for.
    """

    def __init__(
        self, row: Tensor, normaliser: float, highest: np.ndarray, ids: np.ndarray, entropy: float | None = None
    ) -> None:
        self._row = row
        self._entropy = entropy
        self.normaliser = normaliser
        self.highest = highest
        self.ids = ids

    @cached_property
    def logits(self) -> np.ndarray:
        """All of them, float32 [vocabulary]."""
        return self._row.cpu().numpy()

    @property
    def count(self) -> int:
        return len(self._row)

    @cached_property
    def entropy(self) -> float:
        """Of the model's own distribution, in nats."""
        if self._entropy is not None:
            return self._entropy
        logprobs = self._row - self.normaliser
        # What is impossible adds nothing.
        return -float(torch.dot(logprobs.exp(), logprobs.clamp_min(torch.finfo(logprobs.dtype).min)))

    def rank(self, token: int) -> int:
        """The place of a token among all by their logits, from 1; equal ones share the first of their places."""
        logit = self.logit(token)
        if logit > self.highest[-1]:
            return 1 + int((self.highest > logit).sum())
        return 1 + int((self._row > logit).sum())

    def logit(self, token: int) -> float:
        """That of one token."""
        places = np.flatnonzero(self.ids == token)
        return float(self.highest[places[0]] if len(places) else self._row[token])

    def likeliest(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` highest logits, the highest first, and their ids; all of them if there are not so many."""
        if count <= len(self.ids):
            return self.highest[:count], self.ids[:count]
        values, ids = self._row.topk(min(count, len(self._row)))
        return values.cpu().numpy(), ids.cpu().numpy()

    def adjusted(self, logits: np.ndarray) -> Scores:
        """With other logits, of which the likeliest are found anew; the normaliser stays that of the model's own."""
        row = torch.from_numpy(logits)
        highest, ids = row.topk(len(self.ids))
        return Scores(row, self.normaliser, highest.numpy(), ids.numpy())


def scores_of(logits: Tensor, vocabulary: int) -> Sequence[Scores]:
    """Scores of each row of float32 logits [rows, vocabulary or more], on any device.

    Embeddings are often padded beyond the tokenizer's `vocabulary`; to the ids there belongs no text, so they have no
    part in the distribution.
    """
    logits = logits[:, :vocabulary]
    normalisers = torch.logsumexp(logits, dim=-1).tolist()
    highest, ids = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1)
    found = zip(logits, normalisers, highest.cpu().numpy(), ids.cpu().numpy(), strict=True)
    return [Scores(*row) for row in found]
