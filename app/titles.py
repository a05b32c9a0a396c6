"""Titles of conversations: the first words at once, the model's own once it has nothing else to do."""

from __future__ import annotations

import logging
import re
import threading

from app.answer import ModelSource
from app.answers import Answers
from app.errors import AppError
from app.live import LiveRun
from app.store import Message, NotFound, Store
from engine import EngineError, Sampling

TITLE_CHARACTERS = 48
TITLE_WORDS = 12
# Of the question and of the answer each: enough to tell what it is about, and read in a moment.
EXCERPT_CHARACTERS = 400
# Greedy, so that one conversation has one title; the limit ends a model that does not stop.
SAMPLING = Sampling(temperature=0.0, max_tokens=24)
# A model that is kept busy may never get to it; the first words are a title too.
ATTEMPTS = 3
POLL_SECONDS = 0.5
INSTRUCTION = "Write a title of two to six words for this conversation."
# Begins the model's answer: small models otherwise go on with the conversation instead.
BEGINNING = "Title:"

log = logging.getLogger(__name__)


class Titles:
    """Gives new conversations a title by the model, on a thread of its own.

    Only while no answer is under way: one that begins ends the writing of a title at once, and it is tried again
    later. A title by the user is never replaced, and nothing is written while the preference `automatic_titles` is
    off.
    """

    def __init__(self, store: Store, models: ModelSource, answers: Answers) -> None:
        self._store = store
        self._models = models
        self._answers = answers
        self._changed = threading.Condition()
        self._waiting: dict[str, int] = {}
        self._yield = threading.Event()
        self._closed = False
        answers.begun.append(self._make_way)
        answers.ended.append(self._queue)
        self._thread = threading.Thread(target=self._loop, name="titles", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give up what is under way; calling it again does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._yield.set()
        self._thread.join()

    def _make_way(self, live: LiveRun) -> None:
        self._yield.set()

    def _queue(self, live: LiveRun) -> None:
        with self._changed:
            self._waiting.setdefault(live.conversation_id, ATTEMPTS)
            self._changed.notify_all()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                # An answer that is still being saved counts as one under way.
                self._changed.wait_for(lambda: self._closed or self._answers.idle, POLL_SECONDS)
                if self._closed:
                    return
                conversation_id, attempts = next(iter(self._waiting.items()))
            self._yield.clear()
            if not self._answers.idle:
                continue
            # The thread must outlive whatever happens to one title.
            try:
                done = self._write(conversation_id)
            except NotFound:
                done = True
            except (AppError, EngineError) as error:
                log.info("no title for conversation %s: %s", conversation_id, error)
                done = True
            except Exception:
                log.exception("no title for conversation %s", conversation_id)
                done = True
            with self._changed:
                if done or attempts <= 1:
                    del self._waiting[conversation_id]
                else:
                    self._waiting[conversation_id] = attempts - 1

    def _write(self, conversation_id: str) -> bool:
        """Have the title written; False if it had to make way for an answer."""
        conversation = self._store.conversations.get(conversation_id)
        if conversation.title_by != "first words" or not self._store.preferences.get("automatic_titles"):
            return True
        exchange = [message for message in self._store.messages.path(conversation_id) if message.content][:2]
        if len(exchange) < 2 or exchange[1].status not in ("complete", "stopped"):
            return True
        run = self._models.backend(timeout=0).chat(_prompt(exchange), SAMPLING)
        text = ""
        for step in run:
            text += step.text
            if self._yield.is_set():
                run.cancel()
            if step.finish_reason == "cancelled":
                return False
            if "\n" in text.strip():
                run.cancel()
                break
        if title := cleaned(text):
            self._store.conversations.suggest_title(conversation_id, title, "model")
        return True


def _prompt(exchange: list[Message]) -> list[dict[str, str]]:
    said = "\n\n".join(
        f"{'User' if message.role == 'user' else 'Assistant'}: {message.content[:EXCERPT_CHARACTERS]}"
        for message in exchange
    )
    return [{"role": "user", "content": f"{said}\n\n{INSTRUCTION}"}, {"role": "assistant", "content": BEGINNING}]


def cleaned(text: str) -> str:
    """What a model wrote as a title, without the ornaments models like; "" if it is none."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"^[\W_]*title\W*:", "", line, flags=re.IGNORECASE)
    line = " ".join(line.replace("*", "").replace("`", "").split()).strip("\"'“”‘’«»#-–—_.: ")
    if not any(character.isalnum() for character in line) or len(line.split()) > TITLE_WORDS:
        return ""
    return title_of(line)


def title_of(text: str) -> str:
    """The first words of a message as a title of at most 48 characters."""
    title = " ".join(text[: 20 * TITLE_CHARACTERS].split())
    if len(title) <= TITLE_CHARACTERS:
        return title
    # Where there is no space to cut at, as in Chinese, the characters themselves are cut.
    words = title[:TITLE_CHARACTERS].rpartition(" ")[0] or title[: TITLE_CHARACTERS - 1]
    return words.rstrip(" ,;:.-") + "…"
