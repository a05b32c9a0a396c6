"""What chat templates may call: filters and formats that charge for what they make before they make it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.sandbox import SandboxedFormatter

from engine.template.authored import Authored, join, replace
from engine.template.budget import charge, charge_for

CHARACTERS_PER_RANGE_ITEM = 16
# Every second character may begin a part, and a string of its own takes some 50 bytes.
CHARACTERS_PER_PART = 4
MAX_FORMAT_WIDTH = 999
MAX_INTEGER_BITS = 4_096
MAX_INDENT = 64
# printf's, of which widths of four digits and `*` have been refused.
PERCENT_DIRECTIVE = re.compile(r"%(?:\((?P<name>[^)]*)\))?(?P<flags>[^a-zA-Z%(]*)(?P<kind>[a-zA-Z%])")
_MISSING = object()


def bounded_range(*bounds: int) -> range:
    items = range(*bounds)
    charge(CHARACTERS_PER_RANGE_ITEM * len(items))
    return items


def join_values(values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    separator = str(d)
    parts: list[str] = []
    for value in values:
        text = str(value if attribute is None else value[attribute])
        charge(len(text) + len(separator) + 1)
        parts.append(text)
    return join(separator, parts)


def replace_text(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(s), str(old), str(new)
    charge(len(text) + text.count(old) * (len(new) + CHARACTERS_PER_PART))
    return replace(text, old, new, -1 if count is None else count)


def format_percent(format: str, arguments: Any) -> str:
    """As `format % arguments`, directive by directive: the parts are charged before they are joined."""
    check_format(format)
    literals = _literals_of(format)
    named: Any = arguments
    values = iter(arguments if isinstance(arguments, tuple) else (arguments,))
    parts: list[str] = []
    end = 0
    for match in PERCENT_DIRECTIVE.finditer(format):
        parts.append(literals(format[end : match.start()]))
        end = match.end()
        if match["kind"] == "%":
            parts.append(literals("%"))
        elif match["name"] is not None:
            parts.append(_directive(match["flags"] + match["kind"], named[match["name"]]))
        else:
            parts.append(_directive(match["flags"] + match["kind"], next(values, _MISSING)))
    if "%" in format[end:] or (next(values, _MISSING) is not _MISSING and not isinstance(arguments, (dict, list))):
        raise TemplateRuntimeError(f"the format {format!r:.80} does not fit its arguments")
    return join_values([*parts, literals(format[end:])])


def _directive(directive: str, value: Any) -> str:
    if value is _MISSING:
        raise TemplateRuntimeError("there are fewer arguments than the format needs")
    part = value if directive == "s" and isinstance(value, str) else f"%{directive}" % (value,)
    charge(len(part) + 1)
    return part


def format_braces(formatter: SandboxedFormatter, format: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """As `format.format(*args, **kwargs)` without format specifications, field by field."""
    literals = _literals_of(format)
    parts: list[str] = []
    automatic = 0
    for literal, field, _, conversion in formatter.parse(format):
        parts.append(literals(literal))
        if field is None:
            continue
        if not field:
            field, automatic = str(automatic), automatic + 1
        value, _ = formatter.get_field(field, args, kwargs)
        if conversion or not isinstance(value, str):
            charge_for(value)
            value = str(formatter.convert_field(value, conversion))  # type: ignore[arg-type]
        charge(len(value) + 1)
        parts.append(value)
    return join_values(parts)


def _literals_of(format: str) -> Callable[[str], str]:
    """How the literal parts of a format are marked: the template's own only if all of it is."""
    return Authored.whole if isinstance(format, Authored) and all(format.own) else str


def indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(s)
    margin = width if isinstance(width, str) else " " * min(width, MAX_INDENT)
    charge(len(text) + len(margin) * (len(text.splitlines()) + 1))
    head, *lines = (text + "\n").splitlines()
    rest = ("\n" + (margin + line if line or blank else line) for line in lines)
    return (margin if first else "") + head + "".join(rest)


def tojson(
    x: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if (isinstance(indent, int) and indent > MAX_INDENT) or len("".join(separators or ())) > MAX_INDENT:
        raise SecurityError(f"JSON indented by more than {MAX_INDENT} characters is not allowed")
    charge_for(x)
    text = json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    charge_for(text)
    return text


def raise_exception(message: str) -> None:
    raise TemplateRuntimeError(message)


def strftime_now(format: str) -> str:
    check_format(format)
    return datetime.now().strftime(format)


def check_format(format: str) -> None:
    if re.search(r"%[^a-zA-Z%]*(?:\*|\d{4})", format):
        raise SecurityError(f"a format with a width above {MAX_FORMAT_WIDTH} is not allowed")


def check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_INTEGER_BITS:
        raise SecurityError(f"an integer of more than {MAX_INTEGER_BITS:,} bits is not allowed")


def check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
            raise SecurityError(f"an integer of more than {MAX_INTEGER_BITS:,} bits is not allowed")
        return
    times, sequence = (left, right) if isinstance(left, int) else (right, left)
    if isinstance(times, int) and isinstance(sequence, (str, list, tuple)):
        charge(len(sequence) * max(times, 0))
