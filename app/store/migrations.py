"""The schema, as the list of steps that lead to it.

Each function runs in one transaction with the record of its name in the table `_sqlite_migrations`. A
released function is never changed: a new one is added below it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlite_utils import Database, Migrations

from app.store.presets import BUILTIN, plain_settings
from app.store.text import now, to_json

migrations = Migrations("fireside")


def names() -> set[str]:
    """Names of all the steps this version knows."""
    with closing(sqlite3.connect(":memory:")) as empty:
        return {migration.name for migration in migrations.pending(Database(empty, execute_plugins=False))}


@migrations()
def create_tables(db: Database) -> None:
    db.execute("""
        CREATE TABLE presets (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE COLLATE NOCASE,
            settings TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            builtin INTEGER NOT NULL DEFAULT 0
        )""")
    db.execute("""
        CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL DEFAULT '',
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            pinned INTEGER NOT NULL DEFAULT 0,
            archived INTEGER NOT NULL DEFAULT 0,
            deleted_at TEXT,
            current_message_id TEXT REFERENCES messages(id) ON DELETE SET NULL,
            system_prompt TEXT NOT NULL DEFAULT '',
            preset_id TEXT REFERENCES presets(id) ON DELETE SET NULL,
            settings TEXT NOT NULL DEFAULT '{}',
            owner TEXT,
            external_id TEXT
        )""")
    # A rowid that is declared survives VACUUM, which the search index relies on.
    db.execute("""
        CREATE TABLE messages (
            rowid INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            parent_id TEXT REFERENCES messages(id) ON DELETE CASCADE,
            role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
            content TEXT NOT NULL DEFAULT '',
            reasoning TEXT,
            created_at TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'complete'
                CHECK (status IN ('streaming', 'complete', 'stopped', 'interrupted', 'error')),
            finish_reason TEXT,
            model TEXT,
            model_digest TEXT,
            settings TEXT,
            seed INTEGER,
            engine TEXT,
            prompt_tokens INTEGER,
            cached_tokens INTEGER,
            new_tokens INTEGER,
            queue_ms REAL,
            prefill_ms REAL,
            decode_ms REAL,
            ttft_ms REAL,
            token_ids BLOB,
            token_logprobs BLOB,
            edited INTEGER NOT NULL DEFAULT 0,
            extra TEXT,
            external_id TEXT
        )""")
    db.execute("""
        CREATE TABLE events (
            id TEXT PRIMARY KEY,
            created_at TEXT NOT NULL,
            kind TEXT NOT NULL,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            before TEXT NOT NULL,
            after TEXT NOT NULL
        )""")
    db.execute("CREATE INDEX conversations_by_updated_at ON conversations (updated_at)")
    db.execute("CREATE INDEX conversations_by_current_message ON conversations (current_message_id)")
    db.execute("CREATE INDEX conversations_by_preset ON conversations (preset_id)")
    db.execute("CREATE INDEX messages_by_conversation ON messages (conversation_id, id)")
    db.execute("CREATE INDEX messages_by_parent ON messages (parent_id, id)")
    db.execute("CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming'")
    db.execute("CREATE INDEX events_by_conversation ON events (conversation_id, id)")


@migrations()
def index_messages_for_search(db: Database) -> None:
    db.execute("""
        CREATE VIRTUAL TABLE messages_fts USING fts5 (
            content, content='messages', content_rowid='rowid', tokenize='unicode61 remove_diacritics 2'
        )""")
    db.execute("""
        CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN
            INSERT INTO messages_fts (rowid, content) VALUES (new.rowid, new.content);
        END""")
    db.execute("""
        CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN
            INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.rowid, old.content);
        END""")
    db.execute("""
        CREATE TRIGGER messages_fts_update AFTER UPDATE OF content ON messages
        WHEN old.content IS NOT new.content BEGIN
            INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.rowid, old.content);
            INSERT INTO messages_fts (rowid, content) VALUES (new.rowid, new.content);
        END""")
    db.execute("INSERT INTO messages_fts (messages_fts) VALUES ('rebuild')")


@migrations()
def add_builtin_presets(db: Database) -> None:
    time = now()
    for id, (name, settings) in BUILTIN.items():
        db.execute(
            """INSERT INTO presets (id, name, settings, created_at, updated_at, builtin)
               VALUES (?, ?, ?, ?, ?, 1)""",
            (id, name, to_json(plain_settings(settings.to_dict())), time, time),
        )
