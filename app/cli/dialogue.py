"""A conversation in the terminal: lines in, answers out as they come, and commands that begin with a slash."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TextIO

from app.cli.terminal import harmless, noted_interrupt
from app.errors import AppError
from app.talk import Talk
from engine import EngineError, Sampling

HELP = """\
  /new             begin another chat
  /chats           the latest chats; /open NUMBER goes on with one of them
  /history         what was said in this one
  /again           another answer to the last question, beside the first
  /set NAME VALUE  a setting of this chat, such as /set temperature 0.2; /set alone shows them
  /system TEXT     what the model is told before the first message
  /quit            or Ctrl-D

Ctrl-C stops an answer; what there is of it is kept. A line that ends with \\ goes on in the next.
A message that begins with / is written with two: //like this."""


class Dialogue:
    """Reads from `lines` until it is told to quit, or they end; writes answers to `out` and all else to `aside`.

    lines: asked for the next line with a prompt; raises EOFError at the end. settings, system_prompt: of chats that
    are begun. failed: whether an answer ended with an error.
    """

    def __init__(
        self,
        talk: Talk,
        lines: Callable[[str], str],
        *,
        out: TextIO,
        aside: TextIO,
        settings: dict[str, Any] | None = None,
        system_prompt: str = "",
        conversation_id: str | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.failed = False
        self._talk = talk
        self._lines = lines
        self._out = out
        self._aside = aside
        self._settings = settings or {}
        self._system_prompt = system_prompt
        self._listed: list[str] = []
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if aside.isatty() else ("", "")
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda rest: self._say(HELP),
            "new": self._new,
            "chats": self._chats,
            "open": self._open,
            "history": self._history,
            "again": self._again,
            "set": self._set,
            "system": self._system,
        }

    def run(self) -> None:
        while True:
            try:
                line = self._read()
            except EOFError:
                return
            except KeyboardInterrupt:
                # At the prompt it gives the line up, as in a shell.
                self._say("")
                continue
            command, _, rest = line.removeprefix("/").partition(" ")
            try:
                if not line.startswith("/") or line.startswith("//"):
                    self._ask(line.removeprefix("/") if line.startswith("//") else line)
                elif command in ("quit", "exit", "q"):
                    return
                elif known := self._commands.get(command):
                    known(rest.strip())
                else:
                    self._say(f"There is no /{command[:40]}: /help shows what there is.")
            except (AppError, EngineError) as error:
                self._fail(str(error))

    def _read(self) -> str:
        """The next message or command, of one line or several; not an empty one."""
        whole = ""
        while not whole.strip():
            whole = self._lines("> ")
            while whole.endswith("\\"):
                whole = f"{whole[:-1]}\n{self._lines('. ')}"
        return whole.strip()

    def _ask(self, text: str) -> None:
        if here := self.conversation_id:
            self._answer(lambda: self._talk.send(here, text, None, ""))
        else:
            self._answer(lambda: self._talk.send(None, text, self._settings, self._system_prompt))

    def _answer(self, begin: Callable[[], tuple[str, str]]) -> None:
        """Begin an answer and follow it to its end; Ctrl-C has it stop."""
        with noted_interrupt() as interrupted:
            self.conversation_id, message_id = begin()
            self._follow(self.conversation_id, message_id, interrupted)

    def _follow(self, conversation_id: str, message_id: str, interrupted: threading.Event) -> None:
        position, stopped, waiting, thought, told = 0, False, "", False, {}
        while not told.get("done"):
            if interrupted.is_set() and not stopped:
                stopped = True
                self._talk.stop(conversation_id)
            told = self._talk.read(message_id, position)
            position = told["position"]
            if told["message"] and told["message"] != waiting:
                waiting = told["message"]
                self._say(waiting)
            if told["reasoning"]:
                thought = True
                self._write(self._aside, f"{self._dim}{harmless(told['reasoning'])}{self._plain}")
            if told["text"] and thought:
                thought = False
                self._write(self._aside, "\n\n")
            self._write(self._out, harmless(told["text"]))
        self._write(self._out, "\n")
        if told["error"]:
            self._fail(told["error"])
        elif told["status"] == "stopped":
            self._say("Stopped. What there is of it is kept.")

    def _new(self, rest: str) -> None:
        self.conversation_id = None
        self._say("A new chat.")

    def _chats(self, rest: str) -> None:
        chats = self._talk.chats()
        self._listed = [chat["id"] for chat in chats]
        for number, chat in enumerate(chats, 1):
            here = "*" if chat["id"] == self.conversation_id else " "
            self._say(f"{here}{number:3}  {chat['title'] or 'Untitled'}")
        if not chats:
            self._say("There are no chats yet.")

    def _open(self, rest: str) -> None:
        listed = self._listed or [chat["id"] for chat in self._talk.chats()]
        if not (rest.isascii() and rest.isdecimal() and 0 < int(rest) <= len(listed)):
            self._say("Say which by its number: /open 2. /chats shows them.")
            return
        self.conversation_id = listed[int(rest) - 1]
        self._history("")

    def _history(self, rest: str) -> None:
        for message in self._talk.history(self.conversation_id) if self.conversation_id else ():
            begin = "> " if message["role"] == "user" else ""
            self._write(self._out, f"{begin}{harmless(message['content'])}\n\n")

    def _again(self, rest: str) -> None:
        if self.conversation_id is None:
            self._say("Nothing was asked yet.")
        else:
            self._answer(lambda: self._talk.again(str(self.conversation_id)))

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        name = name.replace("-", "_")
        if not name:
            known = self._talk.settings(self.conversation_id) if self.conversation_id else self._settings
            for each in sorted(known):
                self._say(f"  {each} {json.dumps(known[each], ensure_ascii=False)}")
            return
        try:
            change = {name: json.loads(value)}
        except ValueError:
            change = {name: value.strip()}
        Sampling.from_dict(self._settings | change)
        if self.conversation_id:
            self._talk.configure(self.conversation_id, change, None)
        else:
            self._settings |= change

    def _system(self, rest: str) -> None:
        if self.conversation_id:
            self._talk.configure(self.conversation_id, {}, rest)
        else:
            self._system_prompt = rest

    def _fail(self, error: str) -> None:
        self.failed = True
        self._write(self._aside, f"fireside: {' '.join(harmless(error).split())}\n")

    def _say(self, text: str) -> None:
        self._write(self._aside, f"{self._dim}{harmless(text)}{self._plain}\n")

    def _write(self, stream: TextIO, text: str) -> None:
        stream.write(text)
        stream.flush()
