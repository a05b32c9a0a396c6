"""Reads how a model's heads are rotated, in the older and the newer style of config.json."""

from __future__ import annotations

import math

from engine.errors import ModelFormatError, UnsupportedModel
from engine.families.fields import Fields
from engine.rope import (
    DivisorScaling,
    LinearScaling,
    Llama3Scaling,
    LongRopeScaling,
    Rope,
    RopeScaling,
    YarnScaling,
)

DEFAULT_THETA = 10_000.0


def read_rope(
    fields: Fields, head_dim: int, *, theta: float = DEFAULT_THETA, rotated: float = 1.0, kind: str | None = None
) -> Rope:
    """The rotation of a model's layers.

    theta and rotated (the share of a head that is rotated) are what holds where the settings do not say.
    kind: of layer, where `rope_parameters` has one entry for each. Raises UnsupportedModel for a scaling that is not
    known.
    """
    settings = fields.child("rope_parameters")
    if settings is not None and kind is not None:
        settings = settings.child(kind)
    if settings is None:
        settings = fields.child("rope_scaling")
    fallback = fields.number("rope_theta", theta)
    share = fields.number("partial_rotary_factor", rotated)
    if settings is None:
        return Rope(fallback, fields.integer("rotary_dim", int(head_dim * share)))
    dim = fields.integer("rotary_dim", int(head_dim * settings.number("partial_rotary_factor", share)))
    return Rope(settings.number("rope_theta", fallback), dim, _scaling(settings, fields, dim // 2))


def _scaling(settings: Fields, fields: Fields, frequencies: int) -> RopeScaling | None:
    # The older style calls it `type`.
    name = settings.text("rope_type", settings.text("type", "default"))
    if name in ("default", "none"):
        return None
    if name == "linear":
        return LinearScaling(_above_zero(settings, "factor"))
    if name == "llama3":
        return Llama3Scaling(
            factor=_above_zero(settings, "factor"),
            low_freq_factor=_above_zero(settings, "low_freq_factor"),
            high_freq_factor=_above_zero(settings, "high_freq_factor"),
            original_context=_original_context(settings, fields),
        )
    if name == "yarn":
        return _yarn(settings, fields)
    if name in ("longrope", "su"):  # its first name
        return _longrope(settings, fields, frequencies)
    if name == "divisors":  # GGUF's rope_freqs
        return DivisorScaling(_divisors(settings, "divisors", frequencies))
    raise UnsupportedModel(fields.source, f"its rotary positions are scaled in an unknown way ({name!r:.40})")


def _yarn(settings: Fields, fields: Fields) -> YarnScaling:
    original = _original_context(settings, fields)
    factor = settings.number("factor", None) or fields.integer("max_position_embeddings") / original
    scale, all_dims = settings.number("mscale", None), settings.number("mscale_all_dim", None)
    attention = settings.number("attention_factor", None)
    if attention is None and scale and all_dims:
        attention = _yarn_attention(factor, scale) / _yarn_attention(factor, all_dims)
    return YarnScaling(
        factor=factor,
        original_context=original,
        attention_factor=_yarn_attention(factor) if attention is None else attention,
        beta_fast=settings.number("beta_fast", 32.0),
        beta_slow=settings.number("beta_slow", 1.0),
        truncate=settings.flag("truncate", True),
    )


def _yarn_attention(factor: float, scale: float = 1.0) -> float:
    """YaRN, equation 22."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _longrope(settings: Fields, fields: Fields, frequencies: int) -> LongRopeScaling:
    original = _original_context(settings, fields)
    attention = settings.number("attention_factor", None)
    if attention is None:
        factor = settings.number("factor", None) or fields.integer("max_position_embeddings") / original
        attention = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return LongRopeScaling(
        short=_divisors(settings, "short_factor", frequencies),
        long=_divisors(settings, "long_factor", frequencies),
        original_context=original,
        attention_factor=attention,
    )


def _original_context(settings: Fields, fields: Fields) -> int:
    name = "original_max_position_embeddings"
    context = settings.integer(name, fields.integer(name, fields.integer("max_position_embeddings")))
    if not 2 <= context <= 2**31:
        raise ModelFormatError(f"{settings.source}: {name} is {context:,}, which is not from 2 to {2**31:,}")
    return context


def _above_zero(settings: Fields, name: str) -> float:
    value = settings.number(name)
    if value <= 0:
        raise ModelFormatError(f"{settings.source}: {name} must be above 0, not {value:g}")
    return value


def _divisors(settings: Fields, name: str, frequencies: int) -> tuple[float, ...]:
    values = settings.numbers(name)
    if len(values) != frequencies or min(values, default=0) <= 0:
        raise ModelFormatError(f"{settings.source}: {name} must be {frequencies} numbers above 0, not {len(values)}")
    return values
