"""An engine on another machine, with the same interface as the one of this process."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from app.backend import Message, NoTokenizer
from app.remote.address import Address
from app.remote.breaker import Breaker
from app.remote.chunks import Token
from app.remote.connection import Connection, Patience
from app.remote.discovery import discover
from app.remote.errors import NotThere, Rejected, RemoteError
from app.remote.profiles import OPTIONAL
from app.remote.run import RemoteRun
from engine import EngineInfo, InvalidPrompt, Sampling
from engine.tools import Tools

# What one token adds to a text is remembered for as many tokens as a large vocabulary has.
MAX_KNOWN_TOKENS = 300_000
# A seed that every server and JavaScript take.
SEED_BITS = 31


class RemoteEngine:
    """Conforms to `app.backend.Backend` by way of a server that speaks OpenAI's API. Safe to use from any thread.

    Made by `connect`. A request is made when its run is iterated. An answer is gone on with from its text, which
    the server is given, and not from its token ids: `chat` refuses them.
    """

    def __init__(self, connection: Connection, model: str | None, context: int | None) -> None:
        self._connection = connection
        self._wanted = (model, context)
        self._found = discover(connection, model, context)
        self._path = connection.address.base.removeprefix(connection.address.root)
        self._dropped: set[str] = set()
        self._known: dict[int, bytes] = {}
        self._has_tokenizer = self._found.profile.kind != "openai"

    @classmethod
    def connect(
        cls,
        address: Address,
        *,
        model: str | None = None,
        context: int | None = None,
        patience: Patience = Patience(),  # noqa: B008
    ) -> RemoteEngine:
        """Find out what is there; raises RemoteError.

        model: by its id; None for the first that the server lists. context: tokens of a conversation, at most what
        the server tells, and instead of it where it tells nothing.
        """
        connection = Connection(address, patience, Breaker())
        try:
            return cls(connection, model, context)
        except BaseException:
            connection.close()
            raise

    @property
    def info(self) -> EngineInfo:
        return self._found.info

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of all models that the server lists."""
        return self._found.models

    @property
    def runs(self) -> int:
        """How many requests are under way."""
        return self._connection.under_way

    @property
    def breaker(self) -> Breaker:
        """Tells whether the server is in trouble."""
        return self._connection.breaker

    def refresh(self) -> None:
        """Find out again what is there; raises RemoteError."""
        self._found = discover(self._connection, *self._wanted)

    def chat(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008
        *,
        answer: Sequence[int] = (),
        schema: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> RemoteRun:
        """As the protocol says. Raises InvalidPrompt for `answer`, and Rejected where the server cannot go on with one;
        all else when the run is iterated."""
        if answer:
            raise InvalidPrompt("an engine elsewhere goes on with the text of an answer, not with its token ids")
        profile = self._found.profile
        return self._run(
            "/chat/completions", profile.chat(messages, schema, tools, add_generation_prompt), sampling, chat=True
        )

    def generate(self, prompt: str | Sequence[int], sampling: Sampling) -> RemoteRun:
        """As the protocol says; the errors come when the run is iterated."""
        text = prompt if isinstance(prompt, str) else list(prompt)
        return self._run("/completions", {"prompt": text}, sampling, chat=False)

    def chat_tokens(
        self, messages: Sequence[Message], *, tools: Tools | None = None, add_generation_prompt: bool = True
    ) -> list[int]:
        """The prompt of a conversation; raises NoTokenizer where the server does not tell it, RemoteError."""
        plain: dict[str, Any] = {"messages": [dict(message) for message in messages]}
        if tools is not None:
            plain["tools"] = tools.described()
        if self._found.profile.kind == "llamacpp":
            reply = self._ask("/apply-template", plain)
            return self._tokens({"content": _text(reply, "prompt"), "add_special": True, "parse_special": True})
        continues = bool(messages) and messages[-1].get("role") == "assistant"
        more = {"add_generation_prompt": add_generation_prompt and not continues, "continue_final_message": continues}
        return self._tokens({"model": self._found.model} | plain | more)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ordinary text; raises NoTokenizer where the server does not tell them, RemoteError."""
        if self._found.profile.kind == "llamacpp":
            return self._tokens({"content": text, "add_special": False, "parse_special": False})
        return self._tokens({"model": self._found.model, "prompt": text, "add_special_tokens": False})

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of token ids; raises InvalidPrompt for those the server does not take, NoTokenizer, RemoteError."""
        body: dict[str, Any] = {"tokens": list(tokens)}
        if self._found.profile.kind == "llamacpp":
            name = "content"
        else:
            name, body = "prompt", body | {"model": self._found.model}
        try:
            return _text(self._ask("/detokenize", body), name)
        except Rejected as error:
            raise InvalidPrompt(str(error)) from error

    def token_bytes(self, token: int) -> bytes:
        """As told with an answer, or else by the server; raises as `detokenize` does."""
        if (data := self._known.get(token)) is None:
            data = self.detokenize([token]).encode("utf-8", "replace")
        return data

    def close(self) -> None:
        """Runs under way end with EngineClosed; calling it again does nothing."""
        self._connection.close()

    def _run(self, path: str, fields: Mapping[str, Any], sampling: Sampling, *, chat: bool) -> RemoteRun:
        profile, seed = self._found.profile, sampling.seed
        seed = secrets.randbits(SEED_BITS) if seed is None else seed
        request = {"model": self._found.model, "stream": True, "stream_options": {"include_usage": True}}
        request |= profile.settings(sampling, seed, self.info.context)
        if chat:
            request |= profile.probabilities(sampling.logprobs)
        request |= fields

        def body() -> dict[str, Any]:
            return {name: value for name, value in request.items() if name not in self._dropped}

        def forget(error: RemoteError) -> bool:
            """Whether the server refused a field that an answer is as good without; it is never sent again."""
            if not isinstance(error, Rejected):
                return False
            words = str(error)
            refused = {name for name in OPTIONAL if name in words and name in body()}
            if refused & {"logprobs", "top_logprobs"}:
                refused |= {"logprobs", "top_logprobs", "return_tokens_as_token_ids"}
            self._dropped |= refused
            return bool(refused)

        return RemoteRun(
            self._connection,
            self._path + path,
            body,
            seed=seed,
            stop=sampling.stop,
            tags=self._found.tags if chat else None,
            learn=self._learn,
            forget=forget,
        )

    def _learn(self, token: Token) -> None:
        if token.data is not None and len(self._known) < MAX_KNOWN_TOKENS:
            self._known[token.id] = token.data

    def _tokens(self, body: Mapping[str, Any]) -> list[int]:
        reply = self._ask("/tokenize", body)
        tokens = reply.get("tokens") if isinstance(reply, dict) else None
        if not isinstance(tokens, list) or not all(isinstance(token, int) and token >= 0 for token in tokens):
            raise NoTokenizer("the engine's /tokenize tells no token ids")
        return tokens

    def _ask(self, path: str, body: Mapping[str, Any]) -> Any:
        if not self._has_tokenizer:
            raise NoTokenizer("the engine does not tell how many tokens a text has")
        try:
            return self._connection.post(path, body)
        except NotThere as error:
            self._has_tokenizer = False
            raise NoTokenizer("the engine does not tell how many tokens a text has") from error


def _text(reply: Any, name: str) -> str:
    value = reply.get(name) if isinstance(reply, dict) else None
    if not isinstance(value, str):
        raise NoTokenizer(f"the engine's reply has no {name}")
    return value
