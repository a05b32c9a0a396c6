"""Makes a model out of a GGUF file: its config, its weights, its tokenizer and its chat template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.checkpoint.dequantize import dequantize
from engine.checkpoint.gguf_file import GGUFFile
from engine.config import ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.linear import best_linear
from engine.model import LayerWeights, ModelWeights
from engine.template import ChatTemplate
from engine.tokenizer import Tokenizer

ARCHITECTURES = ("llama",)


class GGUFCheckpoint:
    """A GGUF file opened as a model.

    Raises ModelFormatError if the parts do not fit together, UnsupportedModel if they make a model whose forward
    pass would not be exact here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = GGUFFile(path)
        metadata = self._file.metadata
        self.name = str(metadata.get("general.name") or path.stem)
        self.config = _config(metadata, path.name)
        _refuse_unknown_parts(self._file, self.config)
        self.tokenizer = Tokenizer.from_gguf(metadata)
        if self.tokenizer.vocabulary > self.config.vocab_size:
            raise ModelFormatError(
                f"{path.name}: the tokenizer has {self.tokenizer.vocabulary:,} tokens, "
                f"the embedding only {self.config.vocab_size:,}"
            )
        self.template = ChatTemplate.from_gguf(metadata, self.tokenizer)

    @property
    def parameters(self) -> int:
        """How many numbers the file holds."""
        return sum(torch.Size(tensor.shape).numel() for tensor in self._file.tensors.values())

    @property
    def quantization(self) -> str:
        """The storage type that holds most of the numbers."""
        sizes: Counter[str] = Counter()
        for tensor in self._file.tensors.values():
            sizes[tensor.quantization.name] += torch.Size(tensor.shape).numel()
        return sizes.most_common(1)[0][0]

    def weights(
        self, dtype: torch.dtype, device: torch.device, on_progress: Callable[[float], None] | None = None
    ) -> ModelWeights:
        """Dequantise every tensor and lay it out for the device. on_progress hears the share that is done, 0 to 1."""
        config = self.config
        linear = best_linear(device, dtype)

        def load(name: str, *shape: int) -> Tensor:
            return self._load(name, shape).to(device=device, dtype=dtype)

        hidden, inner = config.hidden_size, config.intermediate_size
        query, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        layers = []
        for index in range(config.num_layers):
            block = f"blk.{index}."
            projections = (
                _halves_apart(load(block + "attn_q.weight", query, hidden), config.num_heads),
                _halves_apart(load(block + "attn_k.weight", kv, hidden), config.num_kv_heads),
                load(block + "attn_v.weight", kv, hidden),
            )
            gates = (load(block + "ffn_gate.weight", inner, hidden), load(block + "ffn_up.weight", inner, hidden))
            layers.append(
                LayerWeights(
                    attention_norm=load(block + "attn_norm.weight", hidden),
                    qkv=linear(torch.cat(projections)),
                    output=linear(load(block + "attn_output.weight", hidden, query)),
                    mlp_norm=load(block + "ffn_norm.weight", hidden),
                    gate_up=linear(torch.cat(gates)),
                    down=linear(load(block + "ffn_down.weight", hidden, inner)),
                )
            )
            if on_progress:
                on_progress((index + 1) / (config.num_layers + 1))
        embedding = load("token_embd.weight", config.vocab_size, hidden)
        tied = "output.weight" not in self._file.tensors
        head = embedding if tied else load("output.weight", config.vocab_size, hidden)
        weights = ModelWeights(embedding, tuple(layers), load("output_norm.weight", hidden), linear(head))
        if on_progress:
            on_progress(1.0)
        return weights

    def _load(self, name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = self._file.tensors.get(name)
        if tensor is None:
            raise ModelFormatError(f"{self.path.name} has no tensor {name!r}: fetch the model again")
        if tensor.shape != shape:
            raise ModelFormatError(f"{self.path.name}: tensor {name!r} is {tensor.shape}, but its config asks {shape}")
        return dequantize(tensor, self._file.data(tensor))


def _config(metadata: Mapping[str, Any], name: str) -> ModelConfig:
    architecture = metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UnsupportedModel(name, f"the architecture {architecture!r:.40} is not known")

    def field(key: str, default: Any = None) -> Any:
        value = metadata.get(f"{architecture}.{key}", default)
        if value is None:
            raise ModelFormatError(f"{name} has no {architecture}.{key}: fetch the model again")
        return value

    heads, hidden = field("attention.head_count"), field("embedding_length")
    if not isinstance(heads, int) or not isinstance(hidden, int) or heads < 1 or hidden % heads:
        raise ModelFormatError(f"{name}: {heads!r:.20} heads do not divide a width of {hidden!r:.20}")
    return ModelConfig(
        architecture=architecture,
        num_layers=field("block_count"),
        hidden_size=hidden,
        intermediate_size=field("feed_forward_length"),
        num_heads=heads,
        num_kv_heads=field("attention.head_count_kv", heads),
        head_dim=field("attention.key_length", hidden // heads),
        vocab_size=field("vocab_size", len(metadata.get("tokenizer.ggml.tokens") or ())),
        context_length=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_theta=field("rope.freq_base", 10_000.0),
    )


def _refuse_unknown_parts(file: GGUFFile, config: ModelConfig) -> None:
    """Refuse what would change the result and is not computed here: another rotation, experts, biases."""
    metadata, name, architecture = file.metadata, file.path.name, config.architecture
    scaling = metadata.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in file.tensors:
        raise UnsupportedModel(name, f"its rotary positions are scaled ({scaling!r:.40})")
    rotated = metadata.get(f"{architecture}.rope.dimension_count", config.head_dim)
    if rotated != config.head_dim:
        raise UnsupportedModel(name, f"only {rotated!r:.20} of {config.head_dim} numbers of a head are rotated")
    if metadata.get(f"{architecture}.expert_count"):
        raise UnsupportedModel(name, "it is a mixture of experts")
    value_length = metadata.get(f"{architecture}.attention.value_length", config.head_dim)
    if value_length != config.head_dim:
        raise UnsupportedModel(name, f"its values have {value_length!r:.20} numbers, its keys {config.head_dim}")
    if extra := sorted(tensor for tensor in file.tensors if tensor.endswith(".bias")):
        raise UnsupportedModel(name, f"it has biases ({extra[0]!r:.80} and {len(extra) - 1} more)")


def _halves_apart(weight: Tensor, heads: int) -> Tensor:
    """Undo GGUF's row order for interleaved rotary pairs: rows (0, 1), (2, 3)... of each head become (0, d/2)...

    llama.cpp's converter applies the inverse, `LlamaModel.permute` in convert_hf_to_gguf.py.
    """
    rows, inputs = weight.shape
    return weight.view(heads, rows // heads // 2, 2, inputs).transpose(1, 2).reshape(rows, inputs)
