"""Rotary positions (arXiv:2104.09864): at which angle each pair of a head turns at each position.

The scalings are those of transformers' modeling_rope_utils.py, which names their papers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class RopeScaling(Protocol):
    """Changes the frequencies so that a model reaches beyond the context it was first trained for."""

    @property
    def attention_factor(self) -> float:
        """Multiplies cosines and sines."""
        ...

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        """Frequencies, float32 [dim / 2], for a model that is loaded for `context` tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Rope:
    """How the heads of a layer are rotated.

    theta: the base of the wavelengths. dim: how many numbers of a head are rotated, from the first on; even.
    """

    theta: float
    dim: int
    scaling: RopeScaling | None = None

    def tables(self, context: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines for positions 0 to `context` - 1: float32 [context, 1, dim / 2] each."""
        exponents = torch.arange(0, self.dim, 2, dtype=torch.float32) / self.dim
        frequencies, factor = 1.0 / (self.theta**exponents), 1.0
        if self.scaling is not None:
            frequencies = self.scaling.scale(frequencies, self.theta, context)
            factor = self.scaling.attention_factor
        angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies).unsqueeze(1)
        return (angles.cos() * factor).to(device), (angles.sin() * factor).to(device)


@dataclass(frozen=True, slots=True)
class LinearScaling:
    """Position interpolation (arXiv:2306.15595): every angle is divided by `factor`."""

    factor: float
    attention_factor: float = 1.0

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        return frequencies / self.factor


@dataclass(frozen=True, slots=True)
class DivisorScaling:
    """A divisor for each frequency, as GGUF's `rope_freqs` tensor stores what Llama 3's scaling comes to."""

    divisors: tuple[float, ...]
    attention_factor: float = 1.0

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        return frequencies / torch.tensor(self.divisors)


@dataclass(frozen=True, slots=True)
class Llama3Scaling:
    """Llama 3.1: wavelengths beyond the original context are stretched, short ones kept, a ramp between."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int
    attention_factor: float = 1.0

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        wavelengths = 2 * math.pi / frequencies
        ramp = (self.original_context / wavelengths - self.low_freq_factor) / (
            self.high_freq_factor - self.low_freq_factor
        )
        ramp = ramp.clamp(0, 1)
        return (1 - ramp) * frequencies / self.factor + ramp * frequencies


@dataclass(frozen=True, slots=True)
class YarnScaling:
    """YaRN (arXiv:2309.00071): interpolates the slow frequencies, keeps the fast ones, sharpens attention.

    beta_fast, beta_slow: turns within the original context above which a frequency is kept and below which it is
    interpolated. truncate: round the ends of the ramp outwards to whole frequencies.
    """

    factor: float
    original_context: int
    attention_factor: float
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        dim = 2 * len(frequencies)
        low = self._index_of(self.beta_fast, dim, theta)
        high = self._index_of(self.beta_slow, dim, theta)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dim - 1)
        if low == high:
            high += 0.001  # as the reference does, so that the ramp has a slope
        interpolated = ((torch.arange(len(frequencies), dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
        return frequencies / self.factor * interpolated + frequencies * (1 - interpolated)

    def _index_of(self, turns: float, dim: int, theta: float) -> float:
        """The frequency's (fractional) index that turns that often within the original context."""
        return dim * math.log(self.original_context / (turns * 2 * math.pi)) / (2 * math.log(theta))


@dataclass(frozen=True, slots=True)
class LongRopeScaling:
    """LongRoPE (arXiv:2402.13753): a divisor for each frequency, one list for short and one for long contexts.

    The list is chosen by the context the model is loaded for, as vLLM and llama.cpp do, so that cached keys stay
    valid. transformers chooses by the length so far, and is equal as long as prompts are on the same side.
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_context: int
    attention_factor: float

    def scale(self, frequencies: Tensor, theta: float, context: int) -> Tensor:
        return frequencies / torch.tensor(self.long if context > self.original_context else self.short)
