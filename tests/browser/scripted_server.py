"""The real server around the scripted backend.

What a question asks for decides the answer, so that a test reads as what a person does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.backend import Backend, Message
from app.fake import ScriptedBackend
from app.listener import listen
from app.server import serve
from app.titles import BEGINNING
from engine.reasoning import TAGS
from tests.browser.hostile import ATTACKS

HOSTILE = """<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">

![picture](http://picture.invalid/a.png) and [a link](javascript:window.pwned=3)

<svg><image href="http://svg.invalid/a"></image></svg><table background="http://table.invalid/b"><tr><td>x</td></tr></table>

<div class="fs-notice" style="position:fixed">posing</div> ${window.pwned=4} {{constructor}}

<iframe src="http://frame.invalid"></iframe><form action="http://form.invalid"><button>go</button></form>

[fine](https://example.invalid/page) <!-- note -->
"""
MARKDOWN = """\
A **key–value cache** keeps the keys and values of every earlier token, so each new token needs only *one* row.

1. **Prefill** computes all prompt tokens at once, limited by arithmetic.
2. **Decode** adds one token at a time, limited by memory bandwidth.

```python
def attend(q, cache_k, cache_v):
    # q: (heads, d)   cache: (time, heads, d)
    scores = np.einsum("hd,thd->ht", q, cache_k) / math.sqrt(q.shape[-1])
    return np.einsum("ht,thd->hd", softmax(scores), cache_v)
```

| Model | Layers | Cache per token |
| --- | ---: | --- |
| 0.5 B | 24 | 12 KiB |
| 1.5 B | 28 | 28 KiB |

With grouped-query attention the cache shrinks by the ratio of query heads to key heads, here `14 / 2 = 7`.
"""

THOUGHTS = """<think>
The user wants a **campfire**. Dry wood first, then air.

1. Tinder
2. Kindling <img src=x onerror="window.pwned = 5">
</think>

Light the tinder from below."""


def pieces(text: str, size: int = 4) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def answer(messages: Sequence[Message]) -> list[str]:
    """The answer to the last question, by its words."""
    if messages[-1]["content"] == BEGINNING:
        return pieces("“Sparks in the dark”") if "campfire" in messages[0]["content"] else []
    # Questions that got no answer are one message with the next.
    question = messages[-1]["content"].rpartition("\n\n")[2]
    if "attack me" in question:
        return pieces("\n\n".join(ATTACKS), 40)
    if "hostile" in question:
        return pieces(HOSTILE)
    if "markdown" in question or "cache" in question:
        return pieces(MARKDOWN)
    if "think" in question:
        return pieces(THOUGHTS)
    if "long" in question:
        return [f"word{number} " for number in range(400)]
    return pieces(f"You said: {question[:200]}")


def loader(delay: float) -> Callable[..., Backend]:
    def load(path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        for step in range(10):
            time.sleep(delay / 10)
            on_progress(step / 10)
        advice: dict[str, Any] = {"recommended": {"presence_penalty": 0.4}, "ignored": ("top_p 7 is above 1",)}
        return ScriptedBackend(answer, pace=0.02, name="scripted", tags=TAGS[0], **advice)

    return load


def main(arguments: Sequence[str]) -> int:
    """Serve from a folder at a port, with a model that is ready after so many seconds."""
    home, port, delay = Path(arguments[0]), int(arguments[1]), float(arguments[2])
    home.mkdir(parents=True, exist_ok=True)
    model = home / "scripted.gguf"
    model.write_bytes(b"GGUF")
    return serve(
        home=home / "data",
        models_dir=home,
        model=str(model),
        listener=listen("127.0.0.1", port),
        open_browser=False,
        loader=loader(delay),
    )
