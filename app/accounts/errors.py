"""What can go wrong with accounts."""

from __future__ import annotations

from app.errors import AppError


class LoginRefused(AppError):
    """The name is unknown or the password is wrong; which of both is not told."""

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong")


class TooManyAttempts(AppError):
    """Passwords were tried too often. seconds: until the next may be."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds))
        super().__init__(f"too many attempts: try again in {self.seconds} seconds")


class PasswordRefused(AppError):
    """The password is too short or too long to be one."""
