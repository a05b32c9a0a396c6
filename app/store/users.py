"""Users: the people who have accounts, and their sessions."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound, StoreError
from app.store.ids import IdSource
from app.store.records import Record
from app.store.text import now, storable

if TYPE_CHECKING:
    from app.store.database import Database

MAX_NAME = 80
# Of 256 random bits nothing can be guessed, so a hash that is quick to compute is enough.
TOKEN_BYTES = 32
# A session ends so long after it was used last, and at any rate so long after it began.
IDLE = timedelta(days=14)
LONGEST = timedelta(days=90)
# How often it is written down that a session is in use.
NOTED = timedelta(minutes=10)
# The tables whose rows have an owner.
OWNED = ("conversations", "presets", "api_keys")


@dataclass(frozen=True, slots=True)
class User(Record):
    """Someone with an account. admin: may manage models, engine and accounts."""

    id: str
    name: str
    password_hash: str
    admin: bool
    created_at: str


class Users:
    """The users of one database and their sessions. Without any, everything belongs to one person without a name."""

    def __init__(self, database: Database, ids: IdSource) -> None:
        self._database = database
        self._ids = ids

    def any(self) -> bool:
        """Whether there are accounts."""
        with self._database.read() as db:
            return bool(list(db.query("SELECT 1 FROM users LIMIT 1")))

    def list(self) -> list[User]:
        """By name."""
        with self._database.read() as db:
            return [User.from_row(row) for row in db.query("SELECT * FROM users ORDER BY name")]

    def get(self, id: str) -> User:
        """Raises NotFound."""
        return self._one("id", id)

    def named(self, name: str) -> User:
        """Case does not matter. Raises NotFound."""
        return self._one("name", " ".join(storable(name).split()))

    def add(self, name: str, password_hash: str, *, admin: bool = False) -> tuple[User, int]:
        """A new user; the first is an administrator and takes over what is there, and how many conversations that are.

        Raises StoreError for a name that is empty, overlong or taken.
        """
        name = " ".join(storable(name).split())
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise StoreError(f"the name of a user has 1 to {MAX_NAME} characters: choose another than {name!r:.100}")
        id = self._ids.new()
        with self._database.write() as db:
            first = not self.any()
            if list(db.query("SELECT 1 FROM users WHERE name = ?", [name])):
                raise StoreError(f"there is a user named {name!r} already: choose another name")
            db.execute(
                "INSERT INTO users (id, name, password_hash, admin, created_at) VALUES (?, ?, ?, ?, ?)",
                [id, name, password_hash, int(admin or first), now()],
            )
            taken = self._hand_over(db, None, id) if first else 0
            return self.get(id), taken

    def set_password(self, id: str, password_hash: str) -> None:
        """Also ends all sessions of the user. Raises NotFound."""
        with self._database.write() as db:
            self.get(id)
            db.execute("UPDATE users SET password_hash = ? WHERE id = ?", [password_hash, id])
            db.execute("DELETE FROM sessions WHERE user_id = ?", [id])

    def conversations(self, id: str) -> int:
        """How many a user has, those in the trash too."""
        with self._database.read() as db:
            return next(iter(db.query("SELECT count(*) AS n FROM conversations WHERE owner = ?", [id])))["n"]

    def remove(self, id: str, heir: str | None) -> int:
        """Remove a user with all sessions; what the user had belongs to the heir then, and how many conversations.

        The last user's belongs to the folder's one owner again: heir None. Raises NotFound; StoreError if others would
        be left without an administrator, or with an heir of None.
        """
        with self._database.write() as db:
            user = self.get(id)
            others = [each for each in self.list() if each.id != user.id]
            if others and not any(each.admin for each in others):
                raise StoreError(f"{user.name} is the only administrator: add another first, or remove the others")
            if others and heir is None:
                raise StoreError(f"what {user.name} has must go to somebody: say to whom")
            if heir is not None and self.get(heir).id == user.id:
                raise StoreError(f"{user.name} cannot take over from {user.name}: name somebody else")
            db.execute("UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE owner = ?", [now(), user.id])
            handed = self._hand_over(db, user.id, heir)
            db.execute("DELETE FROM users WHERE id = ?", [user.id])
            return handed

    def begin_session(self, user_id: str) -> str:
        """A new session; its token, which nobody can read later."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        time = now()
        with self._database.write() as db:
            db.execute("DELETE FROM sessions WHERE used_at < ? OR created_at < ?", [_ago(IDLE), _ago(LONGEST)])
            db.execute(
                "INSERT INTO sessions (token_hash, user_id, created_at, used_at) VALUES (?, ?, ?, ?)",
                [_hash(token), user_id, time, time],
            )
        return token

    def of_session(self, token: str) -> User | None:
        """Whose session it is; None for one that is unknown or has ended."""
        token_hash = _hash(token)
        with self._database.read() as db:
            rows = list(
                db.query(
                    """SELECT users.*, sessions.used_at FROM sessions JOIN users ON users.id = user_id
                       WHERE token_hash = ? AND used_at >= ? AND sessions.created_at >= ?""",
                    [token_hash, _ago(IDLE), _ago(LONGEST)],
                )
            )
        if not rows:
            return None
        if rows[0]["used_at"] < _ago(NOTED):
            with self._database.write() as db:
                db.execute("UPDATE sessions SET used_at = ? WHERE token_hash = ?", [now(), token_hash])
        return User.from_row(rows[0])

    def end_session(self, token: str) -> None:
        """Does nothing for one that is unknown."""
        with self._database.write() as db:
            db.execute("DELETE FROM sessions WHERE token_hash = ?", [_hash(token)])

    def _one(self, column: str, value: str) -> User:
        with self._database.read() as db:
            rows = list(db.query(f"SELECT * FROM users WHERE {column} = ?", [storable(value)]))
        if not rows:
            raise NotFound("user", value)
        return User.from_row(rows[0])

    def _hand_over(self, db: Any, giver: str | None, heir: str | None) -> int:
        """Everything of one owner becomes another's; how many conversations."""
        # Names are unique among those of one owner.
        for table in ("presets", "api_keys"):
            taken = f"SELECT 1 FROM {table} AS theirs WHERE theirs.owner IS ?2 AND theirs.name = {table}.name"
            db.execute(
                f"UPDATE {table} SET name = substr(name, 1, 50) || ' ' || id WHERE owner IS ?1 AND EXISTS ({taken})",
                [giver, heir],
            )
            builtin = " AND NOT builtin" if table == "presets" else ""
            db.execute(f"UPDATE {table} SET owner = ?2 WHERE owner IS ?1{builtin}", [giver, heir])
        return db.execute("UPDATE conversations SET owner = ?2 WHERE owner IS ?1", [giver, heir]).rowcount


def _hash(token: str) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(storable(token).encode()).hexdigest()


def _ago(span: timedelta) -> str:
    return (datetime.now(UTC) - span).isoformat(timespec="milliseconds")
