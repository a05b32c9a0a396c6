"""Preferences of the person, as opposed to settings of one conversation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.store.errors import StoreError
from app.store.text import storable

if TYPE_CHECKING:
    from app.store.database import Database

DEFAULTS: dict[str, bool | int | str] = {
    # Whether the model writes a title once a new conversation has its first answer.
    "automatic_titles": True,
    # How long the trash keeps what was put into it; 0 keeps it until it is emptied.
    "trash_days": 30,
    # The model chosen last on the page, by its name among the models on disk; "" for the one Fireside comes with.
    "model": "",
}


class Preferences:
    """Named values in one database; what was never set, or is of another type in the file, is as in DEFAULTS."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> bool | int | str:
        """Raises KeyError for a name that is not in DEFAULTS."""
        default = DEFAULTS[name]
        with self._database.read() as db:
            rows = list(db.query("SELECT value FROM preferences WHERE name = ?", [name]))
        try:
            value = json.loads(rows[0]["value"]) if rows else default
        except ValueError:
            return default
        return value if type(value) is type(default) else default

    def set(self, name: str, value: bool | int | str) -> None:
        """Raises StoreError for an unknown name, a value of another type, and a negative number."""
        if name not in DEFAULTS or type(value) is not type(DEFAULTS[name]):
            raise StoreError(f"there is no preference {name!r:.40} that could be {value!r:.40}")
        if isinstance(value, int) and value < 0:
            raise StoreError(f"the preference {name} cannot be negative: {value}")
        with self._database.write() as db:
            db.execute(
                """INSERT INTO preferences (name, value) VALUES (?, ?)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
                [name, storable(json.dumps(value))],
            )
