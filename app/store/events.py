"""What was done to conversations, in order, so that it can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound, StoreError
from app.store.ids import IdSource
from app.store.ownership import IS_OWNED, OWNED_CONVERSATION
from app.store.records import Event
from app.store.text import from_json, now, storable, to_json

if TYPE_CHECKING:
    from app.store.database import Database

# Kinds of events other than changes of the conversation's own columns.
DELETE_MESSAGES = "delete messages"
EDIT_MESSAGE = "edit message"
# Of the conversation's own columns: system prompt, preset, settings, policy.
CONFIGURE = "configure"
# What undoing does is recorded too, but does not come up again as the latest thing to undo.
UNDO = "undo"
# Between two movements of a slider that are one change.
ONE_CHANGE = timedelta(seconds=3)


class Events:
    """The table `events` of one database. owner: see `Store.of`."""

    def __init__(self, database: Database, ids: IdSource, owner: str | None = None) -> None:
        self._database = database
        self._ids = ids
        self._owner = owner

    def get(self, id: str) -> Event:
        """Raises NotFound."""
        with self._database.read() as db:
            rows = list(
                db.query(f"SELECT * FROM events WHERE id = ?1 AND {OWNED_CONVERSATION}", [storable(id), self._owner])
            )
        if not rows:
            raise NotFound("event", id)
        return Event.from_row(rows[0])

    def latest(self, conversation_id: str, kind: str | None = None) -> Event | None:
        """What was done last and is not undone yet; kind: of this kind, which any other undo leaves as it is."""
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT * FROM events WHERE conversation_id = ?1 AND undone_at IS NULL AND kind != ?3
                    AND kind = coalesce(?4, kind) AND {OWNED_CONVERSATION} ORDER BY id DESC LIMIT 1""",
                [storable(conversation_id), self._owner, UNDO, kind],
            )
            return next((Event.from_row(row) for row in rows), None)

    def add(self, kind: str, conversation_id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
        """Record what was done; the event's id. Raises NotFound for the conversation."""
        id = self._ids.new()
        with self._database.write() as db:
            found = f"SELECT 1 FROM conversations WHERE id = ?1 AND {IS_OWNED}"
            if not list(db.query(found, [storable(conversation_id), self._owner])):
                raise NotFound("conversation", conversation_id)
            db.execute(
                """INSERT INTO events (id, created_at, kind, conversation_id, before, after)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                (id, now(), kind, conversation_id, to_json(before), to_json(after)),
            )
        return id

    def extend(self, kind: str, conversation_id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """As `add`, but what changes the same again within seconds becomes part of the latest event.

        A slider that is drawn across its range makes a hundred changes of what is one.
        """
        with self._database.write() as db:
            latest = self.latest(conversation_id)
            if (
                latest is None
                or latest.kind != kind
                or _changed(latest.before, latest.after) != _changed(before, after)
                or abs(datetime.now(UTC) - datetime.fromisoformat(latest.created_at)) > ONE_CHANGE
            ):
                self.add(kind, conversation_id, before, after)
                return
            self.amend(latest.id, after)
            db.execute("UPDATE events SET created_at = ? WHERE id = ?", [now(), latest.id])

    def amend(self, id: str, after: Mapping[str, Any]) -> None:
        """Say what became of what an event did, where that is known only then. Raises NotFound."""
        with self._database.write() as db:
            self.get(id)
            db.execute("UPDATE events SET after = ? WHERE id = ?", [to_json(after), id])

    def undo(self, id: str) -> Event:
        """Take back what an event tells of; the event as it is then.

        A change of settings, title and so on is taken back only while it is the last word on them; a deletion always,
        until the trash is emptied; an edit by showing the branch from before, the edited one stays beside it.
        Raises NotFound; StoreError if it is undone already or something later stands in its way.
        """
        with self._database.write() as db:
            event = self.get(id)
            if event.undone_at or event.kind == UNDO:
                raise StoreError("this is undone already")
            if event.kind == DELETE_MESSAGES:
                _restore_messages(db, event)
            elif event.kind == EDIT_MESSAGE:
                _show_before(db, event)
            else:
                _restore_columns(db, event)
                self.add(UNDO, event.conversation_id, event.after, event.before)
            db.execute("UPDATE events SET undone_at = ? WHERE id = ?", [now(), event.id])
            return self.get(id)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """The columns in which two states differ; of settings, the names of those."""
    columns = {name for name in after if before.get(name) != after[name]}
    old, new = from_json(before.get("settings")), from_json(after.get("settings"))
    return columns | {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _restore_columns(db: Any, event: Event) -> None:
    [row] = db.query("SELECT * FROM conversations WHERE id = ?", [event.conversation_id])
    later = [name for name, value in event.after.items() if row[name] != value]
    if later:
        raise StoreError(f"{later[0].replace('_', ' ')} was changed again since: undo the later change first")
    values = dict(event.before)
    if values.get("preset_id") and not list(db.query("SELECT 1 FROM presets WHERE id = ?", [values["preset_id"]])):
        raise StoreError("the preset that was in use before is deleted: choose another")
    # The names come from the log in the file, so none but the table's own may pass into the statement.
    assignments = ", ".join(f"{name} = ?" for name in values if name in row)
    if assignments:
        known = [value for name, value in values.items() if name in row]
        db.execute(f"UPDATE conversations SET {assignments} WHERE id = ?", [*known, event.conversation_id])


def _restore_messages(db: Any, event: Event) -> None:
    root = event.before.get("message_id")
    rows = list(db.query("SELECT parent_id FROM messages WHERE id = ? AND deleted_by = ?", [root, event.id]))
    if not rows:
        raise StoreError("the messages are not in the trash any more")
    parent_id = rows[0]["parent_id"]
    if list(db.query("SELECT 1 FROM messages WHERE id = ? AND deleted_at IS NOT NULL", [parent_id])):
        raise StoreError("the message before these is in the trash too: restore that one first")
    db.execute("UPDATE messages SET deleted_at = NULL, deleted_by = NULL WHERE deleted_by = ?", [event.id])
    for child in event.before.get("children", ()):
        db.execute("UPDATE messages SET parent_id = ? WHERE id = ? AND parent_id IS ?", [root, child, parent_id])
    [row] = db.query("SELECT current_message_id FROM conversations WHERE id = ?", [event.conversation_id])
    # Who has gone on elsewhere since stays there.
    if row["current_message_id"] == event.after.get("current_message_id"):
        _show_before(db, event)
    elif row["current_message_id"] is None:
        # All that was shown then has been deleted since: what came back is shown.
        db.execute(
            "UPDATE conversations SET current_message_id = ? WHERE id = ?",
            [_newest_leaf(db, str(root)), event.conversation_id],
        )


def _newest_leaf(db: Any, message_id: str) -> str:
    newest = "SELECT id FROM messages WHERE parent_id = ? AND deleted_at IS NULL ORDER BY id DESC LIMIT 1"
    while below := list(db.query(newest, [message_id])):
        message_id = below[0]["id"]
    return message_id


def _show_before(db: Any, event: Event) -> None:
    """Make the current leaf what it was before, if it is still there."""
    db.execute(
        """UPDATE conversations SET current_message_id = :leaf WHERE id = :id AND EXISTS (
               SELECT 1 FROM messages WHERE id = :leaf AND conversation_id = :id AND deleted_at IS NULL)""",
        {"leaf": event.before.get("current_message_id"), "id": event.conversation_id},
    )
