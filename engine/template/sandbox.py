"""A Jinja environment for chat templates that nobody has read: no way out, and bounds on what they use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from engine.template.authored import Authored, join
from engine.template.budget import charge, charge_for
from engine.template.functions import (
    CHARACTERS_PER_PART,
    bounded_range,
    check_power,
    check_product,
    format_braces,
    format_percent,
    indent,
    join_values,
    raise_exception,
    replace_text,
    strftime_now,
    tojson,
)

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
        self.filters.update(join=join_values, replace=replace_text, indent=indent, tojson=tojson, safe=str)
        kept = {name: self.globals[name] for name in ("dict", "cycler", "joiner")}
        self.globals.clear()
        self.globals.update(
            kept,
            namespace=_Namespace,
            range=bounded_range,
            raise_exception=raise_exception,
            strftime_now=strftime_now,
        )

    def charge(self, characters: int) -> None:
        charge(characters)

    def made(self, value: Any) -> Any:
        charge_for(value)
        return value

    def cut(self, value: Any, *bounds: Any) -> Any:
        return self.made(value[slice(*bounds)])

    def concat_values(self, *values: Any) -> str:
        return join_values(values)

    def concat(self, parts: Iterable[str]) -> str:
        # What Jinja joins in macros, blocks and at the end has been charged when it was printed.
        return join("", parts)

    def own(self, text: str) -> Authored:
        return Authored.whole(text)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Metering().visit(super()._parse(source, name, filename))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return format_percent(left, right)
        if operator == "**":
            check_power(left, right)
        elif operator == "*":
            check_product(left, right)
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
        return lambda *args, **kwargs: format_braces(SandboxedFormatter(self), value.__self__, args, kwargs)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and __obj.__name__ == "join":
            return join_values(list(*args, **kwargs), owner)
        if isinstance(owner, str) and __obj.__name__ == "replace":
            return replace_text(owner, *args, **kwargs)
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
