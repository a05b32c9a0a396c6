"""The compiled forward pass against torch's: the same model, cache and answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from engine import Engine, EngineError, Sampling
from engine.checkpoint import open_checkpoint
from engine.engine import Engine as LoadedEngine
from engine.model import Chunk, ForwardPass, Model
from engine.native import compile_native, load_native, refusal
from engine.native.blocks import STORED, packable, packed_bytes
from engine.native.packing import pack
from tests.tiny import write_tiny_llama

pytest.importorskip("numba")
CPU = torch.device("cpu")
# Of the largest logit: what 16-bit activations cost over a few layers.
TOLERANCE = 1e-3
# Where the float16 of each storage type's block are, if not only at its start.
HALVES = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
KINDS = [GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0]
PROMPT = torch.arange(3, 203) % 250 + 3


@pytest.fixture(scope="module", autouse=True)
def code() -> None:
    compile_native()


class Pair:
    """One model by torch and by compiled code."""

    def __init__(self, path: Path, threads: int = 2, context: int = 1024) -> None:
        self.path = path
        self.checkpoint = open_checkpoint(path)
        weights = self.checkpoint.weights(torch.float32, CPU)
        self.torch = Model(self.checkpoint.config, weights, context)
        self.native = load_native(self.checkpoint, context, threads)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("native")
    pair = Pair(write_tiny_llama(folder / "tiny.gguf", quantization=request.param, context=1024))
    yield pair
    pair.native.close()


def all_logits(model: ForwardPass, tokens: torch.Tensor, chunk: int = 1000) -> torch.Tensor:
    cache = model.new_cache(len(tokens))
    return torch.cat([model.forward([Chunk(part, cache, len(part))]).clone() for part in tokens.split(chunk)])


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 17, 64, 200])
def test_logits_are_those_of_torch(pair: Pair, length: int) -> None:
    tokens = PROMPT[:length]
    assert distance(all_logits(pair.native, tokens), all_logits(pair.torch, tokens)) < TOLERANCE


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunks_do_not_change_a_digit(pair: Pair, chunk: int) -> None:
    whole = all_logits(pair.native, PROMPT)
    assert torch.equal(all_logits(pair.native, PROMPT, chunk), whole)


def test_more_tokens_than_are_computed_at_once(pair: Pair) -> None:
    tokens = PROMPT.repeat(4)
    whole = all_logits(pair.native, tokens)
    assert torch.equal(whole[:200], all_logits(pair.native, PROMPT))
    cache = pair.native.new_cache(800)
    assert torch.equal(pair.native.forward([Chunk(tokens, cache)])[0], whole[-1])
    assert cache.length == 800


def test_sequences_computed_together_do_not_change_each_other(pair: Pair) -> None:
    lengths = [1, 90, 8, 33, 2]
    caches = [pair.native.new_cache(200) for _ in lengths]
    together = pair.native.forward([Chunk(PROMPT[:n], cache) for n, cache in zip(lengths, caches, strict=True)]).clone()
    for row, n in zip(together, lengths, strict=True):
        assert torch.equal(row, all_logits(pair.native, PROMPT[:n])[-1])
    step = pair.native.forward(
        [Chunk(PROMPT[n : n + 1], cache) for n, cache in zip(lengths, caches, strict=True)]
    ).clone()
    for row, n in zip(step, lengths, strict=True):
        assert torch.equal(row, all_logits(pair.native, PROMPT[: n + 1])[-1])


def test_either_goes_on_where_the_other_stopped(pair: Pair) -> None:
    expected = all_logits(pair.torch, PROMPT)[-1]
    for first, second in ((pair.torch, pair.native), (pair.native, pair.torch)):
        cache = first.new_cache(200)
        first.forward([Chunk(PROMPT[:150], cache)])
        assert distance(second.forward([Chunk(PROMPT[150:], cache)])[0], expected) < TOLERANCE


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads(pair: Pair, threads: int) -> None:
    model = load_native(pair.checkpoint, 1024, threads)
    try:
        found = all_logits(model, PROMPT)
        assert distance(found, all_logits(pair.torch, PROMPT)) < TOLERANCE
        # Idle threads sleep and are woken.
        time.sleep(0.5)
        assert torch.equal(all_logits(model, PROMPT), found)
    finally:
        model.close()


def stored_rows(quantization: str, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random rows as GGUF stores them, three blocks each, and the numbers the reference finds in them."""
    stored = STORED[quantization]
    random = np.random.default_rng(outputs)
    blocks = random.integers(0, 256, (outputs * 3, stored.nbytes), dtype=np.uint8)
    for start in HALVES.get(quantization, (0,)):
        blocks[:, start : start + 2] = random.normal(size=(len(blocks), 1)).astype(np.float16).view(np.uint8)
    numbers = quants.dequantize(blocks, GGMLQuantizationType[quantization])
    return torch.from_numpy(blocks).view(outputs, -1), torch.from_numpy(numbers).view(outputs, -1)


@pytest.mark.parametrize("quantization", sorted(STORED))
@pytest.mark.parametrize("outputs", [16, 40])
def test_packed_rows_hold_the_stored_numbers(quantization: str, outputs: int) -> None:
    from engine.native.kernels import unpack_row

    rows, expected = stored_rows(quantization, outputs)
    inputs = expected.shape[1]
    matrix = pack(quantization, rows, inputs)
    assert matrix.data.nbytes >= packed_bytes(quantization, outputs * inputs)
    found = torch.zeros(inputs)
    for row in range(outputs):
        unpack_row(matrix.kind, matrix.address, inputs, row, np.float32(1), found.data_ptr())
        assert torch.allclose(found, expected[row], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("quantization", sorted(STORED))
@pytest.mark.parametrize("count", [1, 15])
def test_products_with_packed_rows(quantization: str, count: int) -> None:
    from engine.native.kernels import multiply, quantize

    rows, weights = stored_rows(quantization, 48)
    inputs = weights.shape[1]
    matrix = pack(quantization, rows, inputs)
    x = torch.randn(count, inputs, generator=torch.Generator().manual_seed(count))
    x[:, 3] *= 10  # as activations have their outliers
    numbers = torch.zeros(count, inputs, dtype=torch.int16)
    scales, sums = torch.zeros(2, count, inputs // 32)
    into = (numbers.data_ptr(), scales.data_ptr(), sums.data_ptr())
    for row in range(count):
        quantize(x[row].data_ptr(), inputs, row, into)
    y = torch.zeros(count, 64)
    for thread in range(2):
        multiply(matrix.kind, matrix.address, inputs, 48, into, count, y.data_ptr(), 64, thread, 2)
    assert distance(y[:, :48], (x.double() @ weights.double().T).float()) < 3e-4
    assert not y[:, 48:].any()


def test_what_is_not_a_number_is_not_hidden(pair: Pair) -> None:
    cache = pair.native.new_cache(8)
    pair.native.forward([Chunk(PROMPT[:4], cache)])
    cache.values[0, :, 2] = float("nan")
    assert pair.native.forward([Chunk(PROMPT[4:5], cache)]).isnan().any()


def test_a_minimum_beyond_float16_is_not_packed() -> None:
    rows = torch.zeros(16, 18, dtype=torch.uint8)
    rows[:, :2] = torch.tensor([30_000.0]).half().view(torch.uint8)
    with pytest.raises(OverflowError, match="float16"):
        pack("Q4_0", rows, 32)
    assert not packable("Q4_0", 33)


def test_engine_answers_alike_with_either(pair: Pair) -> None:
    greedy = Sampling(temperature=0, max_tokens=48, ignore_eos=True)
    answers = []
    for kernels in ("torch", "native"):
        with Engine.load(pair.path, device="cpu", kernels=kernels) as engine:
            assert (engine.info.kernels == "native") is (kernels == "native")
            answers.append([step.token for step in engine.generate("Once upon a time", greedy)])
    assert answers[0] == answers[1]


def test_an_answer_goes_on_while_kernels_are_replaced(pair: Pair) -> None:
    with LoadedEngine.load(pair.path, device="cpu", kernels="torch") as engine:
        expected = [
            step.token for step in engine.generate("x", Sampling(temperature=0, max_tokens=200, ignore_eos=True))
        ]
        run = engine.generate("y", Sampling(temperature=0, max_tokens=200, ignore_eos=True))
        engine.replace_model(load_native(pair.checkpoint, 1024, 2), "native")
        assert len(list(run)) == 200
        again = engine.generate("x", Sampling(temperature=0, max_tokens=200, ignore_eos=True))
        assert [step.token for step in again] == expected
        assert engine.info.kernels == "native"


def test_a_closed_engine_leaves_no_thread(pair: Pair) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with Engine.load(pair.path, device="cpu", kernels="native", threads=3) as engine:
            assert len(set(threading.enumerate()) - before) == 3
            list(engine.generate("x", Sampling(max_tokens=2)))
    assert set(threading.enumerate()) <= before


def test_what_is_not_computed_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "plain.gguf", quantization=GGMLQuantizationType.F32)
    assert refusal(open_checkpoint(path), CPU, torch.float32) is not None
    with pytest.raises(EngineError, match="Q8_0, Q4_K, Q5_K, Q6_K in whole blocks, not F32"):
        Engine.load(path, device="cpu", kernels="native")
    with Engine.load(path, device="cpu") as engine:
        assert engine.info.kernels != "native"
    with pytest.raises(EngineError, match="auto, native, torch"):
        Engine.load(path, device="cpu", kernels="abacus")


def test_answers_begin_by_torch_while_the_code_is_compiled(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    compiling = threading.Event()

    def slowly() -> None:
        compiling.wait(30)

    monkeypatch.setattr("engine.loading.code_is_ready", lambda: False)
    monkeypatch.setattr("engine.loading.compile_native", slowly)
    greedy = Sampling(temperature=0, max_tokens=30, ignore_eos=True)
    with Engine.load(pair.path, device="cpu") as engine:
        assert engine.info.kernels != "native"
        first = [step.token for step in engine.generate("Once", greedy)]
        compiling.set()
        engine.wait_for_kernels()
        assert engine.info.kernels == "native"
        assert [step.token for step in engine.generate("Once", greedy)] == first


def test_a_compiler_that_fails_leaves_torch(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.loading.code_is_ready", lambda: False)
    monkeypatch.setattr("engine.native.code_is_ready", lambda: False)
    monkeypatch.setattr("engine.native.sys.executable", "/bin/false")
    with Engine.load(pair.path, device="cpu") as engine:
        engine.wait_for_kernels()
        assert engine.info.kernels != "native"
        assert len(list(engine.generate("Once", Sampling(max_tokens=3, ignore_eos=True)))) == 3
    assert "compiling the native kernels ended with 1" in caplog.text
