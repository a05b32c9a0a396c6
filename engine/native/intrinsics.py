"""The innermost loops: products of packed rows, attention over one head, and what threads need to keep step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial, reduce
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils

from engine.native.blocks import BLOCK, CACHE_LINE, KINDS, LANES, Kind
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
    prefetch,
    splat,
    store,
    sum_lanes_of_four,
)

ADDRESS = types.intp
# A page, beyond which processors do not read ahead by themselves though weights are read in order.
READ_AHEAD = 4096
LANE_BYTES = 4 * LANES
NO_FLOATS = ir.Constant(FLOATS, [0.0] * LANES)
NO_WORDS = ir.Constant(WORDS, [0] * LANES)

# Inputs that a group of rows is multiplied with at once: as many as there are registers for their sums. Without
# AVX-512, 16 lanes of sums take two registers or more an input, and those of eight inputs would go through memory: by
# AVX2 that takes 1.3 times as long as four and four.
# So it is with the keys that a query is multiplied with.
WIDTHS = (1, 2, 4, 8) if get_host_cpu_features().get("avx512f") else (1, 2, 4)
KEYS_AT_ONCE = WIDTHS[-1]


def _pairs(builder: Builder, kind: Kind, block: Value) -> Iterator[Value]:
    """The numbers of a block of a group, two of each row at a time, as int16."""
    if kind.bits == 8:
        for pair in range(BLOCK // 2):
            yield builder.sext(load(builder, offset(builder, block, pair, 2 * LANES), PAIR_BYTES, 2 * LANES), PAIRS)
        return
    for word in range(BLOCK // 8):
        packed = load(builder, offset(builder, block, word, LANE_BYTES), WORDS, 2 * LANES)
        for place in range(4):
            shifted = builder.lshr(packed, ir.Constant(WORDS, [4 * place] * LANES)) if place else packed
            yield builder.bitcast(builder.and_(shifted, ir.Constant(WORDS, [0x000F000F] * LANES)), PAIRS)


def _factors(builder: Builder, kind: Kind, block: Value, place: int) -> Value:
    """The scales of a group's rows, or after the last of them their minima."""
    address = offset(builder, block, kind.numbers_bytes + place * kind.factor_bytes, 1)
    if kind.wide:
        return load(builder, address, FLOATS, 2 * LANES)
    return builder.fpext(load(builder, address, HALVES, 2 * LANES), FLOATS)


def _multiply_rows(builder: Builder, kind: Kind, width: int, addresses: Sequence[Value]) -> None:
    weights, numbers, scales, sums, blocks, y, y_stride = addresses
    loop = Loop(builder, blocks, [NO_FLOATS] * width)
    block = offset(builder, weights, loop.index, kind.group_bytes)
    at_row = [builder.add(builder.mul(blocks, INT64(row)), loop.index) for row in range(width)]
    inputs = [offset(builder, numbers, at, 2 * BLOCK) for at in at_row]
    x_scales = [splat(builder, load(builder, offset(builder, scales, at, 4), FLOAT)) for at in at_row]
    for line in range(0, kind.group_bytes, CACHE_LINE):
        prefetch(builder, builder.add(block, INT64(READ_AHEAD + line)))
    results = list(loop.values)
    # Several sums side by side hide the latency of the additions.
    chains = max(1, 4 // width)
    totals = [[NO_WORDS] * chains for _ in range(width)]
    for place, pairs in enumerate(_pairs(builder, kind, block)):
        for row in range(width):
            x = splat(builder, load(builder, offset(builder, inputs[row], place, 4), INT32))
            chain = totals[row][place % chains]
            totals[row][place % chains] = add_pair_products(builder, chain, pairs, builder.bitcast(x, PAIRS))
        if (place + 1) * 2 % kind.scaled == 0:
            scale = _factors(builder, kind, block, place * 2 // kind.scaled)
            for row in range(width):
                product = builder.sitofp(reduce(builder.add, totals[row]), FLOATS)
                results[row] = fma(builder, builder.fmul(product, scale), x_scales[row], results[row])
                totals[row] = [NO_WORDS] * chains
    if kind.minimum:
        minimum = _factors(builder, kind, block, kind.scales)
        for row, at in enumerate(at_row):
            x_sum = splat(builder, load(builder, offset(builder, sums, at, 4), FLOAT))
            results[row] = fma(builder, minimum, x_sum, results[row])
    loop.carry(results)
    for row, value in enumerate(loop.values):
        store(builder, value, offset(builder, y, builder.mul(y_stride, INT64(row)), 4))


@native(types.int64, types.int64, types.int64, *[ADDRESS] * 7)
def row_products(builder: Builder, kind: Value, left: Value, *addresses: Value) -> Value:
    """y[row, lane] = sum over k of W[lane, k] * x[row, k], for a group of 16 rows of W and some of `left` inputs.

    addresses: of the packed group; of the inputs as int16 numbers, their scales and sums; how many blocks a row has;
    of y; and how many numbers from one of its rows to the next. Returns how many inputs were taken, one of WIDTHS.
    """
    power = INT64(0)
    for place, width in enumerate(WIDTHS):
        power = builder.select(builder.icmp_signed(">=", left, INT64(width)), INT64(place), power)
    done = builder.append_basic_block("done")
    choice = builder.switch(builder.add(builder.mul(kind, INT64(len(WIDTHS))), power), done)
    for number, each in enumerate(KINDS):
        for place, width in enumerate(WIDTHS):
            case = builder.append_basic_block("case")
            choice.add_case(INT64(number * len(WIDTHS) + place), case)
            builder.position_at_end(case)
            _multiply_rows(builder, each, width, addresses)
            builder.branch(done)
    builder.position_at_end(done)
    return builder.shl(INT64(1), power)


@native(types.void, *[ADDRESS] * 4)
def quantize_block(builder: Builder, x: Value, numbers: Value, scale: Value, total: Value) -> None:
    """32 numbers as int16 times a scale, so that the largest is 32,767 scales; and their sum."""
    maximum = partial(call, builder, name="maxnum")
    halves = [load(builder, offset(builder, x, half, LANE_BYTES), FLOATS) for half in range(2)]
    sizes = [call(builder, half, name="fabs") for half in halves]
    largest = fold_lanes(builder, maximum(*sizes), maximum)
    # A block of zeros, or of numbers so small that their scale is none, stays zeros.
    visible = builder.fcmp_ordered(">", largest, FLOAT(1e-30))
    factor = splat(builder, builder.select(visible, builder.fdiv(FLOAT(32767.0), largest), FLOAT(0.0)))
    for half, value in enumerate(halves):
        rounded = call(builder, builder.fmul(value, factor), name="rint")
        store(builder, builder.fptosi(rounded, SHORTS), offset(builder, numbers, half, 2 * LANES), 2)
    found = fold_lanes(builder, builder.fadd(*halves), builder.fadd)
    store(builder, found, total)
    # What is not a number has no place among integers: the scale passes it on.
    nothing = builder.fsub(found, found)
    store(builder, builder.fadd(builder.fmul(largest, FLOAT(1 / 32767)), nothing), scale)


@native(types.float32, ADDRESS, types.int64)
def largest_of_lines(builder: Builder, x: Value, lines: Value) -> Value:
    """The largest of one or more times 16 numbers, but for what is not a number. LLVM finds it one by one."""

    def larger(a: Value, b: Value) -> Value:
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    lowest = ir.Constant(FLOATS, [-float("inf")] * LANES)
    loop = Loop(builder, lines, [lowest])
    line = load(builder, offset(builder, x, loop.index, LANE_BYTES), FLOATS)
    loop.carry([larger(line, loop.values[0])])
    return fold_lanes(builder, loop.values[0], larger)


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
        if width % 4 == 0:
            for t in range(0, width, 4):
                store(builder, sum_lanes_of_four(builder, loop.values[t : t + 4]), offset(builder, scores, t, 4))
        else:
            for t, value in enumerate(loop.values):
                store(builder, fold_lanes(builder, value, builder.fadd), offset(builder, scores, t, 4))

    return dot_products


dot_products_1, dot_products_many = _dot_products(1), _dot_products(KEYS_AT_ONCE)


def _weighted_rows(vectors: int) -> Any:
    @native(types.void, *[ADDRESS] * 5)
    def weighted_rows(builder: Builder, rows: Value, stride: Value, shares: Value, count: Value, out: Value) -> None:
        """out += sum over t of shares[t] * rows[t], for `vectors` times 16 columns; stride: numbers from row to row."""
        before = [load(builder, offset(builder, out, place, LANE_BYTES), FLOATS) for place in range(vectors)]
        loop = Loop(builder, count, before)
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
