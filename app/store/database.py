"""The connections to one SQLite file: a single writer, and readers that cannot write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlite_utils

from app.store.errors import DatabaseDamaged, DatabaseNewer, HomeNotWritable, StoreError
from app.store.migrations import migrations, names

BUSY_SECONDS = 5.0
IDLE_READERS = 8
WAL_LIMIT_BYTES = 64 << 20


class Database:
    """One SQLite database in WAL mode, migrated to the present schema; safe to use from any thread.

    One connection writes, commits and checkpoints, under a lock; reading connections are `query_only`. This
    keeps clear of the WAL-reset bug of SQLite before 3.51.3 (sqlite.org/wal.html), where two connections that
    write or checkpoint at once can damage the file.

    Raises DatabaseDamaged and DatabaseNewer, both with the file untouched, and HomeNotWritable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._readers: list[sqlite_utils.Database] = []
        self._readers_lock = threading.Lock()
        self._closed = False
        if path.exists() and path.stat().st_size:
            self._inspect()
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            raise HomeNotWritable(path.parent, str(error)) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._writer.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise StoreError(f"{path} cannot be brought up to date ({error}); it is as it was") from error
            raise HomeNotWritable(path.parent, str(error)) from None
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def write(self) -> Iterator[sqlite_utils.Database]:
        """The writer, in a transaction that commits at the end of the block and is undone by an exception.

        Blocks nest within a thread and then are one transaction. What SQLite refuses, such as a full disk, is
        raised as StoreError.
        """
        with self._lock, self._translated("written"):
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
                    self._writer.conn.execute("COMMIT")
                except BaseException:
                    self._writer.rollback()
                    raise
            finally:
                self._owner = None

    @contextmanager
    def read(self) -> Iterator[sqlite_utils.Database]:
        """A reader; inside `write` of the same thread, the writer, so that a transaction sees its own
        rows."""
        if self._owner == threading.get_ident():
            yield self._writer
            return
        with self._translated("read"):
            reader = self._borrow()
            try:
                yield reader
            finally:
                self._give_back(reader)

    def compact(self) -> None:
        """Write the file anew without what was deleted from it, and empty the WAL; not within `write`.

        Takes as long as copying the file, and as much space again meanwhile.
        """
        with self._lock, self._translated("written"):
            if self._closed:
                raise StoreError("the store is closed: start Fireside again")
            self._writer.conn.execute("VACUUM")
            self._writer.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Move the WAL into the database and close every connection; calling it again does nothing."""
        with self._lock, self._readers_lock:
            if self._closed:
                return
            self._closed = True
            # The last connection to close checkpoints, so that has to be the writer.
            while self._readers:
                self._readers.pop().close()
            try:
                self._writer.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._writer.close()

    def _inspect(self) -> None:
        # Read-only and closed before the writer opens: a refused file keeps every byte.
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                if (check := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                    raise DatabaseDamaged(self.path, check)
                db = sqlite_utils.Database(connection, execute_plugins=False)
                applied = {migration.name for migration in migrations.applied(db)}
        except sqlite3.OperationalError as error:
            raise HomeNotWritable(self.path.parent, str(error)) from None
        except sqlite3.Error as error:
            raise DatabaseDamaged(self.path, str(error)) from None
        if unknown := sorted(applied - names()):
            raise DatabaseNewer(self.path, unknown)

    def _connect(self) -> sqlite_utils.Database:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            connection.create_function("casefold", 1, _casefold, deterministic=True)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA mmap_size = 0")
            return sqlite_utils.Database(connection, execute_plugins=False)
        except BaseException:
            connection.close()
            raise

    def _prepare(self) -> None:
        connection = self._writer.conn
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise HomeNotWritable(self.path.parent, "its file system does not support SQLite's WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        migrations.apply(self._writer)

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
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"the database {self.path} cannot be {done} ({error}): check the free space and the permissions there"
            ) from error


def _casefold(text: str) -> str:
    return text.casefold()
