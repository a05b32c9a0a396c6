"""Where a version of a message came from: everything that was kept of how it was made, as one JSON."""

from __future__ import annotations

from typing import Any

from app.answer import CONTINUED_AT, PRESET, PROMPT_DIGEST, SETTINGS_FROM, WITHOUT_TOKENS
from app.backend import Backend
from app.context import SIGHT
from app.inside.branching import BRANCH, BY_HAND
from app.inside.comparison import COMPARISON
from app.inside.errors import SCORED
from app.inside.pieces import pieces, unseen_bytes
from app.inside.recall import Recalled, recall
from app.store import Message, Store

# Characters of a message that stand for it.
START = 80


def provenance(store: Store, backend: Backend | None, message_id: str) -> dict[str, Any]:
    """See docs/inside.md for the shape. What an older message does not tell is in `unknown`, a line each.

    backend: makes the prompt again as tokens; None while no model is loaded. Raises NotFound.
    """
    message = store.branches.present(message_id)
    told: dict[str, Any] = {"message": _message(store, message)}
    if message.role != "assistant" or (message.model is None and not message.settings):
        by_hand = message.edited or message.role != "assistant"
        return told | {"written": "by hand" if by_hand else "elsewhere", "unknown": []}
    same = backend is not None and backend.info.digest == message.model_digest
    recalled = recall(store, backend if same else None, message)
    note = recalled.note
    if not same and message.model:
        note = f"the prompt can be told as tokens while {message.model} is loaded"
    sources = message.extra.get(SETTINGS_FROM)
    sources = sources if isinstance(sources, dict) else None
    return told | {
        "written": "by a model",
        "model": {"name": message.model, "digest": message.model_digest, "loaded": same},
        "engine": message.engine,
        "settings": _settings(message, sources),
        "preset": message.extra.get(PRESET),
        # Seeds may exceed what a JavaScript number holds exactly.
        "seed": None if message.seed is None else str(message.seed),
        "seed_given": message.settings.get("seed") is not None if message.settings else None,
        "prompt": {
            "exact": recalled.exact,
            "note": note,
            "count": message.prompt_tokens,
            "digest": message.extra.get(PROMPT_DIGEST),
            "ids": recalled.ids,
            **_read(backend, recalled.ids),
            "messages": recalled.prompt,
        },
        "sight": _sight(message, recalled),
        "times": {name: getattr(message, name) for name in ("queue_ms", "prefill_ms", "decode_ms", "ttft_ms")},
        "tokens": {
            "prompt": message.prompt_tokens,
            "reused": message.cached_tokens,
            "new": message.new_tokens,
            "per_second": round(message.tokens_per_second, 2),
        },
        "unknown": _unknown(message, recalled, sources),
    }


def _message(store: Store, message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "conversation": message.conversation_id,
        "role": message.role,
        "created_at": message.created_at,
        "status": message.status,
        "finish_reason": message.finish_reason,
        "edited": message.edited,
        "error": message.extra.get("error"),
        "versions": [
            {"id": each.id, "created_at": each.created_at, "edited": each.edited, "model": each.model}
            for each in store.messages.siblings(message.id)
            if each.role == message.role
        ],
        "branch": message.extra.get(BRANCH),
        "by_hand": message.extra.get(BY_HAND, []),
        "continued_at": message.extra.get(CONTINUED_AT, []),
        "characters_by_hand": message.extra.get(WITHOUT_TOKENS, 0),
        "comparison": message.extra.get(COMPARISON),
        "scored": message.extra.get(SCORED),
        "imported_from": message.external_id,
    }


def _settings(message: Message, sources: dict[str, list[str]] | None) -> list[dict[str, Any]]:
    came = {name: source for source, names in (sources or {}).items() for name in names}
    return [
        {"name": name, "value": value, "from": came.get(name, "default") if sources is not None else None}
        for name, value in sorted(message.settings.items())
    ]


def _sight(message: Message, recalled: Recalled) -> dict[str, Any]:
    record = message.extra.get(SIGHT)
    inside, out = [], []
    for each in recalled.path:
        view = {"id": each.id, "role": each.role, "start": each.content[:START], "edited": each.edited}
        if why := recalled.sight.out.get(each.id):
            out.append(view | {"why": why})
        else:
            inside.append(view)
    policy = record.get("policy") if isinstance(record, dict) else None
    return {"policy": policy, "in": inside, "out": out, "known": recalled.sight_known}


def _unknown(message: Message, recalled: Recalled, sources: dict[str, list[str]] | None) -> list[str]:
    lines = []
    if sources is None:
        lines.append("where each setting came from was not kept when this was written")
    if not recalled.sight_known:
        lines.append("which messages were in sight was not kept when this was written: told as it would be today")
    not_kept = [name for name in ("device", "kernels", "threads") if not message.engine.get(name)]
    return lines + [f"not kept when this was written: {name}" for name in not_kept]


def _read(backend: Backend | None, ids: list[int] | None) -> dict[str, Any]:
    """The prompt as text, whole and token by token, and which of these are control tokens."""
    if backend is None or ids is None:
        return {"text": None, "texts": None, "bytes": None, "control": None}
    found = pieces(backend, ids)
    return {
        "text": "".join(piece.text for piece in found),
        "texts": [piece.text for piece in found],
        "bytes": unseen_bytes(found),
        "control": [place for place, piece in enumerate(found) if piece.control],
    }
