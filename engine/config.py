"""The shape of a model, as data."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ModelFormatError, UnsupportedModel

# Beyond any published model; what is larger is damage, not ambition.
MAX_SIZE = 2**24
MAX_LAYERS = 2**10


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder of the Llama kind: RMSNorm, rotary positions, grouped-query attention, gated SiLU.

    Raises ModelFormatError if the numbers cannot belong to one model.
    """

    architecture: str
    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    rms_norm_eps: float
    rope_theta: float

    def __post_init__(self) -> None:
        limits = {"num_layers": MAX_LAYERS, "context_length": 2**31}
        for name in ("num_layers", "hidden_size", "intermediate_size", "num_heads", "num_kv_heads", "head_dim",
                     "vocab_size", "context_length"):  # fmt: skip
            value = getattr(self, name)
            limit = limits.get(name, MAX_SIZE)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
                raise ModelFormatError(f"the model's {name} is {value!r:.40}, which is not from 1 to {limit:,}")
        for name in ("rms_norm_eps", "rope_theta"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 0.0 < value < 1e12:
                raise ModelFormatError(f"the model's {name} is {value!r:.40}, which is not a positive number")
        if self.num_heads % self.num_kv_heads:
            raise ModelFormatError(
                f"the model's {self.num_heads} heads cannot share {self.num_kv_heads} key-value heads evenly"
            )
        if self.head_dim % 2:
            raise UnsupportedModel(self.architecture, f"rotary positions need an even head_dim, not {self.head_dim}")

    @property
    def group(self) -> int:
        """Query heads that share one key-value head."""
        return self.num_heads // self.num_kv_heads
