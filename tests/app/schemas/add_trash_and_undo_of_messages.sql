CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE TABLE presets (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE COLLATE NOCASE,
            settings TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            builtin INTEGER NOT NULL DEFAULT 0
        );
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
        );
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
        , deleted_at TEXT, deleted_by TEXT);
CREATE TABLE events (
            id TEXT PRIMARY KEY,
            created_at TEXT NOT NULL,
            kind TEXT NOT NULL,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            before TEXT NOT NULL,
            after TEXT NOT NULL
        , undone_at TEXT);
CREATE VIRTUAL TABLE messages_fts USING fts5 (
            content, content='messages', content_rowid='rowid', tokenize='unicode61 remove_diacritics 2'
        );
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (1, 'fireside', 'create_tables', '2026-11-24 02:39:20.335857+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (2, 'fireside', 'index_messages_for_search', '2026-11-24 02:39:20.340808+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (3, 'fireside', 'add_builtin_presets', '2026-11-24 02:39:20.341287+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (4, 'fireside', 'add_trash_and_undo_of_messages', '2026-11-24 02:39:20.342000+00:00');
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin) VALUES ('balanced', 'Balanced', '{"temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false}', '2026-11-24T02:39:20.341+00:00', '2026-11-24T02:39:20.341+00:00', 1);
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin) VALUES ('creative', 'Creative', '{"temperature": 1.0, "top_k": 100, "top_p": 1.0, "min_p": 0.08, "repetition_penalty": 1.1, "presence_penalty": 0.3, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false}', '2026-11-24T02:39:20.341+00:00', '2026-11-24T02:39:20.341+00:00', 1);
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin) VALUES ('precise', 'Precise', '{"temperature": 0.2, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.05, "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false}', '2026-11-24T02:39:20.341+00:00', '2026-11-24T02:39:20.341+00:00', 1);
INSERT INTO conversations (id, title, created_at, updated_at, pinned, archived, deleted_at, current_message_id, system_prompt, preset_id, settings, owner, external_id) VALUES ('01K0000000000000000000000A', 'Oaks', '2026-11-23T20:00:00.000+00:00', '2026-11-23T20:00:00.000+00:00', 0, 0, NULL, '01K0000000000000000000000C', '', NULL, '{}', NULL, NULL);
INSERT INTO messages (rowid, id, conversation_id, parent_id, role, content, reasoning, created_at, status, finish_reason, model, model_digest, settings, seed, engine, prompt_tokens, cached_tokens, new_tokens, queue_ms, prefill_ms, decode_ms, ttft_ms, token_ids, token_logprobs, edited, extra, external_id, deleted_at, deleted_by) VALUES (1, '01K0000000000000000000000B', '01K0000000000000000000000A', NULL, 'user', 'What is an oak?', NULL, '2026-11-23T20:00:00.000+00:00', 'complete', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO messages (rowid, id, conversation_id, parent_id, role, content, reasoning, created_at, status, finish_reason, model, model_digest, settings, seed, engine, prompt_tokens, cached_tokens, new_tokens, queue_ms, prefill_ms, decode_ms, ttft_ms, token_ids, token_logprobs, edited, extra, external_id, deleted_at, deleted_by) VALUES (2, '01K0000000000000000000000C', '01K0000000000000000000000A', '01K0000000000000000000000B', 'assistant', 'A tree, in Chinese 橡树.', NULL, '2026-11-23T20:00:00.000+00:00', 'complete', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX conversations_by_updated_at ON conversations (updated_at);
CREATE INDEX conversations_by_current_message ON conversations (current_message_id);
CREATE INDEX conversations_by_preset ON conversations (preset_id);
CREATE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_by_parent ON messages (parent_id, id);
CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming';
CREATE INDEX events_by_conversation ON events (conversation_id, id);
CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN
            INSERT INTO messages_fts (rowid, content) VALUES (new.rowid, new.content);
        END;
CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN
            INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.rowid, old.content);
        END;
CREATE TRIGGER messages_fts_update AFTER UPDATE OF content ON messages
        WHEN old.content IS NOT new.content BEGIN
            INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.rowid, old.content);
            INSERT INTO messages_fts (rowid, content) VALUES (new.rowid, new.content);
        END;
CREATE INDEX messages_deleted ON messages (deleted_by) WHERE deleted_at IS NOT NULL;
INSERT INTO messages_fts (messages_fts) VALUES ('rebuild');
