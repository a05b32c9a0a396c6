"""What can go wrong in the engine, as one tree.

    EngineError
    ├── ModelNotFound       there is no such file or folder
    ├── ModelFormatError    the file is damaged, cut short, or not a model at all
    ├── UnsupportedModel    a sound file that this engine cannot run exactly
    ├── InvalidSampling     a sampling setting is unknown or out of its range
    ├── InvalidSchema       a JSON schema that answers cannot be held to
    ├── InvalidTools        functions that this model cannot call, or that are described wrongly
    ├── InvalidPrompt       the prompt is empty or holds ids outside the vocabulary
    ├── ContextOverflow     the prompt is longer than the context
    ├── TemplateError       the model's chat template refused or failed
    ├── OutOfMemory         the model or its KV cache does not fit
    ├── EngineBusy          too many runs wait already
    └── EngineClosed        the engine was closed

Every message is one line, carries the figures, and says what to do.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error the engine raises on purpose; `str(error)` is one line for people."""


class ModelNotFound(EngineError):
    """No model file at the given path."""


class ModelFormatError(EngineError):
    """The file is damaged, truncated or of another kind."""


class UnsupportedModel(EngineError):
    """A sound file that cannot be run exactly, so it is not run at all."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be run: {why}")
        self.what = what
        self.why = why


class InvalidSampling(EngineError):
    """A sampling setting is unknown, of the wrong type or out of range. setting: its name, where it is a known one."""

    def __init__(self, message: str, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class InvalidSchema(EngineError):
    """A JSON schema that is none, or has keywords that answers cannot be held to. why: what is wrong with it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"answers cannot be held to this JSON schema: {why}")
        self.why = why


class InvalidTools(EngineError):
    """Functions that the model cannot call, or whose description is wrong."""


class InvalidPrompt(EngineError):
    """The prompt is empty or names token ids the model does not have."""


class ContextOverflow(EngineError):
    """The prompt is longer than the context.

    need: tokens of the prompt, plus the one that must be generated. have: tokens of the context.
    """

    def __init__(self, need: int, have: int) -> None:
        super().__init__(
            f"the conversation needs {need:,} tokens, but the model's context holds {have:,}: "
            "shorten the message or start a new chat"
        )
        self.need = need
        self.have = have


class TemplateError(EngineError):
    """The chat template is broken, or refused these messages."""


class OutOfMemory(EngineError):
    """The model or its KV cache does not fit in memory."""


class EngineBusy(EngineError):
    """Too many runs wait for a place. active: runs that are computed. waiting: those queued."""

    def __init__(self, active: int, waiting: int) -> None:
        super().__init__(f"{active} answers are being written and {waiting} wait: try again when some have ended")
        self.active = active
        self.waiting = waiting


class EngineClosed(EngineError):
    """The engine was closed while, or before, the run was under way."""
