from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants

from engine.checkpoint.gguf_file import QUANTIZATIONS, Quantization
from engine.checkpoint.gguf_source import GGUFSource

STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# Where a block has its float16 scales and minima; any other bytes are sound whatever they are.
HALVES = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,),
}  # fmt: skip
ROWS, BLOCKS = 37, 3


def random_bytes(kind: Quantization, random: np.random.Generator) -> np.ndarray:
    """Rows of stored numbers, uint8 [ROWS, bytes]: every bit random, but for scales that are finite."""
    if kind.name in STORED:
        values = random.standard_normal((ROWS, BLOCKS), np.float32)
        return quants.quantize(values, GGMLQuantizationType[kind.name]).view(np.uint8)
    blocks = random.integers(0, 256, (ROWS * BLOCKS, kind.block_bytes), np.uint8)
    for start in HALVES[kind.name]:
        scales = random.uniform(-0.1, 0.1, (len(blocks), 1)).astype(np.float16)
        blocks[:, start : start + 2] = scales.view(np.uint8)
    return blocks.reshape(ROWS, -1)


@pytest.mark.parametrize("code", QUANTIZATIONS, ids=lambda code: QUANTIZATIONS[code].name)
def test_a_written_file_reads_as_the_reference_reads_it(code: int, tmp_path: Path) -> None:
    kind, reference = QUANTIZATIONS[code], GGMLQuantizationType(code)
    stored = random_bytes(kind, np.random.default_rng(code))
    writer = GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("before", np.ones((1, 32), np.float32))
    writer.add_tensor("t", stored.view(np.float32) if kind.name == "F32" else stored, raw_dtype=reference)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    source = GGUFSource(tmp_path / "one.gguf")
    ours = source.load("t")

    assert kind == (reference.name, *GGML_QUANT_SIZES[reference])
    assert source.tensors["t"] == ((ROWS, BLOCKS * kind.block_elements), kind.name, stored.nbytes)
    assert ours.dtype == STORED.get(kind.name, torch.float32)
    assert torch.equal(ours.float(), torch.from_numpy(quants.dequantize(stored, reference)))
