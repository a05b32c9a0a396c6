"""The settings of a model as its author wrote them, each checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from engine.errors import ModelFormatError

T = TypeVar("T")
# Whole numbers beyond this are damage, and would overflow what is computed from them.
MAX_INTEGER = 2**53
REQUIRED: Any = object()


class Fields:
    """Named settings, under the names of Hugging Face's config.json.

    Every reader takes the value to use where the setting is absent or null; without one, absence is a
    ModelFormatError, as is a value of another type. source: what to call the settings in messages.
    """

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self.source = source
        self._values = values

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def integer(self, name: str, default: T = REQUIRED) -> int | T:
        value = self._get(name, default)
        if value is default:
            return default
        # Some writers put 10000.0 where a count is meant.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
            raise self._wrong(name, "a whole number", value)
        return value

    def number(self, name: str, default: T = REQUIRED) -> float | T:
        value = self._get(name, default)
        if value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
            raise self._wrong(name, "a number", value)
        if not math.isfinite(value):
            raise self._wrong(name, "a finite number", value)
        return float(value)

    def flag(self, name: str, default: T = REQUIRED) -> bool | T:
        return self._typed(name, bool, "true or false", default)

    def text(self, name: str, default: T = REQUIRED) -> str | T:
        return self._typed(name, str, "a text", default)

    def numbers(self, name: str, default: T = REQUIRED) -> tuple[float, ...] | T:
        values = self._typed(name, list, "a list", default)
        if values is default:
            return default
        if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            raise self._wrong(name, "a list of finite numbers", values)
        return tuple(map(float, values))

    def texts(self, name: str, default: T = REQUIRED) -> tuple[str, ...] | T:
        values = self._typed(name, list, "a list", default)
        if values is default:
            return default
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of texts", values)
        return tuple(values)

    def child(self, name: str) -> Fields | None:
        """The settings inside a setting, None where it is absent."""
        value = self._typed(name, dict, "an object", None)
        return None if value is None else Fields(value, f"{self.source}: {name}")

    def renamed(self, names: Mapping[str, str]) -> Fields:
        """The same settings, those under a key of `names` also found under its value."""
        added = {new: self._values[old] for old, new in names.items() if old in self._values}
        return Fields({**self._values, **added}, self.source)

    def _get(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        if value is not None:
            return value
        if default is REQUIRED:
            raise ModelFormatError(f"{self.source} has no {name}: fetch the model again")
        return default

    def _typed(self, name: str, kind: type, words: str, default: Any) -> Any:
        value = self._get(name, default)
        if value is not default and type(value) is not kind:
            raise self._wrong(name, words, value)
        return value

    def _wrong(self, name: str, words: str, value: Any) -> ModelFormatError:
        return ModelFormatError(f"{self.source}: {name} must be {words}, not {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value):,}"
    try:
        return f"{value!r:.40}"
    except ValueError:  # Python refuses to write integers of over 4,300 digits
        return "a number too long to write"
