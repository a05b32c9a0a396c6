"""The connections to one SQLite file: a single writer, and readers that cannot write."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlite_utils

from app.store.changes import note_changes, take_changes
from app.store.errors import DatabaseDamaged, HomeNotWritable, StoreError, translated
from app.store.migrations import migrations

BUSY_SECONDS = 5.0
CLOSING_MILLISECONDS = 500
IDLE_READERS = 8
WAL_LIMIT_BYTES = 64 << 20


class Database:
    """One SQLite database in WAL mode, migrated to the present schema; safe to use from any thread.

    One connection writes, commits and checkpoints, under a lock; reading connections are `query_only`. This
    keeps clear of the WAL-reset bug of SQLite before 3.51.3 (sqlite.org/wal.html), where two connections that
    write or checkpoint at once can damage the file.

    reindex: make the search index anew, because damage was met in the database before. on_damage: called when
    damage is met. The file is one that `app.store.check` found sound. Raises HomeNotWritable, or StoreError for a
    migration that fails.
    """

    def __init__(self, path: Path, *, reindex: bool = False, on_damage: Callable[[], None] = lambda: None) -> None:
        self.path = path
        # How often each conversation was changed since the start.
        self.revisions: Counter[str] = Counter()
        # Called with the ids of the conversations that a transaction has changed, on its thread; must not take long.
        self.changed: list[Callable[[set[str]], None]] = []
        self._on_damage = on_damage
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._readers: list[sqlite_utils.Database] = []
        self._readers_lock = threading.Lock()
        self._closed = False
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            raise HomeNotWritable(path.parent, str(error)) from None
        try:
            self._prepare(reindex)
        except sqlite3.Error as error:
            self._writer.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise StoreError(
                    f"{path} cannot be brought up to date ({error}); nothing is lost, a copy from before is in "
                    f"{path.parent / 'backups'}: tell the makers of Fireside"
                ) from error
            raise HomeNotWritable(path.parent, str(error)) from None
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def write(self) -> Iterator[sqlite_utils.Database]:
        """The writer, in a transaction that commits at the end of the block and is undone by an exception.

        Blocks nest within a thread and then are one transaction. Raises DiskRefused, DatabaseDamaged, or StoreError
        for whatever else SQLite refuses.
        """
        with self._lock, self._translated():
            if self._closed:
                raise StoreError("the store is closed: start Fireside again")
            if self._owner is not None:
                yield self._writer
                return
            self._owner = threading.get_ident()
            try:
                self._writer.conn.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    ids = take_changes(self._writer.conn)
                    self._writer.conn.execute("COMMIT")
                    self.revisions.update(ids)
                except BaseException:
                    self._writer.rollback()
                    raise
            finally:
                self._owner = None
            if ids:
                for callback in self.changed:
                    callback(ids)

    @contextmanager
    def read(self) -> Iterator[sqlite_utils.Database]:
        """A reader; inside `write` of the same thread, the writer, so that a transaction sees its own
        rows."""
        if self._owner == threading.get_ident():
            yield self._writer
            return
        with self._translated():
            reader = self._borrow()
            try:
                yield reader
            finally:
                self._give_back(reader)

    def compact(self) -> None:
        """Write the file anew without what was deleted from it, and empty the WAL; not within `write`.

        Takes as long as copying the file, and as much space again meanwhile.
        """
        with self._lock, self._translated():
            if self._closed:
                raise StoreError("the store is closed: start Fireside again")
            self._writer.conn.execute("VACUUM")
            self._writer.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Move the WAL into the database and close every connection; calling it again does nothing.

        Raises DiskRefused with everything closed and in the WAL, for the next to read.
        """
        with self._lock, self._readers_lock, self._translated():
            if self._closed:
                return
            self._closed = True
            # The last connection to close checkpoints, so that has to be the writer.
            while self._readers:
                self._readers.pop().close()
            try:
                # Another program that is reading must not keep this one from ending; the log then stays for the next.
                self._writer.conn.execute(f"PRAGMA busy_timeout = {CLOSING_MILLISECONDS}")
                self._writer.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._writer.close()

    def _connect(self) -> sqlite_utils.Database:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            connection.create_function("casefold", 1, _casefold, deterministic=True)
            # Damage within a text that SQLite does not see must not keep the rest of its conversation from being read.
            connection.text_factory = _text
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA mmap_size = 0")
            return sqlite_utils.Database(connection, execute_plugins=False)
        except BaseException:
            connection.close()
            raise

    def _prepare(self, reindex: bool) -> None:
        connection = self._writer.conn
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise HomeNotWritable(self.path.parent, "its file system does not support SQLite's WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        migrations.apply(self._writer)
        if reindex:
            for name in self._writer.table_names(fts5=True):
                connection.execute(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")
            connection.commit()
        note_changes(connection)

    def _borrow(self) -> sqlite_utils.Database:
        with self._readers_lock:
            if self._closed:
                raise StoreError("the store is closed: start Fireside again")
            if self._readers:
                return self._readers.pop()
            reader = self._connect()
            reader.conn.execute("PRAGMA query_only = ON")
            return reader

    def _give_back(self, reader: sqlite_utils.Database) -> None:
        with self._readers_lock:
            if self._closed or len(self._readers) >= IDLE_READERS:
                reader.close()
            else:
                self._readers.append(reader)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            reason = translated(error, self.path)
            if isinstance(reason, DatabaseDamaged):
                self._on_damage()
            raise reason from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _casefold(text: str) -> str:
    return text.casefold()
