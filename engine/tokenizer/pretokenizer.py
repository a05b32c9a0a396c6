"""How text is cut into words before bytes are joined: the `pre_tokenizer` of each family's tokenizer.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex
import tiktoken

_BYTES = {bytes([byte]): byte for byte in range(256)}


@dataclass(frozen=True)
class Pretokenizer:
    """One family's rule.

    steps: those of tokenizer.json that cut, in the form of `_steps`. pattern: a pattern whose every match is a word,
    in the syntax of Rust's fancy-regex, which tiktoken uses; None where no single pattern cuts the same words.
    """

    steps: tuple[tuple[str, ...], ...]
    pattern: str | None

    def words(self, text: str) -> Iterator[str]:
        """Cut as tiktoken does, also where tiktoken's own regex engine runs out of stack.

        `regex` knows newer Unicode tables than tiktoken, so it is shown a stand-in of the same class for each
        character beyond Latin; the pattern is otherwise the same.
        """
        stand_ins = {ord(character): _stand_in(character) for character in set(text) if character >= "\u0250"}
        for match in self._regex.finditer(text.translate(stand_ins)):
            yield text[match.start() : match.end()]

    def can_be_word(self, text: str) -> bool:
        """Whether some text is cut so that this is one of its words."""
        return self._regex.fullmatch(text) is not None

    @cached_property
    def _regex(self) -> regex.Pattern[str]:
        assert self.pattern is not None
        return regex.compile(self.pattern)

    @property
    def json(self) -> dict[str, Any]:
        """The `pre_tokenizer` of a tokenizer.json that cuts by this rule."""
        parts = [_part(*step) for step in self.steps]
        return parts[0] if len(parts) == 1 else {"type": "Sequence", "pretokenizers": parts}


def _part(kind: str, *pattern: str) -> dict[str, Any]:
    if kind == "Digits":
        return {"type": "Digits", "individual_digits": True}
    if kind == "Split":
        return {"type": "Split", "pattern": {"Regex": pattern[0]}, "behavior": "Isolated", "invert": False}
    use_regex = kind == "GPT-2"
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _steps(pre_tokenizer: Any) -> Iterator[tuple[str, ...]]:
    """The steps of a tokenizer.json's `pre_tokenizer` that cut; an unknown one by itself, as ("?",)."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": list(parts)}:
            for part in parts:
                yield from _steps(part)
        case {"type": "Digits", "individual_digits": True}:
            yield ("Digits",)
        # Both keep every match as a word. What no match covers would be kept by the first and dropped by the second,
        # but the patterns known here cover every text.
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", **rest} if not rest.get(
            "invert"
        ):
            yield ("Split", pattern)
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Removed", "invert": True}:
            yield ("Split", pattern)
        case {"type": "ByteLevel", "add_prefix_space": False, **rest}:
            yield ("GPT-2",) if rest.get("use_regex", True) else ("Bytes",)
        case _:
            yield ("?",)


def recognised(pre_tokenizer: Any) -> Pretokenizer | None:
    """The known rule that a tokenizer.json's `pre_tokenizer` spells, if any."""
    return _BY_STEPS.get(tuple(_steps(pre_tokenizer)))


def _stand_in(character: str) -> str:
    """An old character that tiktoken's tables put in the same class; white space stands for itself."""
    for encoding, stand_in in _CLASSES.items():
        if encoding.encode_ordinary(character):
            return stand_in
    return character if character.isspace() else "¤"


def _class(pattern: str) -> tiktoken.Encoding:
    return tiktoken.Encoding(pattern, pat_str=pattern, mergeable_ranks=_BYTES, special_tokens={})


# The classes that a known pattern asks for, each with a character that has always been in it.
_CLASSES: Mapping[tiktoken.Encoding, str] = {
    _class(r"\p{Lu}"): "À",
    _class(r"\p{Ll}"): "à",
    _class(r"\p{Lt}"): "ǅ",
    _class(r"\p{Lm}"): "ʰ",
    _class(r"\p{Lo}"): "ª",
    _class(r"\p{M}"): "\u0301",
    _class(r"\p{N}"): "²",
}

# The patterns of tokenizer.json. After each stands the same cut for tiktoken: one pattern, with possessive quantifiers
# to keep the matching linear. tests/engine/test_pretokenizer.py holds each pair against the other.
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENGLISH = rf"{_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_FAST_ENGLISH = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}++|%s| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]+|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_O200K = _CASED % (_SUFFIX + "?", _SUFFIX + "?", r"\p{N}{1,3}")
_TEKKEN = _CASED % ("", "", r"\p{N}")
_MARKED = (
    rf"{_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What ByteLevel(use_regex=True) cuts by.
_CONTRACTION = r"'(?:[sdmt]|ll|ve|re)"
_WORDS = rf"{_CONTRACTION}| ?\p{{L}}++| ?\p{{N}}++| ?[^\s\p{{L}}\p{{N}}]++|\s+(?!\S)|\s"

GPT2 = Pretokenizer((("GPT-2",),), _WORDS)
# White space before a digit ends in a word of its own: the first step has cut the digit off.
DIGITS = Pretokenizer(
    (("Digits",), ("GPT-2",)),
    rf"\p{{N}}|{_CONTRACTION}| ?\p{{L}}++| ?[^\s\p{{L}}\p{{N}}]++|\s+(?![^\s\p{{N}}])|\s",
)
LLAMA3 = Pretokenizer((("Split", _ENGLISH % r"\p{N}{1,3}"), ("Bytes",)), _FAST_ENGLISH % r"\p{N}{1,3}")
QWEN2 = Pretokenizer((("Split", _ENGLISH % r"\p{N}"), ("Bytes",)), _FAST_ENGLISH % r"\p{N}")
QWEN35 = Pretokenizer((("Split", _MARKED), ("Bytes",)), _MARKED)
GPT4O = Pretokenizer((("Split", _O200K), ("Bytes",)), _O200K)
TEKKEN = Pretokenizer((("Split", _TEKKEN), ("Bytes",)), _TEKKEN)
DEEPSEEK3 = Pretokenizer(
    (
        ("Split", r"\p{N}{1,3}"),
        ("Split", "[一-龥\u3040-ゟ゠-ヿ]+"),
        (
            "Split",
            (
                r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
                r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
            ),
        ),
        ("Bytes",),
    ),
    None,
)
_BY_STEPS = {rule.steps: rule for rule in (GPT2, DIGITS, LLAMA3, QWEN2, QWEN35, GPT4O, TEKKEN, DEEPSEEK3)}
