"""Brings a model's tensors from their file into the form its forward pass takes, and sees that none is left over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.checkpoint.source import StoredTensor, TensorSource
from engine.config import ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.families.family import COMPUTED, Layout
from engine.linear import Dense, LinearKind, best_linear
from engine.mlp import MLP, GatedMLP, MixtureOfExperts, PlainMLP
from engine.model import LayerWeights, ModelWeights
from engine.norm import LayerNorm, Norm, RMSNorm


def load_weights(
    source: TensorSource,
    layout: Layout,
    config: ModelConfig,
    dtype: torch.dtype,
    device: torch.device,
    on_progress: Callable[[float], None] | None = None,
    linear: LinearKind | None = None,
) -> ModelWeights:
    """All weights of a model, dequantised and laid out for the device; on_progress hears the share done, 0 to 1.

    linear: the kernel of the matrix products, by default the best for the device.

    Raises ModelFormatError for a tensor that is missing or of another shape than the config asks, UnsupportedModel
    if the file holds tensors this family does not use: leaving them out would compute another model.
    """
    loader = WeightLoader(source, layout, config, dtype, device, linear or best_linear(device, dtype))
    loader.refuse_leftovers()
    layers = []
    for index in range(len(config.layers)):
        layers.append(loader.layer(index))
        if on_progress:
            on_progress((index + 1) / (len(config.layers) + 1))
    weights = loader.model(tuple(layers))
    if on_progress:
        on_progress(1.0)
    return weights


class WeightLoader:
    """Takes parts by their role; what they are called, and how they are stored, is the layout's."""

    def __init__(
        self,
        source: TensorSource,
        layout: Layout,
        config: ModelConfig,
        dtype: torch.dtype,
        device: torch.device,
        linear: LinearKind,
    ) -> None:
        self._source = source
        self._layout = layout
        self._names = layout.names
        self._config = config
        self._dtype = dtype
        self._device = device
        self._linear = linear
        self._stored = {name.removeprefix(layout.prefix): name for name in source.tensors}

    def model(self, layers: Sequence[LayerWeights]) -> ModelWeights:
        config, names = self._config, self._names
        embedding = self._tensor(f"{names.embedding}.weight", (config.vocab_size, config.hidden_size))
        if self.tied():
            head = self._linear(embedding)
        else:
            head = self._linear(*self._projection((names.head,), (config.vocab_size,), config.hidden_size))
        norm = self.norm(names.norm)
        assert norm is not None
        return ModelWeights(embedding, self._positions(), layers, norm, head)

    def layer(self, index: int) -> LayerWeights:
        config, names = self._config, self._names
        query, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        qkv = self._projection(
            names.qkv, (query, kv, kv), config.hidden_size, index, heads=(config.num_heads, config.num_kv_heads, 0)
        )
        return LayerWeights(
            attention_norm=self.norm(names.attention_norm, index),
            qkv=self._linear(*qkv),
            query_norm=self.norm(names.query_norm, index, widths=(config.head_dim, query)),
            key_norm=self.norm(names.key_norm, index, widths=(config.head_dim, kv)),
            output=self._linear(*self._projection((names.output,), (config.hidden_size,), query, index)),
            post_attention_norm=self.norm(names.post_attention_norm, index),
            mlp_norm=self.norm(names.mlp_norm, index),
            mlp=self._mixture(index) if config.layers[index].experts else self._mlp(index),
            post_mlp_norm=self.norm(names.post_mlp_norm, index),
        )

    def refuse_leftovers(self) -> None:
        config, names = self._config, self._names
        wanted = {names.embedding, names.norm, names.positions, names.head}
        for index, layer in enumerate(config.layers):
            parts = [*names.qkv, names.output, names.attention_norm, names.mlp_norm, names.post_attention_norm]
            parts += [names.post_mlp_norm, names.query_norm, names.key_norm]
            parts += [names.router] if layer.experts else [*names.gate_up, names.down]
            wanted |= {part.format(index) for part in parts if part}
            if layer.experts and config.experts is not None:
                stacks = [part for part in (*names.expert_gate_up, names.expert_down) if part]
                wanted |= {part.format(index, expert) for part in stacks for expert in range(config.experts.count)}
        left = [
            name
            for name in self._stored
            if name.removesuffix(".weight").removesuffix(".bias") not in wanted and not COMPUTED.search(name)
        ]
        if left:
            raise UnsupportedModel(
                self._source.files[0].name,
                f"it has {len(left):,} tensors that {config.family} models do not have, such as {min(left)!r:.80}",
            )

    def tied(self) -> bool:
        tied = self._config.tied_head
        return f"{self._names.head}.weight" not in self._stored if tied is None else tied

    def _positions(self) -> Tensor | None:
        if self._names.positions is None:
            return None
        return self._tensor(f"{self._names.positions}.weight", (self._config.context_length, self._config.hidden_size))

    def _mlp(self, index: int) -> MLP:
        config, names = self._config, self._names
        inner, hidden = config.intermediate_size, config.hidden_size
        outputs = (inner, inner) if config.gated_mlp else (inner,)
        up = self._linear(*self._projection(names.gate_up, outputs, hidden, index))
        down = self._linear(*self._projection((names.down,), (hidden,), inner, index))
        return (GatedMLP if config.gated_mlp else PlainMLP)(up, down, config.activation)

    def _mixture(self, index: int) -> MLP:
        config, names, experts = self._config, self._names, self._config.experts
        if experts is None or names.router is None or names.expert_down is None:
            raise UnsupportedModel(self._source.files[0].name, f"{config.family} models have no experts")
        inner, hidden = experts.intermediate_size, config.hidden_size
        gates = [self._experts(name, index, (inner, hidden)) for name in names.expert_gate_up]
        downs = self._experts(names.expert_down, index, (hidden, inner))
        mlps = [
            GatedMLP(
                self._linear(torch.cat([gate[expert] for gate in gates])),
                self._linear(downs[expert].contiguous()),
                config.activation,
            )
            for expert in range(experts.count)
        ]
        router = Dense(self._tensor(names.router.format(index) + ".weight", (experts.count, hidden)))
        return MixtureOfExperts(router, mlps, experts.per_token, normalized=experts.normalized)

    def _experts(self, name: str, index: int, shape: tuple[int, int]) -> Sequence[Tensor]:
        """One matrix for each expert, from a tensor of its own or from the stack of all."""
        assert self._config.experts is not None
        count = self._config.experts.count
        if name.count("{}") == 1:
            return self._tensor(name.format(index) + ".weight", (count, *shape)).unbind()
        return [self._tensor(name.format(index, expert) + ".weight", shape) for expert in range(count)]

    def _projection(
        self,
        names: tuple[str, ...],
        outputs: tuple[int, ...],
        inputs: int,
        index: int = 0,
        heads: tuple[int, ...] = (),
    ) -> tuple[Tensor, Tensor | None]:
        """Weight [sum of outputs, inputs] and bias of one or several projections of the same input, stacked.

        names: one for each of `outputs`, or a single one if the file holds them stacked. heads: into how many each
        is divided, where that matters to the order of its rows; 0 where it does not.
        """
        if len(names) == 1:
            outputs = (sum(outputs),)
        weights = []
        for name, size, parts in zip(names, outputs, self._parted(names, heads), strict=True):
            shape = (inputs, size) if self._layout.transposed else (size, inputs)
            weight = self._tensor(name.format(index) + ".weight", shape)
            weight = weight.t().contiguous() if self._layout.transposed else weight
            weights.append(halves_apart(weight, parts) if parts else weight)
        return torch.cat(weights), self.bias(names, outputs, index, heads)

    def bias(
        self, names: tuple[str, ...], outputs: tuple[int, ...], index: int = 0, heads: tuple[int, ...] = ()
    ) -> Tensor | None:
        """Bias [sum of outputs] of projections that are stacked; None if none has one."""
        if len(names) == 1:
            outputs = (sum(outputs),)
        biases, any_stored = [], False
        for name, size, parts in zip(names, outputs, self._parted(names, heads), strict=True):
            name = name.format(index) + ".bias"
            if name not in self._stored:
                biases.append(torch.zeros(size, dtype=self._dtype, device=self._device))
                continue
            any_stored = True
            bias = self._tensor(name, (size,))
            biases.append(halves_apart(bias, parts) if parts else bias)
        return torch.cat(biases) if any_stored else None

    def stored_rows(
        self, names: tuple[str, ...], outputs: tuple[int, ...], inputs: int, index: int = 0, heads: tuple[int, ...] = ()
    ) -> list[tuple[str, Tensor]]:
        """The same projections as they are stored: each one's storage type and rows, uint8 [outputs, row's bytes]."""
        if len(names) == 1:
            outputs = (sum(outputs),)
        found = []
        for name, size, parts in zip(names, outputs, self._parted(names, heads), strict=True):
            stored = self._require(name.format(index) + ".weight", (size, inputs))
            rows = self._source.stored(self._stored[name.format(index) + ".weight"]).view(size, -1)
            found.append((stored.quantization, halves_apart(rows, parts) if parts else rows))
        return found

    def _parted(self, names: tuple[str, ...], heads: tuple[int, ...]) -> list[int]:
        """Into how many heads the rows of each projection are divided, 0 where their order needs no change."""
        if not self._layout.interleaved or len(names) == 1:
            return [0] * len(names)
        return [*heads, *[0] * (len(names) - len(heads))]

    def norm(self, name: str | None, index: int = 0, widths: tuple[int, ...] = ()) -> Norm | None:
        """A norm of one of `widths`, by default the model's width."""
        if name is None:
            return None
        name = name.format(index)
        widths = widths or (self._config.hidden_size,)
        stored = self._source.tensors.get(self._stored.get(name + ".weight", ""))
        width = stored.shape[0] if stored and stored.shape in [(width,) for width in widths] else widths[-1]
        weight = self._tensor(name + ".weight", (width,))
        if self._layout.norm_offset:
            weight = (weight.float() + self._layout.norm_offset).to(self._dtype)
        if self._config.norm == "rms":
            return RMSNorm(weight, self._config.norm_eps)
        return LayerNorm(weight, self._tensor(name + ".bias", (width,)), self._config.norm_eps)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        self._require(name, shape)
        return self._source.load(self._stored[name]).to(device=self._device, dtype=self._dtype)

    def _require(self, name: str, shape: tuple[int, ...]) -> StoredTensor:
        file = self._source.files[0].name
        if name not in self._stored:
            raise ModelFormatError(f"{file} has no tensor {name!r:.80}: fetch the model again")
        stored = self._source.tensors[self._stored[name]]
        if stored.shape != shape:
            raise ModelFormatError(f"{file}: tensor {name!r:.80} is {stored.shape}, but its config asks {shape}")
        return stored


def halves_apart(rows: Tensor, heads: int) -> Tensor:
    """Undo GGUF's row order for interleaved rotary pairs: rows (0, 1), (2, 3)... of each head become (0, d/2)...

    llama.cpp's converter applies the inverse, `LlamaModel.permute` in convert_hf_to_gguf.py.
    """
    pairs = len(rows) // heads // 2
    return rows.view(heads, pairs, 2, -1).transpose(1, 2).reshape(rows.shape)
