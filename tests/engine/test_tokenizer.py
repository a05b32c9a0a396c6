from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Reference
from tokenizers import models

from engine.errors import EngineError, ModelFormatError, UnsupportedModel
from engine.tokenizer import tokenizer_from_gguf
from engine.tokenizer.byte_bpe import Inexpressible, alphabet, mergeable_ranks
from engine.tokenizer.library_tokenizer import LibraryTokenizer

BYTES = sorted(alphabet(), key=alphabet().__getitem__)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["l l", "e ll", "h ell", "hell o", "Ġ Ġ"]
JOINED = [merge.replace(" ", "") for merge in MERGES]


def metadata(**changes: Any) -> dict[str, Any]:
    """A vocabulary of three control tokens, all bytes and five merges; a change to None takes a key out."""
    tokens = [*SPECIALS, *BYTES, *JOINED]
    fields = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": tokens,
        "token_type": [3] * 3 + [1] * (len(tokens) - 3),
        "merges": MERGES,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }
    return {f"tokenizer.ggml.{name}": value for name, value in fields.items() if value is not None}


TINY = tokenizer_from_gguf(metadata())


def test_merges_are_applied() -> None:
    assert [TINY.token_bytes(id) for id in TINY.encode("hello  hell")] == [b"hello", b" ", b" ", b"hell"]
    assert [TINY.token_bytes(id) for id in TINY.encode("a  1")] == [b"a", b"  ", b"1"]
    assert TINY.vocabulary == 3 + 256 + len(MERGES)
    assert TINY.eos_ids == {0, 2}
    assert TINY.bos_id == 1
    assert not TINY.add_bos


@given(st.text(st.characters(), max_size=60))
def test_any_str_is_taken_and_comes_back(text: str) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert TINY.decode(TINY.encode(text)) == whole


def test_a_lone_surrogate_counts_as_a_replacement_character() -> None:
    assert TINY.encode("a\ud800b") == TINY.encode("a\ufffdb")
    assert TINY.decode(TINY.encode("\ud83d\ude00")) == "😀"


def test_control_tokens_are_text_when_typed_and_nothing_when_decoded() -> None:
    assert not set(TINY.encode("<|im_end|>")) & {0, 1, 2}
    assert TINY.token_bytes(2) == b""
    assert TINY.special_tokens == {text: id for id, text in enumerate(SPECIALS)}


def test_half_a_character_is_decoded_as_a_replacement() -> None:
    assert TINY.decode(TINY.encode("é")[:1]) == "\ufffd"


@pytest.mark.parametrize("id", [-1, TINY.vocabulary])
def test_unknown_ids_are_key_errors(id: int) -> None:
    with pytest.raises(KeyError):
        TINY.token_bytes(id)
    with pytest.raises(KeyError):
        TINY.decode([id])


def test_bytes_without_a_token_are_left_out_before_bytes_are_joined() -> None:
    tokens = [token for token in [*SPECIALS, *BYTES, *JOINED, "!!"] if token != BYTES[4]]
    types = [3] * 3 + [1] * (len(tokens) - 3)
    tokenizer = tokenizer_from_gguf(metadata(tokens=tokens, token_type=types, merges=[*MERGES, "! !"]))
    assert tokenizer.encode("!\x04!") == tokenizer.encode("!!") == [len(tokens) - 1]
    assert tokenizer.encode("\x04") == []


def test_user_defined_tokens_are_found_in_ordinary_text() -> None:
    tokens = [*SPECIALS, *BYTES, "<think>", "<|user|>"]
    types = [3] * 3 + [1] * 256 + [4, 4]
    tokenizer = tokenizer_from_gguf(metadata(tokens=tokens, token_type=types, merges=[]))
    assert tokenizer.decode([len(tokens) - 2]) == "<think>"
    assert tokenizer.encode("<think>") == [len(tokens) - 2]
    # Authors forget to mark control tokens; what looks like one cannot be typed.
    assert len(tokenizer.encode("<|user|>")) == 8
    assert tokenizer.special_tokens["<|user|>"] == len(tokens) - 1


def test_more_tokens_may_end_an_answer() -> None:
    more = TINY.with_eos([7])
    assert more.eos_ids == {0, 2, 7}
    assert TINY.eos_ids == {0, 2}
    assert more.encode("hello") == TINY.encode("hello")


def test_pieces_that_touch_are_one_text() -> None:
    pieces = [("<|im_start|>", True), ("he", False), ("llo", False), ("<|im_end|>", True), ("\ud800", False)]
    assert TINY.encode_pieces(pieces) == [1, *TINY.encode("hello"), 2, *TINY.encode("\ufffd")]
    assert TINY.encode_pieces([("<|im_end|>", False)]) == TINY.encode("<|im_end|>")
    with pytest.raises(KeyError):
        TINY.encode_pieces([("<|user|>", True)])


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "bert"},
        {"model": "t5"},
        {"model": "gemma4"},
        {"pre": "default"},
        {"pre": None},
        {"pre": "made-up"},
        {"pre": "smaug-bpe"},
    ],
)
def test_what_is_not_known_to_be_exact_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        tokenizer_from_gguf(metadata(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("joined", "merges"),
    [
        # "abc" can only come from a+bc, but ab is joined first.
        (["ab", "bc", "abc"], ["a b", "b c", "a bc"]),
        # Ids that do not rise along the merges.
        (["bc", "ab"], ["a b", "b c"]),
    ],
)
def test_merges_that_ranks_cannot_say_are_left_to_the_library(joined: list[str], merges: list[str]) -> None:
    tokens = [*SPECIALS, *BYTES, *joined]
    types = [3] * 3 + [1] * (len(tokens) - 3)
    tokenizer = tokenizer_from_gguf(metadata(tokens=tokens, token_type=types, merges=merges))
    assert isinstance(tokenizer, LibraryTokenizer)
    assert [tokenizer.token_bytes(id) for id in tokenizer.encode("abc")] == [b"ab", b"c"]


TOKENS = [*SPECIALS, *BYTES, *JOINED]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": 7},
        {"pre": ["smollm"]},
        {"tokens": None},
        {"tokens": "abc"},
        {"tokens": [*TOKENS[:-1], 7]},
        {"tokens": TOKENS[:-1]},
        {"tokens": [*TOKENS[:-1], TOKENS[5]]},
        {"tokens": [*TOKENS[:-1], ""]},
        {"tokens": [*TOKENS[:-1], "日"], "merges": MERGES[:-1]},
        {"token_type": None},
        {"token_type": [1, 2]},
        {"token_type": [True] * len(TOKENS)},
        {"token_type": [99] * len(TOKENS)},
        {"merges": None},
        {"merges": 3},
        {"merges": ["l l", 4]},
        {"merges": ["zz z"]},
        {"merges": ["nospace"]},
        {"merges": ["q q"]},
        {"merges": ["l l", "l l"]},
        {"merges": ["<|im_start|> a"]},
        {"eos_token_id": 10_000},
        {"eos_token_id": -1},
        {"eos_token_id": "2"},
        {"bos_token_id": 1.0},
        {"add_bos_token": 1},
    ],
)
def test_malformed_metadata_is_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelFormatError) as caught:
        tokenizer_from_gguf(metadata(**changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(
    st.sampled_from(
        ["model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "add_bos_token"]
    ),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists, max_leaves=5),
)
def test_any_value_of_a_key_is_taken_or_refused_by_name(name: str, value: Any) -> None:
    refused = ""
    try:
        tokenizer_from_gguf(metadata(**{name: value}))
    except EngineError as error:
        refused = str(error)
    assert "\n" not in refused


def random_vocabulary(splits: list[tuple[int, int]]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Merges of earlier tokens, chosen by index, with ids in order of the merges."""
    tokens = ["a", "b", "c"]
    merges: list[tuple[str, str]] = []
    for left, right in splits:
        pair = (tokens[left % len(tokens)], tokens[right % len(tokens)])
        if "".join(pair) not in tokens:
            tokens.append("".join(pair))
            merges.append(pair)
    return {token: id for id, token in enumerate(tokens)}, merges


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8),
    st.text("abc", min_size=1, max_size=24),
)
def test_ranks_that_are_accepted_join_as_the_merges_do(splits: list[tuple[int, int]], word: str) -> None:
    ids, merges = random_vocabulary(splits)
    try:
        ranks = mergeable_ranks(ids, merges, whole_words=False)
    except Inexpressible:
        return
    assert join_by_rank(word, ranks) == Reference(models.BPE(ids, merges)).encode(word).tokens


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8),
    st.text("abc", min_size=1, max_size=24),
)
def test_vocabularies_made_from_ranks_join_as_their_merges_do(splits: list[tuple[int, int]], word: str) -> None:
    """As Llama 3's: merges that list every split of every token, and `ignore_merges`."""
    ids, _ = random_vocabulary(splits)
    merges = [
        (token[:i], token[i:]) for token in ids for i in range(1, len(token)) if token[:i] in ids and token[i:] in ids
    ]
    ranks = mergeable_ranks(ids, merges, whole_words=True)
    expected = Reference(models.BPE(ids, merges, ignore_merges=True)).encode(word).tokens
    assert ([word] if word in ranks else join_by_rank(word, ranks)) == expected


def join_by_rank(word: str, ranks: dict[str, int]) -> list[str]:
    """tiktoken's rule in the plainest way: join the neighbours of lowest rank, leftmost first."""
    parts = list(word)
    while joined := [(ranks[a + b], place) for place, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        place = min(joined)[1]
        parts[place : place + 2] = ["".join(parts[place : place + 2])]
    return parts


def test_listing_only_some_splits_is_refused_where_words_stay_whole() -> None:
    ids = {token: id for id, token in enumerate(["a", "b", "c", "ab", "bc", "abc"])}
    with pytest.raises(Inexpressible, match="every way"):
        mergeable_ranks(ids, [("a", "b"), ("b", "c"), ("a", "bc")], whole_words=True)
