"""Pydantic's errors as problems: the place as ``$.path``, what was found, what is allowed."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from amp_tuner.config.fields import SECRET_VALUE, WRONG_VALUE
from amp_tuner.errors import Problem
from amp_tuner.text import did_you_mean

#: Keys of capabilities that are planned: refused by name instead of as unknown keys.
PLANNED_KEYS = ("$.search.data",)
#: Values of capabilities that are planned: never proposed; ``checks.py`` refuses them by name.
PLANNED_VALUES = ("tpu",)
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "finite_number": "a finite number",
    "string_too_short": "text that is not empty",
    "int_parsing_size": "a smaller number",
    "string_unicode": "text that is valid Unicode",
}
_BOUNDS = {
    "greater_than": ("gt", "a number above {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "a number below {}"),
    "less_than_equal": ("le", "at most {}"),
}
_LONGEST_SHOWN = 60


def path_of(location: Sequence[str | int]) -> str:
    """``("target", "data_types", 1)`` as ``$.target.data_types[1]``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "$" + "".join(parts)


def shown(value: Any) -> str:
    """A value as a message shows it: short, in YAML's words for null and booleans."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def translate(error: ErrorDetails, model: type[BaseModel]) -> Problem:
    """One of pydantic's errors about ``model`` as a problem."""
    kind, where = error["type"], path_of(error["loc"])
    context = error.get("ctx", {})
    if kind == "missing":
        return Problem(where, "this key is required")
    if kind == "extra_forbidden":
        return Problem(where, _unknown_key(where, error["loc"], model))
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        *place, key = [part for part in error["loc"] if part != "[key]"]
        return Problem(path_of(place), f"found the key {shown(key)}; allowed: words as keys")
    if kind == SECRET_VALUE:
        return Problem(where, context["message"])
    return Problem(where, f"found {shown(error['input'])}; allowed: {_allowed(error, context)}")


def _allowed(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == WRONG_VALUE:
        return str(context["allowed"])
    if kind == "literal_error":
        return _choices(str(context["expected"]), error["input"])
    if kind in _BOUNDS:
        key, text = _BOUNDS[kind]
        return text.format(f"{context[key]:g}" if context[key] < 1e6 else context[key])
    if kind == "too_short":
        return "at least one item"
    return _TYPES.get(kind, error["msg"])


def _choices(expected: str, found: Any) -> str:
    # Pydantic gives the choices as text: "'a', 'b' or 'c'".
    choices = ast.literal_eval(f"[{expected.replace(' or ', ', ')}]")
    choices = [choice for choice in choices if choice not in PLANNED_VALUES]
    hint = did_you_mean(found, choices) if isinstance(found, str) else ""
    return ", ".join(choices) + hint


def _unknown_key(where: str, location: Sequence[str | int], model: type[BaseModel]) -> str:
    if where in PLANNED_KEYS:
        return "this is planned but not available in this version; remove it"
    allowed = _keys_at(model, location[:-1])
    return f"unknown key{did_you_mean(str(location[-1]), allowed)}; allowed: {', '.join(allowed)}"


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    for part in location:
        section = model.model_fields[str(part)].annotation
        # A section that may be left out is one of two types.
        section = next(iter(get_args(section)), section)
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        model = section
    return tuple(model.model_fields)
