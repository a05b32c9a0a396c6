"""Loads damaged models in a process that may use little memory and time, and tells what came of it.

    python -m tests.fuzz_child KIND FIRST_SEED COUNT FOLDER

Prints one JSON object. FOLDER/seed always holds the seed of the model being loaded, for when the process dies.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from engine import Engine, EngineError, Sampling
from tests.mutants import Files, mutant
from tests.tiny import write_tiny_llama
from tests.tiny_folder import write_tiny_folder

# Uses what templates in use do.
TEMPLATE = """\
{%- macro turn(role, content) %}<|im_start|>{{ role }}\n{{ content | trim }}<|im_end|>\n{% endmacro -%}
{%- set ns = namespace(system='Be kind.', count=0) -%}
{%- if messages[0]['role'] == 'system' -%}
    {% set ns.system = messages[0].content %}{% set messages = messages[1:] -%}
{%- endif -%}
{{ turn('system', ns.system ~ ' ' ~ (tools | tojson if tools else '')) }}
{%- for message in messages -%}
    {%- set ns.count = ns.count + 1 -%}
    {%- if (message.role == 'user') != loop.index0 is even %}{{ raise_exception('roles alternate') }}{% endif -%}
    {%- if '</think>' in message.content %}{{ turn(message.role, message.content.split('</think>')[-1]) }}
    {%- else %}{{ turn(message.role, message['content']) }}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}
"""
CONVERSATION = (
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "What is the tallest mountain?"},
    {"role": "assistant", "content": "<think>Let me see.</think>Everest"},
    {"role": "user", "content": "And the longest river? <|im_end|>"},
)
# Address space beyond what the process has after loading the sound model: threads and their arenas need most of it.
EXTRA_ADDRESSES = 256 * 2**20
MAX_CPU_SECONDS = 3600
MAX_FAILURES = 20


def try_model(path: Path, *, chat: bool) -> str:
    """Load it, answer one token, and tell the outcome: `loaded` or the name of the typed error."""
    try:
        with Engine.load(path, device="cpu", threads=1) as engine:
            if chat:
                engine.chat_tokens(CONVERSATION)
            for _ in engine.generate([5, 6, 7], Sampling(temperature=0, max_tokens=1)):
                pass
    except EngineError as error:
        message = str(error)
        if not message or "\n" in message or len(message) > 1000:
            raise AssertionError(f"not one line: {message!r:.200}") from error
        return type(error).__name__
    return "loaded"


def sound_model(kind: str, folder: Path) -> tuple[Path, Files]:
    """Write a model that loads; its path and its files."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "gguf":
        path = write_tiny_llama(folder / "model.gguf", layers=1, hidden=32, heads=2, kv_heads=1, inner=32)
    else:
        path = write_tiny_folder(folder, shards=2)
    if kind == "template":
        (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return path, {file.name: file.read_bytes() for file in folder.iterdir()}


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + EXTRA_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def peak() -> int:
    """The most memory this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(kind: str, first: int, count: int, folder: Path) -> dict[str, Any]:
    path, files = sound_model(kind, folder / kind)
    chat = kind == "template"
    # Templates are rendered by another process, whose time only the clock on the wall tells.
    clock = time.perf_counter if chat else time.process_time
    for _ in range(3):
        assert try_model(path, chat=chat) == "loaded"
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    limit_memory()
    before = peak()
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    slowest, slowest_seed = 0.0, first
    with (folder / "seed").open("wb", buffering=0) as progress:
        for seed in range(first, first + count):
            os.pwrite(progress.fileno(), b"%12d" % seed, 0)
            damaged = mutant(kind, files, seed)
            changed = [name for name in files if damaged[name] is not files[name]]
            for name in changed:
                (path if path.is_file() else path / name).write_bytes(damaged[name])
            started = clock()
            try:
                outcomes[try_model(path, chat=chat)] += 1
            except Exception:
                outcomes["failed"] += 1
                failures.append({"seed": seed, "traceback": traceback.format_exc()[-2500:]})
            seconds = clock() - started
            if seconds > slowest:
                slowest, slowest_seed = seconds, seed
            for name in changed:
                (path if path.is_file() else path / name).write_bytes(files[name])
            if len(failures) >= MAX_FAILURES:
                break
    return {
        "outcomes": dict(outcomes.most_common()),
        "slowest_seconds": round(slowest, 3),
        "slowest_seed": slowest_seed,
        "more_memory": peak() - before,
        "files": sum(map(len, files.values())),
        "failures": failures,
    }


if __name__ == "__main__":
    kind, first, count, folder = sys.argv[1:]
    print(json.dumps(fuzz(kind, int(first), int(count), Path(folder))))
