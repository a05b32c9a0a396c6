"""What people do with openai-python, by whichever of its versions runs this: `python openai_client.py ADDRESS MODEL`.

The server's model calls a tool when it is asked something and is given any. It prints what went well, one name a line;
what does not ends it. Needs nothing but openai-python, so that it runs in a virtual environment of an older one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Literal

import openai
from pydantic import BaseModel, Field

ASKED: list[Any] = [{"role": "user", "content": "hello"}]


class Fire(BaseModel):
    """A fire."""

    place: Literal["forest", "beach"]
    logs: int = Field(ge=1, le=9)


LIGHT: dict[str, Any] = {
    "name": "light",
    "description": "Light a fire.",
    "parameters": Fire.model_json_schema() | {"additionalProperties": False},
}


def check(right: object, told: object = None) -> None:
    """Raises AssertionError with what was told: the same with every version and every option of Python."""
    if not right:
        raise AssertionError(repr(told))


class Session:
    """One client of a server, and what is done with it."""

    def __init__(self, address: str, model: str) -> None:
        self.client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60)
        self.model = model

    def ask(self, **more: Any) -> Any:
        more = {"model": self.model, "messages": ASKED, "seed": 1, "max_tokens": 30} | more
        answer: Any = self.client.chat.completions.create(**more)
        return answer if more.get("stream") else strict(answer)

    def chat(self) -> None:
        answer = self.ask()
        check(answer.choices[0].message.content, answer)
        check(answer.usage.completion_tokens == 30 or answer.choices[0].finish_reason == "stop", answer)
        check(answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer)
        check([model.id for model in self.client.models.list()] == [self.model])

    def stream(self) -> None:
        *chunks, last = [strict(each) for each in self.ask(stream=True, stream_options={"include_usage": True})]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        check(text == self.ask().choices[0].message.content, text)
        check(chunks[-1].choices[0].finish_reason in ("stop", "length"), chunks[-1])
        check(last.choices == [] and last.usage.completion_tokens > 0, last)

    def stop(self) -> None:
        text = self.ask().choices[0].message.content
        end = next(character for character in text[4:] if character not in text[:4])
        [choice] = self.ask(stop=[end]).choices
        check((choice.message.content, choice.finish_reason) == (text[: text.index(end)], "stop"), choice)

    def logprobs(self) -> None:
        answer = self.ask(logprobs=True, top_logprobs=2)
        told = answer.choices[0].logprobs.content
        # The end of an answer is no text.
        check(0 <= answer.usage.completion_tokens - len(told) <= 1, answer)
        check(all(entry.logprob <= 0 and len(entry.top_logprobs) == 2 for entry in told), told)
        check(b"".join(bytes(entry.bytes) for entry in told).decode("utf-8", "replace"), told)
        streamed = self.ask(logprobs=True, stream=True)
        parts = [chunk.choices[0].logprobs.content for chunk in streamed if chunk.choices[0].logprobs]
        check(sum(map(len, parts)) == len(told), parts)

    def json_schema(self) -> None:
        schema = {"name": "fire", "schema": LIGHT["parameters"], "strict": True}
        answer = self.ask(response_format={"type": "json_schema", "json_schema": schema}, max_tokens=200)
        Fire.model_validate_json(answer.choices[0].message.content)
        completions: Any = self.client.chat.completions
        if not hasattr(completions, "parse"):
            completions = self.client.beta.chat.completions
        parsed = completions.parse(model=self.model, messages=ASKED, response_format=Fire, seed=2)
        check(isinstance(parsed.choices[0].message.parsed, Fire), parsed)

    def tools(self) -> None:
        tools = [{"type": "function", "function": LIGHT}]
        [choice] = self.ask(tools=tools, max_tokens=200).choices
        check(choice.finish_reason == "tool_calls" and choice.message.content is None, choice)
        [call] = choice.message.tool_calls
        check(call.function.name == "light", call)
        Fire.model_validate_json(call.function.arguments)
        told = ""
        for chunk in self.ask(tools=tools, max_tokens=200, stream=True):
            for delta in strict(chunk).choices[0].delta.tool_calls or ():
                told += delta.function.arguments or ""
        check(json.loads(told) == json.loads(call.function.arguments), told)
        result = {"role": "tool", "tool_call_id": call.id, "content": "lit"}
        messages = [*ASKED, choice.message.model_dump(exclude_none=True), result]
        check(self.ask(tools=tools, messages=messages).choices[0].message.content)

    def errors(self) -> None:
        refusals: tuple[tuple[dict[str, Any], type[openai.APIStatusError], str], ...] = (
            ({"messages": [{"role": "user", "content": "word " * 3000}]}, openai.BadRequestError, "context"),
            ({"model": "gpt-5"}, openai.NotFoundError, "gpt-5"),
            ({"temperature": 9}, openai.BadRequestError, "temperature"),
            ({"max_tokens": 0}, openai.BadRequestError, "max_tokens"),
        )
        for more, kind, words in refusals:
            try:
                self.ask(**more)
            except kind as error:
                check(words in str(error), error)
                check(isinstance(error.body, dict) and error.body["message"], error.body)
            else:
                raise AssertionError(f"{more!r:.80} was answered")


def strict(reply: Any) -> Any:
    """The reply, if it is valid by this version's own types, which otherwise take it as it is."""
    type(reply).model_validate_json(reply.model_dump_json(), strict=True)
    return reply


def main(address: str, model: str) -> None:
    session = Session(address, model)
    does: tuple[Callable[[], None], ...] = (
        *(session.chat, session.stream, session.stop, session.logprobs),
        *(session.json_schema, session.tools, session.errors),
    )
    for each in does:
        each()
        print(each.__name__, flush=True)
    print(openai.__version__)


if __name__ == "__main__":
    main(*sys.argv[1:])
