"""The formats that conversations are exported in and imported from. A new one is a file beside this one, and a line
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.transfer import (
    chatgpt,
    claude,
    fireside_json,
    html,
    llama_cpp,
    lm_studio,
    markdown,
    open_webui,
    openai_messages,
    sharegpt,
    sillytavern,
    text,
    textgen,
)
from app.transfer.chat import Chat, Skipped
from app.transfer.left_out import (
    ARCHIVED,
    ENDING,
    EVERYTHING,
    MODEL,
    OTHER_BRANCHES,
    PINNED,
    SETTINGS,
    SYSTEM_PROMPT,
    TAGS,
    THOUGHTS,
    TIMES,
)
from app.transfer.source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """write: the text of one file with these conversations, in pieces; all_branches: not only the one that is shown,
    where the format can tell them apart. single: a file has one conversation, so that several need a zip. holds: what
    it has a place for, by the names of `left_out`; beside text, which each has. chooses: whether one may ask for
    every branch, or has those that the format has.
    """

    name: str
    label: str
    extension: str
    media_type: str
    write: Callable[[Iterable[Chat], bool], Iterator[str]]
    holds: frozenset[str] = EVERYTHING
    single: bool = False
    chooses: bool = False

    def holding(self, all_branches: bool) -> frozenset[str]:
        """What a file has a place for, if so many branches are asked for."""
        return self.holds | {OTHER_BRANCHES} if self.chooses and all_branches else self.holds


READ_BY_PEOPLE = frozenset({SYSTEM_PROMPT, MODEL, ENDING})
WEB_UIS = frozenset({OTHER_BRANCHES, THOUGHTS, SYSTEM_PROMPT, TIMES, TAGS, PINNED, ARCHIVED, SETTINGS, MODEL})
TRAINING = frozenset({SYSTEM_PROMPT})

FORMATS = {
    each.name: each
    for each in (
        Format("md", "Markdown", "md", "text/markdown", markdown.write, READ_BY_PEOPLE | {THOUGHTS}),
        Format("html", "Web page", "html", "text/html", html.write, READ_BY_PEOPLE | {THOUGHTS}),
        Format("txt", "Plain text", "txt", "text/plain", text.write, frozenset({SYSTEM_PROMPT})),
        Format("json", "Fireside (JSON), with everything", "json", "application/json", fireside_json.write),
        Format(
            "llama.cpp",
            "llama.cpp's page (JSONL)",
            "jsonl",
            "application/jsonl",
            llama_cpp.write,
            WEB_UIS | llama_cpp.OWN_RECORDS,
            single=True,
        ),
        Format("open-webui", "Open WebUI (JSON)", "json", "application/json", open_webui.write, WEB_UIS),
        Format(
            "openai",
            "OpenAI messages (JSONL)",
            "jsonl",
            "application/jsonl",
            openai_messages.write,
            TRAINING,
            chooses=True,
        ),
        Format("sharegpt", "ShareGPT (JSON)", "json", "application/json", sharegpt.write, TRAINING, chooses=True),
        Format(
            "preferences",
            "ShareGPT preference pairs (JSON)",
            "json",
            "application/json",
            sharegpt.write_preferences,
            TRAINING,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Reader:
    """A format that is read. recognises: whether a JSON value is of it. read: the conversations in the values of a
    file. lines: whether the values are always the lines of the file, together one conversation.
    """

    label: str
    recognises: Callable[[dict[str, Any]], bool]
    read: Callable[[Iterable[Any], Source], Iterator[Chat | Skipped]]
    lines: bool = False


# In this order: a file has the first format that recognises one of its values.
READERS = (
    Reader("Fireside", fireside_json.recognises, fireside_json.read),
    Reader("ChatGPT", chatgpt.recognises, chatgpt.read),
    Reader("Claude", claude.recognises, claude.read),
    Reader("Open WebUI", open_webui.recognises, open_webui.read),
    Reader("llama.cpp's page", llama_cpp.recognises, llama_cpp.read, lines=True),
    Reader("llama.cpp's page", llama_cpp.recognises_older, llama_cpp.read_older),
    Reader("LM Studio", lm_studio.recognises, lm_studio.read),
    Reader("text-generation-webui", textgen.recognises, textgen.read),
    Reader("SillyTavern", sillytavern.recognises, sillytavern.read, lines=True),
    Reader("ShareGPT", sharegpt.recognises, sharegpt.read),
    Reader("OpenAI messages", openai_messages.recognises, openai_messages.read),
)
