"""Who may use the API."""

from __future__ import annotations

from starlette.requests import Request

from app.accounts.people import person
from app.api.errors import ApiError
from app.api.keeping import Keeper
from app.store import Store
from app.workspace import OWNER

# Where clients put their keys: OpenAI's, those of Anthropic's kind, Azure's.
KEY_HEADERS = ("x-api-key", "api-key")
BEARER = "bearer"


class Gate:
    """Lets requests pass that have a good key, and all of them where none is needed.

    A key is needed once there was one, once there are accounts, and always where `always` says so, as beyond this
    computer. Whose key it is comes into the scope as `user`, see `app.workspace`; and a Keeper as `keeper`, if the key
    says that its chats are kept.
    """

    def __init__(self, store: Store, *, always: bool = False) -> None:
        self._store = store
        self._keys = store.keys
        self._users = store.users
        self._always = always

    def __call__(self, request: Request) -> None:
        """Raises ApiError. Of several keys in one request all must be good: which one counts is no matter of order."""
        accounts = self._users.any()
        if not (self._always or accounts or self._keys.any()):
            request.scope["user"] = OWNER
            return
        keys = _keys_of(request)
        found = [self._keys.find(key) for key in keys]
        owners = {each.owner if each else None for each in found}
        # With accounts, a key is somebody's; of one request all are the same person's.
        if not keys or not all(found) or len(owners) != 1 or (accounts and None in owners):
            what = "this API key is not good" if keys else "an API key is needed"
            raise ApiError(
                f"{what}: 'fireside key add NAME' makes one, which is sent as 'Authorization: Bearer KEY'",
                401,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        [owner] = owners
        request.scope["user"] = person(self._users.get(owner)) if owner else OWNER
        if (key := found[0]) and all(each and each.keep for each in found):
            request.scope["keeper"] = Keeper(self._store.of(owner) if owner else self._store, key.name)


def _keys_of(request: Request) -> list[str]:
    keys = [value.strip() for name in KEY_HEADERS for value in request.headers.getlist(name)]
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.strip().partition(" ")
        # Another scheme is no key, and no key is not a good one.
        keys.append(key.strip() if scheme.lower() == BEARER else "")
    return keys
