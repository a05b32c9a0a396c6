"""Whose request it is, and what that person may reach.

The guard finds out who asks and puts the Person into the ASGI scope as `user`; there is no other source. Routes and
handlers are not given the store and the chats but `Workspaces`, or the Workspace of the person who asks:

- a route takes the `Request` and calls `workspaces.of(request)`;
- the page's handlers are made anew for each event, with the Workspace of whoever caused it (`app.ui.events`), so that
  their `self.store` and `self.chats` are that person's, and others' things are not there;
- what only an administrator may do begins with `workspace.require_admin()`.

Without accounts there is one person, the OWNER, who has everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.chats import Chats
from app.errors import AppError
from app.person import OWNER, Person
from app.store import Store

__all__ = ["OWNER", "NotAllowed", "NotLoggedIn", "Person", "Workspace", "Workspaces"]


class NotAllowed(AppError):
    """Only an administrator may do that."""


class NotLoggedIn(AppError):
    """Nobody is known to have made the request: the guard let it pass that should not have, or did not see it."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one person has: a store and chats that hold what is theirs, and nothing of others'."""

    person: Person
    store: Store
    chats: Chats

    def require_admin(self) -> None:
        """Raises NotAllowed unless the person manages models and engine: an administrator, or the one owner."""
        if not self.person.admin:
            raise NotAllowed("only an administrator can do that: ask one")

    @property
    def notices(self) -> list[str]:
        """What the person has to know of the database: they name folders, so that only administrators read them."""
        return list(self.store.notices) if self.person.admin else []


class Workspaces:
    """The workspaces of one store and its chats."""

    def __init__(self, store: Store, chats: Chats) -> None:
        self._store = store
        self._chats = chats

    def of(self, request: Any) -> Workspace:
        """Of the person who made a request, Starlette's or Gradio's; raises NotLoggedIn."""
        # Gradio's wraps Starlette's.
        person = getattr(request, "request", request).scope.get("user")
        if not isinstance(person, Person):
            raise NotLoggedIn("log in first")
        return self.for_person(person)

    def for_person(self, person: Person) -> Workspace:
        """Raises NotLoggedIn for the owner of a folder that has accounts meanwhile."""
        if person.id is not None:
            return Workspace(person, self._store.of(person.id), self._chats.of(person.id))
        if self._store.users.any():
            raise NotLoggedIn("log in first")
        return Workspace(person, self._store, self._chats)
