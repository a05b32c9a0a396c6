"""Quantities in words."""

from __future__ import annotations


def gigabytes(count: int) -> str:
    """Bytes in words, in decimal units."""
    return f"{count / 1e9:,.1f} GB" if count >= 0.95e9 else f"{count / 1e6:,.0f} MB"
