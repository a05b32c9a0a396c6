"""The people who have accounts: who asks, logging in and out, and changes of accounts."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.types import Scope

from app.accounts.attempts import Attempts
from app.accounts.errors import LoginRefused
from app.accounts.passwords import hash_password, verify_password
from app.person import OWNER, Person
from app.store import NotFound, Store
from app.store.users import User

COOKIE = "fireside_session"


class Accounts:
    """The accounts of one store; safe to use from any thread.

    required: whether nobody gets in without an account even if there is none, as beyond this computer.
    """

    def __init__(self, store: Store, *, required: bool = False) -> None:
        self._store = store
        self._users = store.users
        self._required = required
        self._attempts = Attempts()

    @property
    def needed(self) -> bool:
        """Whether one has to log in."""
        return self._required or self._users.any()

    def who(self, scope: Scope) -> Person | None:
        """The person whose session the request carries, the owner where there are no accounts, None for anyone else."""
        if not self.needed:
            return OWNER
        token = session_token(scope)
        return person(self._users.of_session(token)) if token else None

    def log_in(self, name: str, password: str, address: str) -> str:
        """The token of a new session. Raises LoginRefused, and TooManyAttempts. address: where the request is from."""
        name = " ".join(name.split()).casefold()[:100]
        self._attempts.count(address, name)
        try:
            user = self._users.named(name)
        except NotFound:
            user = None
        if not verify_password(user.password_hash if user else None, password) or user is None:
            raise LoginRefused
        self._attempts.succeeded(address, name)
        return self._users.begin_session(user.id)

    def log_out(self, token: str) -> None:
        """End a session."""
        self._users.end_session(token)

    def add(self, name: str, password: str, *, admin: bool = False) -> tuple[User, int]:
        """A new user; how many conversations the user has taken over, as the first.

        Raises PasswordRefused, StoreError.
        """
        return self._users.add(name, hash_password(password), admin=admin)

    def set_password(self, name: str, password: str) -> User:
        """Also ends the user's sessions. Raises NotFound, PasswordRefused."""
        user = self._users.named(name)
        self._users.set_password(user.id, hash_password(password))
        return user

    def remove(self, name: str, heir: str | None) -> int:
        """Remove a user; how many conversations the heir has got. Raises NotFound, StoreError. See `Users.remove`."""
        user = self._users.named(name)
        return self._users.remove(user.id, self._users.named(heir).id if heir else None)


def person(user: User | None) -> Person | None:
    """The user as a request has it."""
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
