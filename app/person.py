"""Who asks; see `app.workspace`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. id: of `store.users`; None for the one owner of a folder without accounts."""

    id: str | None
    name: str
    admin: bool


OWNER = Person(None, "", admin=True)
