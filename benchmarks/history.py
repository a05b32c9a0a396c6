"""A long history of chats in a real database: the rows are those that the service writes, only the words are drawn.

The schema with its search index comes from the store itself; then the rows go in with one statement for all, because
sending 100,000 messages one by one would take hours. The same seed makes the same history.
"""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from app.store import Store, cjk, ids
from app.store.presets import BALANCED, plain_settings
from app.store.store import DATABASE
from app.store.text import to_json
from app.store.tokens import ALTERNATIVES, TokenLog

LONGEST = 1_000
DAYS = 730
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
VOCABULARY = 30_000
TAGS = ("work", "garden", "recipes", "travel", "music", "reading", "ideas", "school")
MODELS = ("SmolLM2 135M Instruct", "Qwen3 0.6B", "Llama 3.2 1B Instruct")
# Shares of the history, as a person may have them.
IN_CJK = 0.06
ARCHIVED = 0.05
IN_TRASH = 0.01
TAGGED = 0.15
ANSWERED_AGAIN = 0.06
TOKENS_PER_WORD = 1.3
POOL_TOKENS = 8_192

# The commonest English words, commonest first; the rest of the vocabulary is made of syllables.
COMMON = """
    the of and to a in is that it for you was with on as I be are this have at by not from or one had but what all
    were when we there can an your which their said if do will each about how up out them then she many some so
    these would other into has more her two like him see time could no make than first been its who now people my
    made over did down only way find use may water long little very after words called just where most know model
    code question answer example function number write light history garden music river
"""
ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "cl",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "ou")
ENDS = ("n", "r", "l", "s", "t", "m", "d", "ck", "nd", "st", *[""] * 6)
SYLLABLES = (1, 2, 2, 3, 3, 4)


@dataclass(frozen=True, slots=True)
class Size:
    """How long a history is: messages in all, and the conversations they are in, one of which has the longest path."""

    messages: int = 100_000
    conversations: int = 5_000
    longest: int = LONGEST


class Words:
    """Words by Zipf's law: the word of rank r comes with a probability in proportion to 1 / (r + 2.7)."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        english: dict[str, None] = dict.fromkeys(COMMON.split())
        while len(english) < VOCABULARY:
            count = draw.choice(SYLLABLES)
            english["".join(draw.choice(ONSETS) + draw.choice(VOWELS) + draw.choice(ENDS) for _ in range(count))] = None
        self.english = list(english)
        self.han = [chr(code) for code in draw.sample(range(0x4E00, 0x9FA6), 2_500)]
        self._english_weights = _zipf(len(self.english))
        self._han_weights = _zipf(len(self.han))

    def english_text(self, draw: random.Random, words: int) -> str:
        """Sentences in paragraphs, so many words in all."""
        drawn = draw.choices(self.english, cum_weights=self._english_weights, k=words)
        return _sentences(draw, drawn, " ", ". ", 14)

    def han_text(self, draw: random.Random, characters: int) -> str:
        """Sentences without spaces."""
        drawn = draw.choices(self.han, cum_weights=self._han_weights, k=characters)
        return _sentences(draw, drawn, "", "。", 18)


def build(home: Path, size: Size, seed: int = 7) -> None:
    """Write a history into a new data folder, its search index included; about a minute for 100,000 messages."""
    Store.open(home).close()
    draw = random.Random(seed)
    conversations = list(_conversations(draw, size))
    with closing(sqlite3.connect(home / DATABASE)) as db, db:
        _insert(db, "conversations", conversations)
        rows = _messages(draw, Words(seed), _plan(draw, size, conversations), straight=conversations[0]["id"])
        leaves: dict[str, dict[str, Any]] = {}
        batch: list[dict[str, Any]] = []
        for row in rows:
            leaves[row["conversation_id"]] = row
            batch.append(row)
            if len(batch) == 1_000:
                _insert(db, "messages", batch)
                batch.clear()
        _insert(db, "messages", batch)
        db.executemany(
            "UPDATE conversations SET current_message_id = ?, updated_at = ? WHERE id = ?",
            [(leaf["id"], leaf["created_at"], id) for id, leaf in leaves.items()],
        )
        tags = [
            (conversation["id"], tag)
            for conversation in conversations
            if draw.random() < TAGGED
            for tag in draw.sample(TAGS, draw.choice((1, 1, 2)))
        ]
        db.executemany("INSERT INTO conversation_tags (conversation_id, tag) VALUES (?, ?)", tags)


def _conversations(draw: random.Random, size: Size) -> Iterator[dict[str, Any]]:
    subjects = COMMON.split()
    for number in range(size.conversations):
        time = BEGINS + timedelta(days=DAYS * draw.random())
        yield {
            "id": _id(draw, time),
            "title": f"Chat {number} about {draw.choice(subjects)} and {draw.choice(subjects)}",
            "title_by": "model",
            "created_at": _time(time),
            "updated_at": _time(time),
            "pinned": int(number % 500 == 1),
            "archived": int(draw.random() < ARCHIVED),
            # The longest stays in the list.
            "deleted_at": _time(time) if number and draw.random() < IN_TRASH else None,
            "system_prompt": "",
            "preset_id": None,
            "settings": "{}",
            "context_policy": "drop_oldest",
        }


def _plan(
    draw: random.Random, size: Size, conversations: list[dict[str, Any]]
) -> list[tuple[datetime, dict[str, Any], bool]]:
    """When which conversation gets a message, in order of time; and whether it speaks a script without spaces."""
    shares = [draw.lognormvariate(0, 0.8) for _ in conversations[1:]]
    left = size.messages - size.longest - 2 * len(shares)
    counts = [size.longest] + [2 + 2 * int(left * share / sum(shares) / 2) for share in shares]
    for at in range(size.messages - sum(counts)):
        counts[1 + at % len(shares)] += 1
    plan = []
    for number, (conversation, count) in enumerate(zip(conversations, counts, strict=True)):
        time = datetime.fromisoformat(conversation["created_at"])
        in_cjk = number > 0 and draw.random() < IN_CJK
        for _ in range(count):
            time += timedelta(seconds=draw.lognormvariate(4, 1.2))
            plan.append((time, conversation, in_cjk))
    return sorted(plan, key=lambda entry: entry[0])


def _messages(
    draw: random.Random, words: Words, plan: list[tuple[datetime, dict[str, Any], bool]], straight: str
) -> Iterator[dict[str, Any]]:
    """The rows of a plan; the conversation `straight` has no branches, so that its path has all its messages."""
    pool = _token_pool(draw)
    settings = to_json(plain_settings(BALANCED.to_dict()))
    leaves: dict[str, dict[str, Any]] = {}
    for time, conversation, in_cjk in plan:
        before = leaves.get(conversation["id"])
        mine = before is None or before["role"] == "assistant"
        # Now and then the last answer gets another version beside it, where a question would have followed.
        again = before is not None and mine and conversation["id"] != straight and draw.random() < ANSWERED_AGAIN
        mine = mine and not again
        count = min(2_000, max(1, int(draw.lognormvariate(2.6 if mine else 4.3, 0.9))))
        text = words.han_text(draw, 2 * count) if in_cjk else words.english_text(draw, count)
        parent = before["parent_id"] if again and before else before["id"] if before else None
        row: dict[str, Any] = {
            "id": _id(draw, time),
            "conversation_id": conversation["id"],
            "parent_id": parent,
            "role": "user" if mine else "assistant",
            "content": text,
            "cjk": cjk.indexed(text),
            "created_at": _time(time),
            "status": "complete",
        }
        tokens = 0 if mine else min(POOL_TOKENS, max(1, int(count * TOKENS_PER_WORD)))
        yield row | _made_by(draw, settings, pool, tokens)
        leaves[conversation["id"]] = row


def _made_by(draw: random.Random, settings: str | None, pool: tuple[bytes, bytes], tokens: int) -> dict[str, Any]:
    """What an answer of so many tokens has besides its text; nothing of it for 0, which is a question."""
    if not tokens:
        names = "finish_reason model model_digest settings seed engine prompt_tokens cached_tokens new_tokens queue_ms "
        names += "prefill_ms decode_ms ttft_ms token_ids token_logprobs extra"
        return dict.fromkeys(names.split())
    model = draw.choice(MODELS)
    start = draw.randrange(POOL_TOKENS - tokens + 1)
    ids_pool, logprobs_pool = pool
    record = (len(logprobs_pool) - 2) // POOL_TOKENS
    engine = {"version": "0.1.0", "architecture": "llama", "quantization": "Q4_1", "context": 8192, "device": "cpu"}
    return {
        "finish_reason": "stop",
        "model": model,
        "model_digest": f"{MODELS.index(model):064x}",
        "settings": settings,
        "seed": draw.getrandbits(63),
        "engine": to_json(engine | {"dtype": "float32", "kernels": "oneDNN packed"}),
        "prompt_tokens": draw.randrange(20, 2_000),
        "cached_tokens": draw.randrange(20),
        "new_tokens": tokens,
        "queue_ms": 0.1,
        "prefill_ms": draw.uniform(20, 900),
        "decode_ms": tokens * draw.uniform(15, 60),
        "ttft_ms": draw.uniform(30, 950),
        "token_ids": ids_pool[4 * start : 4 * (start + tokens)],
        "token_logprobs": logprobs_pool[:2] + logprobs_pool[2 + record * start : 2 + record * (start + tokens)],
        "extra": to_json({"prompt_digest": f"{draw.getrandbits(128):032x}"}),
    }


def _token_pool(draw: random.Random) -> tuple[bytes, bytes]:
    """Both BLOBs of a long run of tokens, of which every answer takes a piece."""
    log = TokenLog()
    for _ in range(POOL_TOKENS):
        logprobs = sorted((-draw.expovariate(0.5) for _ in range(ALTERNATIVES)), reverse=True)
        top = [(draw.randrange(49_152), logprob) for logprob in logprobs]
        log.append(*top[0], top)
    return log.ids(), log.logprobs()


def _sentences(draw: random.Random, drawn: Sequence[str], between: str, end: str, mean: int) -> str:
    parts, at = [], 0
    while at < len(drawn):
        count = max(1, round(draw.gauss(mean, mean / 3)))
        parts.append(between.join(drawn[at : at + count]).capitalize() + end)
        at += count
        if draw.random() < 0.15:
            parts.append("\n\n")
    return "".join(parts).strip()


def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / (rank + 2.7) for rank in range(1, count + 1)))


def _id(draw: random.Random, time: datetime) -> str:
    return ids.encode(math.floor(time.timestamp() * 1000) << ids.RANDOM_BITS | draw.getrandbits(ids.RANDOM_BITS))


def _time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _insert(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        db.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
