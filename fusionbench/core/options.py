"""The options of a plug-in: read from its signature without importing it, and values checked against them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from fusionbench.core.errors import UserError, nearest, shown

PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "tuple": tuple, "dict": dict}
REQUIRED: Any = object()
EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a name, or a mapping with name and options",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "string_type": "a word",
    "too_short": "at least one",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class Option:
    """One keyword-only argument of a plug-in: what a suite may set."""

    name: str
    annotation: Any
    default: Any
    """A JSON value, or REQUIRED."""

    @property
    def required(self) -> bool:
        """Whether a suite has to give it."""
        return self.default is REQUIRED

    def checked(self, value: Any) -> Any:
        """The value as JSON: a YAML list for a tuple, 1 for a float become what the default would be.

        Raises:
            ValidationError: it is of another type.
        """
        return _as_json(self.annotation, value)


def options_of(function: ast.FunctionDef | None, owner: str) -> Iterator[Option]:
    """The keyword-only arguments of a function.

    Raises:
        UserError: an annotation that is no plain type, a default that is no literal or does not fit its annotation.
    """
    arguments = function.args if function else ast.arguments([], [], None, [], [], None, [])
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        try:
            annotation = annotation_of(argument.annotation)
            value = REQUIRED if default is None else _as_json(annotation, ast.literal_eval(default))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{owner}: option '{argument.arg}' needs an annotation made of {', '.join(PLAIN)}, Literal and None, "
                "and a literal default of that type"
            ) from error
        yield Option(argument.arg, annotation, value)


def network_options(function: ast.FunctionDef | None, owner: str) -> Iterator[Option]:
    """What a network of the user's own takes after widths and classes, as far as a suite can set it.

    An argument without an annotation is of the type of its default; one that has no plain type keeps its default.

    Raises:
        UserError: it cannot be called with widths and classes, or needs another argument that has no plain type.
    """
    if function is None:
        return
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    before: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    pairs = list(zip(positional, [*before, *given.defaults], strict=True))
    pairs = pairs[1:] if function.name == "__init__" else pairs
    if len(pairs) < 2 and not given.vararg:
        taken = ", ".join(argument.arg for argument, _ in pairs)
        raise UserError(f"{owner}: it takes ({taken}); it is called with (widths, classes)")
    for argument, default in [*pairs[2:], *zip(given.kwonlyargs, given.kw_defaults, strict=True)]:
        option = _of_network(argument, default)
        if option is None and default is None:
            raise UserError(f"{owner}: its argument '{argument.arg}' needs a default, or an annotation of a plain type")
        if option is not None:
            yield option


def _of_network(argument: ast.arg, default: ast.expr | None) -> Option | None:
    """The argument as an option; None if it has no plain type."""
    try:
        value = REQUIRED if default is None else ast.literal_eval(default)
        annotation = annotation_of(argument.annotation) if argument.annotation else PLAIN[type(value).__name__]
        return Option(argument.arg, annotation, value if default is None else _as_json(annotation, value))
    except (KeyError, ValueError, TypeError):
        return None


def annotation_of(node: ast.expr | None) -> Any:
    """The type that an annotation's source stands for; ValueError if it is made of anything but plain types."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return annotation_of(left) | annotation_of(right)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return Literal[ast.literal_eval(values)]
        case ast.Subscript(value=ast.Name(id=("tuple" | "dict") as name), slice=part):
            parts = part.elts if isinstance(part, ast.Tuple) else [part]
            inner = tuple(... if isinstance(p, ast.Constant) and p.value is ... else annotation_of(p) for p in parts)
            return tuple[inner] if name == "tuple" else dict[inner]  # type: ignore[valid-type,misc]
    raise ValueError("no plain type")


def complaint(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, in words: `give a whole number, got '3'`."""
    kind, given = problem["type"], problem["input"]
    if kind == "literal_error":
        allowed = problem["ctx"]["expected"]
        near = nearest(str(given), re.findall("'([^']*)'", allowed))
        return f"give {allowed}, got {shown(given)}{near}"
    if kind in EXPECTED:
        return f"give {EXPECTED[kind]}, got {shown(given)}"
    message = problem["msg"].removeprefix("Input ")
    return f"{message[0].lower()}{message[1:]}, got {shown(given)}"


def _as_json(annotation: Any, value: Any) -> Any:
    # Through JSON: strict mode then takes a YAML list for a tuple, and still refuses "3" or true for an int.
    adapter = _adapter(annotation)
    return adapter.dump_python(adapter.validate_json(json.dumps(value), strict=True), mode="json")


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)
