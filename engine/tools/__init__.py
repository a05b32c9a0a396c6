"""Functions that a model may call: how it writes calls, which it may write, and how they are read."""

from engine.tools.reader import CallDelta
from engine.tools.syntax import CallSyntax, call_syntax
from engine.tools.tools import Tools

__all__ = ["CallDelta", "CallSyntax", "Tools", "call_syntax"]
