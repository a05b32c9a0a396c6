"""A `tokenizer.json` read as a byte-pair encoding, everything in it checked before a library sees it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import ModelFormatError, UnsupportedModel
from engine.tokenizer.added_tokens import AddedToken, looks_like_control
from engine.tokenizer.bpe import BPE, SPACE, refuse_too_many_added
from engine.tokenizer.linear_pattern import is_linear

FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")
NORMALIZERS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Replace"})
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
MAX_STEPS = 32
# How many times longer a normaliser may make a text.
MAX_GROWTH = 64
MAX_LITERAL = 64


def parse_bpe(description: Mapping[str, Any]) -> tuple[BPE, bool]:
    """The encoding a tokenizer.json describes, and whether its decoder takes one space off the beginning of a text.

    Raises UnsupportedModel for other models than BPE, steps that are not known, and patterns whose matching could take
    forever; ModelFormatError for parts that are missing or of the wrong type.
    """
    model = _typed(description, "model", dict)
    kind = model.get("type", "BPE")
    if kind != "BPE":
        raise UnsupportedModel(f"a tokenizer of the kind {kind!r:.40}", "only BPE is known")
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(name):
            raise UnsupportedModel("this tokenizer", f"its model has a {name}")
    normalizer, pre_tokenizer = description.get("normalizer"), description.get("pre_tokenizer")
    _check_normalizer(normalizer)
    _check_pre_tokenizer(pre_tokenizer)
    byte_level, strips_space, byte_fallback = _decoding(description.get("decoder"))
    unk_token = model.get("unk_token")
    if not isinstance(unk_token, str | None):
        raise ModelFormatError(f"the tokenizer's unk_token must be a string, not {type(unk_token).__name__}")
    added = _typed(description, "added_tokens", list, [])
    refuse_too_many_added(len(added))
    bpe = BPE(
        vocabulary=_vocabulary(model),
        merges=_merges(_typed(model, "merges", list)),
        added_tokens=[parse_added_token(token) for token in added],
        normalizer=normalizer,
        pre_tokenizer=pre_tokenizer,
        byte_level=byte_level,
        whole_words=_typed(model, "ignore_merges", bool, False),
        byte_fallback=_typed(model, "byte_fallback", bool, False),
        fuse_unk=_typed(model, "fuse_unk", bool, False),
        unk_token=unk_token,
    )
    if bpe.byte_fallback and not byte_fallback:
        raise UnsupportedModel("this tokenizer", "it makes byte tokens that its decoder does not turn into text")
    return bpe, strips_space


def parse_added_token(token: Any, id: Any = None) -> AddedToken:
    """One of `added_tokens`, or of tokenizer_config.json's `added_tokens_decoder`, which keeps the ids apart."""
    if not isinstance(token, dict):
        raise ModelFormatError(f"an added token of the tokenizer must be an object, not {type(token).__name__}")
    content = _typed(token, "content", str)
    number = _typed(token, "id", int) if id is None else id
    flags = {name: _typed(token, name, bool, False) for name in FLAGS}
    flags["special"] = flags["special"] or looks_like_control(content)
    return AddedToken(content, number, **flags)


def leading_tokens(post_processor: Any) -> list[str]:
    """The control tokens a tokenizer.json puts before a text."""
    match post_processor:
        case {"type": "Sequence", "processors": list(parts)}:
            return [token for part in parts for token in leading_tokens(part)]
        case {"type": "TemplateProcessing", "single": list(parts)}:
            leading: list[str] = []
            for part in parts:
                match part:
                    case {"SpecialToken": {"id": str(token)}}:
                        leading.append(token)
                    case _:
                        break
            return leading
        case {"type": "RobertaProcessing" | "BertProcessing", "cls": [str(token), *_]}:
            return [token]
    return []


def _typed(parent: Mapping[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    value = parent.get(name)
    if value is None and default is not ...:
        return default
    if type(value) is not kind:
        raise ModelFormatError(f"the tokenizer's {name} must be {kind.__name__}, not {type(value).__name__}")
    return value


def _vocabulary(model: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = _typed(model, "vocab", dict)
    if other := next((token for token, id in vocabulary.items() if type(id) is not int), None):
        raise ModelFormatError(f"the id of the token {other!r:.40} must be an integer, not {vocabulary[other]!r:.40}")
    return vocabulary


def _merges(merges: list[Any]) -> list[tuple[str, str]]:
    """Pairs of tokens, each written as a list of two or with a space between them."""
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    for place, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and all(part and isinstance(part, str) for part in pair)):
            raise ModelFormatError(f"merge {place} of the tokenizer, {merges[place]!r:.60}, is no pair of tokens")
    return [(left, right) for left, right in pairs]


def _steps(part: Any, inner: str, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The steps of a normaliser, pre-tokenizer or decoder; inner: what a Sequence of them calls its parts."""
    if part is None and not depth:
        return
    if not isinstance(part, dict) or depth > 8:
        raise ModelFormatError(f"a part of the tokenizer's {inner} must be an object, not {part!r:.40}")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise ModelFormatError(f"a part of the tokenizer's {inner} has the type {kind!r:.40}, which is no string")
    if kind != "Sequence":
        yield part
        return
    for step in _typed(part, inner, list):
        yield from _steps(step, inner, depth + 1)


def _few_steps(part: Any, inner: str) -> list[Mapping[str, Any]]:
    steps = list(_steps(part, inner))
    if len(steps) > MAX_STEPS:
        raise UnsupportedModel("this tokenizer", f"it has {len(steps)} {inner}; at most {MAX_STEPS} are allowed")
    return steps


def _check_normalizer(normalizer: Any) -> None:
    growth = 1
    for step in _few_steps(normalizer, "normalizers"):
        kind = step.get("type")
        if kind not in NORMALIZERS:
            raise UnsupportedModel("this tokenizer", f"the normaliser {kind!r:.40} is not known")
        if kind == "Prepend":
            growth += _literal(step.get("prepend"))
        if kind == "Replace":
            least = _check_pattern(step.get("pattern"))
            growth *= max(1, math.ceil(_literal(step.get("content"), least=0) / least))
    if growth > MAX_GROWTH:
        raise UnsupportedModel("this tokenizer", f"its normaliser may make a text {growth} times as long")


def _check_pre_tokenizer(pre_tokenizer: Any) -> None:
    byte_levels = 0
    for step in _few_steps(pre_tokenizer, "pretokenizers"):
        match step.get("type"):
            case "Split":
                _check_pattern(step.get("pattern"))
                if step.get("behavior") not in BEHAVIORS:
                    raise ModelFormatError(
                        f"the tokenizer splits with the unknown behavior {step.get('behavior')!r:.40}"
                    )
            case "ByteLevel":
                byte_levels += 1
            case "Digits" | "Punctuation" | "Metaspace":
                pass
            case kind:
                raise UnsupportedModel("this tokenizer", f"the pre-tokenizer {kind!r:.40} is not known")
    # A second one would spell the spelling of the first.
    if byte_levels > 1:
        raise UnsupportedModel("this tokenizer", "it spells bytes twice")


def _check_pattern(pattern: Any) -> int:
    """The least number of characters it matches, as far as that is needed. Raises UnsupportedModel."""
    match pattern:
        case {"String": str(literal)}:
            return _literal(literal)
        case {"Regex": str(expression)}:
            if not is_linear(expression):
                why = f"its pattern {expression!r:.60} is not known to match in bounded time"
                raise UnsupportedModel("this tokenizer", why)
            return 1
    raise ModelFormatError(f"the tokenizer has a pattern {pattern!r:.60}, which is neither a string nor a regex")


def _literal(text: Any, least: int = 1) -> int:
    if not isinstance(text, str) or not least <= len(text) <= MAX_LITERAL:
        raise ModelFormatError(
            f"a text in the tokenizer's steps has to have {least} to {MAX_LITERAL} characters: {text!r:.40}"
        )
    return len(text)


def _decoding(decoder: Any) -> tuple[bool, bool, bool]:
    """byte_level, whether a space at the beginning is stripped, whether byte tokens become bytes."""
    steps = _few_steps(decoder, "decoders")
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"]:
        return True, False, False
    strips = fallback = replaces = False
    for step in steps:
        match step:
            case {"type": "Replace", "pattern": {"String": pattern}, "content": " "} if pattern == SPACE:
                replaces = True
            case {"type": "ByteFallback"}:
                fallback = True
            case {"type": "Fuse"}:
                pass
            case {"type": "Strip", "content": " ", "start": 1, "stop": 0}:
                strips = True
            case _:
                raise UnsupportedModel(
                    "this tokenizer", f"its decoder has the step {step.get('type')!r:.40}, not known here"
                )
    # The steps are only known in this order; Strip is about the text, so it has to come after Fuse.
    order = ["Replace", "ByteFallback", "Fuse", "Strip"]
    if not replaces or [kind for kind in order if kind in kinds] != kinds or (strips and "Fuse" not in kinds):
        raise UnsupportedModel(
            "this tokenizer", f"its decoder {', '.join(map(str, kinds)) or 'is missing'}: not known here"
        )
    return False, strips, fallback
