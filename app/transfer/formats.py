"""The formats that conversations are exported in. A new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from app.transfer import fireside_json, html, llama_cpp, markdown, openai_messages, sharegpt, text
from app.transfer.chat import Chat


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
