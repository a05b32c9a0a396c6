"""The parts of a forward pass, each for one of several threads: which rows of a matrix, which tokens, which keys.

All take addresses. Activations are float32 [rows, width]; what the products read of them is int16 with a scale and a
sum for each block of 32, so that a product differs from float32's by about 2e-5 of the largest.
"""

from __future__ import annotations

import math

import numpy as np
from numba.np.numpy_support import carray

from engine.native.blocks import BLOCK, KINDS, LANES
from engine.native.compile import compiled
from engine.native.intrinsics import (
    KEYS_AT_ONCE,
    bytes_at,
    dot_products_1,
    dot_products_many,
    float_of_bits,
    floats_at,
    half_at,
    largest_of_lines,
    quantize_block,
    row_products,
    weighted_rows_1,
    weighted_rows_4,
)

# What compiled code asks of each of KINDS.
GROUP_BYTES = tuple(kind.group_bytes for kind in KINDS)
NUMBERS_BYTES = tuple(kind.numbers_bytes for kind in KINDS)
FACTOR_BYTES = tuple(kind.factor_bytes for kind in KINDS)
SCALES = tuple(kind.scales for kind in KINDS)
MINIMUM = tuple(kind.minimum for kind in KINDS)
BITS = tuple(kind.bits for kind in KINDS)
# Of keys, or of values: half of the first cache of most processors.
TILE_BYTES = 16 * 1024
LOWEST = np.float32(-1e30)


@compiled
def multiply(kind, weights, inputs, outputs, x, rows, y, y_stride, thread, threads):  # type: ignore[no-untyped-def]
    """This thread's share of the columns of y = x W^T. x: numbers, scales and sums, as `quantize` leaves them."""
    numbers, scales, sums = x
    blocks = inputs // BLOCK
    groups = (outputs + LANES - 1) // LANES
    size = blocks * GROUP_BYTES[kind]
    for group in range(groups * thread // threads, groups * (thread + 1) // threads):
        w, out = weights + group * size, y + group * LANES * 4
        row = 0
        while row < rows:
            n, s, t = numbers + row * inputs * 2, scales + row * blocks * 4, sums + row * blocks * 4
            row += row_products(kind, rows - row, w, n, s, t, blocks, out + row * y_stride * 4, y_stride)


@compiled
def factor_at(address, width):  # type: ignore[no-untyped-def]
    """A scale or minimum, of which a group's rows have `width` bytes."""
    return half_at(address) if width == 2 * LANES else carray(floats_at(address), 1)[0]


@compiled
def unpack_row(kind, weights, inputs, row, scale, out):  # type: ignore[no-untyped-def]
    """One row of a packed matrix as float32, times `scale`: the embedding of a token."""
    blocks, lane, width = inputs // BLOCK, row % LANES, FACTOR_BYTES[kind]
    scaled = BLOCK // SCALES[kind]
    result = carray(floats_at(out), inputs)
    for block in range(blocks):
        at = weights + (row // LANES * blocks + block) * GROUP_BYTES[kind]
        data = carray(bytes_at(at), GROUP_BYTES[kind])
        factors = at + NUMBERS_BYTES[kind] + lane * (width // LANES)
        minimum = np.float32(0)
        if MINIMUM[kind]:
            minimum = factor_at(factors + SCALES[kind] * width, width)
        for k in range(BLOCK):
            if BITS[kind] == 4:
                octet = data[k // 8 * 4 * LANES + 4 * lane + k % 2 * 2 + k % 8 // 4]
                number = np.float32(octet >> 4 if k % 4 // 2 else octet & 15)
            else:
                number = np.float32(np.int8(data[k // 2 * 2 * LANES + 2 * lane + k % 2]))
            factor = factor_at(factors + k // scaled * width, width)
            result[block * BLOCK + k] = (number * factor + minimum) * scale


@compiled
def quantize(x, width, row, into):  # type: ignore[no-untyped-def]
    """Row `row` of what products read, from `width` numbers at x."""
    numbers, scales, sums = into
    blocks = width // BLOCK
    for block in range(blocks):
        at = row * blocks + block
        quantize_block(x + block * BLOCK * 4, numbers + at * BLOCK * 2, scales + at * 4, sums + at * 4)


@compiled
def normalize(x, width, weight, eps, out):  # type: ignore[no-untyped-def]
    """RMSNorm of `width` numbers."""
    values, weights = carray(floats_at(x), width), carray(floats_at(weight), width)
    result = carray(floats_at(out), width)
    total = np.float32(0)
    for i in range(width):
        total += values[i] * values[i]
    scale = np.float32(1) / np.sqrt(total / np.float32(width) + eps)
    for i in range(width):
        result[i] = values[i] * scale * weights[i]


@compiled
def rotate(x, dim, cos, sin):  # type: ignore[no-untyped-def]
    """Rotary position of one head: pairs (i, i + dim / 2) of its first `dim` numbers."""
    half = dim // 2
    values, c, s = carray(floats_at(x), dim), carray(floats_at(cos), half), carray(floats_at(sin), half)
    for i in range(half):
        a, b = values[i], values[half + i]
        values[i] = a * c[i] - b * s[i]
        values[half + i] = b * c[i] + a * s[i]


@compiled
def largest_of(x, count):  # type: ignore[no-untyped-def]
    """The largest of `count` numbers, but for what is not a number; at least LOWEST."""
    values, lines = carray(floats_at(x), count), count // LANES
    largest = LOWEST
    if lines:
        largest = max(largest, largest_of_lines(x, lines))
    for i in range(lines * LANES, count):
        largest = max(largest, values[i])
    return largest


@compiled
def exponentials(x, count, shift):  # type: ignore[no-untyped-def]
    """x = exp(x - shift) in place, shift being the largest; their sum. Cephes' expf, 2 ulp."""
    values = carray(floats_at(x), count)
    for i in range(count):
        v = max(values[i] - shift, np.float32(-87.0))
        n = np.floor(v * np.float32(1.44269504088896341) + np.float32(0.5))
        r = v - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        p = p * r * r + r + np.float32(1)
        values[i] = p * float_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    total = np.float32(0)
    for i in range(count):
        total += values[i]
    return total


@compiled
def attend(queries, heads, keys, values, count, dim, scale, scores, longest, out):  # type: ignore[no-untyped-def]
    """`heads` heads over the same `count` keys: of each, one after the other at `out`, the largest score, the sum of
    exponentials, and their values' sum, [dim]. scores: room for [heads, longest].

    Keys and values are read a tile at a time, which stays in the first cache until every head has used it.
    """
    width, tile = (dim + 2) * 4, max(1, TILE_BYTES // (dim * 4))
    for head in range(heads):
        result = carray(floats_at(out + head * width), dim + 2)
        for i in range(dim + 2):
            result[i] = np.float32(0)
    if count <= 0:
        return
    for first in range(0, count, tile):
        for head in range(heads):
            at = scores + (head * longest + first) * 4
            score(queries + head * dim * 4, keys + first * dim * 4, min(tile, count - first), dim, at)
    for head in range(heads):
        at = scores + head * longest * 4
        result, found = carray(floats_at(out + head * width), 2), carray(floats_at(at), count)
        for i in range(count):
            found[i] *= scale
        largest = largest_of(at, count)
        result[0], result[1] = largest, exponentials(at, count, largest)
    for first in range(0, count, tile):
        for head in range(heads):
            at = scores + (head * longest + first) * 4
            add_weighted(values + first * dim * 4, min(tile, count - first), dim, at, out + head * width + 8)


@compiled
def score(query, keys, count, dim, scores):  # type: ignore[no-untyped-def]
    """The products of a query and `count` keys."""
    t = 0
    while t + KEYS_AT_ONCE <= count:
        dot_products_many(query, keys + t * dim * 4, dim // LANES, scores + t * 4)
        t += KEYS_AT_ONCE
    while t < count:
        dot_products_1(query, keys + t * dim * 4, dim // LANES, scores + t * 4)
        t += 1


@compiled
def add_weighted(values, count, dim, shares, out):  # type: ignore[no-untyped-def]
    """Add the sum over `count` rows of values, each times its share."""
    vectors, part = dim // LANES, 0
    while part + 4 <= vectors:
        weighted_rows_4(values + part * LANES * 4, dim, shares, count, out + part * LANES * 4)
        part += 4
    while part < vectors:
        weighted_rows_1(values + part * LANES * 4, dim, shares, count, out + part * LANES * 4)
        part += 1


@compiled
def combine(partial, part_stride, parts, dim, out):  # type: ignore[no-untyped-def]
    """Attention of one head from the shares of the threads, `part_stride` numbers apart."""
    result = carray(floats_at(out), dim)
    found = carray(floats_at(partial), part_stride * (parts - 1) + dim + 2)
    largest, total = LOWEST, np.float32(0)
    for part in range(parts):
        if found[part * part_stride + 1] > 0:
            largest = max(largest, found[part * part_stride])
    for i in range(dim):
        result[i] = np.float32(0)
    for part in range(parts):
        at = part * part_stride
        if found[at + 1] > 0:
            factor = np.float32(math.exp(found[at] - largest))
            total += factor * found[at + 1]
            for i in range(dim):
                result[i] += factor * found[at + 2 + i]
    for i in range(dim):
        result[i] /= total


@compiled
def gate(gates, width, out):  # type: ignore[no-untyped-def]
    """silu(gate) * up, the two side by side."""
    values, result = carray(floats_at(gates), 2 * width), carray(floats_at(out), width)
    for i in range(width):
        result[i] = -min(max(values[i], np.float32(-87.0)), np.float32(87.0))
    exponentials(out, width, np.float32(0))
    for i in range(width):
        result[i] = values[i] / (np.float32(1) + result[i]) * values[width + i]
