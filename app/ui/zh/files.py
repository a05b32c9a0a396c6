"""Imports and exports."""

from __future__ import annotations

CHINESE = {}
