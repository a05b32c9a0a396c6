"""What a person types into a search box, as an FTS5 query; and snippets of what it finds."""

from __future__ import annotations

import unicodedata

from app.store.text import storable

MAX_WORDS = 16
PREFIX_LETTERS = 3
# Noncharacters: no keyboard makes them, and should a message hold one, it only shifts the highlight of its
# snippet.
MATCH_START, MATCH_END = "\ufdd0", "\ufdd1"


def fts_query(text: str) -> str:
    """An FTS5 query for messages that have all of the words, "" if there is nothing to search for.

    Every word is quoted, so no character is an operator; signs between letters make a phrase (`a-b` finds "a
    b"). The last word may be the beginning of a longer one, from three letters on: shorter prefixes match so
    much that they are slow.
    """
    # SQLite ends the query at a NUL.
    words = [word for word in storable(text).replace("\0", " ").split() if any(map(is_word_character, word))]
    terms = ['"' + word.replace('"', '""') + '"' for word in words[:MAX_WORDS]]
    if terms and len(words[len(terms) - 1]) >= PREFIX_LETTERS and is_word_character(words[len(terms) - 1][-1]):
        terms[-1] += "*"
    return " ".join(terms)


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
