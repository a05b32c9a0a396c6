"""Base of the errors a user meets; each room of `app` derives its own."""

from __future__ import annotations


class AppError(Exception):
    """Something a user can act on; `str(error)` is one line that says what is wrong and what to do."""
