"""LLVM's portable vectors of 16 lanes, for what numba has no words.

LLVM lowers them to whatever the machine has: one register of AVX-512, two of AVX2, four of NEON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter, Signature
from typing import Any, TypeAlias

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features, initialize_native_asmparser
from numba.core import cgutils
from numba.extending import intrinsic

from engine.native.blocks import LANES

FLOAT, HALF, INT8, INT16 = ir.FloatType(), ir.HalfType(), ir.IntType(8), ir.IntType(16)
INT32, INT64 = ir.IntType(32), ir.IntType(64)
FLOATS, HALVES, WORDS = (ir.VectorType(kind, LANES) for kind in (FLOAT, HALF, INT32))
SHORTS = ir.VectorType(INT16, LANES)
PAIRS, PAIR_BYTES, PRODUCTS = (ir.VectorType(kind, 2 * LANES) for kind in (INT16, INT8, INT32))

# Registers of eight lanes, without instructions that LLVM would choose by itself.
AVX2_AT_MOST = get_host_cpu_features().get("avx2", False) and not get_host_cpu_features().get("avx512f", False)
HALF_WORDS = ir.VectorType(INT32, LANES // 2)
initialize_native_asmparser()

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
    if AVX2_AT_MOST:
        return _add_pair_products_by_avx2(builder, total, builder.bitcast(a, WORDS), builder.bitcast(b, WORDS))
    products = builder.mul(builder.sext(a, PRODUCTS), builder.sext(b, PRODUCTS))
    nothing = ir.Constant(PRODUCTS, ir.Undefined)
    even = builder.shuffle_vector(products, nothing, ir.Constant(WORDS, list(range(0, 2 * LANES, 2))))
    odd = builder.shuffle_vector(products, nothing, ir.Constant(WORDS, list(range(1, 2 * LANES, 2))))
    return builder.add(total, builder.add(even, odd))


def _add_pair_products_by_avx2(builder: Builder, *vectors: Value) -> Value:
    """In the order that is written: LLVM would compute one input after the other, and keep all that it unpacked of the
    weights in memory meanwhile, which takes 1.5 times as long for four inputs."""
    code = ir.InlineAsm(
        ir.FunctionType(HALF_WORDS, [HALF_WORDS] * 3),
        "vpmaddwd $2, $3, %ymm15\n\tvpaddd %ymm15, $0, $0",
        "=x,0,x,x,~{ymm15}",
        side_effect=True,
    )
    nothing = ir.Constant(WORDS, ir.Undefined)
    lanes = [list(range(first, first + LANES // 2)) for first in (0, LANES // 2)]
    halves = [
        builder.call(code, [builder.shuffle_vector(each, nothing, ir.Constant(HALF_WORDS, half)) for each in vectors])
        for half in lanes
    ]
    return builder.shuffle_vector(*halves, ir.Constant(WORDS, list(range(LANES))))


def prefetch(builder: Builder, address: Value) -> None:
    """Begin to read the cache line at an address, which may be anywhere."""
    octets = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [octets, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    read, keep, data = INT32(0), INT32(3), INT32(1)
    builder.call(function, [builder.inttoptr(address, octets), read, keep, data])


def fold_lanes(builder: Builder, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """All lanes combined into one number, by halves: always in the same order."""
    width = LANES
    while width > 1:
        width //= 2
        upper = ir.Constant(WORDS, [(lane + width) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, ir.Constant(FLOATS, ir.Undefined), upper))
    return builder.extract_element(vector, INT32(0))


def sum_lanes_of_four(builder: Builder, vectors: Sequence[Value]) -> Value:
    """The sums of four vectors' lanes, a vector of four: always in the same order."""
    lanes = LANES
    while lanes > 8:
        lanes //= 2
        vectors = [builder.fadd(*_halves(builder, vector, lanes)) for vector in vectors]
    a, b, c, d = vectors
    sums = _add_neighbours(builder, _add_neighbours(builder, a, b), _add_neighbours(builder, c, d))
    return builder.fadd(*_halves(builder, sums, lanes // 2))


def _halves(builder: Builder, vector: Value, lanes: int) -> list[Value]:
    """The first `lanes` and the last of twice as many."""
    return [_pick(builder, vector, vector, range(first, first + lanes)) for first in (0, lanes)]


def _add_neighbours(builder: Builder, a: Value, b: Value) -> Value:
    """Of eight lanes each: in each half the sums of neighbours in that of a, then of b. One instruction of AVX."""
    even = [half + place for half in (0, 4) for place in (0, 2, 8, 10)]
    return builder.fadd(_pick(builder, a, b, even), _pick(builder, a, b, [place + 1 for place in even]))


def _pick(builder: Builder, a: Value, b: Value, places: Iterable[int]) -> Value:
    """Lanes of a, and after them of b."""
    chosen = list(places)
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(chosen)), chosen))


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
