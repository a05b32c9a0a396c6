"""ChatGPT's data export: conversations as trees of nodes. Unofficial; what is known of it is what exports showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.transfer.chat import (
    Chat,
    Skipped,
    dict_of,
    iso,
    kept,
    new_conversation,
    new_message,
    seconds,
    text_of,
    with_conversation,
)
from app.transfer.source import Source
from app.transfer.tree import arranged, newest_leaf

SOURCE = "chatgpt"


def recognises(value: dict[str, Any]) -> bool:
    return isinstance(value.get("mapping"), dict)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict):
            yield Skipped(f"number {number} of {source.stem}", "it has no messages (no `mapping`)")
            continue
        id = text_of(value.get("conversation_id")) or text_of(value.get("id"))
        title = text_of(value.get("title"))
        if not id:
            yield Skipped(title or f"number {number} of {source.stem}", "it has no id")
            continue
        chat = _Reading(value, id).chat()
        yield chat if chat.messages else Skipped(title or id, "it has no messages")


@dataclass(slots=True)
class _Waiting:
    """What stood before an answer on its branch: thoughts, and the raw nodes of tools and the like."""

    thoughts: list[str] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)


class _Reading:
    def __init__(self, value: dict[str, Any], id: str) -> None:
        self._value = value
        self._nodes = {key: node for key, node in value["mapping"].items() if isinstance(node, dict)}
        known = (
            "mapping",
            "title",
            "id",
            "conversation_id",
            "create_time",
            "update_time",
            "current_node",
            "is_archived",
        )
        self.extra = {key: each for key, each in value.items() if key not in known}
        created = seconds(value.get("create_time"))
        self._conversation = new_conversation(
            SOURCE,
            id,
            title=text_of(value.get("title")),
            created_at=iso(created),
            updated_at=iso(seconds(value.get("update_time")) or created),
            archived=value.get("is_archived") is True,
            pinned=bool(value.get("is_starred") or value.get("pinned_time")),
        )

    def chat(self) -> Chat:
        times = {id: seconds(dict_of(node.get("message")).get("create_time")) for id, node in self._nodes.items()}
        order = arranged(self._parents(), times)
        leaves = {id for id, _ in order} - {parent for _, parent in order}
        messages: list[Any] = []
        # Of each node: the message that it became, or that is above it, and what waits for the next answer.
        above: dict[str | None, tuple[str | None, _Waiting]] = {None: (None, _Waiting())}
        left_out: Counter[str] = Counter()
        system: list[str] = []
        for id, parent_id in order:
            parent, waiting = above[parent_id]
            message = dict_of(self._nodes[id].get("message"))
            kind = self._kind(message)
            if kind == "instructions":
                system += [text for text in _instructions(message) if text not in system]
            elif kind in ("user", "assistant"):
                messages.append(self._message(id, parent, kind, message, times[id], waiting))
                parent, waiting = id, _Waiting()
            elif kind:
                waiting = _Waiting([*waiting.thoughts, *_thoughts(message)], [*waiting.nodes, message])
                if id in leaves and waiting.thoughts:
                    messages.append(self._message(id, parent, "assistant", {}, times[id], waiting, status="stopped"))
                    parent, waiting = id, _Waiting()
                elif id in leaves:
                    left_out[kind] += len(waiting.nodes)
            above[id] = (parent, waiting)
        current = self._value.get("current_node")
        if not isinstance(current, str) or current not in above or above[current][0] is None:
            current = newest_leaf([(message.id, message.parent_id) for message in messages])
        else:
            current = above[current][0]
        conversation = replace(self._conversation, current_message_id=current, system_prompt="\n\n".join(system))
        notes = tuple(f"{count} {what} that no answer follows" for what, count in sorted(left_out.items()))
        return with_conversation(Chat(conversation, tuple(messages), left_out=notes), **self.extra)

    def _parents(self) -> dict[str, str | None]:
        """From each node's own word, or where it has none, from that of a node that names it among its children."""
        parents: dict[str, str | None] = {}
        for id, node in self._nodes.items():
            parent = node.get("parent")
            parents[id] = parent if isinstance(parent, str) and parent in self._nodes else None
        for id, node in self._nodes.items():
            children = node.get("children")
            for child in children if isinstance(children, list) else ():
                if isinstance(child, str) and child in parents and parents[child] is None and child != id:
                    parents[child] = id
        return parents

    def _kind(self, message: dict[str, Any]) -> str:
        """user, assistant or instructions; what else it is, in words; nothing for a placeholder."""
        if not message:
            return ""
        role, content, metadata = dict_of(message.get("author")).get("role"), message.get("content"), _metadata(message)
        kind = dict_of(content).get("content_type")
        if kind == "user_editable_context" or metadata.get("is_user_system_message"):
            return "instructions"
        if role == "system":
            return "system messages" if _text(content) else ""
        if metadata.get("is_visually_hidden_from_conversation"):
            return "hidden messages"
        if kind in ("thoughts", "reasoning_recap"):
            return "thoughts"
        if role == "tool" or message.get("recipient") not in (None, "all"):
            return "messages of tools"
        if role in ("user", "assistant"):
            return role if _text(content) else "empty messages"
        return "messages of an unknown role"

    def _message(
        self, id: str, parent: str | None, role: str, message: dict[str, Any], time: float | None, waiting: _Waiting,
        **columns: Any,
    ) -> Any:  # fmt: skip
        content, metadata = message.get("content"), _metadata(message)
        raw: dict[str, Any] = {}
        if waiting.nodes:
            raw["before"] = waiting.nodes
        if not _plain(content) and message:
            raw["content"] = content
        if metadata:
            raw["metadata"] = metadata
        if message.get("status") == "in_progress":
            columns["status"] = "interrupted"
        slug = text_of(metadata.get("model_slug")) or text_of(self._value.get("model_slug"))
        return new_message(
            self._conversation,
            id,
            parent_id=parent,
            role=role,
            content=_text(content),
            reasoning="\n\n".join(waiting.thoughts) or None if role == "assistant" else None,
            model=(slug or text_of(self._value.get("default_model_slug")) or None) if role == "assistant" else None,
            extra=kept(**raw),
            **({} if time is None else {"created_at": iso(time)}),
            **columns,
        )


def _text(content: Any) -> str:
    """What a person sees of a content; a placeholder for a picture or for what is not known."""
    content = dict_of(content)
    match content.get("content_type"):
        case "text" | "multimodal_text":
            parts = content.get("parts")
            pieces = (
                [each if isinstance(each, str) else _placeholder(each) for each in parts]
                if isinstance(parts, list)
                else []
            )
            return "\n\n".join(piece for piece in pieces if piece)
        case "code":
            text = text_of(content.get("text"))
            language = text_of(content.get("language"))
            return f"```{'' if language == 'unknown' else language}\n{text}\n```" if text else ""
        case "execution_output" | "tether_quote" | "system_error":
            return text_of(content.get("text"))
        case "tether_browsing_display":
            return text_of(content.get("result"))
        case None:
            return ""
        case kind:
            return f"[{kind}]" if isinstance(kind, str) else ""


def _plain(content: Any) -> bool:
    content = dict_of(content)
    parts = content.get("parts")
    return (
        content.get("content_type") == "text"
        and isinstance(parts, list)
        and all(isinstance(each, str) for each in parts)
    )


def _placeholder(part: Any) -> str:
    kind = dict_of(part).get("content_type")
    return f"[{kind}]" if isinstance(kind, str) else ""


def _thoughts(message: dict[str, Any]) -> list[str]:
    thoughts = dict_of(message.get("content")).get("thoughts")
    found = []
    for each in map(dict_of, thoughts if isinstance(thoughts, list) else []):
        found += [text for name in ("summary", "content") if (text := text_of(each.get(name)))]
    return found


def _instructions(message: dict[str, Any]) -> list[str]:
    content, metadata = dict_of(message.get("content")), _metadata(message)
    given = dict_of(metadata.get("user_context_message_data"))
    texts = [text_of(given.get("about_user_message")), text_of(given.get("about_model_message"))]
    texts += [] if any(texts) else [text_of(content.get("user_profile")), text_of(content.get("user_instructions"))]
    return [text for text in texts if text] or [text for text in [_text(content)] if text and _plain(content)]


def _metadata(message: dict[str, Any]) -> dict[str, Any]:
    return dict_of(message.get("metadata"))
