"""Passwords: kept as argon2id hashes, checked in the same time whether or not the name is known."""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.accounts.errors import PasswordRefused
from app.store.text import storable

SHORTEST, LONGEST = 8, 1_000

# The defaults of argon2-cffi are the second of RFC 9106's recommendations: 64 MiB and some 50 ms each.
_hasher = PasswordHasher()
# One at a time, so that many attempts do not take the memory and the cores of the model.
_lock = threading.Lock()


def hash_password(password: str) -> str:
    """The hash to keep; raises PasswordRefused for less than 8 or more than 1,000 characters."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"a password has {SHORTEST} to {LONGEST:,} characters, not {len(password):,}")
    with _lock:
        return _hasher.hash(storable(password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether it is the password of this hash; None: of nobody, which takes as long and is never right."""
    with _lock:
        # Also where it is not needed, or its first use would tell that the name is unknown.
        nobody = _nobody()
        try:
            _hasher.verify(password_hash or nobody, storable(password[: LONGEST + 1]))
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


@cache
def _nobody() -> str:
    """The hash of nothing anybody knows: what is verified for a name that is unknown."""
    return _hasher.hash(secrets.token_urlsafe())
