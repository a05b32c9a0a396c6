"""Search: what a person types into a search box as an FTS5 query, and snippets of what it finds."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from app.store import cjk
from app.store.records import Hit, Role
from app.store.text import storable

MAX_WORDS = 16
PREFIX_LETTERS = 2
SNIPPET_TOKENS = 16
SNIPPET_CHARACTERS = 120
BEFORE_MATCH = 30
# How many of the newest matches are looked at where not every match is a hit: a word that is in every message must
# not make the search slow.
DEPTH = 20_000
# Noncharacters: no keyboard makes them, and should a message hold one, it only shifts the highlight of its
# snippet.
MATCH_START, MATCH_END = "\ufdd0", "\ufdd1"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a hit must be besides having the words; None and "" leave it open.

    model: the name of the model that wrote it. since, until: ISO 8601 dates or times in UTC, the first included, the
    second not. pinned, tag: of its conversation. With filters, the newest 20,000 messages with the words are looked
    at.
    """

    role: Role | None = None
    model: str = ""
    since: str = ""
    until: str = ""
    pinned: bool | None = None
    tag: str = ""
    conversation_id: str = ""

    def conditions(self) -> tuple[str, dict[str, Any]]:
        """As SQL over messages `m` and conversations `c`, and its parameters."""
        found: list[tuple[str, str, Any]] = [
            ("m.role = :role", "role", self.role),
            ("m.model = :model", "model", storable(self.model) or None),
            ("m.created_at >= :since", "since", storable(self.since) or None),
            ("m.created_at < :until", "until", storable(self.until) or None),
            ("c.pinned = :pinned", "pinned", None if self.pinned is None else int(self.pinned)),
            (
                "EXISTS (SELECT 1 FROM conversation_tags t WHERE t.conversation_id = c.id AND t.tag = :tag)",
                "tag",
                storable(self.tag) or None,
            ),
            ("m.conversation_id = :conversation", "conversation", storable(self.conversation_id) or None),
        ]
        chosen = [(sql, name, value) for sql, name, value in found if value is not None]
        return "".join(f" AND {sql}" for sql, _, _ in chosen), {name: value for _, name, value in chosen}


def find_messages(db: Any, query: str, limit: int, filters: Filters) -> list[Hit]:
    """Messages that have all the words and pass the filters, newest first; what is in the trash is left out."""
    words = fts_query(query)
    if not words:
        return []
    conditions, values = filters.conditions()
    # CROSS JOIN keeps the index outermost, which yields the newest first without sorting all matches. The snippets
    # are made for the hits alone.
    rows = db.query(
        f"""SELECT m.id, m.conversation_id, c.title, m.role, m.created_at, m.rowid AS row
            FROM (SELECT rowid FROM messages_fts WHERE messages_fts MATCH :words ORDER BY rowid DESC LIMIT :depth) f
                 CROSS JOIN messages m ON m.rowid = f.rowid
                 CROSS JOIN conversations c ON c.id = m.conversation_id
            WHERE m.deleted_at IS NULL AND c.deleted_at IS NULL {conditions}
            LIMIT :limit""",
        {"words": words, "depth": DEPTH, "limit": limit, **values},
    )
    return [
        Hit(
            message_id=row["id"],
            conversation_id=row["conversation_id"],
            title=row["title"],
            role=row["role"],
            created_at=row["created_at"],
            pieces=_snippet(db, row["row"], query, words),
        )
        for row in list(rows)
    ]


def fts_query(text: str) -> str:
    """An FTS5 query for messages that have all of the words, "" if there is nothing to search for.

    Every word is quoted, so no character is an operator; signs between letters make a phrase (`a-b` finds "a
    b"). The last word may be the beginning of a longer one, from two letters on. Text of scripts without spaces is
    found wherever it stands, from two characters on; a single character too, if another follows it or it ends the run.
    """
    # SQLite ends the query at a NUL.
    words = [word for word in storable(text).replace("\0", " ").split() if any(map(is_word_character, word))]
    terms: list[str] = []
    for number, word in enumerate(words[:MAX_WORDS]):
        last = number == len(words) - 1
        for part in cjk.parts(word) if cjk.has_cjk(word) else [word]:
            if cjk.has_cjk(part):
                terms.append(f"cjk : {_quoted(' '.join(cjk.pairs(part)))}{'*' if len(part) == 1 else ''}")
            elif any(map(is_word_character, part)):
                prefix = last and len(part) >= PREFIX_LETTERS and word.endswith(part)
                terms.append(_quoted(part) + ("*" if prefix and is_word_character(part[-1]) else ""))
    return " AND ".join(terms)


def is_word_character(character: str) -> bool:
    """Whether FTS5's tokenizer `unicode61` takes it as part of a word: letters, numbers and private use."""
    return unicodedata.category(character)[0] in "LN" or unicodedata.category(character) == "Co"


def snippet_pieces(snippet: str) -> tuple[tuple[str, bool], ...]:
    """Split a snippet with MATCH_START and MATCH_END in it into (text, is a match) pairs."""
    pieces: list[tuple[str, bool]] = []
    for number, part in enumerate(snippet.split(MATCH_START)):
        match, separator, rest = part.partition(MATCH_END)
        pieces += [(match, bool(number and separator)), (rest, False)]
    return tuple((text, is_match) for text, is_match in pieces if text)


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def _snippet(db: Any, rowid: int, query: str, words: str) -> tuple[tuple[str, bool], ...]:
    """A piece of the message with the first words found marked in it."""
    if not cjk.has_cjk(query):
        [row] = db.query(
            """SELECT snippet(messages_fts, 0, ?, ?, '…', ?) AS text FROM messages_fts
               WHERE messages_fts MATCH ? AND rowid = ?""",
            [MATCH_START, MATCH_END, SNIPPET_TOKENS, words, rowid],
        )
        if MATCH_START in row["text"]:
            return snippet_pieces(row["text"])
    # FTS5 marks words, and here the match is inside of one.
    terms = [part for word in storable(query).split() for part in cjk.parts(word)][:MAX_WORDS]
    return _around(db, rowid, terms)


def _around(db: Any, rowid: int, terms: list[str]) -> tuple[tuple[str, bool], ...]:
    for term in terms:
        [row] = db.query("SELECT instr(lower(content), lower(?)) AS at FROM messages WHERE rowid = ?", [term, rowid])
        if at := row["at"]:
            begin = max(1, at - BEFORE_MATCH)
            [row] = db.query(
                "SELECT substr(content, ?, ?) AS text, length(content) AS size FROM messages WHERE rowid = ?",
                [begin, SNIPPET_CHARACTERS, rowid],
            )
            before, match, after = (row["text"][: at - begin], row["text"][at - begin :][: len(term)], "")
            after = row["text"][at - begin + len(term) :]
            more = "…" if begin - 1 + SNIPPET_CHARACTERS < row["size"] else ""
            pieces = ((("…" if begin > 1 else "") + before, False), (match, True), (after + more, False))
            return tuple(piece for piece in pieces if piece[0])
    [row] = db.query("SELECT substr(content, 1, ?) AS text FROM messages WHERE rowid = ?", [SNIPPET_CHARACTERS, rowid])
    return ((row["text"], False),)
