"""Accounts: who may log in, who asks, and how accounts are managed."""

from __future__ import annotations

from app.accounts.login import login_routes
from app.accounts.people import COOKIE, Accounts

__all__ = ["COOKIE", "Accounts", "login_routes"]
