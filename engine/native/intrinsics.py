"""The innermost loops: products of packed rows, attention over one head, and what threads need to keep step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.native.blocks import BLOCK, GROUP_BYTES, LANES, Q4, Q8
from engine.native.vector import (
    FLOAT,
    FLOATS,
    HALF,
    HALVES,
    INT32,
    INT64,
    PAIR_BYTES,
    PAIRS,
    SHORTS,
    WORDS,
    Builder,
    Loop,
    Value,
    add_pair_products,
    call,
    fma,
    fold_lanes,
    load,
    native,
    offset,
    splat,
    store,
)

ADDRESS = types.intp
LANE_BYTES = 4 * LANES
NO_FLOATS = ir.Constant(FLOATS, [0.0] * LANES)
NO_WORDS = ir.Constant(WORDS, [0] * LANES)

Unpack = Callable[[Builder, Value], Iterator[Value]]


def _q4_pairs(builder: Builder, block: Value) -> Iterator[Value]:
    for word in range(BLOCK // 8):
        packed = load(builder, offset(builder, block, word, LANE_BYTES), WORDS, LANE_BYTES)
        for place in range(4):
            shifted = builder.lshr(packed, ir.Constant(WORDS, [4 * place] * LANES)) if place else packed
            yield builder.bitcast(builder.and_(shifted, ir.Constant(WORDS, [0x000F000F] * LANES)), PAIRS)


def _q8_pairs(builder: Builder, block: Value) -> Iterator[Value]:
    for pair in range(BLOCK // 2):
        yield builder.sext(load(builder, offset(builder, block, pair, 2 * LANES), PAIR_BYTES, 2 * LANES), PAIRS)


def _row_products(kind: int, unpack: Unpack, width: int) -> Any:
    """y[row, lane] = sum over k of W[lane, k] * x[row, k], for a group of 16 rows of W and `width` inputs."""
    weights_bytes = LANES * BLOCK // 2 if kind == Q4 else LANES * BLOCK

    @native(types.void, *[ADDRESS] * 7)
    def row_products(
        builder: Builder,
        weights: Value,
        numbers: Value,
        scales: Value,
        sums: Value,
        blocks: Value,
        y: Value,
        y_stride: Value,
    ) -> None:
        """Addresses of the packed group, of the inputs as int16 with their scale and sum a block, and of y."""
        with_sums = kind == Q4
        loop = Loop(builder, blocks, [NO_FLOATS] * width)
        block = offset(builder, weights, loop.index, GROUP_BYTES[kind])
        at_row = [builder.mul(blocks, INT64(row)) for row in range(width)]
        inputs = [offset(builder, numbers, builder.add(at_row[row], loop.index), 2 * BLOCK) for row in range(width)]
        # Several sums side by side hide the latency of the additions.
        chains = max(1, 4 // width)
        totals = [[NO_WORDS] * chains for _ in range(width)]
        for place, pairs in enumerate(unpack(builder, block)):
            for row in range(width):
                x = splat(builder, load(builder, offset(builder, inputs[row], place, 4), INT32))
                chain = totals[row][place % chains]
                totals[row][place % chains] = add_pair_products(builder, chain, pairs, builder.bitcast(x, PAIRS))
        scale = _halves(builder, offset(builder, block, weights_bytes, 1))
        minimum = _halves(builder, offset(builder, block, weights_bytes + 2 * LANES, 1)) if with_sums else None
        new = []
        for row in range(width):
            at = builder.add(at_row[row], loop.index)
            total = totals[row][0]
            for chain in totals[row][1:]:
                total = builder.add(total, chain)
            x_scale = splat(builder, load(builder, offset(builder, scales, at, 4), FLOAT))
            product = builder.fmul(builder.sitofp(total, FLOATS), scale)
            result = fma(builder, product, x_scale, loop.values[row])
            if minimum is not None:
                result = fma(
                    builder, minimum, splat(builder, load(builder, offset(builder, sums, at, 4), FLOAT)), result
                )
            new.append(result)
        loop.carry(new)
        for row, value in enumerate(loop.values):
            store(builder, value, offset(builder, y, builder.mul(y_stride, INT64(row)), 4))

    return row_products


def _halves(builder: Builder, address: Value) -> Value:
    return builder.fpext(load(builder, address, HALVES, 2 * LANES), FLOATS)


q4_rows_1, q4_rows_2, q4_rows_4, q4_rows_8 = (_row_products(Q4, _q4_pairs, width) for width in (1, 2, 4, 8))
q8_rows_1, q8_rows_2, q8_rows_4, q8_rows_8 = (_row_products(Q8, _q8_pairs, width) for width in (1, 2, 4, 8))


@native(types.void, *[ADDRESS] * 4)
def quantize_block(builder: Builder, x: Value, numbers: Value, scale: Value, total: Value) -> None:
    """32 numbers as int16 times a scale, so that the largest is 32,767 scales; and their sum."""
    maximum = partial(call, builder, name="maxnum")
    halves = [load(builder, offset(builder, x, half, LANE_BYTES), FLOATS) for half in range(2)]
    sizes = [call(builder, half, name="fabs") for half in halves]
    largest = fold_lanes(builder, maximum(*sizes), maximum)
    store(builder, builder.fmul(largest, FLOAT(1 / 32767)), scale)
    # A block of zeros, or of numbers so small that their scale is none, stays zeros.
    visible = builder.fcmp_ordered(">", largest, FLOAT(1e-30))
    factor = splat(builder, builder.select(visible, builder.fdiv(FLOAT(32767.0), largest), FLOAT(0.0)))
    for half, value in enumerate(halves):
        rounded = call(builder, builder.fmul(value, factor), name="rint")
        store(builder, builder.fptosi(rounded, SHORTS), offset(builder, numbers, half, 2 * LANES), 2)
    store(builder, fold_lanes(builder, builder.fadd(*halves), builder.fadd), total)


def _dot_products(width: int) -> Any:
    @native(types.void, *[ADDRESS] * 4)
    def dot_products(builder: Builder, query: Value, keys: Value, vectors: Value, scores: Value) -> None:
        """scores[t] = query . keys[t], for `width` keys of `vectors` times 16 numbers."""
        loop = Loop(builder, vectors, [NO_FLOATS] * width)
        part = load(builder, offset(builder, query, loop.index, LANE_BYTES), FLOATS)
        new = []
        for t in range(width):
            at = builder.add(builder.mul(vectors, INT64(t)), loop.index)
            new.append(fma(builder, part, load(builder, offset(builder, keys, at, LANE_BYTES), FLOATS), loop.values[t]))
        loop.carry(new)
        for t, value in enumerate(loop.values):
            store(builder, fold_lanes(builder, value, builder.fadd), offset(builder, scores, t, 4))

    return dot_products


dot_products_1, dot_products_8 = _dot_products(1), _dot_products(8)


def _weighted_rows(vectors: int) -> Any:
    @native(types.void, *[ADDRESS] * 5)
    def weighted_rows(builder: Builder, rows: Value, stride: Value, shares: Value, count: Value, out: Value) -> None:
        """out = sum over t of shares[t] * rows[t], for `vectors` times 16 columns; stride: numbers from row to row."""
        loop = Loop(builder, count, [NO_FLOATS] * vectors)
        share = splat(builder, load(builder, offset(builder, shares, loop.index, 4), FLOAT))
        row = offset(builder, rows, builder.mul(loop.index, stride), 4)
        loop.carry(
            [
                fma(builder, share, load(builder, offset(builder, row, place, LANE_BYTES), FLOATS), value)
                for place, value in enumerate(loop.values)
            ]
        )
        for place, value in enumerate(loop.values):
            store(builder, value, offset(builder, out, place, LANE_BYTES))

    return weighted_rows


weighted_rows_1, weighted_rows_4 = _weighted_rows(1), _weighted_rows(4)


def _pointer(builder: Builder, address: Value, kind: ir.Type = INT64) -> Value:
    return builder.inttoptr(address, kind.as_pointer())


@native(types.int64, ADDRESS, types.int64)
def atomic_add(builder: Builder, address: Value, value: Value) -> Value:
    """Add to the int64 at an address; what was there before."""
    return builder.atomic_rmw("add", _pointer(builder, address), value, "acq_rel")


@native(types.int64, ADDRESS)
def atomic_load(builder: Builder, address: Value) -> Value:
    """The int64 at an address, with all that was written before it."""
    return builder.load_atomic(_pointer(builder, address), "acquire", 8)


@native(types.void, ADDRESS, types.int64)
def atomic_store(builder: Builder, address: Value, value: Value) -> None:
    """Write the int64 at an address, after all that was written before."""
    builder.store_atomic(value, _pointer(builder, address), "release", 8)


@native(types.void, types.int64)
def give_way(builder: Builder, _: Value) -> None:
    """Let another thread have this core."""
    builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT32, []), "sched_yield"), [])


@native(types.float32, types.int32)
def float_of_bits(builder: Builder, bits: Value) -> Value:
    return builder.bitcast(bits, FLOAT)


@native(types.float32, ADDRESS)
def half_at(builder: Builder, address: Value) -> Value:
    """The float16 at an address."""
    return builder.fpext(load(builder, address, HALF, 2), FLOAT)


@native(types.CPointer(types.float32), ADDRESS)
def floats_at(builder: Builder, address: Value) -> Value:
    return _pointer(builder, address, FLOAT)


@native(types.CPointer(types.uint8), ADDRESS)
def bytes_at(builder: Builder, address: Value) -> Value:
    return _pointer(builder, address, ir.IntType(8))
