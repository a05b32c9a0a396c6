"""What a model is asked, as token ids that have been checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import ContextOverflow, InvalidPrompt
from engine.template import ChatTemplate, RenderedChat
from engine.tokenizer import Tokenizer
from engine.tools import Tools


class Prompts:
    """Token ids of conversations and texts. context: how many tokens one may have."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, context: int) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._context = context

    def rendered(
        self,
        messages: Sequence[Mapping[str, Any]],
        enable_thinking: bool | None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> RenderedChat:
        """A conversation in the model's own form; raises InvalidPrompt if it is none, TemplateError."""
        if not messages or not all(isinstance(message, Mapping) for message in messages):
            raise InvalidPrompt("a conversation is one or more messages, each with a role and a content")
        return self._template.render_prompt(
            messages,
            enable_thinking=enable_thinking,
            tools=tools.described() if tools else None,
            add_generation_prompt=add_generation_prompt,
        )

    def of(self, prompt: str | Sequence[int]) -> list[int]:
        """Ordinary text, with the token that the model has a text begin with, or ids as they are.

        Raises InvalidPrompt if it is empty or holds unknown ids.
        """
        if isinstance(prompt, str):
            begin = [self._tokenizer.bos_id] if self._tokenizer.add_bos else []
            prompt = [token for token in begin if token is not None] + self._tokenizer.encode(prompt)
        if not prompt:
            raise InvalidPrompt("the prompt is empty: write something first")
        return self.checked(prompt)

    def to_read(self, prompt: str | Sequence[int]) -> list[int]:
        """As `of`, a prompt that is only read, so that it may fill the context; else raises ContextOverflow."""
        tokens = self.of(prompt)
        if len(tokens) > self._context:
            raise ContextOverflow(need=len(tokens), have=self._context)
        return tokens

    def to_answer(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Ids that an answer follows, for which there is room in the context; else raises ContextOverflow."""
        ids = tuple(self.checked(tokens))
        if len(ids) >= self._context:
            raise ContextOverflow(need=len(ids) + 1, have=self._context)
        return ids

    def checked(self, tokens: Sequence[int]) -> list[int]:
        """Ids of the vocabulary; else raises InvalidPrompt."""
        for token in tokens:
            if not 0 <= token < self._tokenizer.vocabulary:
                raise InvalidPrompt(f"there is no token {token}: ids go from 0 to {self._tokenizer.vocabulary - 1}")
        return list(tokens)
