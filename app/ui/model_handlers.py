"""What happens on the events of the model panel. Each is a public HTTP endpoint: names are looked up, never paths."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.errors import AppError
from app.library import ModelLibrary
from app.ui.refusal import text_of
from app.ui.views import Sequencer, sentence
from app.workspace import Workspace
from weights import WeightsError


class ModelHandlers:
    """The panel's events, all of them an administrator's.

    Every answer names the model and what was done, and in words why it was refused, if it was; what there is then, the
    page asks of /models.
    """

    def __init__(self, workspace: Workspace, library: ModelLibrary, sequence: Sequencer) -> None:
        self.workspace = workspace
        self.library = library
        self.sequence = sequence

    def retry_model(self) -> None:
        """Begin again after a failure."""
        self.workspace.require_admin()
        self.library.models.retry(at_once=True)

    def use_model(self, event: gr.EventData) -> dict[str, Any]:
        """Have a model on disk answer from now on."""
        return self._done(event, "use", self.library.use)

    def download_model(self, event: gr.EventData) -> dict[str, Any]:
        """Fetch a model, and with `use` load it then."""
        use = getattr(event, "use", None) is True
        return self._done(event, "download", lambda name: self.library.download(name, use))

    def cancel_download(self, event: gr.EventData) -> dict[str, Any]:
        """Give a download up, or put away how it ended."""
        return self._done(event, "cancel", self.library.cancel)

    def remove_model(self, event: gr.EventData) -> dict[str, Any]:
        """Delete a model from the disk."""
        return self._done(event, "remove", self.library.remove)

    def hurry_switch(self) -> None:
        """Stop the answers that another model waits for, everybody's."""
        self.workspace.require_admin()
        self.library.models.hurry()
        self.workspace.chats.answers.stop_written()

    def keep_model(self) -> None:
        """Keep the model that is to be left."""
        self.workspace.require_admin()
        self.library.models.stay()

    def _done(self, event: gr.EventData, action: str, act: Any) -> dict[str, Any]:
        name = text_of(event, "name").strip()
        refused = ""
        try:
            self.workspace.require_admin()
            act(name)
        except (AppError, WeightsError) as error:
            refused = sentence(" ".join(str(error).split()))
        return self.sequence.stamp("models", action=action, name=name, refused=refused)
