"""What the chat service needs of an engine, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from engine import EngineError, EngineInfo, Sampling, Stats, Step
from engine.text import Shown
from engine.tools import Tools

# As OpenAI's API writes them: role and content, `reasoning_content` and `tool_calls` of answers, `tool_call_id` of the
# results of calls.
Message = Mapping[str, Any]


class AnswerInterrupted(EngineError):
    """What computed the answer was lost in the middle of it; what there is can be continued."""


class NoTokenizer(EngineError):
    """The backend cannot tell tokens, so that their number can only be estimated."""


class BackendRun(Protocol):
    """One answer in the making: iterate it for its steps, from one thread; cancel it from any."""

    @property
    def phase(self) -> str:
        """`queued`, `prefill`, `decode` or `done`."""
        ...

    @property
    def prompt(self) -> tuple[int, ...]:
        """Token ids of the prompt."""
        ...

    @property
    def begun(self) -> Shown:
        """Of an answer that is continued: what can be shown of the tokens it has already; else nothing."""
        ...

    @property
    def stats(self) -> Stats: ...

    def __iter__(self) -> Iterator[Step]: ...

    def cancel(self) -> None: ...


class Backend(Protocol):
    """A loaded model that answers; `engine.Engine` is one."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def runs(self) -> int:
        """How many answers are computed or wait for it."""
        ...

    def chat(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        answer: Sequence[int] = (),
        schema: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> BackendRun:
        """Answer the conversation; raises EngineError, `ContextOverflow` among others, before any step.

        answer: token ids of an answer to go on with, as if it had not been interrupted: characters, stop strings,
        penalties and the random numbers of the seed go on where they ended. `begun` tells their text, and the steps
        go on from there. schema: a JSON schema that an answer which ends by itself is valid by. tools: functions
        that the answer may call. add_generation_prompt: whether the answer is begun for the model.
        """
        ...

    def generate(self, prompt: str | Sequence[int], sampling: Sampling) -> BackendRun:
        """Continue a text or token ids without a chat template; raises EngineError before any step."""
        ...

    def chat_tokens(
        self, messages: Sequence[Message], *, tools: Tools | None = None, add_generation_prompt: bool = True
    ) -> list[int]:
        """The prompt of a conversation; raises NoTokenizer."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Raises NoTokenizer."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Raises InvalidPrompt for ids outside the vocabulary."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """What one token adds to a text, b"" for a control token; raises InvalidPrompt likewise."""
        ...

    def close(self) -> None: ...
