"""A Jinja environment for chat templates that nobody has read: no way out, and bounds on what they use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import update_wrapper
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

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

FILTERS = {
    *("abs", "attr", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "int"),
    *("items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse"),
    *("round", "select", "selectattr", "sort", "string", "title", "trim", "unique", "upper"),
}
STRING_METHODS = {
    *("capitalize", "casefold", "count", "endswith", "find", "format", "index", "isalnum", "isalpha"),
    *("isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace"),
    *(
        "istitle",
        "isupper",
        "join",
        "lower",
        "lstrip",
        "partition",
        "removeprefix",
        "removesuffix",
        "replace",
    ),
    *("rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip"),
    *("swapcase", "title", "upper"),
}


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """What transformers gives to chat templates, in a sandbox that charges all a template makes to a Budget.

    Beyond Jinja's own sandbox (no underscore attributes, no changes to lists and dicts), every turn of a
    loop, call of a macro, operator, slice, literal, filter, method and piece of output is charged. Filters
    and methods that make long strings out of nothing and have no use in chat templates do not exist here.
    What exceeds the budget raises SecurityError. Use it inside `spending`.

    What the template's source writes is Authored in the result of `render`; what came from its arguments is
    only where they were.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation], finalize=_finalize
        )
        self.filters = {name: _charged(function) for name, function in self.filters.items() if name in FILTERS}
        self.filters.update(join=_join, replace=_replace, indent=_indent, tojson=_tojson, safe=str)
        kept = {name: self.globals[name] for name in ("dict", "cycler", "joiner")}
        self.globals.clear()
        self.globals.update(
            kept,
            namespace=_Namespace,
            range=_range,
            raise_exception=_raise_exception,
            strftime_now=_strftime_now,
        )

    def charge(self, characters: int) -> None:
        charge(characters)

    def made(self, value: Any) -> Any:
        charge_for(value)
        return value

    def cut(self, value: Any, *bounds: Any) -> Any:
        return self.made(value[slice(*bounds)])

    def concat_values(self, *values: Any) -> str:
        return _join(values)

    def concat(self, parts: Iterable[str]) -> str:
        # What Jinja joins in macros, blocks and at the end has been charged when it was printed.
        return join("", parts)

    def own(self, text: str) -> Authored:
        return Authored.whole(text)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Metering().visit(super()._parse(source, name, filename))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return _format_percent(left, right)
        if operator == "**":
            _check_power(left, right)
        elif operator == "*":
            _check_product(left, right)
        return self.made(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, (int, float, complex, bytes)) or (isinstance(obj, str) and attr not in STRING_METHODS):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        # Jinja's own prints as nothing, so that a refused access would go unnoticed.
        raise SecurityError(f"access to {attribute!r} of {type(obj).__name__!r} is not allowed")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        # A width can come from an argument, as in {:{width}}, so no format specification is safe.
        if ":" in value.__self__:
            raise SecurityError("str.format with a format specification is not allowed")
        return lambda *args, **kwargs: _format_braces(SandboxedFormatter(self), value.__self__, args, kwargs)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and __obj.__name__ == "join":
            return _join(list(*args, **kwargs), owner)
        if isinstance(owner, str) and __obj.__name__ == "replace":
            return _replace(owner, *args, **kwargs)
        if isinstance(owner, str) and __obj.__name__ in ("split", "rsplit", "splitlines"):
            charge(CHARACTERS_PER_PART * len(owner))
        return __self.made(super().call(__context, __obj, *args, **kwargs))


class _Namespace(Namespace):
    """Jinja's, but for names such as `__class__` that would pass for what Python looks up."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        namespace, *initial = args
        Namespace.__init__(namespace)
        for name, value in dict(*initial, **kwargs).items():
            namespace[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"the name {name!r:.40} is not allowed in a namespace")
        super().__setitem__(name, value)


class _Metering(NodeTransformer):
    """Puts charges into a parsed template, where generated code would not pass through the environment, and marks
    the strings it writes as its own."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return _call("own", [nodes.Const(node.data)], node)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        return _call("own", [node], node) if isinstance(node.value, str) else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        return _call("made", [node], node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        return _call("made", [node], node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._charge_turn(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._charge_turn(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._charge_turn(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        if isinstance(node.arg, nodes.Const):
            node.node = self.visit(node.node)
            return node
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = [bound or nodes.Const(None) for bound in (node.arg.start, node.arg.stop, node.arg.step)]
        return _call("cut", [node.node, *bounds], node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("concat_values", node.nodes, node)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        constant = all(isinstance(item, nodes.Const) for item in node.items)
        self.generic_visit(node)
        return node if constant else _call("made", [node], node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        constant = all(isinstance(item, nodes.Const) for item in node.items)
        self.generic_visit(node)
        # The targets of {% for a, b in ... %} are tuples too.
        return node if node.ctx != "load" or constant else _call("made", [node], node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _call("made", [node], node)

    def _charge_turn(self, node: Any) -> nodes.Node:
        literal = sum(len(data.data) for part in node.body for data in _template_data(part))
        self.generic_visit(node)
        charge = _call("charge", [nodes.Const(1 + literal)], node)
        node.body.insert(0, nodes.ExprStmt(charge).set_lineno(node.lineno))
        return node


class _Generation(Extension):
    """`{% generation %}` marks the answers for training; rendering ignores the mark."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


def _template_data(node: nodes.Node) -> Iterable[nodes.TemplateData]:
    return node.find_all(nodes.TemplateData)


def _call(name: str, arguments: list[Any], at: nodes.Node) -> nodes.Call:
    function = nodes.EnvironmentAttribute(name)
    call = nodes.Call(function, arguments, [], None, None)
    call.set_lineno(at.lineno)
    return call


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        charge_for(value)
        return value

    # Carries over the marks that tell Jinja which filters want the context.
    return update_wrapper(call, function)


@pass_context
def _finalize(context: Context, value: Any) -> str:
    # Taking the context also keeps Jinja from printing constants while it compiles.
    text = str(value)
    charge_for(text)
    return text


def _range(*bounds: int) -> range:
    items = range(*bounds)
    charge(CHARACTERS_PER_RANGE_ITEM * len(items))
    return items


def _join(values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    separator = str(d)
    parts: list[str] = []
    for value in values:
        text = str(value if attribute is None else value[attribute])
        charge(len(text) + len(separator) + 1)
        parts.append(text)
    return join(separator, parts)


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(s), str(old), str(new)
    charge(len(text) + text.count(old) * (len(new) + CHARACTERS_PER_PART))
    return replace(text, old, new, -1 if count is None else count)


def _format_percent(format: str, arguments: Any) -> str:
    """As `format % arguments`, directive by directive: the parts are charged before they are joined."""
    _check_format(format)
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
    return _join([*parts, literals(format[end:])])


def _directive(directive: str, value: Any) -> str:
    if value is _MISSING:
        raise TemplateRuntimeError("there are fewer arguments than the format needs")
    part = value if directive == "s" and isinstance(value, str) else f"%{directive}" % (value,)
    charge(len(part) + 1)
    return part


def _format_braces(formatter: SandboxedFormatter, format: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
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
    return _join(parts)


def _literals_of(format: str) -> Callable[[str], str]:
    """How the literal parts of a format are marked: the template's own only if all of it is."""
    return Authored.whole if isinstance(format, Authored) and all(format.own) else str


def _indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(s)
    margin = width if isinstance(width, str) else " " * min(width, MAX_INDENT)
    charge(len(text) + len(margin) * (len(text.splitlines()) + 1))
    head, *lines = (text + "\n").splitlines()
    rest = ("\n" + (margin + line if line or blank else line) for line in lines)
    return (margin if first else "") + head + "".join(rest)


def _tojson(
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


def _raise_exception(message: str) -> None:
    raise TemplateRuntimeError(message)


def _strftime_now(format: str) -> str:
    _check_format(format)
    return datetime.now().strftime(format)


def _check_format(format: str) -> None:
    if re.search(r"%[^a-zA-Z%]*(?:\*|\d{4})", format):
        raise SecurityError(f"a format with a width above {MAX_FORMAT_WIDTH} is not allowed")


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_INTEGER_BITS:
        raise SecurityError(f"an integer of more than {MAX_INTEGER_BITS:,} bits is not allowed")


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
            raise SecurityError(f"an integer of more than {MAX_INTEGER_BITS:,} bits is not allowed")
        return
    times, sequence = (left, right) if isinstance(left, int) else (right, left)
    if isinstance(times, int) and isinstance(sequence, (str, list, tuple)):
        charge(len(sequence) * max(times, 0))
