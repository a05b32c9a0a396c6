"""Accounts: who asks, by the session of the browser."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.types import Scope

from app.store import Store
from app.workspace import OWNER, Person

COOKIE = "fireside_session"


class Accounts:
    """Finds out who makes a request."""

    def __init__(self, store: Store) -> None:
        self._users = store.users

    def who(self, scope: Scope) -> Person | None:
        """The person whose session the request carries, the owner where there are no accounts, None for anyone else."""
        if not self._users.any():
            return OWNER
        user = self._users.of_session(session_token(scope))
        return Person(user.id, user.name, user.admin) if user else None


def session_token(scope: Scope) -> str:
    """The token in the request's cookie, "" if there is none."""
    cookies = SimpleCookie()
    for name, value in scope["headers"]:
        if name.lower() == b"cookie":
            try:
                cookies.load(value.decode("latin-1"))
            except CookieError:
                return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
