"""Replays for the terminal while the server runs: it has the model loaded, and the data folder is its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.accounts.control import ControlFailed, RunningServer
from app.accounts.control_route import has_secret
from app.errors import AppError
from app.inside.errors import opened
from app.inside.replay import Replay, Replays, answers_named
from app.models import Models
from app.store import Store
from engine import EngineError

PATH = "/control/replay"
POLL_SECONDS = 0.1
# From one line of the server's to the next.
SILENCE_SECONDS = 60.0


def followed(replay: Replay) -> Iterator[dict[str, Any]]:
    """A replay is done on a thread of its own while its views are iterated, the last of them once it has ended.

    Leaving off early cancels it.
    """
    Replays().start(replay)
    try:
        while replay.state == "running":
            yield replay.view()
            time.sleep(POLL_SECONDS)
        yield replay.view()
    finally:
        replay.cancel()


def replay_control(store: Store, models: Models, secret: str) -> APIRouter:
    """POST /control/replay {id, user, settings}: a view of the replay a line, or {error}; 404 without the secret."""
    router = APIRouter()

    def begun(asked: Mapping[str, Any]) -> Replay:
        theirs = store.of_user(asked["user"])
        ids = answers_named(theirs, asked["id"])
        return Replay(theirs, opened(models.backend(timeout=0)), ids, asked["settings"])

    @router.post(PATH)
    async def replay(request: Request) -> Response:
        if not has_secret(request, secret):
            return JSONResponse({"detail": "Not Found"}, 404)
        try:
            views = followed(await run_in_threadpool(begun, await request.json()))
        except (AppError, EngineError) as error:
            return JSONResponse({"error": str(error)})
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the command is of another version of Fireside"}, 400)
        lines = (json.dumps(view) + "\n" for view in views)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})

    return router


def replayed_by(
    server: RunningServer, id: str, user: str | None, settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The views of a replay that the running server does; raises ControlFailed."""
    import httpx

    asked = {"id": id, "user": user, "settings": dict(settings)}
    try:
        with httpx.stream(
            "POST", server.address + PATH, json=asked, headers=server.headers, timeout=SILENCE_SECONDS, trust_env=False
        ) as reply:
            for line in reply.iter_lines():
                view = json.loads(line)
                if "error" in view and "state" not in view:
                    raise ControlFailed(str(view["error"]))
                yield view
    except (httpx.HTTPError, ValueError) as failure:
        raise ControlFailed(
            f"the Fireside that is running does not answer ({type(failure).__name__}): stop it first"
        ) from None
