"""A scripted backend: says what a test or a demonstration tells it to, at a pace, and fails where told."""

from __future__ import annotations

import codecs
import math
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from secrets import randbits
from time import perf_counter
from typing import Any, Literal

from app.backend import Message
from engine import ContextOverflow, EngineClosed, EngineError, EngineInfo, InvalidPrompt, Sampling, Stats, Step
from engine.errors import InvalidSchema, InvalidTools
from engine.reasoning import ThinkTags, ThoughtSplitter
from engine.run import Phase
from engine.text import Shown
from engine.tools import Tools

VOCABULARY = 50_000
Piece = str | bytes
Script = Sequence[Piece] | Callable[[Sequence[Message]], Sequence[Piece]]


def token_of(piece: Piece) -> int:
    """The token id of a piece of text: its checksum, within the vocabulary."""
    return zlib.crc32(_bytes(piece)) % VOCABULARY


def _bytes(piece: Piece) -> bytes:
    return piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece


class ScriptedBackend:
    """Conforms to `app.backend.Backend` without a model.

    script: the pieces of text of an answer, one a token, or a function that makes them from the messages; the
    answer ends with "stop" after them, with "length" at `Sampling.max_tokens`. pace: seconds before each
    token, or a function of its number; may be set at any time. error: raised by `chat`, or after `error_at`
    tokens where that is given. context: tokens the prompt and one more must fit in; a prompt has a token for
    each of its words and messages. recommended, ignored: as in `EngineInfo`. tags: what sets a script's thoughts
    apart, as a reasoning model's. requests: what `chat` was called with, in order.
    """

    def __init__(
        self,
        script: Script = ("Hello", " there", "."),
        *,
        pace: float | Callable[[int], float] = 0.0,
        error: EngineError | None = None,
        error_at: int | None = None,
        context: int = 2048,
        name: str = "scripted",
        recommended: Mapping[str, Any] | None = None,
        ignored: tuple[str, ...] = (),
        tags: ThinkTags | None = None,
    ) -> None:
        self.script = script
        self.tags = tags
        self.pace = pace
        self.error = error
        self.error_at = error_at
        self.requests: list[tuple[Sequence[Message], Sampling]] = []
        self.closed = threading.Event()
        self.under_way: set[ScriptedRun] = set()
        self._pieces: dict[int, bytes] = {}
        self.info = EngineInfo(
            name=name,
            architecture="scripted",
            parameters=0,
            quantization="none",
            context=context,
            vocabulary=VOCABULARY,
            device="cpu",
            dtype="float32",
            kernels="scripted",
            digest="0" * 64,
            version="0",
            reasoning=tags is not None,
            recommended=recommended or {},
            ignored=ignored,
        )

    @property
    def runs(self) -> int:
        """How many answers are being iterated."""
        return len(self.under_way)

    def chat(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008
        *,
        answer: Sequence[int] = (),
        schema: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> ScriptedRun:
        """Begin or continue an answer; raises `error`, ContextOverflow or EngineClosed, InvalidPrompt for an `answer`
        that the script does not begin with, and InvalidSchema for any schema, and InvalidTools for any tools."""
        if tools is not None:
            raise InvalidTools("it says what its script says")
        if schema is not None:
            raise InvalidSchema("it says what its script says")
        if self.closed.is_set():
            raise EngineClosed("the engine is closed: start it again")
        self.requests.append((messages, sampling))
        if self.error is not None and self.error_at is None:
            raise self.error
        prompt = (*self.chat_tokens(messages), *answer)
        if len(prompt) + 1 > self.info.context:
            raise ContextOverflow(len(prompt) + 1, self.info.context)
        pieces = self.script(messages) if callable(self.script) else self.script
        self._pieces.update({token_of(piece): _bytes(piece) for piece in pieces})
        if list(answer) != [token_of(piece) for piece in pieces[: len(answer)]]:
            raise InvalidPrompt("the script has another answer")
        return ScriptedRun(self, prompt, pieces, sampling, len(answer))

    def generate(self, prompt: str | Sequence[int], sampling: Sampling) -> ScriptedRun:
        """Answer a text, or the text of token ids, as a message with nothing before it; raises as `chat` does."""
        text = prompt if isinstance(prompt, str) else self.detokenize(prompt)
        return self.chat([{"role": "user", "content": text}], sampling)

    def chat_tokens(
        self, messages: Sequence[Message], *, tools: Tools | None = None, add_generation_prompt: bool = True
    ) -> list[int]:
        """A token for each message's role and for each of its words."""
        return [token_of(word) for message in messages for word in (message["role"], *message["content"].split())]

    def tokenize(self, text: str) -> list[int]:
        """A token for each word."""
        words = text.split()
        self._pieces.update({token_of(word): word.encode() for word in words})
        return [token_of(word) for word in words]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The words of `tokenize` and the pieces of scripts, with blanks between; raises as `token_bytes`."""
        return b" ".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Of a token that was given out, b"" for another; raises InvalidPrompt for an id outside the vocabulary."""
        if not 0 <= token < VOCABULARY:
            raise InvalidPrompt(f"there is no token {token}: ids go from 0 to {VOCABULARY - 1}")
        return self._pieces.get(token, b"")

    def close(self) -> None:
        """Runs under way end with EngineClosed at their next token; calling it again does nothing."""
        self.closed.set()


class ScriptedRun:
    """An answer of ScriptedBackend from its piece number `done` on; conforms to `app.backend.BackendRun`."""

    def __init__(
        self,
        backend: ScriptedBackend,
        prompt: tuple[int, ...],
        pieces: Sequence[Piece],
        sampling: Sampling,
        done: int = 0,
    ) -> None:
        self.prompt = prompt
        self.phase: Phase = "queued"
        seed = randbits(63) if sampling.seed is None else sampling.seed
        self.stats = Stats(prompt_tokens=len(prompt), seed=seed)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        self._splitter = ThoughtSplitter(backend.tags, thinking=False) if backend.tags else None
        self.begun = self._shown("".join(self._decoder.decode(_bytes(piece)) for piece in pieces[:done]))
        self._backend = backend
        self._pieces = pieces[done:]
        self._sampling = sampling
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[Step]:
        self._backend.under_way.add(self)
        try:
            yield from self._steps()
        finally:
            self._backend.under_way.discard(self)

    def _steps(self) -> Iterator[Step]:
        self.phase = "prefill"
        begun = perf_counter()
        last = min(len(self._pieces), self._sampling.max_tokens or len(self._pieces)) - 1
        first = begun
        for number, piece in enumerate(self._pieces[: last + 1]):
            pace = self._backend.pace
            if self._cancelled.wait(pace(number) if callable(pace) else pace):
                break
            if self._backend.error is not None and number == self._backend.error_at:
                self.phase = "done"
                raise self._backend.error
            if self._backend.closed.is_set():
                self.phase = "done"
                raise EngineClosed("the engine was closed during the answer: start it again")
            present = perf_counter()
            first = present if number == 0 else first
            self.stats = Stats(
                prompt_tokens=len(self.prompt),
                new_tokens=number + 1,
                prefill_seconds=first - begun,
                decode_seconds=present - first,
                ttft_seconds=first - begun,
                seed=self.stats.seed,
            )
            ended = number == last
            self.phase = "done" if ended else "decode"
            reason = None if not ended else "length" if len(self._pieces) > last + 1 else "stop"
            yield self._step(piece, reason)
        if self.phase != "done":
            self.phase = "done"
            reason = "cancelled" if self._cancelled.is_set() else "stop"
            shown = self._shown(self._rest(), final=True)
            yield Step(token=None, text=shown.text, logprob=0.0, finish_reason=reason, reasoning=shown.reasoning)

    def cancel(self) -> None:
        """End the run before its next token."""
        self._cancelled.set()

    def _step(self, piece: Piece, reason: Literal["stop", "length"] | None) -> Step:
        # Halves: the chosen token is the likeliest with probability 1/2, the next has 1/4, and so on.
        token = token_of(piece)
        top = tuple(((token + rank) % VOCABULARY, -(rank + 1) * math.log(2)) for rank in range(self._sampling.logprobs))
        shown = self._shown(self._decoder.decode(_bytes(piece)) + (self._rest() if reason else ""), final=bool(reason))
        return Step(token, shown.text, -math.log(2), top, reason, shown.reasoning)

    def _shown(self, text: str, final: bool = False) -> Shown:
        if self._splitter is None:
            return Shown("", text)
        reasoning, answer = self._splitter.push(text)
        if final:
            rest = self._splitter.finish()
            reasoning, answer = reasoning + rest[0], answer + rest[1]
        return Shown(reasoning, answer)

    def _rest(self) -> str:
        """What stands for the half of a character at the end."""
        rest, _ = self._decoder.getstate()
        self._decoder.reset()
        return rest.decode("utf-8", "replace")
