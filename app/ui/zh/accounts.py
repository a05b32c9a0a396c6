"""Accounts, login and keys."""

from __future__ import annotations

CHINESE = {}
