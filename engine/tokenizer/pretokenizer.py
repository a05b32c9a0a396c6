"""How text is cut into words before bytes are joined: one pattern per family of tokenizers."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import regex
import tiktoken

_CONTRACTION = r"'(?:[sdmt]|ll|ve|re)"
_CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}++|%s| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]+|\s+(?!\S)|\s"
_LONG_MARKS = regex.compile(r"[^\p{ccc=0}]{32,}")
_BYTES = {bytes([byte]): byte for byte in range(256)}


@dataclass(frozen=True)
class Pretokenizer:
    """The rule one family of tokenizers cuts text by.

    pattern: every match is a word; in the syntax of Rust's fancy-regex, which tiktoken uses. whole_words: a
    word that is a token stays whole, whatever the merges say. normalize: what happens to text before.
    add_bos: whether a text begins with BOS if the model file does not tell.
    """

    pattern: str
    whole_words: bool = False
    normalize: Callable[[str], str] = field(default=str)
    add_bos: bool = False

    def words(self, text: str) -> Iterator[str]:
        """Cut as tiktoken does, also where tiktoken's own regex engine runs out of stack.

        `regex` knows newer Unicode tables than tiktoken, so it is shown a stand-in of the same class for each
        character beyond Latin; the pattern is otherwise the same.
        """
        stand_ins = {ord(character): _stand_in(character) for character in set(text) if character >= "\u0250"}
        for match in self._regex.finditer(text.translate(stand_ins)):
            yield text[match.start() : match.end()]

    @cached_property
    def _regex(self) -> regex.Pattern[str]:
        return regex.compile(self.pattern)


def _nfc(text: str) -> str:
    """Unicode's NFC in linear time; CPython needs quadratic time to order a long run of combining marks."""
    return unicodedata.normalize("NFC", _LONG_MARKS.sub(lambda run: _in_order(run.group()), text))


def _in_order(marks: str) -> str:
    runs = groupby(marks, key=lambda mark: unicodedata.combining(mark) > 0)
    return "".join("".join(sorted(run, key=unicodedata.combining) if above else run) for above, run in runs)


def _stand_in(character: str) -> str:
    """A Latin-1 character that tiktoken's tables put in the same class; white space stands for itself."""
    if _LETTER.encode_ordinary(character):
        return "à"
    if _NUMBER.encode_ordinary(character):
        return "²"
    return character if character.isspace() else "¤"


def _class(pattern: str) -> tiktoken.Encoding:
    return tiktoken.Encoding(pattern, pat_str=pattern, mergeable_ranks=_BYTES, special_tokens={})


_LETTER = _class(r"\p{L}")
_NUMBER = _class(r"\p{N}")

# Keyed by `tokenizer.ggml.pre`, the names llama.cpp's converter writes. Each is the `pre_tokenizer` of the
# family's tokenizer.json, rewritten so that tiktoken, which has one pattern and no sequence of steps, cuts
# the same words; possessive quantifiers keep the matching linear. tests/engine/test_pretokenizer.py holds
# each against `tokenizers`.
PRETOKENIZERS = {
    # Digits(individual_digits=True), then ByteLevel's GPT-2 pattern.
    "smollm": Pretokenizer(rf"\p{{N}}|{_CONTRACTION}| ?\p{{L}}++| ?[^\s\p{{L}}\p{{N}}]++|\s+(?![^\s\p{{N}}])|\s"),
    "gpt-2": Pretokenizer(rf"{_CONTRACTION}| ?\p{{L}}++| ?\p{{N}}++| ?[^\s\p{{L}}\p{{N}}]++|\s+(?!\S)|\s"),
    "llama-bpe": Pretokenizer(_CL100K % r"\p{N}{1,3}", whole_words=True, add_bos=True),
    "qwen2": Pretokenizer(_CL100K % r"\p{N}", normalize=_nfc),
}
