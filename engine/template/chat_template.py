"""A conversation as the model was trained to read it: the chat template of its file, rendered safely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import ModelFormatError, TemplateError
from engine.template.budget import MAX_CHARACTERS, Budget, spending
from engine.template.sandbox import TemplateEnvironment
from engine.tokenizer import Tokenizer

ROLES = frozenset({"system", "user", "assistant", "tool", "developer"})
MAX_SOURCE_CHARACTERS = 200_000
# A template may keep joining what it has so far, so what it makes grows with the messages' number and their
# length.
CHARACTERS_PER_CONTENT_CHARACTER = 100
PRIVATE_USE = range(0xF0000, 0xFFFFE)

# For a model without a template: plain text that any model can continue.
FALLBACK = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}\n\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


class Piece(NamedTuple):
    """A part of a rendered conversation: one special token of the template's own, or ordinary text."""

    text: str
    special: bool


class ChatTemplate:
    """A Jinja chat template in the sandbox of engine.template.sandbox; immutable, and safe to use from many threads.

    It sees what transformers gives it: messages (role and content), add_generation_prompt, bos_token,
    eos_token. special_tokens: the strings that become control tokens where the template itself writes them.

    A typed `<|im_end|>` must stay text, so rendering has to know what came from a message. Every character
    that begins or ends a special token is therefore disguised in the contents, as a private-use character
    that occurs nowhere else, before they are rendered, and turned back after. So no special token can begin
    or end in content, however the template trims, cuts, changes or joins it, and the text is otherwise what
    the template makes of the content. A template that looks for such characters in content does not find
    them.

    Raises TemplateError for a template that does not parse.
    """

    def __init__(
        self, source: str, *, bos_token: str = "", eos_token: str = "", special_tokens: Iterable[str] = ()
    ) -> None:
        if len(source) > MAX_SOURCE_CHARACTERS:
            limit = f"at most {MAX_SOURCE_CHARACTERS:,} are allowed"
            raise TemplateError(f"the chat template has {len(source):,} characters; {limit}")
        self._source = source
        self._names = {"bos_token": bos_token, "eos_token": eos_token}
        # The longest first, so that a token that another begins with does not hide it.
        special = sorted(filter(None, special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or "(?!)")
        self._ends = sorted({text[0] for text in special} | {text[-1] for text in special})
        try:
            with spending(Budget()):
                self._template = TemplateEnvironment().from_string(source)
        # Whatever a template nobody has read does wrong, MemoryError and RecursionError included, is its
        # fault.
        except Exception as error:
            raise TemplateError(f"the model's chat template cannot be read: {_reason(error)}") from None

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
        """The template of a GGUF file, or FALLBACK where it has none.

        metadata: as plain Python values. Raises TemplateError, and ModelFormatError if it is not a string.
        """
        source = metadata.get("tokenizer.chat_template", FALLBACK)
        if not isinstance(source, str):
            raise ModelFormatError(f"tokenizer.chat_template must be str, not {type(source).__name__}")
        names = {id: text for text, id in tokenizer.special_tokens.items()}
        eos_id = metadata.get("tokenizer.ggml.eos_token_id", -1)
        return cls(
            source,
            bos_token=names.get(-1 if tokenizer.bos_id is None else tokenizer.bos_id, ""),
            eos_token=names.get(eos_id, ""),
            special_tokens=tokenizer.special_tokens,
        )

    def render(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
    ) -> list[Piece]:
        """The conversation as the template writes it; joined, the pieces are the text of transformers.

        messages: role (one of ROLES) and content each. add_generation_prompt: end with the beginning of an
        answer. continue_final: end right after the content of the last message instead, so that the model
        goes on with it.

        Raises TemplateError if the template fails, refuses these messages, or uses more than engine.template.sandbox
        allows.
        """
        contents = [_checked_content(message) for message in messages]
        if continue_final and not contents:
            raise TemplateError("there is no message to continue")
        stand_ins = self._unused_characters(contents)
        disguise = dict(zip(map(ord, self._ends), stand_ins, strict=False))
        cut = stand_ins[-1]
        shown = [
            {"role": message["role"], "content": content.translate(disguise)}
            for message, content in zip(messages, contents, strict=True)
        ]
        if continue_final:
            shown[-1]["content"] += cut
        characters = MAX_CHARACTERS + CHARACTERS_PER_CONTENT_CHARACTER * sum(map(len, contents))
        try:
            with spending(Budget(characters)):
                text = self._template.render(
                    messages=shown,
                    add_generation_prompt=add_generation_prompt and not continue_final,
                    **self._names,
                )
        except Exception as error:
            raise TemplateError(f"the model's chat template failed: {_reason(error)}") from None
        if continue_final:
            text, found, _ = text.rpartition(cut)
            if not found:
                raise TemplateError("the model's chat template leaves out the message to be continued")
        return self._pieces(text, {ord(stand_in): chr(end) for end, stand_in in disguise.items()})

    def _unused_characters(self, contents: Sequence[str]) -> list[str]:
        """One private-use character for each character to disguise, and one more."""
        used = {character for content in contents for character in content if ord(character) in PRIVATE_USE}
        used.update(character for character in self._source if ord(character) in PRIVATE_USE)
        free = [chr(code) for code in PRIVATE_USE[: len(used) + len(self._ends) + 1] if chr(code) not in used]
        if len(free) <= len(self._ends):
            raise TemplateError("the messages use up all private-use characters; remove some")
        return free[: len(self._ends) + 1]

    def _pieces(self, text: str, reveal: Mapping[int, str]) -> list[Piece]:
        pieces: list[Piece] = []
        start = 0
        for match in self._special.finditer(text):
            pieces.append(Piece(text[start : match.start()].translate(reveal), special=False))
            pieces.append(Piece(match.group(), special=True))
            start = match.end()
        pieces.append(Piece(text[start:].translate(reveal), special=False))
        return [piece for piece in pieces if piece.text]


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Mapping[str, str]],
    *,
    continue_final: bool | None = None,
) -> list[int]:
    """Token ids of a conversation, up to where the model answers.

    continue_final: go on with the last message rather than begin an answer; by default if it is the
    assistant's. Content never becomes a special token; the ids are otherwise those of transformers'
    `apply_chat_template`, BOS included only where the template writes it. Raises TemplateError.
    """
    if continue_final is None:
        continue_final = bool(messages) and messages[-1].get("role") == "assistant"
    ids: list[int] = []
    for piece in template.render(messages, continue_final=continue_final):
        ids += [tokenizer.special_tokens[piece.text]] if piece.special else tokenizer.encode(piece.text)
    return ids


def _checked_content(message: Mapping[str, str]) -> str:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise TemplateError(f"a message has the role {role!r:.40}; known are {', '.join(sorted(ROLES))}")
    if not isinstance(content, str):
        raise TemplateError(f"the content of a message must be text, not {type(content).__name__}")
    return content


def _reason(error: Exception) -> str:
    """One line, of a length for people; a template can raise any text."""
    lines = str(error).split("\n")
    return f"{lines[0] or type(error).__name__:.300}"
