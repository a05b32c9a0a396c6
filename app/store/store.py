"""The store: everything that is kept, in one SQLite file of one data folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Self

from app.store.backup import Backups, flush
from app.store.branches import Branches
from app.store.conversations import Conversations
from app.store.database import Database
from app.store.errors import HomeNotWritable, StoreError
from app.store.events import Events
from app.store.ids import IdSource
from app.store.imports import Imports
from app.store.keys import Keys
from app.store.lock import HomeLock
from app.store.messages import Messages
from app.store.opening import open_database, restore
from app.store.preferences import Preferences
from app.store.presets import Presets
from app.store.trash import Trash
from app.store.users import Users

DATABASE = "fireside.db"

log = logging.getLogger(__name__)


class Store:
    """Conversations, messages and presets; safe to use from any thread. Close it, or use it in a `with`
    block.

    home: the data folder. recovered: answers that were being written when the last process died, and were
    marked interrupted as this one opened. notices: what the user has to know of the database, a line each; any
    thread may add one.
    """

    def __init__(self, home: Path, lock: HomeLock, database: Database, notices: list[str]) -> None:
        self.home = home
        self.notices = notices
        self.backups = Backups(database.path)
        self.preferences = Preferences(database)
        self._lock = lock
        self._database = database
        self._ids = ids = IdSource()
        self._furnish(None)
        self.users = Users(database, ids)
        # The clock may be behind the one that made the newest ids.
        with database.read() as db:
            for table in ("conversations", "messages", "events", "api_keys", "users"):
                ids.seen(next(iter(db.query(f"SELECT max(id) AS id FROM {table}")))["id"])
        self.recovered = self.messages.interrupt()
        self.imports = Imports(database, ids, self.presets)
        # The log is in its folder for good, or its absence would later be taken for a loss.
        flush(home)
        lock.use_wal(True)

    @classmethod
    def open(cls, home: Path) -> Store:
        """Open the data folder, creating what is missing; a damaged database is replaced, see `notices`.

        Raises HomeNotWritable, HomeLocked, DatabaseNewer with the file left as it is, DiskRefused, and BackupFailed
        if a migration cannot be begun for want of a backup.
        """
        lock = _hold(home)
        try:
            database, notices = open_database(home / DATABASE, lock)
            try:
                return cls(home, lock, database, notices)
            except BaseException:
                database.close()
                raise
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def restore(home: Path, backup: Path) -> tuple[int, Path | None]:
        """Put a backup in the place of the data folder's database, while no process works there.

        Returns how many messages it has, and the folder that keeps what was there. Raises HomeNotWritable, HomeLocked,
        and BackupFailed, DatabaseNewer or DiskRefused with everything left as it was.
        """
        lock = _hold(home)
        try:
            restored = restore(backup, home / DATABASE)
            lock.use_wal(False)
            lock.doubt(False)
            return restored
        finally:
            lock.release()

    def of(self, owner: str) -> Store:
        """The same store as one person sees it: every room has what belongs to that user, and nothing else.

        What belongs to others is as if it were not there: asked for by its id, it raises NotFound. What is made belongs
        to that user. The store itself is unbounded: it is for a folder without accounts, and for the server's own work.
        Whoever answers a request asks `app.workspace.Workspaces` for the store, which is bounded where there are
        accounts.
        """
        theirs = copy(self)
        theirs._furnish(owner)
        theirs.imports = self.imports.of(owner)
        theirs.trash.erase_too = lambda: self.trash.erase_too()
        return theirs

    def of_user(self, name: str | None) -> Store:
        """As `of`, of the user with a name; None: of the one owner of a folder without accounts.

        Raises NotFound, and StoreError where there are accounts and none is named.
        """
        if name is not None:
            return self.of(self.users.named(name).id)
        if self.users.any():
            names = ", ".join(user.name for user in self.users.list())
            raise StoreError(f"this data folder has accounts: say whose with --user NAME, one of {names:.200}")
        return self

    def _furnish(self, owner: str | None) -> None:
        """Make the rooms whose things have an owner, who is None for all."""
        database, ids = self._database, self._ids
        self.events = Events(database, ids, owner)
        self.conversations = Conversations(database, ids, self.events, owner)
        self.messages = Messages(database, ids, owner)
        self.branches = Branches(database, ids, self.messages, self.events, owner)
        self.presets = Presets(database, ids, owner)
        self.keys = Keys(database, ids, owner)
        self.trash = Trash(database, owner)

    def revision(self, conversation_id: str) -> int:
        """Grows whenever what was read of a conversation is outdated; counts from the start of this process."""
        return self._database.revisions[conversation_id]

    def when_changed(self, callback: Callable[[set[str]], None]) -> None:
        """Call back with the ids of the conversations that a transaction has changed; it must not take long."""
        self._database.changed.append(callback)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the store writes inside the block is kept or undone as one."""
        with self._database.write():
            yield

    def close(self) -> None:
        """Write everything into the database file and give the folder free; calling it again does nothing."""
        # Before the log goes: a kill in between must not be taken for a loss.
        self._lock.use_wal(False)
        try:
            self._database.close()
        except StoreError as error:
            self._lock.use_wal(True)
            log.warning("the newest changes stay in the database's log: %s", error)
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _hold(home: Path) -> HomeLock:
    try:
        # Chats are private: nobody else may look into a folder that is made for them.
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeNotWritable(home, error.strerror or str(error)) from None
    return HomeLock(home)
