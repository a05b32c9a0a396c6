"""A Jinja environment for chat templates that nobody has read: no way out of it, and bounds on time and memory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import update_wrapper
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Far above what templates need: the longest in use are some 20 kB and render a long chat in milliseconds.
MAX_SECONDS = 2.0
MAX_CHARACTERS = 20_000_000
MAX_INTEGER_BITS = 4_096
MAX_FORMAT_WIDTH_DIGITS = 3

FILTERS = frozenset(
    "abs attr capitalize count d default dictsort e escape first float groupby indent int items join last length "
    "list lower map max min reject rejectattr replace reverse round safe select selectattr sort string title trim "
    "unique upper".split()
)
STRING_METHODS = frozenset(
    "capitalize casefold count endswith find format index isalnum isalpha isascii isdecimal isdigit isidentifier "
    "islower isnumeric isprintable isspace istitle isupper join lower lstrip partition removeprefix removesuffix "
    "replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title upper".split()
)


class Budget:
    """What one rendering may still use: processor seconds of its thread, and characters or items it makes."""

    def __init__(self, characters: int = MAX_CHARACTERS, seconds: float = MAX_SECONDS) -> None:
        self._characters = characters
        self._deadline = time.thread_time() + seconds
        self._limits = f"{seconds:g} s or {characters:,} characters"

    def charge(self, characters: int) -> None:
        """Raises SecurityError when either is used up."""
        self._characters -= characters
        if self._characters < 0 or time.thread_time() > self._deadline:
            raise SecurityError(f"it needs more than {self._limits}")


_budget: ContextVar[Budget] = ContextVar("budget of the rendering under way")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Compile or render within a budget; a ChatTemplate is used from many threads, each with its own."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def _charge(characters: int) -> None:
    _budget.get().charge(characters)


def _size(value: Any) -> int:
    """Characters or items of a value, one level of nesting included."""
    if isinstance(value, (list, tuple)):
        return len(value) + sum(len(item) for item in value if isinstance(item, (str, list, tuple)))
    return len(value) if isinstance(value, (str, dict, range)) else 1


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        _charge(_size(value))
        return value

    # Carries over the marks by which Jinja knows which filters want the context.
    return update_wrapper(call, function)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """What transformers gives to chat templates, in a sandbox that charges a Budget for what a template makes.

    Besides Jinja's own sandbox (no underscore attributes, no changes to lists and dicts): every loop turn, macro
    call, operator, filter and method is charged before or after it makes something; methods and filters that make
    long strings from short templates and are not used in chat templates do not exist here. Raises Jinja's
    TemplateError, or ordinary exceptions of Python for nonsense such as 1/0.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            finalize=_finalize,
        )
        self.filters = {name: _charged(f) for name, f in self.filters.items() if name in FILTERS}
        self.filters.update(
            {
                "join": _charged(_join),
                "replace": _charged(_replace),
                "indent": _charged(_indent),
                "tojson": _charged(_tojson),
            }
        )
        namespace = self.globals["namespace"]
        self.globals = {
            "range": _charged(range),
            "dict": dict,
            "namespace": namespace,
            "cycler": self.globals["cycler"],
            "joiner": self.globals["joiner"],
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    def charge(self, characters: int) -> str:
        _charge(characters)
        return ""

    def cut(self, value: Any, *bounds: Any) -> Any:
        part = value[slice(*bounds)]
        _charge(_size(part))
        return part

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Metering().visit(super()._parse(source, name, filename))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "**":
            _check_power(left, right)
        elif operator == "*":
            _check_product(left, right)
        value = super().call_binop(context, operator, left, right)
        _charge(_size(value))
        return value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr not in STRING_METHODS:
            return False
        if isinstance(obj, (int, float, bytes)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        # A width may come from an argument, {:{width}}, so no width at all.
        if wrapped is not None and ":" in value.__self__:
            raise SecurityError("str.format with a format specification")
        return wrapped

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902, N805
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            if __obj.__name__ == "join":
                args = (_countable(*args, separator=owner),)
            elif __obj.__name__ == "replace":
                _check_replace(owner, *args)
        value = super().call(__context, __obj, *args, **kwargs)
        if isinstance(value, (str, list, tuple)):
            _charge(_size(value))
        return value


class _Metering:
    pass
