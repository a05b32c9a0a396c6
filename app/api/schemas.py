"""What a request may say: OpenAI's fields, and vLLM's names for what goes beyond them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field

from app.api.errors import ApiError
from app.api.fields import Fields, Text
from app.api.tools import ToolCall, ToolChoice, ToolList
from engine.sampling import INTEGER_BOUNDS

# Answers of one request that are computed at once, beside the engine's slots for everybody.
MAX_CHOICES = 8
MAX_LOGPROBS = int(INTEGER_BOUNDS["logprobs"].high)

TokenIds = Annotated[list[int], Field(min_length=1, max_length=1_000_000)]


class StreamOptions(Fields):
    include_usage: bool | None = None


class AnswerRequest(Fields):
    """What both kinds of completion have in common; None leaves a setting to the model's recommendation."""

    unsupported: ClassVar[dict[str, str]] = {
        "logits_processors": "no code is taken from requests",
        "prompt_logprobs": "the probabilities of answers only are told, by logprobs",
        "structured_outputs": "use response_format",
        "guided_json": "use response_format",
        "guided_regex": "use response_format with a schema",
        "guided_choice": "use response_format with an enum",
        "guided_grammar": "use response_format with a schema",
        "use_beam_search": "answers are sampled",
    }

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class TextPart(Fields):
    type: Literal["text"]
    text: Text


def _of_text(content: Any) -> Any:
    """Raises ApiError for parts that are no text."""
    kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if other := next((kind for kind in kinds if isinstance(kind, str) and kind != "text"), None):
        raise ApiError(f"{other:.40} is not supported: messages are text", param="messages", code="unsupported")
    return content


class ChatMessage(Fields):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[Text | list[TextPart] | None, BeforeValidator(_of_text)] = None
    reasoning_content: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=1_000)] | None = None
    tool_call_id: Annotated[str, Field(max_length=200)] | None = None
    name: Annotated[str, Field(max_length=200)] | None = None

    def plain(self) -> dict[str, Any]:
        """As the engine takes it: one text, and `system` for the newer name of the same role."""
        parts = self.content or ""
        content = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        message: dict[str, Any] = {"role": "system" if self.role == "developer" else self.role, "content": content}
        if self.role == "assistant":
            message |= {"reasoning_content": self.reasoning_content} if self.reasoning_content else {}
            message |= {"tool_calls": [call.plain() for call in self.tool_calls]} if self.tool_calls else {}
        if self.role == "tool":
            message |= {"tool_call_id": self.tool_call_id} if self.tool_call_id else {}
            message |= {"name": self.name} if self.name else {}
        return message


class JsonSchema(Fields):
    """A schema by its name; `strict` or not, every answer that ends by itself is valid by it."""

    schema_: dict[str, Any] = Field(alias="schema", default={"type": "object"})


class ResponseFormat(Fields):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def schema_of_answer(self) -> dict[str, Any] | None:
        """The JSON schema that is asked for; None for text. Raises ApiError where it is missing."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": "object"}
        if self.json_schema is None:
            raise ApiError("json_schema is needed for this type", param="response_format.json_schema")
        return self.json_schema.schema_


class ChatRequest(AnswerRequest):
    """POST /v1/chat/completions."""

    unsupported: ClassVar[dict[str, str]] = AnswerRequest.unsupported | {
        "functions": "say it in tools",
        "function_call": "say it in tool_choice",
        "audio": "answers are text",
        "web_search_options": "nothing leaves this computer",
        "chat_template": "the model's own is used",
        "documents": "put them into a message",
    }

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: ToolList | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None

    def conversation(self) -> list[dict[str, Any]]:
        """The messages as the engine takes them. Raises ApiError where what is asked of the last cannot be done."""
        prefill = self.messages[-1].role == "assistant"
        if self.continue_final_message and not prefill:
            message = "only an answer can be continued: the last message must be the assistant's"
            raise ApiError(message, param="continue_final_message")
        if prefill and self.continue_final_message is False:
            message = "a last message of the assistant is continued: leave it out, or say continue_final_message"
            raise ApiError(message, param="continue_final_message")
        if prefill and self.messages[-1].tool_calls:
            raise ApiError("tool calls are answered by messages of the role tool", param="messages")
        return [message.plain() for message in self.messages]


class CompletionRequest(AnswerRequest):
    """POST /v1/completions."""

    unsupported: ClassVar[dict[str, str]] = AnswerRequest.unsupported | {
        "suffix": "text is continued, not filled in",
        "best_of": "ask for n answers and choose",
        "response_format": "it is for chat completions",
    }

    prompt: Text | TokenIds | Annotated[list[Text | TokenIds], Field(min_length=1, max_length=MAX_CHOICES)]
    logprobs: int | None = None
    echo: bool | None = None

    def prompts(self) -> list[str | list[int]]:
        """One or more texts or lists of token ids. Raises ApiError if they make too many answers."""
        prompt: Any = self.prompt
        prompts = [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else prompt
        if len(prompts) * (self.n or 1) > MAX_CHOICES:
            raise ApiError(f"at most {MAX_CHOICES} answers are possible at once: lower n or send fewer prompts")
        return prompts


class TokenizeRequest(Fields):
    """POST /tokenize: a text, or a conversation as the model reads it."""

    model: str | None = None
    prompt: Text | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)] | None = None
    tools: ToolList | None = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeRequest(Fields):
    """POST /detokenize."""

    model: str | None = None
    tokens: Annotated[list[int], Field(max_length=1_000_000)]


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """Every refusal."""

    error: ErrorDetail
