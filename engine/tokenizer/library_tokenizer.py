"""A tokenizer computed by the `tokenizers` library: exact for every tokenizer.json by definition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidPrompt, ModelFormatError, UnsupportedModel
from engine.tokenizer.added_tokens import AddedToken
from engine.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers


class LibraryTokenizer(Tokenizer):
    """A tokenizer.json in the library that defines what it means.

    description: the tokenizer.json, its parts checked by engine.tokenizer.tokenizer_json; truncation, padding and
    post-processing have no place here. ends: the keywords of Tokenizer. Raises ModelFormatError where the library
    does not take it or numbers the added tokens otherwise than the file.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        token_bytes: Sequence[bytes],
        added_tokens: Sequence[AddedToken],
        **ends: Any,
    ) -> None:
        super().__init__(token_bytes, added_tokens, **ends)
        self._at_start = _load(description)
        for token in added_tokens:
            if (id := self._at_start.token_to_id(token.content)) != token.id:
                raise ModelFormatError(f"the tokenizer gives {token.content!r:.60} the id {id}, its file {token.id}")
        _require_findable(self._at_start, added_tokens)
        # A space only at the very beginning: what follows a control token is cut by a twin that adds none.
        later = _without_first_space(description["pre_tokenizer"])
        same = later == description["pre_tokenizer"]
        self._later = self._at_start if same else _load({**description, "pre_tokenizer": later})

    def _encode(self, text: str, *, at_start: bool) -> list[int]:
        library = self._at_start if at_start else self._later
        try:
            return library.encode(text, add_special_tokens=False).ids
        except BaseException as error:
            # The library panics where its regex engine gives up: no Exception, no importable class.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise InvalidPrompt(f"a text of {len(text):,} characters is too long to tokenise: shorten it") from None
            raise


def _load(description: Mapping[str, Any]) -> tokenizers.Tokenizer:
    import tokenizers

    try:
        library = tokenizers.Tokenizer.from_str(json.dumps(description))
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelFormatError(f"the tokenizer cannot be built: {reason:.200}") from None
        raise
    # A control token in ordinary text is text.
    library.encode_special_tokens = True
    return library


def _require_findable(library: tokenizers.Tokenizer, added_tokens: Sequence[AddedToken]) -> None:
    """Refuse control tokens that a conversation must be searched for in another way than `encode_pieces` does."""
    for token in added_tokens:
        if not token.special:
            continue
        if token.single_word:
            raise UnsupportedModel(f"a tokenizer with the control token {token.content!r:.60}", "it is a `single_word`")
        normalized = library.normalizer.normalize_str(token.content) if library.normalizer else token.content
        if token.normalized and normalized != token.content:
            why = "it is looked for after normalising, which changes it"
            raise UnsupportedModel(f"a tokenizer with the control token {token.content!r:.60}", why)


def _without_first_space(pre_tokenizer: Any) -> Any:
    """The same, but that a Metaspace which adds a space at the beginning only adds none."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": list(parts)}:
            return {**pre_tokenizer, "pretokenizers": [_without_first_space(part) for part in parts]}
        case {"type": "Metaspace", "prepend_scheme": "first", "replacement": replacement, **rest}:
            kept = {"split": rest["split"]} if "split" in rest else {}
            return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": "never", **kept}
    return pre_tokenizer
