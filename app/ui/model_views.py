"""What the page is told about models: plain data, in the browser's terms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.library import ModelLibrary
from app.models import Models
from app.ui.language import told
from app.ui.views import sentence


def state_view(models: Models) -> dict[str, Any]:
    """How far the answering model is, what is loaded of it once it is ready, and the downloads under way.

    name: what it is asked for by. remote: the address of the engine elsewhere that answers, "" for this computer's.
    model: null until it is ready.
    """
    state, info = models.state, models.info
    view: dict[str, Any] = asdict(state) | {
        "remote": models.remote,
        "message": sentence(state.message),
        "trouble": sentence(state.trouble),
        "model": None,
        "downloads": sum(each.status == "running" for each in models.downloads.states()),
    }
    if state.status == "ready" and info is not None:
        view["model"] = {
            name: getattr(info, name) for name in ("name", "parameters", "quantization", "context", "device", "kernels")
        }
    return view


def shelf_view(library: ModelLibrary, *, admin: bool) -> dict[str, Any]:
    """All models, the downloads, how much memory and disk there is, and `state_view`.

    admin: whether whoever asks may change them. Raises WeightsError.
    """
    shelf = library.shelf()
    return {
        "entries": [
            asdict(entry) | {"title": told(entry.title), "problem": sentence(entry.problem)} for entry in shelf.entries
        ],
        "downloads": {each.name: asdict(each) | {"message": sentence(each.message)} for each in shelf.downloads},
        "free_memory": shelf.free_memory,
        "free_disk": shelf.free_disk,
        "may_change": admin,
        "state": state_view(library.models),
    }
