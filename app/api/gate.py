"""Who may use the API."""

from __future__ import annotations

from starlette.requests import Request

from app.api.errors import ApiError
from app.store.keys import Keys

# Where clients put their keys: OpenAI's, those of Anthropic's kind, Azure's.
KEY_HEADERS = ("x-api-key", "api-key")
BEARER = "bearer"


class Gate:
    """Lets requests pass that have a good key, and all of them where none is needed.

    always: whether a key is needed even if there was never one, as beyond this computer.
    """

    def __init__(self, keys: Keys, *, always: bool = False) -> None:
        self._keys = keys
        self._always = always

    def __call__(self, request: Request) -> None:
        """Raises ApiError. Of several keys in one request all must be good: which one counts is no matter of order."""
        if not (self._always or self._keys.any()):
            return
        keys = _keys_of(request)
        if not keys or not all(self._keys.good(key) for key in keys):
            what = "this API key is not good" if keys else "an API key is needed"
            raise ApiError(
                f"{what}: 'fireside key add NAME' makes one, which is sent as 'Authorization: Bearer KEY'",
                401,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _keys_of(request: Request) -> list[str]:
    keys = [value.strip() for name in KEY_HEADERS for value in request.headers.getlist(name)]
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.strip().partition(" ")
        # Another scheme is no key, and no key is not a good one.
        keys.append(key.strip() if scheme.lower() == BEARER else "")
    return keys
