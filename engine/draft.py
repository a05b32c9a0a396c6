"""Guesses of a run's next tokens, which the model checks in the step that computes the token before them."""

from __future__ import annotations

from collections.abc import Sequence

# Tokens that have to stand alike for what followed them to be a guess.
MATCH = 3
# A step of two tokens costs little more than one of one, of four about half more, of eight three times as much
# (docs/kernels.md): longer guesses would have to be right nearly always.
LONGEST_DRAFT = 3
# Steps without a guess after many wrong ones in a row.
LONGEST_PAUSE = 64


class PromptLookup:
    """Guesses that a text goes on as it did when its latest tokens stood there before.

    Answers quote their prompt, write lists and code, and repeat themselves. The method is prompt lookup decoding,
    https://github.com/apoorvumang/prompt-lookup-decoding. One token is guessed, and LONGEST_DRAFT after a guess that
    was right; the more wrong ones come in a row, the longer none is made.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._follows: dict[tuple[int, ...], int] = {}
        self._match: int | None = None
        self._length = 1
        self._misses = 0
        self._pause = 0
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Take in what the text goes on with."""
        for token in tokens:
            self._tokens.append(token)
            latest = tuple(self._tokens[-MATCH:])
            self._match = self._follows.get(latest)
            self._follows[latest] = len(self._tokens)

    def draft(self, most: int) -> list[int]:
        """The next tokens as they are guessed, at most `most`; none where nothing suggests one."""
        if self._match is None:
            return []
        if self._pause:
            self._pause -= 1
            return []
        text = self._tokens
        guesses: list[int] = []
        for place in range(self._match, self._match + min(most, self._length)):
            guesses.append(text[place] if place < len(text) else guesses[place - len(text)])
        return guesses

    def judge(self, drafted: int, right: int) -> None:
        """Learn how many of the tokens of a draft were right."""
        if right == drafted:
            self._length = LONGEST_DRAFT
        else:
            self._length = 1
        if right:
            self._misses = 0
        else:
            self._misses += 1
            self._pause = min(2**self._misses, LONGEST_PAUSE)
