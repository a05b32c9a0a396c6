"""What a sampler asks of the logits of a token, found in one pass each: see engine.scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba.np.numpy_support import carray
from torch import Tensor

from engine.native.compile import compiled
from engine.native.intrinsics import floats_at
from engine.native.kernels import LOWEST, exponentials, largest_of
from engine.scores import LIKELIEST, Scores

# Logits that are looked at together: to find the likeliest, those of most blocks need not be looked at again.
BLOCK = 64


@compiled
def summarize(logits, stride, vocabulary, normalisers, entropies, highest, ids):  # type: ignore[no-untyped-def]
    """Of each row of float32 logits at an address, `stride` numbers apart: the logarithm of the sum of exponentials,
    the entropy in nats, and the likeliest, the highest first and of equal ones the lower id, as many as `ids` has room
    for."""
    most = ids.shape[1]
    blocks = (vocabulary + BLOCK - 1) // BLOCK
    maxima = np.empty(blocks, np.float32)
    shares = np.empty(BLOCK, np.float32)
    for number in range(len(normalisers)):
        row = carray(floats_at(logits + number * stride * 4), vocabulary)
        for block in range(blocks):
            first = block * BLOCK
            maxima[block] = largest_of(logits + (number * stride + first) * 4, min(BLOCK, vocabulary - first))
        largest = largest_of(maxima.ctypes.data, blocks)
        # Sums of a block in single precision, of all blocks in double.
        total, weighted = 0.0, 0.0
        for block in range(blocks):
            first = block * BLOCK
            count = min(vocabulary - first, BLOCK)
            nothing = np.float32(0)
            for i in range(count):
                shares[i] = row[first + i]
                # What is not a number must be noticed, and a maximum does not notice it.
                nothing += row[first + i] - row[first + i]
            part = exponentials(shares.ctypes.data, count, largest)
            weight = np.float32(0)
            for i in range(count):
                weight += shares[i] * (row[first + i] - largest)
            total += part + nothing
            weighted += weight
        normalisers[number] = largest + np.log(total)
        entropies[number] = np.log(total) - weighted / total

        # The lowest of the likeliest so far stands last; most blocks have nothing above it.
        for place in range(most):
            highest[number, place], ids[number, place] = LOWEST, 0
        for block in range(blocks):
            if maxima[block] > highest[number, most - 1]:
                for i in range(block * BLOCK, min(vocabulary, (block + 1) * BLOCK)):
                    if row[i] > highest[number, most - 1]:
                        place = most - 1
                        while place > 0 and row[i] > highest[number, place - 1]:
                            highest[number, place] = highest[number, place - 1]
                            ids[number, place] = ids[number, place - 1]
                            place -= 1
                        highest[number, place], ids[number, place] = row[i], i


def scores_of(logits: Tensor, vocabulary: int) -> Sequence[Scores]:
    """As `engine.scores.scores_of`, of logits on the CPU."""
    rows, most = len(logits), min(LIKELIEST, vocabulary)
    normalisers, entropies = np.empty(rows), np.empty(rows)
    highest, ids = np.empty((rows, most), np.float32), np.empty((rows, most), np.int64)
    summarize(logits.data_ptr(), logits.stride(0), vocabulary, normalisers, entropies, highest, ids)
    found = zip(logits[:, :vocabulary], normalisers.tolist(), highest, ids, entropies.tolist(), strict=True)
    return [Scores(*row) for row in found]
