"""Importing a file of conversations from elsewhere: all of it or nothing, and told what became of each."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.store import Store
from app.store.staging import Staging
from app.transfer.archive import check_members, open_member, open_zip
from app.transfer.chat import Chat, Skipped
from app.transfer.recognition import recognise
from app.transfer.source import ImportCancelled, ImportRefused, Source

# What is being done, how far that is, and what it comes to: bytes of the file, then conversations.
Phase = Literal["reading", "adding"]
Progress = Callable[[Phase, int, int], None]
What = Literal["imported", "extended", "already there", "skipped"]

ZIP = b"PK\x03\x04"
# ChatGPT's conversations are in one file, or since 2026 in numbered ones.
CONVERSATIONS = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
CHATS = re.compile(r".*\.jsonl?")


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one conversation. messages: how many were added. notes: why skipped, or what was left out."""

    title: str
    what: What
    messages: int = 0
    notes: tuple[str, ...] = ()
    conversation_id: str | None = None


@dataclass(slots=True)
class Report:
    """What became of a file."""

    file: str
    format: str = ""
    lines: list[Line] = field(default_factory=list)

    def count(self, what: What) -> int:
        return sum(line.what == what for line in self.lines)

    @property
    def messages(self) -> int:
        return sum(line.messages for line in self.lines)

    @property
    def view(self) -> dict[str, Any]:
        """The report as JSON."""
        lines = [
            {
                "title": line.title,
                "what": line.what,
                "messages": line.messages,
                "notes": line.notes,
                "id": line.conversation_id,
            }
            for line in self.lines
        ]
        return {"file": self.file, "format": self.format, "summary": self.summary, "lines": lines}

    @property
    def summary(self) -> str:
        """One line in words."""
        counts = Counter(line.what for line in self.lines)
        parts = [
            f"{counts[what]:,} {what}" for what in ("imported", "extended", "already there", "skipped") if counts[what]
        ]
        return (
            f"{self.file} ({self.format}): {', '.join(parts) or 'no conversations'}; {self.messages:,} messages added"
        )


def import_file(
    store: Store,
    path: Path,
    progress: Progress = lambda phase, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    name: str = "",
) -> Report:
    """Add the conversations of a file of any format that is known to those of the store; safe to call beside
    everything else.

    name: what the file is called, where that is not its name here. `cancelled` is asked until the file has been read;
    after that all of it is added. Raises ImportRefused, ImportCancelled, and DiskRefused.
    """
    name = name or path.name
    report = Report(name)
    with ExitStack() as opened:
        done = 0

        def advance(size: int) -> None:
            nonlocal done
            done += size
            if cancelled():
                raise ImportCancelled(f"{name:.100} was not imported: it was cancelled")
            progress("reading", min(done, total), total)

        try:
            sources, total = _sources(path, name, opened, lambda size: advance(size))
            staging = opened.enter_context(store.imports.staging())
            staged: list[tuple[str, ...]] = []
            seen: dict[str, int] = {}
            for source in sources:
                kind, chats = recognise(source)
                report.format = kind.label
                for chat in chats:
                    if isinstance(chat, Skipped):
                        report.lines.append(Line(chat.what, "skipped", notes=(chat.why,)))
                    elif _is_new(chat, seen, name):
                        _put(staging, chat, report, staged)
                    else:
                        report.lines.append(Line(chat.conversation.title, "skipped", notes=("twice in the file",)))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ImportRefused(f"{name:.100} is a damaged zip ({error!s:.100})") from None
        except OSError as error:
            raise ImportRefused(f"cannot read {name:.300} ({error.strerror or error})") from None
        if not staged and not report.lines:
            raise ImportRefused(f"{name:.100} has no conversations")
        added = 0
        progress("adding", added, len(staged))
        for outcome, left_out in zip(staging.commit(), staged, strict=True):
            what: What = "imported" if outcome.new else "extended" if outcome.added else "already there"
            notes = (*left_out, *(("it is in the trash",) if outcome.in_trash else ()))
            report.lines.append(Line(outcome.title, what, outcome.added, notes, outcome.conversation_id))
            added += 1
            progress("adding", added, len(staged))
    return report


def _is_new(chat: Chat, seen: dict[str, int], name: str) -> bool:
    """Whether no conversation of the file has been the same. `seen`: a hash of each by its id.

    Raises ImportRefused for two that share an id and nothing else: which of them is right, the file does not say.
    """
    conversation = chat.conversation
    said = hash((conversation.title, *((each.id, each.parent_id, each.content) for each in chat.messages)))
    known = conversation.id in seen
    if seen.setdefault(conversation.id, said) != said:
        raise ImportRefused(f"{name:.100} has two different chats with the id {conversation.id!r:.60}")
    return not known


def _put(staging: Staging, chat: Chat, report: Report, staged: list[tuple[str, ...]]) -> None:
    try:
        staging.put(chat.conversation, chat.messages, chat.tags, chat.preset)
    except ValueError as error:
        report.lines.append(Line(chat.conversation.title, "skipped", notes=(f"cannot be stored: {error}",)))
    else:
        staged.append(chat.left_out)


def _sources(path: Path, name: str, opened: ExitStack, advance: Callable[[int], None]) -> tuple[list[Source], int]:
    """The files with conversations, and their bytes."""
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    if not is_zip:
        return [Source(name, lambda: path.open("rb"), advance)], path.stat().st_size
    archive = opened.enter_context(open_zip(path, name))
    files = [member for member in archive.infolist() if not member.is_dir()]
    members = [member for member in files if CONVERSATIONS.fullmatch(member.filename)]
    members = sorted(
        members or [member for member in files if CHATS.fullmatch(member.filename)], key=lambda m: m.filename
    )
    if not members:
        nested = any(member.filename.lower().endswith(".zip") for member in files)
        why = "only another zip: unpack that, then import it" if nested else "no file with conversations"
        raise ImportRefused(f"{name:.100} has {why}")
    check_members(name, members)
    sources = [
        Source(member.filename, lambda member=member: open_member(archive, member), advance) for member in members
    ]
    return sources, sum(member.file_size for member in members)
