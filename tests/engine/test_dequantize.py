from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quants

from engine.checkpoint.dequantize import dequantize
from engine.checkpoint.gguf_file import GGUFFile

WRITABLE = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


@pytest.mark.parametrize("name", WRITABLE)
def test_equals_the_reference_bit_for_bit(name: str, tmp_path: Path) -> None:
    kind = GGMLQuantizationType[name]
    values = np.random.default_rng(1).standard_normal((48, 96), np.float32)
    stored = quants.quantize(values, kind)
    writer = GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("t", stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    file = GGUFFile(tmp_path / "one.gguf")
    ours = dequantize(file.tensors["t"], file.data(file.tensors["t"]))

    assert ours.dtype == torch.float32
    assert torch.equal(ours, torch.from_numpy(quants.dequantize(stored, kind)).reshape(48, 96))
