"""What the page asks of the inside of answers, as JSON; docs/inside.md tells the shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.backend import Backend
from app.chat_errors import ChatError, ConversationBusy
from app.errors import AppError
from app.inside import branching, comparison
from app.inside.errors import NotPossible, opened
from app.inside.looking import look, look_at_answer
from app.inside.pieces import alternative, control_name
from app.inside.provenance import provenance
from app.inside.replay import Replay, Replays, answers_of
from app.inside.tokens import MOST, Tokens, shown_settings
from app.inside.walk import Remembered, Walk
from app.layers import settings_below
from app.models import Models, ModelUnavailable
from app.store import NotFound
from app.ui.language import told
from app.workspace import Workspace
from engine import EngineBusy, EngineError, Sampling

NO_STORE = {"Cache-Control": "no-store"}
MAX_TEXT = 400_000
MAX_IDS = 200_000

Ids = Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=MAX_IDS)]
Text = Annotated[StrictStr, Field(max_length=MAX_TEXT)]
Settings = dict[str, float | int]


class Asked(BaseModel):
    """The body of a request; unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class Detail(Asked):
    fresh: bool = False
    settings: Settings | None = None
    count: int = Field(20, ge=1, le=200)


class Scoring(Asked):
    store: bool = False


class Looking(Asked):
    ids: Ids


class Word(Asked):
    text: Text


class Branching(Asked):
    index: StrictInt
    id: StrictInt | None = None
    text: Text | None = None
    several: bool = False


class Next(Asked):
    text: Text = ""
    ids: Ids | None = None
    conversation: StrictStr | None = None
    settings: Settings | None = None
    count: int = Field(50, ge=1, le=200)


class Completion(Asked):
    text: Text = ""
    ids: Ids | None = None
    settings: Settings | None = None
    max_tokens: int = Field(200, ge=1, le=100_000)


class Replaying(Asked):
    settings: Settings | None = None


class Comparing(Asked):
    conversation: StrictStr | None = None
    message: StrictStr | None = None
    text: Text | None = None
    presets: list[StrictStr] | None = None
    sweep: dict[Literal["temperature", "seed"], list[float | int]] | None = None


def inside_routes(of: Callable[[Request], Workspace], models: Models) -> APIRouter:
    """Routes under /inside. of: what the person has who asks.

    A refusal is {"error": one line}: 400 for what is not possible, 404, 409 while an answer is written, 503 without a
    model.
    """
    router = APIRouter(prefix="/inside", route_class=_Refusing)
    remembered, replays = Remembered(), Replays()

    def backend() -> Backend:
        return models.backend(timeout=0)

    def tokens(request: Request) -> Tokens:
        loaded = backend()
        return Tokens(of(request).store, loaded, Walk(remembered, loaded))

    @router.get("/tokens/{message_id}")
    def table(message_id: str, request: Request) -> Response:
        first, count = _number(request, "from", 0), _number(request, "count", MOST)
        table = tokens(request).table(message_id, first, count)
        return _json(table | {"can_score": _in_language(table["can_score"])})

    @router.post("/token/{message_id}/{index}")
    def detail(message_id: str, index: int, asked: Detail, request: Request) -> Response:
        found = tokens(request).detail(message_id, index, fresh=asked.fresh, settings=asked.settings, count=asked.count)
        return _json(found)

    @router.post("/score/{message_id}")
    def score(message_id: str, asked: Scoring, request: Request) -> Response:
        return _json(tokens(request).score(message_id, store=asked.store))

    @router.post("/words")
    def words(asked: Word) -> Response:
        engine = opened(backend())
        found = branching.word(engine, asked.text, several=True)
        views = [alternative(engine, found[:place], token) for place, token in enumerate(found)]
        note = None if len(found) == 1 else f"{len(found)} tokens: branch with all of them, or with the first alone"
        return _json({"tokens": views, "note": _in_language(note)})

    @router.post("/branch/{message_id}")
    def branch(message_id: str, asked: Branching, request: Request) -> Response:
        if (asked.id is None) == (asked.text is None):
            raise NotPossible("a branch takes either a token's id or a word")
        chats = of(request).chats
        sent = chats.branch_at(message_id, asked.index, token=asked.id, text=asked.text, several=asked.several)
        return _json({"conversation": sent.conversation_id, "message": sent.message_id, "parent": sent.user_message_id})

    @router.post("/next")
    def next_token(asked: Next, request: Request) -> Response:
        engine = opened(backend())
        chats = of(request).chats
        prompt: list[int] = []
        if asked.conversation is not None:
            sight = chats.next_answer.sight(asked.conversation)
            prompt = engine.chat_tokens(sight.prompt) if sight.prompt else []
        sampling = Sampling.from_dict(asked.settings or {})
        if asked.ids is not None:
            written = asked.ids[len(prompt) :] if asked.ids[: len(prompt)] == prompt else asked.ids
        else:
            written = engine.tokenize_within(asked.text) if prompt else engine.prompt_tokens(asked.text)
        step = Walk(remembered, engine).step(prompt, written, sampling, asked.count)
        return _json(step | {"settings": shown_settings(sampling)})

    @router.post("/look/{message_id}/{index}")
    def look_inside(message_id: str, index: int, asked: Asked, request: Request) -> Response:
        message = of(request).store.branches.present(message_id)
        return _json(look_at_answer(tokens(request), backend(), message, index))

    @router.post("/look")
    def look_after(asked: Looking) -> Response:
        return _json(look(backend(), asked.ids))

    @router.post("/complete")
    def complete(asked: Completion) -> Response:
        engine = opened(backend())
        sampling = Sampling.from_dict({"logprobs": 5, **(asked.settings or {}), "max_tokens": asked.max_tokens})
        run = engine.generate(asked.ids if asked.ids is not None else asked.text, sampling)

        def events() -> Iterator[bytes]:
            try:
                for step in run:
                    if step.token is not None:
                        top = [[id, engine.token_bytes(id).decode("utf-8", "replace"), value] for id, value in step.top]
                        name = control_name(engine, step.token) if not engine.token_bytes(step.token) else None
                        view = {"id": step.token, "text": name or step.text, "logprob": step.logprob, "top": top}
                        yield _event("token", view | {"entropy": step.entropy, "control": name is not None})
                    if step.finish_reason:
                        yield _event("done", {"reason": step.finish_reason, "stats": _stats(run)})
            except EngineError as error:
                yield _event("failed", {"error": " ".join(str(error).split())})
            finally:
                run.cancel()

        return StreamingResponse(events(), media_type="text/event-stream", headers=NO_STORE)

    @router.get("/provenance/{message_id}")
    def where_from(message_id: str, request: Request) -> Response:
        try:
            loaded = backend()
        except ModelUnavailable:
            loaded = None
        where = provenance(of(request).store, loaded, message_id)
        if "prompt" in where:
            where["prompt"]["note"] = _in_language(where["prompt"]["note"])
        return _json(where | {"unknown": [told(line) for line in where["unknown"]]})

    @router.post("/replay/{message_id}")
    def replay(message_id: str, asked: Replaying, request: Request) -> Response:
        started = replays.start(Replay(of(request).store, opened(backend()), [message_id], asked.settings))
        return _json({"replay": started.id})

    @router.post("/replay/conversation/{conversation_id}")
    def replay_all(conversation_id: str, asked: Replaying, request: Request) -> Response:
        store = of(request).store
        ids = answers_of(store, conversation_id)
        return _json({"replay": replays.start(Replay(store, opened(backend()), ids, asked.settings)).id})

    def replay_of(id: str, request: Request) -> Replay:
        found = replays.get(id)
        if found is None:
            raise NotFound("replay", id)
        store = of(request).store
        for message_id in found.ids:
            store.messages.get(message_id)
        return found

    @router.get("/replays/{replay_id}")
    def replayed(replay_id: str, request: Request) -> Response:
        return _json(_replay_view(replay_of(replay_id, request)))

    @router.post("/replays/{replay_id}/cancel")
    def cancel(replay_id: str, request: Request) -> Response:
        found = replay_of(replay_id, request)
        found.cancel()
        return _json(_replay_view(found))

    @router.post("/compare")
    def compare(asked: Comparing, request: Request) -> Response:
        store, chats = of(request).store, of(request).chats
        if asked.presets is not None:
            presets = [store.presets.get(id) for id in asked.presets]
            below = [settings_below(preset, chats.next_answer.recommendation()) for preset in presets]
            variations = comparison.presets_varied(presets, below)
        elif asked.sweep and len(asked.sweep) == 1:
            [(name, values)] = asked.sweep.items()
            variations = comparison.swept(name, values)
        else:
            raise NotPossible("a comparison takes presets, or a sweep over the temperature or the seed")
        sent = chats.compare(asked.conversation, variations, text=asked.text, message_id=asked.message)
        first = store.messages.get(sent[0].message_id)
        labels = [variation.label for variation in variations]
        return _json(
            {
                "comparison": comparison.comparison_of(first),
                "conversation": sent[0].conversation_id,
                "messages": [
                    {"message": each.message_id, "label": label} for each, label in zip(sent, labels, strict=True)
                ],
            }
        )

    @router.get("/comparison/{message_id}")
    def compared(message_id: str, request: Request) -> Response:
        view = comparison.view(of(request).store, message_id)
        answers = [each | {"label": told(each["label"])} for each in view["answers"]]
        return _json(view | {"answers": answers})

    @router.post("/pick/{message_id}")
    def pick(message_id: str, request: Request) -> Response:
        message = of(request).chats.pick(message_id)
        return _json({"conversation": message.conversation_id, "message": message.id})

    @router.get("/difference/{first}/{second}")
    def difference(first: str, second: str, request: Request) -> Response:
        store = of(request).store
        texts = [store.branches.present(id).content for id in (first, second)]
        return _json({"spans": comparison.difference(*texts)})

    return router


class _Refusing(APIRoute):
    """What is not possible is told in one line."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            # Pages of other sites may send plain text without being asked whether they may, but not JSON.
            if request.method == "POST" and kind != "application/json":
                return _refusal("the body must be application/json", 415)
            try:
                return await handler(request)
            except NotFound as error:
                return _refusal(error, 404)
            except (ConversationBusy, EngineBusy) as error:
                return _refusal(error, 409)
            except ModelUnavailable as error:
                return _refusal(error, 503)
            except (ChatError, EngineError, AppError) as error:
                return _refusal(error, 400)
            except (ValidationError, ValueError) as error:
                return _refusal(_first_line(error), 400)

        return handle


def _refusal(error: Exception | str, status: int) -> Response:
    text = told(" ".join(str(error).split()))
    return JSONResponse({"error": text[:1].upper() + text[1:]}, status, headers=NO_STORE)


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    first = (errors() or [{}])[0] if errors else {}
    where = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
    return f"{where or 'the request'}: {first.get('msg', error)}"


def _json(value: dict[str, Any]) -> Response:
    return JSONResponse(value, headers=NO_STORE)


def _in_language(line: str | None) -> str | None:
    return None if line is None else told(line)


def _replay_view(replay: Replay) -> dict[str, Any]:
    view = replay.view()
    for result in view["results"]:
        result["note"], result["notes"] = _in_language(result["note"]), [told(note) for note in result["notes"]]
    return view


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _stats(run: Any) -> dict[str, Any]:
    names = ("prompt_tokens", "cached_tokens", "new_tokens", "tokens_per_second")
    return {name: getattr(run.stats, name) for name in names}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default
