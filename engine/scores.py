"""The logits of a step with what every sampler asks of them, found for all runs of the step at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# How many of the likeliest are found in any case: most settings look at no more.
LIKELIEST = 64


class Scores(NamedTuple):
    """Of one token: float32 logits [vocabulary], the logarithm of the sum of their exponentials, and the LIKELIEST,
    the highest first, with their ids.

    They are numpy's, whose operations on a few numbers cost a fraction of torch's.
    """

    logits: np.ndarray
    normaliser: float
    highest: np.ndarray
    ids: np.ndarray

    def likeliest(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` highest logits, the highest first, and their ids; all of them if there are not so many."""
        if count <= len(self.ids):
            return self.highest[:count], self.ids[:count]
        values, ids = torch.from_numpy(self.logits).topk(min(count, len(self.logits)))
        return values.numpy(), ids.numpy()

    def adjusted(self, logits: np.ndarray) -> Scores:
        """With other logits, of which the likeliest are found anew; the normaliser stays that of the model's own."""
        highest, ids = torch.from_numpy(logits).topk(len(self.ids))
        return Scores(logits, self.normaliser, highest.numpy(), ids.numpy())


def scores_of(logits: Tensor, vocabulary: int) -> Sequence[Scores]:
    """Scores of each row of float32 logits [rows, vocabulary or more], on the CPU.

    Embeddings are often padded beyond the tokenizer's `vocabulary`; to the ids there belongs no text, so they have no
    part in the distribution.
    """
    logits = logits[:, :vocabulary]
    normalisers = torch.logsumexp(logits, dim=-1).tolist()
    highest, ids = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1)
    return [Scores(*row) for row in zip(logits.numpy(), normalisers, highest.numpy(), ids.numpy(), strict=True)]
