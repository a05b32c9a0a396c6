"""What the servers understand beyond OpenAI's API, by which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.backend import Message
from app.remote.errors import Rejected
from engine import Sampling
from engine.tools import Tools

Kind = Literal["openai", "vllm", "sglang", "llamacpp", "fireside"]

# Those of OpenAI's API, which all servers have.
SPECIFIED = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
# llama.cpp has 32 bits, of which all set stand for a random seed.
LLAMACPP_SEEDS = 2**32 - 1
MAX_SEED = 2**63
# OpenAI's limit; what is left out is looked for here.
OPENAI_STOPS = 4
# Fields a server may refuse without which an answer is as good.
OPTIONAL = ("stream_options", "return_tokens_as_token_ids", "top_logprobs", "logprobs", "seed", "logit_bias", "stop")


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of server understands.

    extensions: its names for settings beyond OpenAI's API. beyond: whether it has vLLM's fields, too. all_top_k: what
    it takes for "all tokens", None where it takes no top_k. prefill: what has it go on with an answer; None where it
    cannot.
    """

    kind: Kind
    title: str
    extensions: Mapping[str, str]
    prefill: Mapping[str, Any] | None
    all_top_k: int = 0
    beyond: bool = False

    def ignored(self) -> tuple[str, ...]:
        """In words, a line for what this server is not told."""
        missing = [name for name in ("top_k", "min_p", "repetition_penalty") if name not in self.extensions]
        if not missing:
            return ()
        return (f"{', '.join(missing)} are not told to the engine: OpenAI's API does not have them",)

    def settings(self, sampling: Sampling, seed: int, context: int) -> dict[str, Any]:
        """Fields of a request for these settings. context: tokens of a conversation."""
        fields: dict[str, Any] = {name: getattr(sampling, name) for name in SPECIFIED}
        for name, theirs in self.extensions.items():
            fields[theirs] = getattr(sampling, name)
        if fields.get("top_k") == 0:
            fields["top_k"] = self.all_top_k
        if self.kind == "llamacpp":
            # Over all of the prompt and the answer, as here; its own default is the last 64 tokens.
            fields["repeat_last_n"] = context
        fields["seed"] = seed % (LLAMACPP_SEEDS if self.kind == "llamacpp" else MAX_SEED)
        for name in ("min_tokens", "stop_token_ids"):
            if value := getattr(sampling, name):
                if not self.beyond:
                    raise Rejected(f"{name} cannot be told to this engine: {self.title} does not have it")
                fields[name] = list(value) if name == "stop_token_ids" else value
        if sampling.max_tokens is not None:
            fields["max_tokens"] = sampling.max_tokens
        if sampling.stop:
            fields["stop"] = list(sampling.stop[:OPENAI_STOPS] if self.kind == "openai" else sampling.stop)
        if sampling.logit_bias:
            fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
        return fields

    def chat(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> dict[str, Any]:
        """Fields of a request for an answer; raises Rejected where this server cannot go on with one."""
        fields: dict[str, Any] = {"messages": [dict(message) for message in messages]}
        if messages and messages[-1].get("role") == "assistant":
            if self.prefill is None:
                raise Rejected("this engine cannot go on with an answer: have it made again")
            fields |= self.prefill
        elif not add_generation_prompt:
            if not self.beyond:
                raise Rejected(f"add_generation_prompt cannot be told to this engine: {self.title} does not have it")
            fields["add_generation_prompt"] = False
        if schema is not None:
            wanted = {"name": "answer", "schema": dict(schema), "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return fields | (_tools(tools) if tools else {})

    def probabilities(self, count: int) -> dict[str, Any]:
        """Fields that ask for the probabilities of an answer's tokens, with their ids where there is a way."""
        fields: dict[str, Any] = {"logprobs": True, "top_logprobs": count} if count else {}
        if count and self.kind == "vllm":
            fields["return_tokens_as_token_ids"] = True
        return fields


def _tools(tools: Tools) -> dict[str, Any]:
    choice: Any = "required" if tools.required else "auto"
    if tools.only is not None:
        choice = {"type": "function", "function": {"name": tools.only}}
    return {"tools": tools.described(), "tool_choice": choice, "parallel_tool_calls": tools.several}


_SAME = {name: name for name in ("top_k", "min_p", "repetition_penalty", "ignore_eos")}
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
PROFILES: Mapping[Kind, Profile] = {
    "openai": Profile("openai", "OpenAI's API", {}, None),
    "vllm": Profile("vllm", "vLLM", _SAME, _CONTINUE, all_top_k=-1, beyond=True),
    "sglang": Profile("sglang", "SGLang", _SAME, _CONTINUE, all_top_k=-1, beyond=True),
    "fireside": Profile("fireside", "Fireside", _SAME, _CONTINUE, beyond=True),
    # It goes on with a last message of the assistant by itself.
    "llamacpp": Profile("llamacpp", "llama.cpp", _SAME | {"repetition_penalty": "repeat_penalty"}, {}),
}
