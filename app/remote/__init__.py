"""An engine on another machine: any server that speaks OpenAI's API answers in place of the engine of this process."""

from app.remote.address import Address
from app.remote.engine import RemoteEngine
from app.remote.models import RemoteSource

__all__ = ["Address", "RemoteEngine", "RemoteSource"]
