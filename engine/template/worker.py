"""Renders chat templates in a process of its own: `python -m engine.template.worker`, started by engine.template.pool.

It reads requests from standard input and writes replies to standard output, as engine.template.wire frames them:

    {"source": the template,
     "arguments": what it sees besides the messages, null to see only whether it parses,
     "messages": [{"role", "content", ...}],
     "characters": the budget, "longest": characters of the text at most}
    {"text": what it wrote, "own": [[start, stop], ...] of what in it did not come from a message} or {"error": a line}
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Template

from engine.template.authored import Authored, own_of
from engine.template.budget import MAX_CHARACTERS, MAX_SECONDS, Budget, spending
from engine.template.sandbox import TemplateEnvironment
from engine.template.wire import receive, send

MAX_MEMORY_BYTES = 512 * 2**20
# Beyond what the budget counts, for parsing and compiling.
SPARE_SECONDS = 2
WARM_UP = ("{{ strftime_now('%Y') ~ ([1] | tojson) }}", "{{ raise_exception('') }}", "{% x")


def main() -> None:
    """Serve until standard input ends."""
    for source in WARM_UP:
        answer({"source": source, "arguments": {}, "messages": [], "characters": MAX_CHARACTERS, "longest": 0})
    _close_doors()
    send(sys.stdout.buffer, {})
    while (request := receive(sys.stdin.buffer)) is not None:
        _limit_seconds()
        send(sys.stdout.buffer, answer(request))


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to a request."""
    try:
        with spending(Budget(request["characters"])):
            template = _compiled(request["source"])
            if request["arguments"] is None:
                return {}
            messages = [message | {"role": Authored.whole(message["role"])} for message in request["messages"]]
            text = template.render(_owned(request["arguments"]), messages=messages)
        if len(text) > request["longest"]:
            return {"error": f"it writes {len(text):,} characters, but {request['longest']:,} are allowed"}
    # Whatever a template nobody has read does wrong, MemoryError and RecursionError included, is its fault.
    except Exception as error:
        return {"error": str(error).split("\n")[0] or type(error).__name__}
    return {"text": text, "own": [match.span() for match in re.finditer(b"\1+", own_of(text))]}


@lru_cache(maxsize=8)
def _compiled(source: str) -> Template:
    return _environment().from_string(source)


@lru_cache(maxsize=1)
def _environment() -> TemplateEnvironment:
    return TemplateEnvironment()


def _owned(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Authored.whole(value) if isinstance(value, str) else value for name, value in arguments.items()}


def _close_doors() -> None:
    """Give up, where the system can, what rendering has no use for: much memory, and opening or writing files."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_AS: MAX_MEMORY_BYTES,
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError):  # not every system knows every limit
            continue


def _limit_seconds() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    most = int(usage.ru_utime + usage.ru_stime + MAX_SECONDS + SPARE_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
