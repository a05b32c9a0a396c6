"""Reasoning models: what they think before they answer, kept apart from the answer while it streams.

A model is one if its chat template names a pair of TAGS: the template then opens the thoughts, or leaves those of
earlier answers out. The vocabulary alone does not tell, for it is often shared with models that do not reason. Any
other model may write "<think>" in an essay, and it stays text; so does one that is told to reason by a system prompt
alone, as some are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ThinkTags(NamedTuple):
    """What a model writes before and after its thoughts."""

    open: str
    close: str

    def tokens(self, special_tokens: Mapping[str, int]) -> dict[int, bytes]:
        """The tags that are control tokens, which add no bytes to a text themselves."""
        return {special_tokens[tag]: tag.encode() for tag in self if tag in special_tokens}


TAGS = (
    ThinkTags("<think>", "</think>"),  # Qwen 3, DeepSeek R1, SmolLM 3, OLMo 3, GLM, Phi-4 reasoning and most others
    ThinkTags("[THINK]", "[/THINK]"),  # Magistral
    ThinkTags("<seed:think>", "</seed:think>"),  # Seed-OSS
    ThinkTags("<thought>", "</thought>"),  # EXAONE Deep
    ThinkTags("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
)


def think_tags(template: str) -> ThinkTags | None:
    """The tags of the model that has this chat template, None if it is not a reasoning model."""
    return next((tags for tags in TAGS if tags.open in template or tags.close in template), None)


class ThoughtSplitter:
    """Cuts a growing text into thoughts and answer.

    Thoughts begin with the opening tag, if that is the first thing in the text besides white space, and end with the
    closing one; a tag anywhere else is text. thinking: the prompt has opened the thoughts already. Line breaks around
    the tags belong to neither side. Held back is what may turn out to be a tag, and line breaks before it, so what
    comes out does not depend on how the text was split.
    """

    def __init__(self, tags: ThinkTags, thinking: bool) -> None:
        self._tags = tags
        self._thinking = thinking
        # Not yet past the place where the thoughts may be opened; models open them again that need not.
        self._at_start = True
        # Nothing has come out of the part under way, whose leading line breaks are left out.
        self._fresh = thinking
        self._held = ""

    def push(self, text: str) -> tuple[str, str]:
        """Take in more; returns the thoughts and the answer that are certain now."""
        return self._split(self._held + text, final=False)

    def finish(self) -> tuple[str, str]:
        """End the text; returns what was held back."""
        return self._split(self._held, final=True)

    def _split(self, text: str, final: bool) -> tuple[str, str]:
        self._held = ""
        if self._at_start:
            rest = text.lstrip()
            if not final and self._tags.open.startswith(rest) and rest != self._tags.open:
                self._held = text
                return "", ""
            self._at_start = False
            if rest.startswith(self._tags.open):
                self._thinking = self._fresh = True
                text = rest[len(self._tags.open) :]
        if not self._thinking:
            return "", self._begun(text)
        thoughts, closed, answer = text.partition(self._tags.close)
        if closed:
            thoughts = self._begun(thoughts.rstrip("\n"))
            self._thinking, self._fresh = False, True
            return thoughts, self._begun(answer)
        certain = thoughts if final else thoughts[: len(thoughts) - self._possible_close(thoughts)]
        certain = certain.rstrip("\n")
        self._held = "" if final else thoughts[len(certain) :]
        return self._begun(certain), ""

    def _begun(self, text: str) -> str:
        if self._fresh:
            text = text.lstrip("\n")
            self._fresh = not text
        return text

    def _possible_close(self, text: str) -> int:
        """Length of the longest end of `text` that the closing tag may begin with."""
        close = self._tags.close
        return next((size for size in range(len(close) - 1, 0, -1) if text.endswith(close[:size])), 0)
