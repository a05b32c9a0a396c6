"""A model's weights as the compiled forward pass takes them: packed, with a table of where everything is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.checkpoint.source import TensorSource
from engine.checkpoint.weights import WeightLoader
from engine.config import ModelConfig
from engine.families.family import Layout
from engine.linear import Dense
from engine.native.packing import BlockMatrix, pack
from engine.native.step import LAYER, MATRIX, MODEL
from engine.norm import RMSNorm


class Plan:
    """Tables for `engine.native.step.forward`, and the memory they point into.

    context: for how many tokens the rotary tables are made. Raises ModelFormatError as `load_weights` does.
    """

    def __init__(self, source: TensorSource, layout: Layout, config: ModelConfig, context: int) -> None:
        self._loader = WeightLoader(source, layout, config, torch.float32, torch.device("cpu"), Dense)
        self._loader.refuse_leftovers()
        self._config = config
        self._names = layout.names
        self._matrices: list[BlockMatrix] = []
        self._kept: list[Tensor] = []
        self._rotary = {
            layer.rope: tuple(self._keep(table) for table in layer.rope.tables(context, torch.device("cpu")))
            for layer in config.layers
            if layer.rope is not None
        }
        self.layers = np.zeros(len(config.layers), LAYER)
        for index, row in enumerate(self.layers):
            self._fill_layer(index, row)
        self.model = self._model()
        self.matrices = np.array([(each.kind, each.address, each.outputs) for each in self._matrices], MATRIX)

    @property
    def widest(self) -> int:
        """The most numbers a row of the buffers holds."""
        config = self._config
        heads = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        return max(heads, config.hidden_size, 2 * config.intermediate_size)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return sum(matrix.data.nbytes for matrix in self._matrices)

    def _model(self) -> np.ndarray:
        config, names = self._config, self._names
        vocabulary, hidden = config.vocab_size, config.hidden_size
        model = np.zeros(1, MODEL)
        row = model[0]
        row["hidden"], row["inner"], row["head_dim"] = hidden, config.intermediate_size, config.head_dim
        row["heads"], row["kv_heads"] = config.num_heads, config.num_kv_heads
        row["norm"] = self._norm(names.norm)
        embedding = self._project((names.embedding,), (vocabulary,), hidden)
        row["embedding"] = embedding[0]
        row["head"] = embedding if self._loader.tied() else self._project((names.head,), (vocabulary,), hidden)
        row["embedding_scale"], row["eps"] = config.embedding_scale, config.norm_eps
        row["attention_scale"], row["residual_scale"] = config.attention_scale, config.residual_scale
        return model

    def _fill_layer(self, index: int, row: Any) -> None:
        config, names = self._config, self._names
        hidden, inner, dim = config.hidden_size, config.intermediate_size, config.head_dim
        qkv = (config.num_heads * dim, config.num_kv_heads * dim, config.num_kv_heads * dim)
        heads = (config.num_heads, config.num_kv_heads, 0)
        row["attention_norm"] = self._norm(names.attention_norm, index)
        row["mlp_norm"] = self._norm(names.mlp_norm, index)
        row["query_norm"] = self._norm(names.query_norm, index, dim)
        row["key_norm"] = self._norm(names.key_norm, index, dim)
        row["qkv"] = self._project(names.qkv, qkv, hidden, index, heads)
        bias = self._loader.bias(names.qkv, qkv, index, heads)
        row["qkv_bias"] = 0 if bias is None else self._keep(bias)
        row["output"] = self._project((names.output,), (hidden,), qkv[0], index)
        row["gate_up"] = self._project(names.gate_up, (inner, inner), hidden, index)
        row["down"] = self._project((names.down,), (hidden,), inner, index)
        layer = config.layers[index]
        row["window"] = layer.window or 0
        if layer.rope is not None:
            row["cosines"], row["sines"] = self._rotary[layer.rope]
            row["rope_dim"] = layer.rope.dim

    def _project(
        self,
        names: tuple[str, ...],
        outputs: tuple[int, ...],
        inputs: int,
        index: int = 0,
        heads: tuple[int, ...] = (),
    ) -> tuple[int, int]:
        """Pack projections of the same input; which of the matrices they are: the first and how many."""
        stored = self._loader.stored_rows(names, outputs, inputs, index, heads)
        kinds = [quantization for quantization, _ in stored]
        first = len(self._matrices)
        if len(set(kinds)) == 1:
            self._matrices.append(pack(kinds[0], torch.cat([part for _, part in stored]), inputs))
        else:
            self._matrices += [pack(kind, part, inputs) for kind, part in stored]
        return first, len(self._matrices) - first

    def _norm(self, name: str | None, index: int = 0, width: int | None = None) -> int:
        norm = self._loader.norm(name, index, (width,) if width else ())
        if norm is None:
            return 0
        assert isinstance(norm, RMSNorm)
        return self._keep(norm.weight)

    def _keep(self, tensor: Tensor) -> int:
        """The address of float32 numbers, which stay where they are as long as this plan."""
        tensor = tensor.float().contiguous()
        self._kept.append(tensor)
        return tensor.data_ptr()
