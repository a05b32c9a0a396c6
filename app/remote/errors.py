"""What goes wrong between Fireside and an engine elsewhere.

EngineError
└── RemoteError
    ├── BadAddress        what was given is no address of a server
    ├── Unreachable       nobody answers there
    ├── Starting          it says that it is not ready yet
    ├── Unauthorised      it wants another key
    ├── NotThere          it does not have the model, or not this part of the API
    ├── Overloaded        it has too much to do
    ├── Rejected          it does not take the request
    ├── ServerFailed      it failed, or what it sent is not what the API says
    └── BreakerOpen       it failed several times just now, and is left alone for a moment
"""

from __future__ import annotations

from engine import EngineError


class RemoteError(EngineError):
    """Base; the message names the server. transient: whether asking again soon may help."""

    transient = False


class BadAddress(RemoteError):
    """What was given is no address of a server."""


class Unreachable(RemoteError):
    """Nobody answers there."""

    transient = True


class Starting(RemoteError):
    """The server says that it is not ready yet."""

    transient = True


class Unauthorised(RemoteError):
    """The server wants a key, or another one."""


class NotThere(RemoteError):
    """The server does not have the model, or not this part of the API."""


class Overloaded(RemoteError):
    """The server has too much to do. after: seconds it asks to be left alone, None if it does not say."""

    transient = True

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


class Rejected(RemoteError):
    """The server does not take the request."""


class ServerFailed(RemoteError):
    """The server failed, or what it sent is not what the API says."""

    transient = True


class BreakerOpen(RemoteError):
    """The server failed several times just now, and is left alone for a moment."""
