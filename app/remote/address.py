"""Where an engine is: one parser for what a person gave, and for what is asked of it then."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from app.remote.errors import BadAddress


@dataclass(frozen=True, slots=True)
class Address:
    """base: where the API is, such as `http://host:8000/v1`, without a slash at its end. root: the server itself.

    key: sent as a bearer token, never shown; "" for none.
    """

    base: str
    root: str
    key: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, key: str = "") -> Address:
        """Raises BadAddress for what is no http address, or holds a password, a query or a fragment."""
        try:
            parsed = httpx.URL(url.strip())
        except httpx.InvalidURL as error:
            raise BadAddress(f"{url!r:.100} is no address: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise BadAddress(f"{url!r:.100} is no address of an engine: write it as http://host:8000/v1")
        if parsed.userinfo or parsed.query or parsed.fragment or "\\" in url:
            # Not repeated: what stands before the @ may be a password.
            raise BadAddress("an engine's address has no password, query or fragment: its key is given by itself")
        if not (key.isascii() and all(character.isprintable() and character != " " for character in key)):
            raise BadAddress("an engine's key has only letters, digits and signs of ASCII")
        path = parsed.path.rstrip("/") or "/v1"
        base = str(parsed.copy_with(path=path))
        return cls(base, base.removesuffix("/v1"), key)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request. Nothing compressed is taken: it would have no bound on what it becomes."""
        plain = {"Accept-Encoding": "identity"}
        return plain | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
