"""Which families native kernels compute, and that they compute them as torch does from the same 8-bit weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.checkpoint.json_file import read_json
from engine.checkpoint.quantize import quantized
from engine.checkpoint.safetensors_source import SafetensorsSource
from engine.checkpoint.weights import load_weights
from engine.families import family_of_folder
from engine.families.fields import Fields
from engine.model import Model
from engine.native import compile_native, refusal
from tests.parity.loaded import CPU, all_logits, greedy
from tests.parity.tiny_families import VARIANTS, VOCABULARY, make, save

pytest.importorskip("numba")
# Of the largest logit: what activations of 16 bits cost.
TOLERANCE = 1e-3
NATIVE = {
    "llama",
    "llama-linear",
    "llama-llama3",
    "llama-yarn",
    "mistral",
    "smollm3",
    "qwen2",
    "qwen2-window",
    "qwen3",
    "phi3",
    "phi3-longrope",
    "granite",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_family_is_computed_as_torch_does_or_refused(variant: str, tmp_path: Path) -> None:
    folder = save(make(variant), tmp_path / "model")
    settings = read_json(folder / "config.json", 2**20)
    family = family_of_folder(settings["model_type"], folder.name)
    config, layout = family.configure(Fields(settings, folder.name)), family.folder
    source = quantized(SafetensorsSource(folder), layout, "int8", tmp_path / "quantized")
    checkpoint: Any = SimpleNamespace(config=config, layout=layout, source=source)
    reason = refusal(checkpoint, CPU, torch.float32)
    assert (reason is None) == (variant in NATIVE), reason
    if reason is not None:
        return
    from engine.native.model import NativeModel
    from engine.native.plan import Plan

    compile_native()
    context = config.comfortable_context
    reference = Model(config, load_weights(source, layout, config, torch.float32, CPU), context)
    native = NativeModel(config, Plan(source, layout, config, context), context, 2)
    try:
        tokens = torch.randint(3, VOCABULARY, (min(200, context),), generator=torch.Generator().manual_seed(1)).tolist()
        expected, found = all_logits(reference, tokens), all_logits(native, tokens)
        assert float((found - expected).abs().max() / expected.abs().max()) < TOLERANCE
        prompts = [tokens[:1], tokens[:7], tokens[: context // 4]]
        assert greedy(native, prompts, 48) == greedy(reference, prompts, 48)
    finally:
        native.close()
