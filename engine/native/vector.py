"""LLVM's portable vectors of 16 lanes, for what numba has no words.

LLVM lowers them to whatever the machine has: one register of AVX-512, two of AVX2, four of NEON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from engine.native.blocks import LANES

FLOAT, HALF, INT8, INT16 = ir.FloatType(), ir.HalfType(), ir.IntType(8), ir.IntType(16)
INT32, INT64 = ir.IntType(32), ir.IntType(64)
FLOATS, HALVES, WORDS = (ir.VectorType(kind, LANES) for kind in (FLOAT, HALF, INT32))
SHORTS = ir.VectorType(INT16, LANES)
PAIRS, PAIR_BYTES, PRODUCTS = (ir.VectorType(kind, 2 * LANES) for kind in (INT16, INT8, INT32))

# llvmlite says nothing of types.
Builder: TypeAlias = Any
Value: TypeAlias = Any
Generate = Callable[..., Value | None]


def native(returns: Any, *arguments: Any) -> Callable[[Generate], Any]:
    """Make a function of a builder and LLVM values one that compiled code can call, with numba's types."""

    def decorate(generate: Generate) -> Any:
        def code(target: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Any:
            result = generate(builder, *values)
            return target.get_dummy_value() if result is None else result

        def typing(context: Any, *values: Any) -> Any:
            return returns(*arguments), code

        # numba asks a function for the names of its arguments.
        places = [Parameter(f"a{place}", Parameter.POSITIONAL_ONLY) for place in range(len(arguments))]
        typing.__signature__ = Signature([Parameter("context", Parameter.POSITIONAL_ONLY), *places])  # type: ignore[attr-defined]
        typing.__name__ = typing.__qualname__ = generate.__name__
        typing.__doc__ = generate.__doc__
        return intrinsic(typing)

    return decorate


def load(builder: Builder, address: Value, kind: ir.Type, alignment: int = 4) -> Value:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = alignment
    return value


def store(builder: Builder, value: Value, address: Value, alignment: int = 4) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = alignment


def offset(builder: Builder, address: Value, count: Value | int, size: int) -> Value:
    """The address `count` things of `size` bytes further on."""
    if isinstance(count, int):
        return builder.add(address, INT64(count * size))
    return builder.add(address, builder.mul(count, INT64(size)))


def splat(builder: Builder, value: Value) -> Value:
    """A vector with the same number in each lane."""
    vector = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, INT32(0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(WORDS, [0] * LANES))


def call(builder: Builder, *values: Value, name: str) -> Value:
    """One of LLVM's own functions of vectors of float32."""
    signature = ir.FunctionType(FLOATS, [FLOATS] * len(values))
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{LANES}f32"), values)


def fma(builder: Builder, a: Value, b: Value, c: Value) -> Value:
    """a * b + c, rounded once."""
    return call(builder, a, b, c, name="fma")


def add_pair_products(builder: Builder, total: Value, a: Value, b: Value) -> Value:
    """total[lane] + a[2 lane] * b[2 lane] + a[2 lane + 1] * b[2 lane + 1], of int16; one instruction on x86."""
    products = builder.mul(builder.sext(a, PRODUCTS), builder.sext(b, PRODUCTS))
    nothing = ir.Constant(PRODUCTS, ir.Undefined)
    even = builder.shuffle_vector(products, nothing, ir.Constant(WORDS, list(range(0, 2 * LANES, 2))))
    odd = builder.shuffle_vector(products, nothing, ir.Constant(WORDS, list(range(1, 2 * LANES, 2))))
    return builder.add(total, builder.add(even, odd))


def fold_lanes(builder: Builder, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """All lanes combined into one number, by halves: always in the same order."""
    width = LANES
    while width > 1:
        width //= 2
        upper = ir.Constant(WORDS, [(lane + width) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, ir.Constant(FLOATS, ir.Undefined), upper))
    return builder.extract_element(vector, INT32(0))


class Loop:
    """Counts from `start` up to `stop`, at least once, and carries values from turn to turn.

    Use: `with Loop(...) as loop: loop.carry(new values)`; afterwards `loop.values` are the last ones.
    """

    def __init__(self, builder: Builder, stop: Value, first: Sequence[Value], start: int = 0) -> None:
        self._builder = builder
        self._stop = stop
        entry = builder.block
        self._body = builder.append_basic_block("loop")
        builder.branch(self._body)
        builder.position_at_end(self._body)
        self.index = builder.phi(INT64)
        self.index.add_incoming(INT64(start), entry)
        self.values = [builder.phi(value.type) for value in first]
        for phi, value in zip(self.values, first, strict=True):
            phi.add_incoming(value, entry)

    def carry(self, values: Sequence[Value], step: int = 1) -> None:
        """End of a turn: these are the values of the next."""
        builder = self._builder
        following = builder.add(self.index, INT64(step))
        self.index.add_incoming(following, builder.block)
        for phi, value in zip(self.values, values, strict=True):
            phi.add_incoming(value, builder.block)
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", following, self._stop), self._body, done)
        builder.position_at_end(done)
        self.values = list(values)
