"""How models write calls of functions, told by their chat templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import InvalidTools


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """What stands around the names and the arguments of calls, which are JSON objects.

    An answer's calls are `opening`, then for each `before_name` NAME `after_name` ARGUMENTS `after_arguments`, with
    `between` two of them, and `closing`. marker: what no text of an answer holds, as it begins the calls; `opening` and
    `before_name` begin with it. alone: calls are the whole answer, so that the marker counts at its beginning only.
    several: whether there can be more than one.
    """

    marker: str
    before_name: str
    after_name: str
    after_arguments: str
    opening: str = ""
    between: str = ""
    closing: str = ""
    alone: bool = False
    several: bool = True

    def __post_init__(self) -> None:
        assert (self.opening + self.before_name).startswith(self.marker)

    def tokens(self, special_tokens: Mapping[str, int]) -> dict[int, bytes]:
        """The control tokens in it, which add no bytes to a text themselves."""
        written = "\0".join((self.opening, self.before_name, self.after_name, self.after_arguments, self.closing))
        return {id: content.encode() for content, id in special_tokens.items() if content and content in written}


# Nous Hermes 2 Pro, Qwen 2.5 and 3, SmolLM 3 and many others.
HERMES = CallSyntax(
    marker="<tool_call>",
    before_name='<tool_call>\n{"name": "',
    after_name='", "arguments": ',
    after_arguments="}\n</tool_call>",
    between="\n",
)
# Llama 3.1, 3.2 and 3.3, whose templates say that they make one call at a time.
LLAMA = CallSyntax(
    marker='{"name": "',
    before_name='{"name": "',
    after_name='", "parameters": ',
    after_arguments="}",
    alone=True,
    several=False,
)


MISTRAL_CALLS = "[TOOL_CALLS]"


def _mistral(opening: str) -> CallSyntax:
    """Mistral's list of calls, before which older tokenizers have a space."""
    return CallSyntax(
        marker=MISTRAL_CALLS,
        opening=opening,
        before_name='{"name": "',
        after_name='", "arguments": ',
        after_arguments="}",
        between=", ",
        closing="]",
    )


# Mistral Small 3.2, Magistral, Devstral: each call by itself.
MISTRAL_ARGS = CallSyntax(marker=MISTRAL_CALLS, before_name=MISTRAL_CALLS, after_name="[ARGS]", after_arguments="")
# What templates write around calls that cannot be held to yet, and whose they are. Some of them write <tool_call>, too.
UNKNOWN = {
    "<function=": "Qwen3-Coder's XML",
    "<arg_key>": "GLM's XML",
    "<｜tool▁calls▁begin｜>": "DeepSeek's",
    "<|tool_calls_section_begin|>": "Kimi's",
    "<|channel|>": "gpt-oss's harmony",
    "functools[": "Phi-4-mini's",
    "<|tool_call|>": "Granite's or Phi-4-mini's",
    "<|START_ACTION|>": "Command's",
    "[CALL_ID]": "Mistral Small 3.1's",
    "<|python_start|>": "Llama 4's Python",
    "<start_function_call>": "FunctionGemma's",
    "<function_calls>": "OLMo's",
    "<|tool_call_start|>": "LFM2's Python",
}


def call_syntax(template: str) -> CallSyntax:
    """How the model that has this chat template writes calls.

    Raises InvalidTools where it has no tools, or writes calls in a way that cannot be held to.
    """
    if "tools" not in template:
        raise InvalidTools("this model cannot call tools: its chat template has no place for them")
    if unknown := next((whose for mark, whose in UNKNOWN.items() if mark in template), None):
        raise InvalidTools(f"this model writes its tool calls in {unknown} syntax, which is not supported yet")
    if "<tool_call>" in template:
        return HERMES
    if MISTRAL_CALLS in template:
        if "[ARGS]" in template:
            return MISTRAL_ARGS
        return _mistral("[TOOL_CALLS] [" if "[TOOL_CALLS] [" in template else "[TOOL_CALLS][")
    if '{"name": function name, "parameters":' in template.replace("\\", ""):
        return LLAMA
    raise InvalidTools("this model writes its tool calls in a syntax of its own, which is not supported yet")
