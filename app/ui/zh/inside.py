"""What is seen inside an answer."""

from __future__ import annotations

CHINESE = {}
