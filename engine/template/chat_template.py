"""A conversation as the model was trained to read it: the chat template of its files, rendered safely."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import TemplateError
from engine.reasoning import ThinkTags, think_tags
from engine.template.budget import CHARACTERS_PER_CONTENT_CHARACTER, MAX_CHARACTERS
from engine.template.messages import checked, size_of
from engine.template.pool import pool
from engine.template.source import TemplateSource, folder_source, gguf_source
from engine.tools import CallSyntax, call_syntax
from engine.tools.syntax import MISTRAL_CALLS

if TYPE_CHECKING:
    from engine.tokenizer import Tokenizer

MAX_SOURCE_CHARACTERS = 200_000
# A rendered conversation is little longer than its messages; templates bring a few thousand characters of their own.
MAX_OUTPUT_CHARACTERS = 4_000_000
OUTPUT_PER_CONTENT_CHARACTER = 4
PRIVATE_USE = range(0xF0000, 0xFFFFE)
# Stands for what is not the template's own where its special tokens are looked for.
FOREIGN = "\0"


class Piece(NamedTuple):
    """A part of a rendered conversation: one special token of the template's own, or ordinary text."""

    text: str
    special: bool


class RenderedChat(Sequence[Piece]):
    """The pieces of a rendered conversation. thinking: whether the model goes on inside its reasoning."""

    def __init__(self, pieces: Sequence[Piece], thinking: bool) -> None:
        self._pieces = tuple(pieces)
        self.thinking = thinking

    def __getitem__(self, index: Any) -> Any:
        return self._pieces[index]

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self._pieces)


class ChatTemplate:
    """A Jinja chat template in the sandbox of engine.template.sandbox; immutable, and safe to use from many threads.

    It sees what transformers gives it: `messages`, `tools`, `documents` (none), `add_generation_prompt`,
    `enable_thinking` where asked for, and the names of special tokens. names: those, such as `bos_token`.
    special_tokens: the strings that become control tokens where the template itself writes them. reasoning: the tags
    around the model's thoughts, None for a model that has none (see engine.reasoning).

    A typed `<|im_end|>` must stay text, so rendering has to know what came from a message. Contents are rendered as
    they are, so that a template may search, cut and compare them; it is the template's own strings that are marked
    (engine.template.authored), and a special token is one only if every character of it is the template's own. What
    loses its mark on the way is text. So no content becomes a control token, however the template trims, cuts,
    changes or joins it, and the text is always that of transformers.

    It is rendered in another process (engine.template.pool). Raises TemplateError for a template that does not parse.
    """

    def __init__(
        self, source: str, *, names: Mapping[str, str] | None = None, special_tokens: Iterable[str] = ()
    ) -> None:
        if len(source) > MAX_SOURCE_CHARACTERS:
            limit = f"at most {MAX_SOURCE_CHARACTERS:,} are allowed"
            raise TemplateError(f"the chat template has {len(source):,} characters; {limit}")
        self.reasoning: ThinkTags | None = think_tags(source)
        self._source = source
        self._names = dict(names or {})
        # The longest first, so that a token that another begins with does not hide it.
        special = sorted(filter(None, special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or "(?!)")
        self._ask("cannot be read", arguments=None)

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
        """The template of a GGUF file, or the fallback of engine.template.source where it has none.

        metadata: as plain Python values. Raises TemplateError, and ModelFormatError for a key of the wrong type.
        """
        return cls._from_source(gguf_source(metadata), tokenizer)

    @classmethod
    def from_folder(cls, folder: Path, tokenizer: Tokenizer) -> ChatTemplate:
        """The template of a model folder, or the fallback of engine.template.source where it has none.

        Raises TemplateError, and ModelFormatError for files that cannot be read.
        """
        return cls._from_source(folder_source(folder), tokenizer)

    def call_syntax(self) -> CallSyntax:
        """How the model calls functions; raises InvalidTools where it cannot, or in a way that is not known."""
        return call_syntax(self._source)

    @classmethod
    def _from_source(cls, source: TemplateSource, tokenizer: Tokenizer) -> ChatTemplate:
        return cls(source.text, names=source.names, special_tokens=tokenizer.special_tokens)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
        enable_thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> RenderedChat:
        """The conversation as the template writes it; joined, the pieces are the text of transformers.

        messages: role and content each, and of an answer its `reasoning_content` if it has any, which the template may
        use or not; `tool_calls` and their results as engine.template.messages says. tools: functions that may be
        called, as OpenAI's API describes them. add_generation_prompt: end with the beginning of an answer.
        continue_final: end right after the last message instead, so that the model goes on with it, or with its
        reasoning if the content is empty; white space at its end goes where the template trims it. enable_thinking:
        what templates of models that can answer with and without reasoning ask for; None leaves them their own choice.

        Raises TemplateError if the template fails, refuses these messages, or uses more than it may.
        """
        shown = [checked(message, short_ids=MISTRAL_CALLS in self._source) for message in messages]
        if continue_final and not shown:
            raise TemplateError("there is no message to continue")
        if "tool_calls" not in self._source and any("tool_calls" in message for message in shown):
            raise TemplateError(
                "the model's chat template leaves out the calls of tools: this model was not made for them"
            )
        size = size_of(shown) + size_of(tools)
        cut = self._unused_character(shown) if continue_final else ""
        if continue_final:
            field = "content" if shown[-1]["content"] or "reasoning_content" not in shown[-1] else "reasoning_content"
            # transformers appends its mark with a blank too, and takes its loss for the template's trimming.
            shown[-1][field] += cut + " "
        arguments = {"tools": tools, "documents": None, **self._names}
        arguments["add_generation_prompt"] = add_generation_prompt and not continue_final
        if enable_thinking is not None:
            arguments["enable_thinking"] = enable_thinking
        reply = self._ask("failed", arguments=arguments, messages=[_aliased(message) for message in shown], size=size)
        text, own = reply["text"], reply["own"]
        if continue_final:
            place = text.rfind(cut)
            if place < 0:
                raise TemplateError("the model's chat template leaves out the message to be continued")
            text = text[:place] if text.startswith(" ", place + 1) else text[:place].rstrip()
        return self._rendered(text, own)

    def render_prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_final: bool | None = None,
        enable_thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> RenderedChat:
        """The conversation up to where the model answers.

        continue_final: go on with the last message rather than begin an answer; by default if it is the assistant's.
        """
        if continue_final is None:
            continue_final = bool(messages) and messages[-1].get("role") == "assistant"
        return self.render(
            messages,
            continue_final=bool(continue_final),
            enable_thinking=enable_thinking,
            tools=tools,
            add_generation_prompt=add_generation_prompt,
        )

    def _ask(self, what: str, *, messages: Sequence[Any] = (), size: int = 0, **request: Any) -> dict[str, Any]:
        """The reply of a worker; raises TemplateError, with `what` happened to the template."""
        try:
            reply = pool.ask(
                {
                    "source": self._source,
                    "messages": list(messages),
                    "characters": MAX_CHARACTERS + CHARACTERS_PER_CONTENT_CHARACTER * size,
                    "longest": MAX_OUTPUT_CHARACTERS + OUTPUT_PER_CONTENT_CHARACTER * size,
                    **request,
                }
            )
            reason = reply.get("error")
        except TemplateError as error:
            reason = str(error)
        if reason is not None:
            raise TemplateError(f"the model's chat template {what}: {reason:.300}")
        return reply

    def _unused_character(self, messages: Sequence[Mapping[str, Any]]) -> str:
        used = set(self._source).union(json.dumps(messages, ensure_ascii=False))
        for code in PRIVATE_USE:
            if chr(code) not in used:
                return chr(code)
        raise TemplateError("the messages use up all private-use characters; remove some")

    def _rendered(self, text: str, own: Sequence[tuple[int, int]]) -> RenderedChat:
        written, end = [], 0
        for start, stop in own:
            written += [FOREIGN * (start - end), text[start:stop]]
            end = stop
        # Of the same length as the text, but for what was cut off it.
        trusted = "".join(written)[: len(text)]
        pieces, end = [], 0
        for match in self._special.finditer(trusted):
            pieces.append(Piece(text[end : match.start()], special=False))
            pieces.append(Piece(match.group(), special=True))
            end = match.end()
        pieces.append(Piece(text[end:], special=False))
        thinking = self.reasoning is not None and trusted.rfind(self.reasoning.open) > trusted.rfind(
            self.reasoning.close
        )
        return RenderedChat([piece for piece in pieces if piece.text], thinking)


def _aliased(message: Mapping[str, Any]) -> dict[str, Any]:
    """With the reasoning under the other name that templates read it by, as transformers passes it."""
    reasoning = message.get("reasoning_content")
    return dict(message) if reasoning is None else {"thinking": reasoning, **message}
