"""The real command with every network use on record: `python watched_server.py RECORD ARGUMENTS...`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

WATCHED = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "socket.bind",
    "subprocess.Popen",
}
RECORD, *ARGUMENTS = sys.argv[1:]


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in WATCHED:
        with Path(RECORD).open("a", encoding="utf-8") as record:
            # A socket argument says more by its peer, which is among the others.
            print(
                event,
                *(repr(argument) for argument in arguments if not hasattr(argument, "fileno")),
                file=record,
            )


# Before anything of ours is imported, so that imports are watched too.
sys.addaudithook(note)

from app.cli import main  # noqa: E402

sys.exit(main(ARGUMENTS))
