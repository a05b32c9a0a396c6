"""Keys of the API: named, shown once, kept as hashes, revoked for good."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.errors import StoreError
from app.store.ids import IdSource
from app.store.records import Record
from app.store.text import now, storable

if TYPE_CHECKING:
    from app.store.database import Database

PREFIX = "fs-"
# Of 256 random bits nothing can be guessed, so a hash that is quick to compute is enough.
SECRET_BYTES = 32
# What a list shows of a key, for people to tell theirs by.
SHOWN = len(PREFIX) + 4
MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class ApiKey(Record):
    """A key as it is kept. start: its first characters. revoked_at: None while it is good. owner: whose it is.
    keep: whether the chats that it asks for are kept.
    """

    id: str
    name: str
    start: str
    created_at: str
    revoked_at: str | None
    owner: str | None
    keep: bool


class Keys:
    """The keys of one database. owner: see `Store.of`; `any`, `good` and `find` are of all keys."""

    def __init__(self, database: Database, ids: IdSource, owner: str | None = None) -> None:
        self._database = database
        self._ids = ids
        self._owner = owner

    def add(self, name: str, *, keep: bool = False) -> str:
        """Make a key and return it: nobody can read it later. keep: keep the chats that it asks for.

        Raises StoreError for a name that is empty, overlong or that of a key that is good.
        """
        name = storable(name).strip()
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise StoreError(f"the name of a key has 1 to {MAX_NAME} characters: choose another than {name!r:.100}")
        key = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        with self._database.write() as db:
            taken = "SELECT 1 FROM api_keys WHERE name = ? AND revoked_at IS NULL AND owner IS ?"
            if list(db.query(taken, [name, self._owner])):
                raise StoreError(f"there is a key named {name!r} already: choose another name, or remove that one")
            db.execute(
                "INSERT INTO api_keys (id, name, hash, start, created_at, owner, keep) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [self._ids.new(), name, _hash(key), key[:SHOWN], now(), self._owner, int(keep)],
            )
        return key

    def list(self) -> list[ApiKey]:
        """All there ever were, the oldest first."""
        with self._database.read() as db:
            rows = db.query("SELECT * FROM api_keys WHERE ?1 IS NULL OR owner = ?1 ORDER BY id", [self._owner])
            return [ApiKey.from_row(row) for row in rows]

    def revoke(self, name: str) -> None:
        """From now on the key is none. Raises StoreError if no good key has this name."""
        with self._database.write() as db:
            revoked = db.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL AND owner IS ?",
                [now(), storable(name), self._owner],
            )
            if not revoked.rowcount:
                raise StoreError(f"no key is named {name!r:.100}: 'fireside key list' shows those there are")

    def any(self) -> bool:
        """Whether there was ever one: who has begun to use keys does not open the door by revoking the last."""
        with self._database.read() as db:
            return bool(list(db.query("SELECT 1 FROM api_keys LIMIT 1")))

    def good(self, key: str) -> bool:
        """Whether this is a key that was not revoked; takes equally long whichever it resembles."""
        return self.find(key) is not None

    def find(self, key: str) -> ApiKey | None:
        """What is kept of a key, None if it is none or was revoked; takes equally long whichever it resembles."""
        given, found = _hash(key), None
        with self._database.read() as db:
            for row in db.query("SELECT * FROM api_keys WHERE revoked_at IS NULL"):
                if hmac.compare_digest(given, row["hash"]):
                    found = ApiKey.from_row(row)
        return found


def _hash(key: str) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(storable(key).encode()).hexdigest()
