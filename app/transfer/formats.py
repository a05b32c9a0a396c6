"""The formats that conversations are exported in and imported from. A new one is a file beside this one, and a line
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.transfer import (
    chatgpt,
    fireside_json,
    html,
    llama_cpp,
    markdown,
    openai_messages,
    sharegpt,
    text,
)
from app.transfer.chat import Chat, Skipped
from app.transfer.source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """write: the text of one file with these conversations, in pieces; all_branches: not only the one that is shown,
    where the format can tell them apart. single: a file has one conversation, so that several need a zip.
    """

    name: str
    label: str
    extension: str
    media_type: str
    write: Callable[[Iterable[Chat], bool], Iterator[str]]
    single: bool = False


FORMATS = {
    each.name: each
    for each in (
        Format("md", "Markdown", "md", "text/markdown", markdown.write),
        Format("html", "Web page", "html", "text/html", html.write),
        Format("txt", "Plain text", "txt", "text/plain", text.write),
        Format("json", "Fireside JSON, with everything", "json", "application/json", fireside_json.write),
        Format("llama.cpp", "llama.cpp's page (JSONL)", "jsonl", "application/jsonl", llama_cpp.write, single=True),
        Format("openai", "OpenAI messages (JSONL)", "jsonl", "application/jsonl", openai_messages.write),
        Format("sharegpt", "ShareGPT (JSON)", "json", "application/json", sharegpt.write),
        Format("preferences", "ShareGPT preference pairs", "json", "application/json", sharegpt.write_preferences),
    )
}


@dataclass(frozen=True, slots=True)
class Reader:
    """A format that is read. recognises: whether a JSON value is of it. read: the conversations in the values of a
    file. lines: whether the values are the lines of the file instead of a JSON array's; None: either.
    """

    label: str
    recognises: Callable[[dict[str, Any]], bool]
    read: Callable[[Iterable[Any], Source], Iterator[Chat | Skipped]]
    lines: bool | None = False


# In this order: a file has the first format that recognises one of its values.
READERS = (
    Reader("Fireside", fireside_json.recognises, fireside_json.read),
    Reader("ChatGPT", chatgpt.recognises, chatgpt.read),
    Reader("llama.cpp's page", llama_cpp.recognises, llama_cpp.read, lines=True),
    Reader("ShareGPT", sharegpt.recognises, sharegpt.read, lines=None),
    Reader("OpenAI messages", openai_messages.recognises, openai_messages.read, lines=None),
)
