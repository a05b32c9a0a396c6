"""The model the application talks to: found, fetched and loaded in the background, and changed for another."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from app.backend import Backend
from app.downloads import Downloads
from app.errors import AppError
from app.model_source import Attempt, Closing, Loader, ModelFiles, ModelState, Source, load_engine
from engine import EngineError, EngineInfo
from weights import FetchCancelled, WeightsError

__all__ = ["CLOSING", "ModelState", "ModelUnavailable", "Models"]

CLOSING = "Fireside is shutting down"
POLL_SECONDS = 0.05
# How long answers that were told to stop may take over it before they are cut off.
HURRY_SECONDS = 3.0


class ModelUnavailable(AppError):
    """There is no model to answer: it could not be fetched or loaded, or is not ready yet."""


class Models:
    """Brings a model from its name to a loaded backend, on a thread of its own, and changes it for another.

    There is memory for one: the model before ends its answers and goes first, and comes back if the new one cannot be
    loaded. Thread-safe. `start` begins; `state` may be read at any time; `backend` waits for the outcome. loaded:
    called with the name of each model that was loaded.
    """

    def __init__(self, models_dir: Path, name_or_path: str, *, loader: Loader = load_engine) -> None:
        self.downloads = Downloads(models_dir)
        self.loaded: list[Callable[[str], None]] = []
        self._loader = loader
        self._changed = threading.Condition()
        self._source: Source = self.files(name_or_path)
        self._before: Source | None = None
        self._attempt: Attempt | None = None
        self._thread: threading.Thread | None = None
        self._backend: Backend | None = None
        self._closed = False
        self._state = ModelState("absent", name_or_path, message=f"{name_or_path} is not loaded yet")

    def files(self, name: str, path: Path | None = None) -> ModelFiles:
        """A model by its name or path, for `switch`. path: where it lies, if that is known."""
        return ModelFiles(name, self.downloads, self._loader, path)

    @property
    def state(self) -> ModelState:
        """The state at this moment."""
        with self._changed:
            state, source = self._state, self._source
        return source.watched(state) if state.status == "ready" else state

    @property
    def remote(self) -> str:
        """The address of the engine elsewhere that answers or is to answer; "" while that is one of this process."""
        with self._changed:
            return self._source.remote

    @property
    def info(self) -> EngineInfo | None:
        """Of the model that is loaded; None while there is none."""
        with self._changed:
            return self._backend.info if self._backend else None

    def start(self) -> None:
        """Begin to find, fetch and load; does nothing while that is under way or done."""
        with self._changed:
            if self._attempt is None and not self._closed:
                self._begin()

    def retry(self, at_once: bool = False) -> None:
        """Begin again after a failure; does nothing otherwise. at_once: see `Source.retry`."""
        with self._changed:
            source = self._source
            if self._state.status == "failed" and not self._closed:
                self._begin()
        source.retry(at_once)

    def switch(self, source: Source) -> None:
        """Have another model answer: at once if nothing was started, else once the answers under way have ended.

        Questions asked meanwhile wait for it. If it cannot be loaded the one before goes on, and `state` says why.
        """
        with self._changed:
            if self._closed:
                return
            if self._before is None and self._backend is not None:
                self._before = self._source
            self._source = source
            if self._attempt is not None:
                self._begin()
            else:
                self._state = ModelState("absent", source.name, message=f"{source.name} is not loaded yet")

    def hurry(self) -> None:
        """While a switch waits for answers: wait for them no longer than they take to stop."""
        with self._changed:
            if self._attempt is not None:
                self._attempt.hurry.set()

    def stay(self) -> None:
        """While a switch waits for answers: give it up and keep the model before."""
        with self._changed:
            if self._closed or not self._state.answers or self._before is None:
                return
            self._source, self._before = self._before, None
            self._begin()

    def explain(self, trouble: str) -> None:
        """Have `state` say why a model that was asked for is not the one that is loaded."""
        with self._changed:
            self._state = replace(self._state, trouble=" ".join(trouble.split()))

    def backend(self, timeout: float | None = None) -> Backend:
        """The loaded model; waits for it at most `timeout` seconds, without limit if None.

        Raises ModelUnavailable when it failed, is closed, or is not ready in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        self.start()
        with self._changed:
            while self._backend is None and self._state.status != "failed":
                remaining = None if deadline is None else deadline - monotonic()
                if remaining is not None and remaining <= 0:
                    raise ModelUnavailable(self._state.message)
                self._changed.wait(remaining)
            if self._backend is None:
                raise ModelUnavailable(self._state.message)
            return self._backend

    def close(self) -> None:
        """Give up what is under way and close the backend; idempotent."""
        with self._changed:
            self._closed = True
            if self._attempt is not None:
                self._attempt.cancel.set()
            thread = self._thread
        self.downloads.close()
        if thread is not None:
            thread.join()
        with self._changed:
            backend, self._backend = self._backend, None
            self._state = ModelState("failed", self._source.name, message=CLOSING)
            self._changed.notify_all()
        if backend is not None:
            backend.close()

    def _begin(self, trouble: str = "") -> None:
        """Try the source on a thread of its own, once the try before it has ended; with the lock held."""
        if self._attempt is not None:
            self._attempt.cancel.set()
        attempt, name = Attempt(self._source.name, self._tell, self._leave), self._source.name
        self._attempt = attempt
        self._state = ModelState("absent", name, message=f"looking for {name}", trouble=trouble)
        arguments = (attempt, self._source, self._thread)
        self._thread = threading.Thread(target=self._run, args=arguments, name="model-loader", daemon=True)
        self._thread.start()

    def _run(self, attempt: Attempt, source: Source, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        with self._changed:
            if self._backend is not None and self._before is None and attempt is self._attempt:
                # The model before was to go, and is to stay now.
                self._ready(source)
                return
        try:
            backend = source.obtain(attempt)
        except Closing:
            self._fail(attempt, CLOSING)
        except FetchCancelled as error:
            self._fail(attempt, CLOSING if self._closed else str(error))
        except (WeightsError, EngineError) as error:
            self._fail(attempt, str(error))
        # A thread has nobody to raise to: whoever waits for the model must hear of it.
        except Exception as error:
            self._fail(attempt, f"{source.name} cannot be loaded: {type(error).__name__}: {error}")
        else:
            self._succeed(attempt, source, backend)

    def _succeed(self, attempt: Attempt, source: Source, backend: Backend) -> None:
        with self._changed:
            wanted = attempt is self._attempt and not self._closed
            if wanted:
                self._backend, self._before = backend, None
                self._ready(source)
        if not wanted:
            backend.close()
            return
        for callback in self.loaded:
            callback(source.name)

    def _ready(self, source: Source) -> None:
        self._state = ModelState("ready", source.name, message=f"{source.name} is ready", trouble=self._state.trouble)
        self._changed.notify_all()

    def _fail(self, attempt: Attempt, message: str) -> None:
        message = " ".join(message.split())
        with self._changed:
            if attempt is not self._attempt:
                return
            if self._before is None or self._closed:
                self._state = ModelState("failed", self._source.name, message=message, trouble=self._state.trouble)
                self._changed.notify_all()
                return
            self._source, self._before = self._before, None
            self._begin(trouble=message)

    def _leave(self, attempt: Attempt) -> None:
        """Let the model before end its answers, for as long as they take, and go."""
        with self._changed:
            if attempt.cancel.is_set():
                raise Closing
            backend, self._backend = self._backend, None
        if backend is None:
            return
        late = None
        while answers := backend.runs:
            words = "answer has" if answers == 1 else "answers have"
            message = f"{attempt.name} is loaded once {answers} {words} ended"
            try:
                attempt.tell(ModelState("loading", attempt.name, message=message, answers=answers))
            except Closing:
                with self._changed:
                    self._backend = backend
                raise
            if attempt.hurry.is_set():
                late = late or monotonic() + HURRY_SECONDS
                if monotonic() > late:
                    break
            attempt.cancel.wait(POLL_SECONDS)
        backend.close()
        del backend
        _collect()

    def _tell(self, attempt: Attempt, state: ModelState) -> None:
        with self._changed:
            if attempt is self._attempt:
                self._state = replace(state, trouble=self._state.trouble)


def _collect() -> None:
    """Free a closed model now: it lies in circles of references, and its memory is needed for the next."""
    frozen = gc.get_freeze_count() > 0
    if frozen:
        gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
