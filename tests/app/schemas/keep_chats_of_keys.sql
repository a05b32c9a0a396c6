CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
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
        , context_policy TEXT NOT NULL DEFAULT 'drop_oldest'
            CHECK (context_policy IN ('drop_oldest', 'refuse')), title_by TEXT NOT NULL DEFAULT 'user'
            CHECK (title_by IN ('user', 'first words', 'model')));
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
        , deleted_at TEXT, deleted_by TEXT, context TEXT CHECK (context IN ('pinned', 'excluded')), cjk TEXT);
CREATE TABLE events (
            id TEXT PRIMARY KEY,
            created_at TEXT NOT NULL,
            kind TEXT NOT NULL,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            before TEXT NOT NULL,
            after TEXT NOT NULL
        , undone_at TEXT);
CREATE TABLE conversation_tags (
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            tag TEXT NOT NULL COLLATE NOCASE,
            PRIMARY KEY (conversation_id, tag)
        );
CREATE TABLE preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIRTUAL TABLE messages_fts USING fts5 (
            content, cjk, content='messages', content_rowid='rowid', prefix='2 3',
            tokenize='unicode61 remove_diacritics 2'
        );
CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL COLLATE NOCASE,
            hash TEXT NOT NULL UNIQUE,
            start TEXT NOT NULL,
            created_at TEXT NOT NULL,
            revoked_at TEXT
        , owner TEXT, keep INTEGER NOT NULL DEFAULT 0);
CREATE TABLE users (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE COLLATE NOCASE,
            password_hash TEXT NOT NULL,
            admin INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL
        );
CREATE TABLE sessions (
            token_hash TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
            created_at TEXT NOT NULL,
            used_at TEXT NOT NULL
        );
CREATE TABLE "presets" (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL COLLATE NOCASE,
            settings TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            builtin INTEGER NOT NULL DEFAULT 0,
            owner TEXT
        );
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin, owner) VALUES ('balanced', 'Balanced', '{"temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false, "min_tokens": 0, "stop_token_ids": []}', '2026-11-28T08:16:11.037+00:00', '2026-11-28T08:16:11.037+00:00', 1, NULL);
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin, owner) VALUES ('creative', 'Creative', '{"temperature": 1.0, "top_k": 100, "top_p": 1.0, "min_p": 0.08, "repetition_penalty": 1.1, "presence_penalty": 0.3, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false, "min_tokens": 0, "stop_token_ids": []}', '2026-11-28T08:16:11.037+00:00', '2026-11-28T08:16:11.037+00:00', 1, NULL);
INSERT INTO presets (id, name, settings, created_at, updated_at, builtin, owner) VALUES ('precise', 'Precise', '{"temperature": 0.2, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.05, "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": null, "max_tokens": 512, "stop": [], "logit_bias": {}, "ignore_eos": false, "min_tokens": 0, "stop_token_ids": []}', '2026-11-28T08:16:11.037+00:00', '2026-11-28T08:16:11.037+00:00', 1, NULL);
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (1, 'fireside', 'create_tables', '2026-11-28 08:16:11.036178+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (2, 'fireside', 'index_messages_for_search', '2026-11-28 08:16:11.036988+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (3, 'fireside', 'add_builtin_presets', '2026-11-28 08:16:11.042117+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (4, 'fireside', 'add_trash_and_undo_of_messages', '2026-11-28 08:16:11.043904+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (5, 'fireside', 'add_context_policy', '2026-11-28 08:16:11.045148+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (6, 'fireside', 'add_titles_and_tags', '2026-11-28 08:16:11.050126+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (7, 'fireside', 'index_cjk_and_short_prefixes', '2026-11-28 08:16:11.051372+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (8, 'fireside', 'index_messages_by_time_and_model', '2026-11-28 08:16:11.051774+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (9, 'fireside', 'add_api_keys', '2026-11-28 08:16:11.052105+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (10, 'fireside', 'index_external_ids', '2026-11-28 08:16:11.052320+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (11, 'fireside', 'add_accounts', '2026-11-28 08:16:11.058663+00:00');
INSERT INTO _sqlite_migrations (id, migration_set, name, applied_at) VALUES (12, 'fireside', 'keep_chats_of_keys', '2026-11-28 08:16:11.059301+00:00');
INSERT INTO conversations (id, title, created_at, updated_at, pinned, archived, deleted_at, current_message_id, system_prompt, preset_id, settings, owner, external_id, context_policy, title_by) VALUES ('01K0000000000000000000000A', 'Oaks', '2026-11-23T20:00:00.000+00:00', '2026-11-23T20:00:00.000+00:00', 0, 0, NULL, '01K0000000000000000000000C', '', NULL, '{}', NULL, NULL, 'drop_oldest', 'user');
INSERT INTO messages (rowid, id, conversation_id, parent_id, role, content, reasoning, created_at, status, finish_reason, model, model_digest, settings, seed, engine, prompt_tokens, cached_tokens, new_tokens, queue_ms, prefill_ms, decode_ms, ttft_ms, token_ids, token_logprobs, edited, extra, external_id, deleted_at, deleted_by, context, cjk) VALUES (1, '01K0000000000000000000000B', '01K0000000000000000000000A', NULL, 'user', 'What is an oak?', NULL, '2026-11-23T20:00:00.000+00:00', 'complete', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO messages (rowid, id, conversation_id, parent_id, role, content, reasoning, created_at, status, finish_reason, model, model_digest, settings, seed, engine, prompt_tokens, cached_tokens, new_tokens, queue_ms, prefill_ms, decode_ms, ttft_ms, token_ids, token_logprobs, edited, extra, external_id, deleted_at, deleted_by, context, cjk) VALUES (2, '01K0000000000000000000000C', '01K0000000000000000000000A', '01K0000000000000000000000B', 'assistant', 'A tree, in Chinese 橡树.', NULL, '2026-11-23T20:00:00.000+00:00', 'complete', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, '橡树 树');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX conversations_by_updated_at ON conversations (updated_at);
CREATE INDEX conversations_by_current_message ON conversations (current_message_id);
CREATE INDEX conversations_by_preset ON conversations (preset_id);
CREATE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_by_parent ON messages (parent_id, id);
CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming';
CREATE INDEX events_by_conversation ON events (conversation_id, id);
CREATE INDEX messages_deleted ON messages (deleted_by) WHERE deleted_at IS NOT NULL;
CREATE INDEX conversation_tags_by_tag ON conversation_tags (tag, conversation_id);
CREATE INDEX conversations_listed ON conversations (pinned DESC, updated_at DESC, id DESC)
            WHERE deleted_at IS NULL AND archived = 0;
CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN INSERT INTO messages_fts (rowid, content, cjk) VALUES (new.rowid, new.content, new.cjk); END;
CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN INSERT INTO messages_fts (messages_fts, rowid, content, cjk) VALUES ('delete', old.rowid, old.content, old.cjk); END;
CREATE TRIGGER messages_fts_update AFTER UPDATE OF content, cjk ON messages
        WHEN old.content IS NOT new.content OR old.cjk IS NOT new.cjk BEGIN INSERT INTO messages_fts (messages_fts, rowid, content, cjk) VALUES ('delete', old.rowid, old.content, old.cjk); INSERT INTO messages_fts (rowid, content, cjk) VALUES (new.rowid, new.content, new.cjk); END;
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_model ON messages (model) WHERE model IS NOT NULL;
CREATE INDEX conversations_by_external_id ON conversations (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX conversations_by_owner ON conversations (owner, pinned DESC, updated_at DESC, id DESC)
            WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (coalesce(owner, ''), name) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX presets_by_name ON presets (coalesce(owner, ''), name);
INSERT INTO messages_fts (messages_fts) VALUES ('rebuild');
