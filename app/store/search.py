"""Search: what a person types into a search box as an FTS5 query, and snippets of what it finds."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from app.store import cjk
from app.store.records import Hit, Role
from app.store.text import storable

MAX_WORDS = 16
PREFIX_LETTERS = 2
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
    """What a hit must be besides having the words; None and "" leave it open, and all of them open is false.

    model: the name of the model that wrote it. since, until: ISO 8601 dates or times in UTC, the first included, the
    second not. pinned, tag, owner: of its conversation; the store sets the owner itself. With a role, the newest
    20,000 messages with the words are looked at.
    """

    role: Role | None = None
    model: str = ""
    since: str = ""
    until: str = ""
    pinned: bool | None = None
    tag: str = ""
    conversation_id: str = ""
    owner: str = ""

    def __bool__(self) -> bool:
        return self != Filters()

    @property
    def of_messages(self) -> bool:
        """Whether any of them is of the message itself."""
        return bool(self.role or self.model or self.since or self.until)

    def of_conversations(self) -> tuple[str, dict[str, Any]]:
        """Conditions on the table of conversations, as SQL, and their parameters."""
        return _joined(
            ("pinned = :pinned", "pinned", None if self.pinned is None else int(self.pinned)),
            ("id IN (SELECT conversation_id FROM conversation_tags WHERE tag = :tag)", "tag", storable(self.tag)),
            ("id = :conversation", "conversation", storable(self.conversation_id)),
            ("owner = :owner", "owner", self.owner),
        )

    def matches(self) -> tuple[str, dict[str, Any]]:
        """Conditions on the rows of the search index alone, as SQL, and their parameters.

        The index then yields nothing that is not wanted, however deep that lies. Sets of rows come from other indexes,
        and +rowid keeps FTS5 from looking each of them up. Rows are mostly in order of time, which makes dates bounds
        of what is read; the dates themselves are compared by `conditions`.
        """
        tagged = "SELECT conversation_id FROM conversation_tags WHERE tag = :tag"
        pinned = "SELECT id FROM conversations WHERE pinned = :pinned"
        owned = "SELECT id FROM conversations WHERE owner = :owner"
        return _joined(
            ("rowid >= (SELECT min(rowid) FROM messages WHERE created_at >= :since)", "since", storable(self.since)),
            ("rowid <= (SELECT max(rowid) FROM messages WHERE created_at < :until)", "until", storable(self.until)),
            (_rows("model = :model"), "model", storable(self.model)),
            (_rows(f"conversation_id IN ({tagged})"), "tag", storable(self.tag)),
            (_rows(f"conversation_id IN ({pinned})"), "pinned", None if self.pinned is None else int(self.pinned)),
            (_rows("conversation_id = :conversation"), "conversation", storable(self.conversation_id)),
            (_rows(f"conversation_id IN ({owned})"), "owner", self.owner),
        )

    def conditions(self) -> tuple[str, dict[str, Any]]:
        """Conditions on messages `m`, as SQL, and their parameters."""
        return _joined(
            ("m.role = :role", "role", self.role),
            ("m.created_at >= :since", "since", storable(self.since)),
            ("m.created_at < :until", "until", storable(self.until)),
        )


def matching(words: str, depth: int, filters: Filters) -> tuple[str, dict[str, Any]]:
    """The rowids of the newest matches of an FTS5 query, as SQL, and its parameters; `Filters.conditions` remain."""
    conditions, values = filters.matches()
    sql = f"""SELECT rowid FROM messages_fts WHERE messages_fts MATCH :words {conditions}
              ORDER BY rowid DESC LIMIT :depth"""
    return sql, {"words": words, "depth": depth, **values}


def _rows(condition: str) -> str:
    return f"+rowid IN (SELECT rowid FROM messages WHERE {condition})"


def _joined(*conditions: tuple[str, str, Any]) -> tuple[str, dict[str, Any]]:
    chosen = [(sql, name, value) for sql, name, value in conditions if value not in (None, "")]
    return "".join(f" AND {sql}" for sql, _, _ in chosen), {name: value for _, name, value in chosen}


def find_messages(db: Any, query: str, limit: int, filters: Filters) -> list[Hit]:
    """Messages that have all the words and pass the filters, newest first; what is in the trash is left out."""
    words = fts_query(query)
    if not words:
        return []
    conditions, values = filters.conditions()
    matches, more = matching(words, DEPTH, filters)
    # CROSS JOIN keeps the index outermost, which yields the newest first without sorting all matches. The snippets
    # are made for the hits alone.
    rows = db.query(
        f"""SELECT m.id, m.conversation_id, c.title, m.role, m.created_at, m.rowid AS row
            FROM ({matches}) f
                 CROSS JOIN messages m ON m.rowid = f.rowid
                 CROSS JOIN conversations c ON c.id = m.conversation_id
            WHERE m.deleted_at IS NULL AND c.deleted_at IS NULL {conditions}
            LIMIT :limit""",
        {"limit": limit, **more, **values},
    )
    found = list(rows)
    pieces = _snippets(db, [row["row"] for row in found], query, words)
    return [
        Hit(
            message_id=row["id"],
            conversation_id=row["conversation_id"],
            title=row["title"],
            role=row["role"],
            created_at=row["created_at"],
            pieces=pieces[row["row"]],
        )
        for row in found
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


def excerpt(marked: str) -> tuple[tuple[str, bool], ...]:
    """The piece of a text, with its matches between MATCH_START and MATCH_END, that has the most different ones.

    FTS5's own `snippet` compares every match with every other: seconds for a long text of common words.
    """
    pieces = snippet_pieces(marked)
    begins = list(accumulate((len(text) for text, _ in pieces), initial=0))
    matches = [(begin, text.casefold()) for begin, (text, is_match) in zip(begins, pieces, strict=False) if is_match]
    start, most, first = 0, 0, 0
    inside: Counter[str] = Counter()
    for begin, match in matches:
        inside[match] += 1
        while matches[first][0] < begin and begin + len(match) - matches[first][0] > SNIPPET_CHARACTERS - BEFORE_MATCH:
            inside -= Counter((matches[first][1],))
            first += 1
        if len(inside) > most:
            start, most = matches[first][0], len(inside)
    low = max(0, start - BEFORE_MATCH)
    high = low + SNIPPET_CHARACTERS
    cut = [
        (text[max(0, low - begin) : max(0, high - begin)], is_match)
        for begin, (text, is_match) in zip(begins, pieces, strict=False)
    ]
    cut = [piece for piece in cut if piece[0]]
    # No half words at either end, unless they are the match.
    if low and cut and not cut[0][1]:
        cut[0] = ("…" + cut[0][0].partition(" ")[2], False)
    if high < begins[-1] and cut and not cut[-1][1]:
        cut[-1] = (cut[-1][0].rpartition(" ")[0] + "…", False)
    return tuple(piece for piece in cut if piece[0])


def _snippets(db: Any, rowids: list[int], query: str, words: str) -> dict[int, tuple[tuple[str, bool], ...]]:
    """A piece of each of these messages, newest first, with the words found marked in it."""
    marked: dict[int, str] = {}
    if rowids and not cjk.has_cjk(query):
        # All at once: for one message FTS5 reads the lists of all its words from the beginning.
        rows = db.query(
            """SELECT rowid AS row, highlight(messages_fts, 0, ?, ?) AS text FROM messages_fts
               WHERE messages_fts MATCH ? AND rowid BETWEEN ? AND ? AND +rowid IN (SELECT value FROM json_each(?))
               ORDER BY rowid DESC""",
            [MATCH_START, MATCH_END, words, rowids[-1], rowids[0], json.dumps(rowids)],
        )
        marked = {row["row"]: row["text"] for row in rows}
    # FTS5 marks words: where the match is inside of one, it is looked for in the text.
    terms = [part for word in storable(query).split() for part in cjk.parts(word)][:MAX_WORDS]
    return {
        row: excerpt(marked[row]) if MATCH_START in marked.get(row, "") else _around(db, row, terms) for row in rowids
    }


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
