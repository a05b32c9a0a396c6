"""The logits of a step with what every sampler asks of them, found for all runs of the step at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# How many of the likeliest are found in any case: most settings look at no more.
LIKELIEST = 64


class Scores(NamedTuple):
    """Of one token: float32 logits [vocabulary], the logarithm of the sum of their exponentials, and the LIKELIEST,
    the highest first, with their ids."""

    logits: Tensor
    normaliser: float
    highest: Tensor
    ids: Tensor

    def likeliest(self, count: int) -> tuple[Tensor, Tensor]:
        """The `count` highest logits, the highest first, and their ids; all of them if there are not so many."""
        if count <= len(self.ids):
            return self.highest[:count], self.ids[:count]
        values, ids = self.logits.topk(min(count, len(self.logits)))
        return values, ids


def scores_of(logits: Tensor, vocabulary: int) -> Sequence[Scores]:
    """Scores of each row of float32 logits [rows, vocabulary or more].

    Embeddings are often padded beyond the tokenizer's `vocabulary`; to the ids there belongs no text, so they have no
    part in the distribution.
    """
    logits = logits[:, :vocabulary]
    normalisers = torch.logsumexp(logits, dim=-1).tolist()
    highest, ids = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1)
    return [Scores(*row) for row in zip(logits, normalisers, highest, ids, strict=True)]
