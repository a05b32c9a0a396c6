"""The forward pass of a Llama-like model as one compiled function, run by several threads in step.

The threads share all buffers and wait for each other wherever one reads what others have written. What is computed of
a token does not depend on the tokens that are computed with it.
"""

from __future__ import annotations

import numpy as np
from numba.np.numpy_support import carray

from engine.native.compile import compiled
from engine.native.intrinsics import atomic_add, atomic_load, atomic_store, floats_at, give_way
from engine.native.kernels import attend, combine, gate, multiply, normalize, quantize, rotate, unpack_row

# A matrix: address of its blocks (engine.native.blocks).
MATRIX = np.dtype([("kind", np.int64), ("address", np.int64), ("outputs", np.int64)])
# Several matrices side by side: the first one's number, and how many.
PROJECTION = [("first", np.int64), ("count", np.int64)]
# Norms, the bias and the rotary tables are addresses of float32, 0 for none. window: tokens each sees, 0 for all.
LAYER = np.dtype(
    [
        ("attention_norm", np.int64),
        ("qkv", PROJECTION),
        ("qkv_bias", np.int64),
        ("query_norm", np.int64),
        ("key_norm", np.int64),
        ("cosines", np.int64),
        ("sines", np.int64),
        ("rope_dim", np.int64),
        ("window", np.int64),
        ("output", PROJECTION),
        ("mlp_norm", np.int64),
        ("gate_up", PROJECTION),
        ("down", PROJECTION),
    ]
)
MODEL = np.dtype(
    [
        ("hidden", np.int64),
        ("inner", np.int64),
        ("heads", np.int64),
        ("kv_heads", np.int64),
        ("head_dim", np.int64),
        ("norm", np.int64),
        ("head", PROJECTION),
        ("embedding", np.int64),  # the number of its matrix
        ("embedding_scale", np.float32),
        ("eps", np.float32),
        ("attention_scale", np.float32),
        ("residual_scale", np.float32),
    ]
)
# A token, its sequence's cache, [layers, kv_heads, capacity, head_dim] each, and its position there.
TOKEN = np.dtype(
    [("id", np.int64), ("keys", np.int64), ("values", np.int64), ("capacity", np.int64), ("position", np.int64)]
)
# Addresses of float32: hidden [rows, hidden]; projected [rows, widest]; partial [threads, rows, heads, head_dim + 2];
# scores [threads, heads / kv_heads, longest]; logits [chosen, stride]; normed [threads, widest]; and [threads, rows,
# widest] of int16 numbers, of scales and sums one for 32 of them.
BUFFERS = np.dtype(
    [
        (name, np.int64)
        for name in ("hidden", "projected", "partial", "scores", "logits", "normed", "numbers", "scales", "sums")
    ]
    + [("most_rows", np.int64), ("widest", np.int64), ("longest", np.int64), ("logits_stride", np.int64)]
)
# Words by which the threads keep step, each on a cache line of its own.
ARRIVED, PASSED, CALL, SYNC_WORDS = 0, 8, 16, 24
SPINS_BEFORE_GIVING_WAY = 2000


@compiled
def wait_for_all(sync, threads):  # type: ignore[no-untyped-def]
    """Go on when every thread has come here."""
    if threads == 1:
        return
    turn = atomic_load(sync + PASSED * 8)
    if atomic_add(sync + ARRIVED * 8, 1) == threads - 1:
        atomic_store(sync + ARRIVED * 8, 0)
        atomic_store(sync + PASSED * 8, turn + 1)
        return
    spins = 0
    while atomic_load(sync + PASSED * 8) == turn:
        spins += 1
        if spins > SPINS_BEFORE_GIVING_WAY:
            give_way(0)


@compiled
def share(count, thread, threads):  # type: ignore[no-untyped-def]
    """Which of `count` things are this thread's: the first, and the one after the last."""
    return count * thread // threads, count * (thread + 1) // threads


@compiled
def project(matrices, projection, inputs, x, rows, y, y_stride, thread, threads):  # type: ignore[no-untyped-def]
    at = y
    for place in range(projection.first, projection.first + projection.count):
        matrix = matrices[place]
        multiply(matrix.kind, matrix.address, inputs, matrix.outputs, x, rows, at, y_stride, thread, threads)
        at += matrix.outputs * 4


@compiled
def add_residual(hidden, mixed, mixed_stride, width, rows, scale, thread, threads):  # type: ignore[no-untyped-def]
    first, last = share(width // 16, thread, threads)
    for row in range(rows):
        stream = carray(floats_at(hidden + row * width * 4), width)
        block = carray(floats_at(mixed + row * mixed_stride * 4), width)
        for i in range(first * 16, last * 16):
            stream[i] += scale * block[i]


@compiled
def finish_heads(model, layer, index, token, x):  # type: ignore[no-untyped-def]
    """Bias, norm and rotation of one token's queries, keys and values; keys and values go into its cache."""
    dim, position = model.head_dim, token.position
    heads = model.heads + 2 * model.kv_heads
    if layer.qkv_bias:
        values, bias = carray(floats_at(x), heads * dim), carray(floats_at(layer.qkv_bias), heads * dim)
        for i in range(heads * dim):
            values[i] += bias[i]
    half = layer.rope_dim // 2
    for head in range(heads):
        at = x + head * dim * 4
        if head < model.heads + model.kv_heads:
            norm = layer.query_norm if head < model.heads else layer.key_norm
            if norm:
                normalize(at, dim, norm, model.eps, at)
            if layer.cosines:
                rotate(at, layer.rope_dim, layer.cosines + position * half * 4, layer.sines + position * half * 4)
        if head >= model.heads:
            kv_head = (head - model.heads) % model.kv_heads
            cache = token.keys if head < model.heads + model.kv_heads else token.values
            place = cache + ((index * model.kv_heads + kv_head) * token.capacity + position) * dim * 4
            source, target = carray(floats_at(at), dim), carray(floats_at(place), dim)
            for i in range(dim):
                target[i] = source[i]


@compiled
def forward(thread, threads, sync, model, layers, matrices, tokens, chosen, buffers):  # type: ignore[no-untyped-def]
    """One thread's part of the forward pass of `tokens`; `chosen` are the rows whose logits are wanted."""
    m, b = model[0], buffers[0]
    rows, hidden, dim, group = len(tokens), m.hidden, m.head_dim, m.heads // m.kv_heads
    wide, head_width = m.heads * dim, dim + 2
    # With few rows each thread prepares them all for itself, which is quicker than to wait for the others.
    alone = rows < 2 * threads
    first, last = (0, rows) if alone else share(rows, thread, threads)
    own = thread if alone else 0
    normed = b.normed + thread * b.widest * 4
    x = (
        b.numbers + own * b.most_rows * b.widest * 2,
        b.scales + own * b.most_rows * (b.widest // 32) * 4,
        b.sums + own * b.most_rows * (b.widest // 32) * 4,
    )
    scores = b.scores + thread * group * b.longest * 4
    row_partial = m.heads * head_width
    thread_partial = b.most_rows * row_partial
    mine, others = share(rows, thread, threads)
    embedding = matrices[m.embedding]
    for row in range(mine, others):
        at = b.hidden + row * hidden * 4
        unpack_row(embedding.kind, embedding.address, hidden, tokens[row].id, m.embedding_scale, at)
    wait_for_all(sync, threads)
    for index in range(len(layers)):
        layer = layers[index]
        for row in range(first, last):
            normalize(b.hidden + row * hidden * 4, hidden, layer.attention_norm, m.eps, normed)
            quantize(normed, hidden, row, x)
        if not alone:
            wait_for_all(sync, threads)
        project(matrices, layer.qkv, hidden, x, rows, b.projected, b.widest, thread, threads)
        wait_for_all(sync, threads)

        for row in range(mine, others):
            finish_heads(m, layer, index, tokens[row], b.projected + row * b.widest * 4)
        wait_for_all(sync, threads)

        for kv_head in range(m.kv_heads):
            for row in range(rows):
                token = tokens[row]
                start = max(0, token.position + 1 - layer.window) if layer.window else 0
                begin, end = share(token.position + 1 - start, thread, threads)
                at = ((index * m.kv_heads + kv_head) * token.capacity + start + begin) * dim * 4
                head = kv_head * group
                queries = b.projected + (row * b.widest + head * dim) * 4
                out = b.partial + (thread * thread_partial + row * row_partial + head * head_width) * 4
                keys, values, count = token.keys + at, token.values + at, end - begin
                attend(queries, group, keys, values, count, dim, m.attention_scale, scores, b.longest, out)
        wait_for_all(sync, threads)

        for row in range(first, last):
            for head in range(m.heads):
                at = b.partial + (row * row_partial + head * head_width) * 4
                combine(at, thread_partial, threads, dim, normed + head * dim * 4)
            quantize(normed, wide, row, x)
        if not alone:
            wait_for_all(sync, threads)
        project(matrices, layer.output, wide, x, rows, b.projected, b.widest, thread, threads)
        add_residual(b.hidden, b.projected, b.widest, hidden, rows, m.residual_scale, thread, threads)
        wait_for_all(sync, threads)

        for row in range(first, last):
            normalize(b.hidden + row * hidden * 4, hidden, layer.mlp_norm, m.eps, normed)
            quantize(normed, hidden, row, x)
        if not alone:
            wait_for_all(sync, threads)
        project(matrices, layer.gate_up, hidden, x, rows, b.projected, b.widest, thread, threads)
        wait_for_all(sync, threads)

        for row in range(first, last):
            gate(b.projected + row * b.widest * 4, m.inner, normed)
            quantize(normed, m.inner, row, x)
        wait_for_all(sync, threads)
        project(matrices, layer.down, m.inner, x, rows, b.projected, b.widest, thread, threads)
        add_residual(b.hidden, b.projected, b.widest, hidden, rows, m.residual_scale, thread, threads)
        wait_for_all(sync, threads)

    first, last = (0, len(chosen)) if alone else share(len(chosen), thread, threads)
    for place in range(first, last):
        normalize(b.hidden + chosen[place] * hidden * 4, hidden, m.norm, m.eps, normed)
        quantize(normed, hidden, place, x)
    if not alone:
        wait_for_all(sync, threads)
    project(matrices, m.head, hidden, x, len(chosen), b.logits, b.logits_stride, thread, threads)
    wait_for_all(sync, threads)


@compiled
def serve(thread, threads, sync, seen, patience, model, layers, matrices, tokens, chosen, counts, buffers):  # type: ignore[no-untyped-def]
    """Take part in calls as they come, until none has for `patience` looks; the number of the last call seen.

    counts: how many of `tokens` and of `chosen` the call has; a negative number of tokens ends the thread.
    """
    looks = 0
    while looks < patience:
        call = atomic_load(sync + CALL * 8)
        if call == seen:
            looks += 1
            if looks > SPINS_BEFORE_GIVING_WAY:
                give_way(0)
            continue
        seen, looks = call, 0
        if counts[0] < 0:
            break
        forward(thread, threads, sync, model, layers, matrices, tokens[: counts[0]], chosen[: counts[1]], buffers)
    return seen


@compiled
def announce(sync):  # type: ignore[no-untyped-def]
    """Tell the threads that a call is ready."""
    atomic_add(sync + CALL * 8, 1)
