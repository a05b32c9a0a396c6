"""The grammar of answers that may call functions, as llguidance reads it (its dialect of Lark)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from engine.reasoning import ThinkTags
from engine.tools.syntax import CallSyntax
from engine.tools.tools import Tools, parameters

ANY = r"/(.|\n)*/"
# Models have learnt calls as Python's json module writes them.
SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def grammar(
    tools: Tools,
    syntax: CallSyntax,
    control: Mapping[str, int],
    tags: ThinkTags | None,
    thinking: bool,
    schema_text: Callable[[Mapping[str, Any]], str],
) -> str:
    """Of an answer: text, or text and calls; only calls where they are required. Thoughts may come before.

    control: text of the tokens that add nothing to a text, to their ids. tags: around thoughts; thinking: the prompt
    has opened them. schema_text: the JSON of a schema once it is checked.
    """
    lark = _Lark(control)
    several = syntax.several and tools.several
    names = []
    for index, function in enumerate(tools.callable):
        schema = dict(parameters(function)) | {"x-guidance": SPACING}
        head, tail = lark.literal(function["name"] + syntax.after_name), lark.literal(syntax.after_arguments)
        lark.rules.append(f"call_{index}: {head} args_{index} {tail}")
        lark.rules.append(f"args_{index}: %json {schema_text(schema)}")
        names.append(f"call_{index}")
    lark.rules.append(f"call: {' | '.join(names)}")
    more = f"({lark.literal(syntax.between + syntax.before_name)} call)*" if several else ""
    calls = f"call {more} {lark.literal(syntax.closing)}"
    begun = syntax.opening + syntax.before_name
    lark.rules.append(f"calls: {lark.literal(begun)} {calls}")
    lark.rules.append(f"rest: {lark.literal(begun.removeprefix(syntax.marker))} {calls}")
    answer = "calls" if tools.required else _text_or_calls(lark, syntax)
    lark.rules.append(f"answer: {answer}")
    lark.rules.append(f"start: {_thoughts(lark, syntax, tools, tags, thinking) if tags else 'answer'}")
    return "%llguidance {}\n" + "\n".join([*reversed(lark.rules), f"TEXT: {ANY}"])


def _text_or_calls(lark: _Lark, syntax: CallSyntax) -> str:
    if syntax.alone:
        lark.rules.append(f"FREE: {ANY} & ~/{_regex(syntax.marker)}(.|\\n)*/")
        return "FREE | calls"
    if syntax.marker in lark.control:
        # Text holds no control tokens.
        return f"TEXT | TEXT {lark.literal(syntax.marker)} rest"
    lark.rules.append(f"FREE: {ANY} & ~/(.|\\n)*{_regex(syntax.marker)}(.|\\n)*/")
    return f"FREE | {lark.until(syntax.marker)} rest"


def _thoughts(lark: _Lark, syntax: CallSyntax, tools: Tools, tags: ThinkTags, thinking: bool) -> str:
    """Thoughts before the answer, in which nothing is a call. It may end in them where no call is required."""
    gap = r"/\n*/"
    if thinking:
        thought = f"{lark.until(tags.close)} {gap} answer"
        return thought if tools.required else f"TEXT | {thought}"
    if tools.required:
        return "answer"
    # The model may open them by itself.
    if tags.open in lark.control:
        opened = lark.literal(tags.open)
        thought = f"{opened} {lark.until(tags.close)} {gap} answer"
        return f"answer | {thought} | {opened} TEXT"
    opened = rf"/[ \t\r\n]*{_regex(tags.open)}(.|\n)*/"
    lark.rules.append(f"thoughts[lazy]: {opened} {json.dumps(tags.close)}")
    lark.rules.append(f"UNFINISHED: {opened}")
    thought = f"thoughts {gap} answer | UNFINISHED"
    if syntax.alone or syntax.marker in lark.control:
        return f"answer | {thought}"
    # Without thoughts, up to the marker.
    lark.rules.append(f"CALLED: ({ANY} {json.dumps(syntax.marker)}) & ~{opened}")
    lark.rules.append("called[lazy]: CALLED")
    return f"FREE | called rest | {thought}"


class _Lark:
    """Rules under way. control: as in `grammar`; such tokens are named by their ids."""

    def __init__(self, control: Mapping[str, int]) -> None:
        self.control = control
        self.rules: list[str] = []
        self._untils: dict[str, str] = {}

    def literal(self, text: str) -> str:
        """This text, some of it perhaps control tokens."""
        parts = []
        while text:
            places = [(place, token) for token in self.control if token and (place := text.find(token)) >= 0]
            place, token = min(places, default=(len(text), ""), key=lambda found: (found[0], -len(found[1])))
            if place:
                parts.append(json.dumps(text[:place], ensure_ascii=False))
            if token:
                parts.append(f"<[{self.control[token]}]>")
            text = text[place + len(token) :]
        return " ".join(parts)

    def until(self, text: str) -> str:
        """Anything up to this text for the first time, and the text."""
        if text in self.control:
            return f"TEXT {self.literal(text)}"
        if text not in self._untils:
            self._untils[text] = f"until_{len(self._untils)}"
            self.rules.append(f"{self._untils[text]}[lazy]: {ANY} {json.dumps(text, ensure_ascii=False)}")
        return self._untils[text]


def _regex(text: str) -> str:
    """A regular expression for exactly this text."""
    return "".join(f"\\x{{{ord(each):X}}}" if not each.isalnum() else each for each in text)
