"""Decode steps of fixed shapes against the plain model: on the CPU, and the same on a GPU where there is one.

On the CPU steps are recorded by torch.fx, which as a CUDA graph keeps operations and addresses but nothing that
Python decided: a step that depended on more than its static inputs would replay another text's.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Engine, Sampling
from engine.checkpoint.json_file import read_json
from engine.checkpoint.safetensors_source import SafetensorsSource
from engine.checkpoint.weights import load_weights
from engine.errors import ContextOverflow, OutOfMemory
from engine.families import family_of_folder
from engine.families.fields import Fields
from engine.model import Chunk, Model
from engine.recording import Compute, CUDAGraphs, Record
from engine.static_cache import StaticCache
from engine.static_model import StaticModel
from tests.parity.tiny_families import VOCABULARY, make, save
from tests.recorder import Recorder
from tests.tiny import write_tiny_llama

ROWS = 3
CONTEXT = 1024
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]
FAMILIES = ["llama-tied", "mistral", "qwen3", "gemma2", "gpt2", "granite"]


def recorder(device: torch.device) -> Record:
    return CUDAGraphs(device) if device.type == "cuda" else Recorder()


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture(scope="module")
def plain(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return family("llama", tmp_path_factory.mktemp("llama"), device, max_position_embeddings=CONTEXT)


@pytest.fixture(scope="module")
def static(plain: Model) -> Iterator[StaticModel]:
    model = StaticModel(plain, ROWS, recorder(plain.device))
    yield model
    model.close()


def family(variant: str, folder: Path, device: torch.device, **changes: int) -> Model:
    save(make(variant, **changes), folder)
    settings = read_json(folder / "config.json", 2**20)
    kind = family_of_folder(settings["model_type"], folder.name)
    config = kind.configure(Fields(settings, folder.name))
    weights = load_weights(SafetensorsSource(folder), kind.folder, config, torch.float32, device)
    return Model(config, weights, config.comfortable_context)


def some_tokens(count: int, seed: int = 1) -> list[int]:
    return torch.randint(3, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def chunk(model: Model | StaticModel, tokens: list[int], cache, wanted: int = 1) -> Chunk:
    return Chunk(torch.tensor(tokens, device=model.device), cache, wanted)


def stepped(model: StaticModel, tokens: list[int], cache) -> torch.Tensor:
    """Logits of tokens computed one by one, on top of what the cache holds."""
    return torch.cat([model.forward([chunk(model, [token], cache)]) for token in tokens]).cpu()


def expected(model: Model, tokens: list[int]) -> torch.Tensor:
    return model.forward([chunk(model, tokens, model.new_cache(len(tokens)), len(tokens))]).cpu()


def assert_alike(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("variant", FAMILIES)
def test_steps_compute_what_the_model_does(variant: str, device: torch.device, tmp_path: Path) -> None:
    plain = family(variant, tmp_path, device)
    static = StaticModel(plain, ROWS, recorder(device))
    tokens = some_tokens(60)
    wanted = expected(plain, tokens)
    assert_alike(stepped(static, tokens, static.new_cache(CONTEXT // 4)), wanted)
    cache = static.new_cache(CONTEXT // 4)
    prompt = static.forward([chunk(static, tokens[:40], cache, 40)]).cpu()
    assert_alike(torch.cat([prompt, stepped(static, tokens[40:], cache)]), wanted)
    assert static.recorded


def test_a_model_that_decides_on_the_way_is_not_recorded(
    device: torch.device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = family("mixtral", tmp_path, device)
    static = StaticModel(plain, ROWS, recorder(device))
    assert not static.recorded
    tokens = some_tokens(20)
    assert_alike(stepped(static, tokens, static.new_cache(64)), expected(plain, tokens))
    assert caplog.text.count("which experts compute a token") == 1


def test_a_recording_that_fails_is_told_once(plain: Model, caplog: pytest.LogCaptureFixture) -> None:
    def fail(compute: Compute) -> Compute:
        compute()
        raise RuntimeError("operation not permitted when stream is capturing\nlong advice")

    static = StaticModel(plain, ROWS, fail)
    assert not static.recorded
    tokens = some_tokens(20)
    assert_alike(stepped(static, tokens, static.new_cache(64)), expected(plain, tokens))
    assert caplog.text.count("not permitted when stream is capturing") == 1
    assert "long advice" not in caplog.text


def test_a_text_that_grows_is_looked_at_in_longer_steps(static: StaticModel, plain: Model) -> None:
    tokens = some_tokens(530)
    wanted = expected(plain, tokens)
    cache = static.new_cache(CONTEXT)
    for start in (250, 508):
        static.forward([chunk(static, tokens[cache.length : start], cache)])
        assert_alike(stepped(static, tokens[start : start + 12], cache), wanted[start : start + 12])


@pytest.mark.parametrize("lengths", [(5, 300), (1, 40, 7)])
def test_texts_of_different_lengths_are_computed_together(
    static: StaticModel, plain: Model, lengths: tuple[int, ...]
) -> None:
    texts = [some_tokens(length + 6, seed) for seed, length in enumerate(lengths)]
    caches = [static.new_cache(CONTEXT) for _ in texts]
    for text, cache, length in zip(texts, caches, lengths, strict=True):
        static.forward([chunk(static, text[:length], cache)])
    for step in range(6):
        chunks = [
            chunk(static, [text[length + step]], cache)
            for text, cache, length in zip(texts, caches, lengths, strict=True)
        ]
        found = static.forward(chunks).cpu()
        wanted = [expected(plain, text[: length + step + 1])[-1] for text, length in zip(texts, lengths, strict=True)]
        assert_alike(found, torch.stack(wanted))


def test_a_step_goes_beside_a_chunk_of_a_prompt(static: StaticModel, plain: Model) -> None:
    first, second = some_tokens(9, 5), some_tokens(30, 6)
    ours, theirs = static.new_cache(CONTEXT), static.new_cache(CONTEXT)
    static.forward([chunk(static, first[:8], ours)])
    found = static.forward([chunk(static, second, theirs, 2), chunk(static, first[8:], ours)]).cpu()
    assert_alike(found, torch.cat([expected(plain, second)[-2:], expected(plain, first)[-1:]]))
    assert (ours.length, theirs.length) == (9, 30)


def test_more_sequences_than_rows(static: StaticModel, plain: Model) -> None:
    gc.collect()
    texts = [some_tokens(12, seed) for seed in range(ROWS + 2)]
    caches = [static.new_cache(CONTEXT) for _ in texts]
    assert sum(isinstance(cache, StaticCache) for cache in caches) == ROWS
    for text, cache in zip(texts, caches, strict=True):
        static.forward([chunk(static, text[:-1], cache)])
    found = static.forward([chunk(static, text[-1:], cache) for text, cache in zip(texts, caches, strict=True)]).cpu()
    assert_alike(found, torch.stack([expected(plain, text)[-1] for text in texts]))


def test_rows_are_used_again_and_rewound(static: StaticModel, plain: Model) -> None:
    cache = static.new_cache(CONTEXT)
    static.forward([chunk(static, some_tokens(300, 8), cache)])
    stepped(static, some_tokens(5, 9), cache)
    memory = cache.keys.data_ptr()
    del cache
    again = static.new_cache(CONTEXT)
    assert again.keys.data_ptr() == memory
    tokens = some_tokens(20, 10)
    assert_alike(stepped(static, tokens, again), expected(plain, tokens))
    again.length = 12
    changed = tokens[:12] + some_tokens(8, 11)
    assert_alike(stepped(static, changed[12:], again), expected(plain, changed)[12:])


def test_steps_are_recorded_once(plain: Model) -> None:
    if plain.device.type == "cuda":
        pytest.skip("CUDA graphs are not counted")
    record = Recorder()
    static = StaticModel(plain, ROWS, record)
    cache = static.new_cache(CONTEXT)
    static.forward([chunk(static, some_tokens(250), cache)])
    stepped(static, some_tokens(6), cache)
    assert record.count == 1
    stepped(static, some_tokens(2), cache)
    assert record.count == 2


def test_a_full_cache_is_refused(static: StaticModel) -> None:
    cache = static.new_cache(2)
    stepped(static, [5, 6], cache)
    with pytest.raises(ContextOverflow, match="needs 3 tokens, but the model's context holds 2"):
        stepped(static, [7], cache)
    assert cache.length == 2


def test_memory_that_cannot_be_had(plain: Model) -> None:
    if plain.device.type == "cuda":
        pytest.skip("how much a GPU has is not known here")
    with pytest.raises(OutOfMemory, match=r"for 10000000000000 conversations of 1,024 tokens needs .* MiB on cpu"):
        StaticModel(plain, 10**13, None)


@pytest.fixture(scope="module")
def engines(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    """The same file computed by the plain model and in static steps."""
    path = write_tiny_llama(tmp_path_factory.mktemp("engines") / "tiny.gguf", context=CONTEXT)
    load: dict[str, Any] = {"device": str(device), "dtype": "float32", "kernels": "torch"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.loading.is_gpu", lambda device: False)
        plain, fixed = Engine.load(path, **load), Engine.load(path, **load)
    with plain, fixed:
        model = plain._scheduler.model
        assert isinstance(model, Model)
        fixed.replace_model(StaticModel(model, ROWS, recorder(device)), "static")
        yield plain, fixed


SAMPLINGS = [
    Sampling(temperature=0, max_tokens=24, ignore_eos=True),
    Sampling(temperature=1, top_k=40, seed=7, max_tokens=24, ignore_eos=True),
    Sampling(temperature=1, top_p=0.9, seed=8, repetition_penalty=1.3, max_tokens=24, ignore_eos=True, logprobs=3),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "top_k", "penalty"])
def test_answers_are_the_same(engines: tuple[Engine, Engine], sampling: Sampling) -> None:
    plain, fixed = engines
    prompts = ["Once", "a much longer text, " * 14, "x"]
    wanted = [[step.token for step in plain.generate(prompt, sampling)] for prompt in prompts]
    assert [[step.token for step in fixed.generate(prompt, sampling)] for prompt in prompts] == wanted
    together = [fixed.generate(prompt, sampling) for prompt in prompts]
    assert [[step.token for step in run] for run in together] == wanted


def test_an_answer_goes_on_from_what_the_cache_holds(engines: tuple[Engine, Engine]) -> None:
    plain, fixed = engines
    prompt = "a text that is computed before and kept"
    list(fixed.generate(prompt, SAMPLINGS[0]))
    run = fixed.generate(prompt + " and goes on", replace(SAMPLINGS[0], max_tokens=20))
    found = [step.token for step in run]
    assert run.stats.cached_tokens == len(plain.tokenize(prompt))
    assert found == [step.token for step in plain.generate(prompt + " and goes on", SAMPLINGS[0])][:20]


def test_logits_of_all_tokens(engines: tuple[Engine, Engine]) -> None:
    plain, fixed = engines
    tokens = plain.tokenize("some text of which all logits are wanted")
    assert_alike(fixed.logits(tokens), plain.logits(tokens))
    assert_alike(fixed.logits(tokens, chunk=1), plain.logits(tokens))


def test_a_model_is_loaded_with_recorded_steps_where_there_is_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader's own path, on the CPU, whose steps torch.fx records."""
    path = write_tiny_llama(tmp_path / "tiny.gguf", context=CONTEXT)
    with Engine.load(path, device="cpu", kernels="torch") as plain:
        wanted = [step.token for step in plain.generate("Once", SAMPLINGS[1])]
    monkeypatch.setattr("engine.loading.is_gpu", lambda device: True)
    monkeypatch.setattr("engine.loading.CUDAGraphs", lambda device: Recorder())
    with Engine.load(path, device="cpu", kernels="torch") as engine:
        assert engine.info.kernels.endswith(", CUDA graphs")
        assert [step.token for step in engine.generate("Once", SAMPLINGS[1])] == wanted


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_chosen_and_its_steps_are_graphs(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", context=CONTEXT)
    with Engine.load(path) as engine:
        assert (engine.info.device, engine.info.dtype) == ("cuda", "bfloat16")
        assert engine.info.kernels == "dense, CUDA graphs"
        assert len(list(engine.generate("Once", SAMPLINGS[1]))) == 24
