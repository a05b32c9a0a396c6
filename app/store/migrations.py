"""The schema, as the list of steps that lead to it.

Each function runs in one transaction with the record of its name in the table `_sqlite_migrations`. A
released function is never changed: a new one is added below it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlite_utils import Database, Migrations

from app.store import cjk
from app.store.presets import BUILTIN, plain_settings
from app.store.text import now, to_json

migrations = Migrations("fireside")


def names() -> list[str]:
    """Names of all the steps this version knows, in order."""
    with closing(sqlite3.connect(":memory:")) as empty:
        return [migration.name for migration in migrations.pending(Database(empty, execute_plugins=False))]


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


@migrations()
def add_trash_and_undo_of_messages(db: Database) -> None:
    # deleted_by: the event that tells of the deletion; undoing it brings back these messages and no others.
    db.execute("ALTER TABLE messages ADD COLUMN deleted_at TEXT")
    db.execute("ALTER TABLE messages ADD COLUMN deleted_by TEXT")
    db.execute("ALTER TABLE events ADD COLUMN undone_at TEXT")
    db.execute("CREATE INDEX messages_deleted ON messages (deleted_by) WHERE deleted_at IS NOT NULL")


@migrations()
def add_context_policy(db: Database) -> None:
    db.execute("""
        ALTER TABLE conversations ADD COLUMN context_policy TEXT NOT NULL DEFAULT 'drop_oldest'
            CHECK (context_policy IN ('drop_oldest', 'refuse'))""")
    db.execute("ALTER TABLE messages ADD COLUMN context TEXT CHECK (context IN ('pinned', 'excluded'))")


@migrations()
def add_titles_and_tags(db: Database) -> None:
    # Who wrote the titles there are is not known, so none of them may be replaced.
    db.execute("""
        ALTER TABLE conversations ADD COLUMN title_by TEXT NOT NULL DEFAULT 'user'
            CHECK (title_by IN ('user', 'first words', 'model'))""")
    db.execute("""
        CREATE TABLE conversation_tags (
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            tag TEXT NOT NULL COLLATE NOCASE,
            PRIMARY KEY (conversation_id, tag)
        )""")
    db.execute("CREATE INDEX conversation_tags_by_tag ON conversation_tags (tag, conversation_id)")
    db.execute("CREATE TABLE preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute("""
        CREATE INDEX conversations_listed ON conversations (pinned DESC, updated_at DESC, id DESC)
            WHERE deleted_at IS NULL AND archived = 0""")


@migrations()
def index_cjk_and_short_prefixes(db: Database) -> None:
    for trigger in ("insert", "update", "delete"):
        db.execute(f"DROP TRIGGER messages_fts_{trigger}")
    db.execute("DROP TABLE messages_fts")
    # A column, not a function in the triggers: other tools that write to the file do not have the function.
    db.execute("ALTER TABLE messages ADD COLUMN cjk TEXT")
    for (rowid,) in db.execute("SELECT rowid FROM messages").fetchall():
        [(content,)] = db.execute("SELECT content FROM messages WHERE rowid = ?", (rowid,))
        if (text := cjk.indexed(content)) is not None:
            db.execute("UPDATE messages SET cjk = ? WHERE rowid = ?", (text, rowid))
    # With an index of their own, prefixes of two and three letters are read like one word, the newest first.
    db.execute("""
        CREATE VIRTUAL TABLE messages_fts USING fts5 (
            content, cjk, content='messages', content_rowid='rowid', prefix='2 3',
            tokenize='unicode61 remove_diacritics 2'
        )""")
    columns = "rowid, content, cjk"
    old = f"INSERT INTO messages_fts (messages_fts, {columns}) VALUES ('delete', old.rowid, old.content, old.cjk);"
    new = f"INSERT INTO messages_fts ({columns}) VALUES (new.rowid, new.content, new.cjk);"
    db.execute(f"CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN {new} END")
    db.execute(f"CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN {old} END")
    db.execute(f"""
        CREATE TRIGGER messages_fts_update AFTER UPDATE OF content, cjk ON messages
        WHEN old.content IS NOT new.content OR old.cjk IS NOT new.cjk BEGIN {old} {new} END""")
    db.execute("INSERT INTO messages_fts (messages_fts) VALUES ('rebuild')")


@migrations()
def index_messages_by_time_and_model(db: Database) -> None:
    # For the filters of the search: both also hold the rowids, so that no row of the table is read.
    db.execute("CREATE INDEX messages_by_time ON messages (created_at)")
    db.execute("CREATE INDEX messages_by_model ON messages (model) WHERE model IS NOT NULL")


@migrations()
def add_api_keys(db: Database) -> None:
    # The name of a revoked key may be given again.
    db.execute("""
        CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL COLLATE NOCASE,
            hash TEXT NOT NULL UNIQUE,
            start TEXT NOT NULL,
            created_at TEXT NOT NULL,
            revoked_at TEXT
        )""")
    db.execute("CREATE UNIQUE INDEX api_keys_by_name ON api_keys (name) WHERE revoked_at IS NULL")


@migrations()
def index_external_ids(db: Database) -> None:
    db.execute("CREATE INDEX conversations_by_external_id ON conversations (external_id) WHERE external_id IS NOT NULL")


@migrations()
def add_accounts(db: Database) -> None:
    db.execute("""
        CREATE TABLE users (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE COLLATE NOCASE,
            password_hash TEXT NOT NULL,
            admin INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL
        )""")
    db.execute("""
        CREATE TABLE sessions (
            token_hash TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
            created_at TEXT NOT NULL,
            used_at TEXT NOT NULL
        )""")
    db.execute("CREATE INDEX sessions_by_user ON sessions (user_id)")
    db.execute("""
        CREATE INDEX conversations_by_owner ON conversations (owner, pinned DESC, updated_at DESC, id DESC)
            WHERE owner IS NOT NULL""")
    db.execute("ALTER TABLE api_keys ADD COLUMN owner TEXT")
    db.execute("DROP INDEX api_keys_by_name")
    db.execute("""
        CREATE UNIQUE INDEX api_keys_by_name ON api_keys (coalesce(owner, ''), name) WHERE revoked_at IS NULL""")
    # A table's own UNIQUE stays for ever, so that the table is made anew. Dropping the old one takes the conversations'
    # presets away, as deleting them would.
    db.execute("CREATE TEMP TABLE chosen AS SELECT id, preset_id FROM conversations WHERE preset_id IS NOT NULL")
    db.execute("""
        CREATE TABLE owned_presets (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL COLLATE NOCASE,
            settings TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            builtin INTEGER NOT NULL DEFAULT 0,
            owner TEXT
        )""")
    columns = "id, name, settings, created_at, updated_at, builtin"
    db.execute(f"INSERT INTO owned_presets ({columns}) SELECT {columns} FROM presets")
    db.execute("DROP TABLE presets")
    db.execute("ALTER TABLE owned_presets RENAME TO presets")
    db.execute("CREATE UNIQUE INDEX presets_by_name ON presets (coalesce(owner, ''), name)")
    db.execute("""
        UPDATE conversations SET preset_id = (SELECT preset_id FROM chosen WHERE chosen.id = conversations.id)
        WHERE id IN (SELECT id FROM chosen)""")
    db.execute("DROP TABLE chosen")


@migrations()
def keep_chats_of_keys(db: Database) -> None:
    db.execute("ALTER TABLE api_keys ADD COLUMN keep INTEGER NOT NULL DEFAULT 0")
