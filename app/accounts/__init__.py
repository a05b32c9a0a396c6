"""Accounts: who may log in, who asks, and how accounts are managed."""
