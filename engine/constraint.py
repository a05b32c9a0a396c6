"""Which tokens may come next where an answer has to be valid by a JSON schema, or calls functions by theirs: a grammar
followed token by token."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import InvalidSchema, InvalidTools
from engine.reasoning import ThinkTags
from engine.tokenizer import Tokenizer
from engine.tools import CallSyntax, Tools
from engine.tools.grammar import grammar
from engine.tools.tools import parameters

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

MAX_SCHEMA_CHARACTERS = 100_000
MAX_INTEGER = 2**53
# No byte of UTF-8: what a token that is no text begins with, for llguidance.
NO_TEXT = b"\xff"
# What llguidance calls it when no token goes on with what is sure to come.
NO_EXTENSION = "NoExtensionBias"
NO_BYTES = "it asks for characters for which the model has no token"


class Constraint:
    """What one run may still say. Made by `Constraints`; used by one thread."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> np.ndarray:
        """Of each token whether it may come next: bool [vocabulary]. Raises InvalidSchema if none may."""
        # One bit a token, the lowest first.
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        mask = np.unpackbits(bits, count=self._vocabulary, bitorder="little").astype(np.bool_)
        self._check()
        if not mask.any():
            raise InvalidSchema("nothing that it allows can come next")
        return mask

    def accept(self, token: int) -> None:
        """This token was chosen. Raises InvalidSchema if it was not allowed, or the schema is too complex to go on."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            error = self._matcher.get_error()
            raise InvalidSchema(NO_BYTES if NO_EXTENSION in error else _line(error))


class Constraints:
    """Makes constraints for one tokenizer; safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._made: LLTokenizer | None = None

    def of_schema(self, schema: Mapping[str, Any]) -> Constraint:
        """For an answer of its own: compact JSON, with the properties of objects in the order of the schema.

        Raises InvalidSchema for one that is overlong, no JSON schema, or uses keywords that cannot be held to.
        """
        from llguidance import LLMatcher

        text = _schema_text(schema)
        try:
            # Small models may go on with white space for ever where they are let.
            return self._made_of(LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False}))
        except ValueError as error:
            raise InvalidSchema(_line(str(error))) from None

    def of_tools(self, tools: Tools, syntax: CallSyntax, tags: ThinkTags | None, thinking: bool) -> Constraint:
        """For an answer that may call these functions, in this syntax, with arguments that are valid by their schemas.

        tags: around the thoughts of a reasoning model; thinking: the prompt has opened them. Raises InvalidTools for
        functions whose schemas cannot be held to.
        """
        from llguidance import LLMatcher

        try:
            for function in tools.functions:
                # Each by itself, so that what is wrong is told of the right one.
                if not isinstance(schema := parameters(function), Mapping) or schema.get("type", "object") != "object":
                    raise InvalidSchema("the arguments of a function are an object")
                LLMatcher.grammar_from_json_schema(_schema_text(schema))
        except (InvalidSchema, ValueError) as error:
            why = error.why if isinstance(error, InvalidSchema) else _line(str(error))
            raise InvalidTools(f"calls of {function['name']} cannot be held to its parameters: {why}") from None
        control = {
            text: id for text, id in self._tokenizer.special_tokens.items() if not self._tokenizer.token_bytes(id)
        }
        try:
            lark = grammar(tools, syntax, control, tags, thinking, _schema_text)
            return self._made_of(LLMatcher.grammar_from_lark(lark))
        except (InvalidSchema, ValueError) as error:
            why = error.why if isinstance(error, InvalidSchema) else _line(str(error))
            raise InvalidTools(f"calls cannot be held to the parameters of these tools: {why}") from None

    def _made_of(self, grammar: str) -> Constraint:
        from llguidance import LLMatcher

        constraint = Constraint(LLMatcher(self._llguidance(), grammar, log_level=0), self._tokenizer.vocabulary)
        # Whatever is wrong with the schema shows at its first token, before the run waits for its turn.
        constraint.allowed()
        return constraint

    def _llguidance(self) -> LLTokenizer:
        from llguidance import LLTokenizer, TokenizerWrapper

        with self._lock:
            if self._made is None:
                if not self._tokenizer.eos_ids:
                    raise InvalidSchema("the model has no token that ends an answer")
                self._made = LLTokenizer(
                    TokenizerWrapper(_Vocabulary(self._tokenizer)), eos_token=sorted(self._tokenizer.eos_ids)
                )
            return self._made


class _Vocabulary:
    """A tokenizer as llguidance asks for it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        known = [tokenizer.token_bytes(id) for id in range(tokenizer.vocabulary)]
        self.tokens = [data or NO_TEXT + str(id).encode() for id, data in enumerate(known)]
        self.special_token_ids = [id for id, data in enumerate(known) if not data]
        self.eos_token_id = min(tokenizer.eos_ids)
        self.bos_token_id = tokenizer.bos_id
        self._tokenizer = tokenizer
        self._ids = {data: id for id, data in enumerate(known) if data}
        self._longest = max(map(len, self._ids))

    def __call__(self, text: bytes | str) -> list[int]:
        """Tokens of exactly these bytes, of which llguidance lets nothing else come next where they are sure to come:
        the tokenizer's own unless it puts a space before them, as SentencePiece does, or leaves some out."""
        data = text.encode() if isinstance(text, str) else text
        ids = self._tokenizer.encode(data.decode("utf-8", "replace"))
        return ids if b"".join(self.tokens[id] for id in ids) == data else self._greedy(data)

    def _greedy(self, data: bytes) -> list[int]:
        """The longest token that fits, again and again, up to a byte that no token has."""
        ids: list[int] = []
        while data:
            ends = range(min(len(data), self._longest), 0, -1)
            end = next((end for end in ends if data[:end] in self._ids), None)
            if end is None:
                break
            ids.append(self._ids[data[:end]])
            data = data[end:]
        return ids


def _schema_text(schema: Mapping[str, Any]) -> str:
    """A schema as JSON; raises InvalidSchema."""
    try:
        text = json.dumps(schema, allow_nan=False)
        json.loads(text, parse_int=_exact)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSchema(f"it is not JSON that is exact everywhere ({_line(str(error))})") from None
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise InvalidSchema(f"it has {len(text):,} characters, but at most {MAX_SCHEMA_CHARACTERS:,} are possible")
    return text


def _exact(digits: str) -> int:
    # Of larger integers llguidance writes the nearest double (RFC 8259, section 6, tells to expect no better).
    if abs(number := int(digits)) > MAX_INTEGER:
        raise ValueError(f"{digits[:30]} is beyond 2**53, where not every integer is exact")
    return number


def _line(text: str) -> str:
    """One line, without what llguidance tells its developers."""
    return " ".join(text.partition("<state>")[0].split())[:200]
