"""Damages model files the way a fuzzer does that knows their structure: reproducibly, from a seed."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from tests.gguf_fields import gguf_fields

Files = Mapping[str, bytes]
"""A model's files by name."""

# Values around which readers of lengths, counts and offsets go wrong.
NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 9, 10, 31, 32, 33, 255, 256, 65_535, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40),
    *(2**48, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1),
)
FLOATS = (0.0, -0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
BYTES = (
    b"\0",
    b"\n",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"<|im_end|>",
    b"{{",
    b"{% for",
    b"../",
    b"GGUF",
    b"\x80\x04",
    b"{}",
)
WORDS = ("", "x", "\n", "\0", "é", "../x", "/etc/passwd", "{{ 1 }}", "<|im_end|>", "x" * 5000, "1", "llama", "\u2028")
# What templates are made of, sound and unsound, harmless and not.
FRAGMENTS = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "{% raw %}", "{% endraw %}", "{% break %}", "{% continue %}"),
    *("{% for a in messages %}", "{% endfor %}", "{% if true %}", "{% elif x %}", "{% else %}", "{% endif %}"),
    *("{% set ns = namespace(a=1) %}", "{% set ns.a = ns.a * 9 %}", "{% macro m(a) %}", "{% endmacro %}", "{{ m(m) }}"),
    *("{% generation %}", "{% endgeneration %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'os' as os %}"),
    *("{{ messages | tojson }}", "{{ messages[0].content * 1000 }}", "{{ range(10 ** 4) | list | length }}"),
    *("{{ ''.__class__.__mro__ }}", "{{ messages.__init__.__globals__ }}", "{{ raise_exception('no') }}"),
    *(
        "{{ strftime_now('%Y') }}",
        "{{ 'x'.center(10 ** 6) }}",
        "{{ '%09d' | format(1) }}",
        "{{ cycler }}",
        "{{ self }}",
    ),
    *(
        "{{ messages[99] }}",
        "{{ messages[-1]['content'][::-1] }}",
        "{{ 1 / 0 }}",
        "{{ none.x.y }}",
        "{{ x is defined }}",
    ),
    *(
        "<|im_end|>",
        "\0",
        "\ufffd",
        "é",
        "\u2028",
        "'",
        '"',
        "[",
        "]",
        "(",
        ")",
        "|",
        "~",
        ".",
        "loop.index",
        "**",
        "//",
    ),
)
# A field of one element of a list, such as `tokenizer.ggml.tokens 17 length`.
ELEMENT = re.compile(r" \d+( length)?$")
# Keys that other programs act upon.
KEYS = ("auto_map", "_attn_implementation_internal", "quantization_config", "__class__", "dtype", "", "x" * 300)


def mutant(kind: str, files: Files, seed: int) -> Files:
    """The model with one file damaged in one to three ways; the same seed, the same damage."""
    chance = random.Random(f"{kind} {seed}")
    name, mutate = chance.choice(TARGETS[kind])
    data = files[name]
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = mutate(data, chance)
    return {**files, name: data}


def mutate_gguf(data: bytes, chance: random.Random) -> bytes:
    """Change a number of the header, or bytes of it."""
    # What is damaged already may announce any number of fields.
    fields = [field for field in islice(gguf_fields(data), 5000) if field.start + field.size <= len(data)]
    way = chance.random()
    if not fields or way < 0.1:
        return mutate_bytes(data, chance)
    header = fields[-1].start + fields[-1].size
    if way < 0.15:
        return data[: chance.randrange(header)]
    if way < 0.4:  # a letter of a key, a token, a name, or a number
        at = chance.randrange(header)
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    # Most fields are the lengths of tokens; those of the other roles should have their turn.
    few = [field for field in fields if not ELEMENT.search(field.role)]
    field = chance.choice(few if chance.random() < 0.9 else fields)
    old = int.from_bytes(data[field.start : field.start + field.size], "little")
    if field.size == 4 and chance.random() < 0.1:
        new = struct.pack("<f", chance.choice(FLOATS))
    else:
        bit = 1 << chance.randrange(8 * field.size)
        value = chance.choice((chance.choice(NUMBERS), old + 1, old - 1, old * 2, old // 2, old ^ bit, -old))
        new = (value % 2 ** (8 * field.size)).to_bytes(field.size, "little")
    return data[: field.start] + new + data[field.start + field.size :]


def mutate_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Change the header's length, the header, or cut the file."""
    length = int.from_bytes(data[:8], "little")
    way = chance.random()
    if way < 0.1:
        return (chance.choice((*NUMBERS, length + 1, length - 1)) % 2**64).to_bytes(8, "little") + data[8:]
    if way < 0.2:
        return data[: chance.randrange(len(data) if way < 0.13 else min(len(data), length + 16))] or b"\0"
    if way < 0.25:
        return data + bytes(chance.randrange(1, 64))
    header = mutate_json(data[8 : 8 + length], chance)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def mutate_json(data: bytes, chance: random.Random) -> bytes:
    """Change a value, a key or the text of a JSON document."""
    if chance.random() < 0.2:
        return mutate_bytes(data, chance)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, chance)
    places = _places(document)
    if not places:
        return json.dumps(_hostile(None, document, chance)).encode("utf-8", "surrogatepass")
    # Evenly by depth, or one of a vocabulary's thousands of tokens would be hit nearly always.
    depth = chance.choice(sorted({len(place) for place in places}))
    place = chance.choice([place for place in places if len(place) == depth])
    parent = document
    for step in place[:-1]:
        parent = parent[step]
    key, way = place[-1], chance.random()
    if way < 0.6:
        parent[key] = _hostile(parent[key], document, chance)
    elif way < 0.75:
        del parent[key]
    elif isinstance(parent, dict):
        name = chance.choice((*KEYS, *parent, str(key) + " "))
        parent[name] = parent[key] if way < 0.85 else _hostile(parent[key], document, chance)
    else:
        parent.insert(key, copy.deepcopy(parent[key]))
    text = json.dumps(document)
    if chance.random() < 0.03:  # the same key again
        text = text.replace("{", '{"model_type": "llama", "model_type": "llama", ', 1)
    return text.encode("utf-8", "surrogatepass")


def mutate_template(data: bytes, chance: random.Random) -> bytes:
    """Insert, repeat, move or delete pieces of a chat template, or change its bytes."""
    if chance.random() < 0.2:
        return mutate_bytes(data, chance)
    pieces = re.split(r"(\{[{%]|[%}]\}|\W)", data.decode("utf-8", "replace"))
    at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    span = pieces[at : at + chance.choice((1, 2, 5, 20))]
    way = chance.randrange(4)
    if way == 0:
        pieces.insert(at, chance.choice(FRAGMENTS))
    elif way == 1:
        pieces[at] = chance.choice(FRAGMENTS)
    elif way == 2:
        del pieces[at : at + len(span)]
    else:
        pieces[other:other] = span * chance.choice((1, 1, 3, 200))
    return "".join(pieces).encode()


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip, insert, delete, repeat or cut somewhere."""
    at = chance.randrange(len(data)) if data else 0
    span = chance.choice((1, 1, 2, 4, 8, 64))
    return chance.choice(
        (
            lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
            lambda: data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :] if data else b"x",
            lambda: data[:at] + chance.choice(BYTES) + data[at:],
            lambda: data[:at] + data[at + span :],
            lambda: data[:at] + data[at : at + span] * chance.randrange(2, 40) + data[at + span :],
            lambda: data[:at],
        )
    )()


def _places(document: Any) -> list[tuple[Any, ...]]:
    """The path of every value inside a document."""
    found: list[tuple[Any, ...]] = []
    level: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    while level:
        inner = []
        for path, part in level:
            steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
            inner += [((*path, step), value) for step, value in steps]
        found += [path for path, _ in inner]
        level = inner
    return found


def _hostile(value: Any, document: Any, chance: random.Random) -> Any:
    """Something else than `value`, often of its type."""
    if isinstance(value, bool) or value is None:
        return chance.choice((None, True, False, 0, 1, "false", [], {}))
    if chance.random() < 0.6:
        if isinstance(value, int):
            return chance.choice((*NUMBERS, value + 1, value - 1, value * 2, -value, value // 2, float(value)))
        if isinstance(value, float):
            return chance.choice((*FLOATS, 1e308, value * 2, -value, str(value)))
        if isinstance(value, str):
            cut = chance.randrange(len(value) + 1)
            return chance.choice((*WORDS, value[:cut], value + "x", value[:cut] + "\ud800" + value[cut:], value * 2))
    nested: Any = []
    for _ in range(chance.choice((3, 70, 400))):
        nested = [nested]
    numbers, words = chance.choice((*NUMBERS, *FLOATS)), chance.choice(WORDS)
    copied = copy.deepcopy(chance.choice(list(document.values()))) if isinstance(document, dict) and document else 0
    return chance.choice((None, True, False, numbers, -1, words, [], {}, [value], {"x": value}, nested, copied))


Mutation = Callable[[bytes, random.Random], bytes]

# What is damaged for each kind of fuzzing, and how; a file named twice is damaged twice as often.
TARGETS: Mapping[str, tuple[tuple[str, Mutation], ...]] = {
    "gguf": (("model.gguf", mutate_gguf),),
    "safetensors": (
        ("model-00001-of-00002.safetensors", mutate_safetensors),
        ("model-00002-of-00002.safetensors", mutate_safetensors),
        ("model.safetensors.index.json", mutate_json),
    ),
    "config": (("config.json", mutate_json), ("config.json", mutate_json), ("generation_config.json", mutate_json)),
    "tokenizer": (
        ("tokenizer.json", mutate_json),
        ("tokenizer.json", mutate_json),
        ("tokenizer_config.json", mutate_json),
    ),
    "template": (("chat_template.jinja", mutate_template),),
}
