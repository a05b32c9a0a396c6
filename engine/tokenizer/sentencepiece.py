"""SentencePiece's BPE, which has scores instead of merges and U+2581 instead of spaces."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from engine.errors import ModelFormatError, UnsupportedModel

# The `normalizer` of the families' tokenizer.json: without and with a space put before every text.
METASPACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, METASPACE]}
# More pieces of one text would make finding all their halves slow, and no tokenizer has them.
MAX_PIECE_CHARACTERS = 512


def merges_of_scores(
    tokens: Sequence[str], scores: Sequence[float], mergeable: Collection[int]
) -> list[tuple[str, str]]:
    """Merges that join what the scores join: all ways to make a token of two, the tokens of highest score first.

    tokens, scores: by id. mergeable: ids of the tokens that text may become. The order is that of the conversion the
    families' tokenizer.json were made with (transformers, `SentencePieceExtractor`, 2023); on Mistral's vocabularies it
    gives what SentencePiece gives.

    Raises UnsupportedModel for scores that are no ranks (a unigram model's), ModelFormatError for what is no number.
    """
    ids = {tokens[id]: id for id in mergeable}
    for text, id in ids.items():
        if not math.isfinite(scores[id]):
            raise ModelFormatError(f"token {id} has the score {scores[id]}")
        if len(text) > 1 and scores[id] != int(scores[id]):
            raise UnsupportedModel(
                "a model with this SentencePiece tokenizer", "its scores are probabilities, not ranks"
            )
        if len(text) > MAX_PIECE_CHARACTERS:
            raise ModelFormatError(
                f"token {id} has {len(text):,} characters; at most {MAX_PIECE_CHARACTERS} are expected"
            )
    longer = [id for text, id in ids.items() if len(text) > 1]
    if len(longer) > 1 and len({scores[id] for id in longer}) == 1:
        raise UnsupportedModel("a model with this SentencePiece tokenizer", "its scores do not rank its tokens")
    merges: list[tuple[str, str]] = []
    for id in sorted(longer, key=lambda id: (-scores[id], id)):
        text = tokens[id]
        ways = [(text[:cut], text[cut:]) for cut in range(1, len(text)) if text[:cut] in ids and text[cut:] in ids]
        merges += sorted(ways, key=lambda way: (ids[way[0]], ids[way[1]]))
    return merges
