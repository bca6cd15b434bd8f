"""Words for what is wrong with a setting: key, place, wanted, got, nearest known name."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mmrl.errors import nearest

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a section (key: value)",
    "model_attributes_type": "a section (key: value)",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def explain(model: type[BaseModel], error: ValidationError) -> list[tuple[str, str]]:
    """(dotted key, message) of every problem of a validated section, in the order of its fields."""
    return [_explain_one(model, item) for item in error.errors()]


def section_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The section class that stands at a place of the recipe, None where values are free."""
    current: Any = model
    for part in loc:
        found = _sections(current)
        if isinstance(part, int) or str(part).isdigit():
            continue  # an index: the item type was unwrapped with the list
        field = found.model_fields.get(str(part)) if found else None
        if field is None:
            return None
        current = field.annotation
    return _sections(current)


def describe(value: Any) -> str:
    """What a value is, in the words of a recipe: `text "abc"`, `a list of 2`, `nothing (null)`."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'text "{value if len(value) <= 60 else value[:57] + "..."}"'
    if isinstance(value, int | float):
        return f"the number {value!r}"
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value)) or 'no keys'}"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"


def _explain_one(model: type[BaseModel], item: ErrorDetails) -> tuple[str, str]:
    loc, kind, ctx = item["loc"], item["type"], item.get("ctx", {})
    key, got = ".".join(map(str, loc)), item.get("input")
    if kind == "extra_forbidden":
        section = section_at(model, loc[:-1])
        known = list(section.model_fields) if section else []
        return key, f"no such setting.{nearest(str(loc[-1]), known)}"
    if kind == "missing":
        section = section_at(model, loc[:-1])
        field = section.model_fields.get(str(loc[-1])) if section else None
        about = f": {field.description.splitlines()[0]}" if field and field.description else ""
        return key, f"is required and not given{about}"
    if kind == "literal_error":
        choices = _choices(model, loc)
        hint = nearest(got, choices) if isinstance(got, str) else ""
        return key, f"wanted one of {', '.join(choices)}; got {describe(got)}.{hint}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return key, f"wanted {words} {ctx[name]}; got {describe(got)}"
    if kind == "value_error":
        return key, str(ctx.get("error", item["msg"]))
    if kind in ("too_short", "too_long"):
        wanted = ctx.get("min_length", ctx.get("max_length"))
        return key, f"wanted a list of {wanted}; got {describe(got)}"
    if kind in _WANTED:
        hint = ""
        if _WANTED[kind] == "true or false" and isinstance(got, str):
            hint = " (yes, no, on and off are text here: write true or false)"
        return key, f"wanted {_WANTED[kind]}; got {describe(got)}{hint}"
    return key, f"{item['msg'][:1].lower()}{item['msg'][1:]}; got {describe(got)}"


def _sections(annotation: Any) -> type[BaseModel] | None:
    """The section inside `X`, `X | None`, `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for inner in typing.get_args(annotation):
            found = _sections(inner)
            if found is not None:
                return found
    return None


def _choices(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The values of the Literal at `loc` (of a field, or of the items of a list field)."""
    names = list(loc)
    while names and isinstance(names[-1], int):
        names.pop()
    section = section_at(model, names[:-1])
    field = section.model_fields.get(str(names[-1])) if section and names else None
    return list(_literals(field.annotation)) if field else []


def _literals(annotation: Any) -> typing.Iterator[str]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    else:
        for inner in typing.get_args(annotation):
            yield from _literals(inner)
