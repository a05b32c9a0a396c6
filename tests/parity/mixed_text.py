"""Lines of text of every kind that tokenizers are known to trip over, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "don't",
    "I'll",
    "we've",
    "it's",
    "THEY'RE",
    "x'S",
    "café",
    "naïve",
    "über",
    "señor",
    "Straße",
    "Ελληνικά",
    "Привет",
    "мир",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "สวัสดี",
    "你好",
    "世界",
    "中文分词",
    "こんにちは",
    "안녕하세요",
    "é",
    "ạ̈",
    "İstanbul",
    "ſ",
    "ﬁ",
    "Ⅷ",
    "½",
    "²",
    "٣٤٥",
    "۱۲",
    "४२",
    "𝟘𝟙",
    "１２",
]
CODE = [
    *(
        "def f(x):",
        "    return x[1:-1]  # why?",
        "for (int i = 0; i < 10; ++i) {",
        "a!=b&&c<=d||e|f",
        "x->y::z<T>()",
    ),
    *(
        '\tprintf("%d\\n", i);',
        '{"key": [1, 2.5e-3, null]}',
        "<div class='a'>&nbsp;</div>",
        "SELECT * FROM t;",
    ),
    *(
        "https://e.org/?q=1&r=%20",
        "#!/bin/sh",
        "let s = `${x}`;",
        "\\frac{1}{2}",
        "0x7f_ff",
        "===>",
        "...",
        "!!!",
    ),
    *("--", "__init__", "'''", "<|im_end|>", "<|endoftext|>"),
]
EMOJI = ["😀", "👍🏽", "👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "🇩🇪", "❤️", "1️⃣", "🧑🏿\u200d🚀", "☃︎"]
SPACES = [
    " ",
    "  ",
    "   ",
    "    ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\u200b",
    "\x0b",
    "\x85",
    "\u2028",
    " \n ",
    "\ufeff",
]
# `tokenizers` contradicts itself about these numerals of Unicode 17: its Digits step knows them, its
# patterns do not.
DISPUTED = {*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7)}


def lines(count: int, seed: int) -> Iterator[str]:
    """`count` lines of 1 to 24 parts; a line may contain line ends, as a message may."""
    source = random.Random(seed)
    for _ in range(count):
        yield "".join(source.choice(PARTS)(source) for _ in range(source.randint(1, 24)))


def _number(source: random.Random) -> str:
    return str(source.randrange(10 ** source.randint(1, 9)))


def _spaced_digits(source: random.Random) -> str:
    return " " * source.randint(1, 6) + _number(source)


def _control(source: random.Random) -> str:
    return chr(source.choice([*range(32), 127, *range(128, 160)]))


def _any_character(source: random.Random) -> str:
    code = source.randrange(source.choice([0x250, 0x3000, 0x10000, 0x110000]))
    return "" if 0xD800 <= code < 0xE000 or code in DISPUTED else chr(code)


def _run(source: random.Random) -> str:
    return source.choice(["a", "=", "-", " ", "\n", "中", "0", "\u0301", "é", "😀"]) * source.randint(2, 40)


PARTS = [
    *[lambda source: source.choice(WORDS)] * 4,
    *[lambda source: source.choice(SPACES)] * 5,
    *[lambda source: source.choice(CODE)] * 2,
    lambda source: source.choice(EMOJI),
    lambda source: source.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»…—“”¿"),
    *(_number, _spaced_digits, _control, _any_character, _run),
]
