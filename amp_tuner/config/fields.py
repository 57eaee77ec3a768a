"""Types of single values in a study file: strict, and with messages that say what is allowed.

A value that could be written in several ways (a goal, ``op_types``) is checked by one function,
so that a mistake is one problem and not one for each way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from amp_tuner.amp.lists import is_op_type
from amp_tuner.config.quantities import DURATION, SIZE, parse_duration, parse_size
from amp_tuner.config.storage import ADDRESS, file_problem
from amp_tuner.judge.goal import GOAL_HINT, GOAL_KINDS, PERCENT, parse_goal
from amp_tuner.judge.metrics import FUNCTION, find_metric, metric_names
from amp_tuner.measure.cores import CORES, cores_text, parse_cores
from amp_tuner.text import did_you_mean

#: Type of the errors made here; ``context["allowed"]`` says what is allowed.
WRONG_VALUE = "wrong_value"
#: The same where the value must not be repeated in a message: it may hold a password.
SECRET_VALUE = "secret_value"  # noqa: S105 - a name of an error, not a password

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_CORE_SETS_HINT = "cores such as 0-3 or [0, 1], or a list of such sets, one for each worker"
_TEXT_HINT = "text that is not empty"


def wrong(allowed: str) -> PydanticCustomError:
    """The error for a value that is not what ``allowed`` says."""
    return PydanticCustomError(WRONG_VALUE, "not allowed", {"allowed": allowed})


def as_tuple(value: Any) -> Any:
    """A list as a tuple, if no item comes twice; anything else is left for the type to refuse."""
    if not isinstance(value, list):
        return value
    twice = [item for position, item in enumerate(value) if item in value[:position]]
    if twice:
        raise wrong(f"each item once ({twice[0]!r} comes twice)")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise wrong(_TEXT_HINT)
    return value


def _path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise wrong("a path (relative ones start at the study file's folder)")
    return Path(value)


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise wrong(
            "letters, digits, '.', '_' and '-', at most 100, starting with one of the first two"
        )
    return value


def _parsed_by(parse: Callable[[str], object]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            value = ""
        try:
            parse(value)
        except ValueError as error:
            raise wrong(str(error)) from error
        return str(value)

    return check


def _function(value: str) -> str:
    if FUNCTION.fullmatch(value) is None:
        raise wrong("'module:function', such as 'my_metrics:weighted_f1'")
    return value


def _metric(value: str) -> str:
    if find_metric(value) is None:
        names = metric_names()
        raise wrong(f"{', '.join(names)}, top<k>, or 'module:function'{did_you_mean(value, names)}")
    return value


def _goal(value: Any) -> Any:
    try:
        parse_goal(value)
    except ValueError as error:
        raise wrong(f"{GOAL_HINT} ({error})") from error
    return value


def _op_types(value: Any) -> str | tuple[str, ...]:
    items = as_tuple(value)
    if items == "auto":
        return "auto"
    if not isinstance(items, tuple) or not items:
        raise wrong("auto, or a list of op types")
    wrong_items = [item for item in items if not isinstance(item, str) or not is_op_type(item)]
    if wrong_items:
        raise wrong("auto, or a list of op types, such as AvgPool")
    return items


def _core_sets(value: Any) -> tuple[str, ...] | None:
    """``"0-1"``, ``[0, 1]`` or ``["0-1", "2-3"]`` as sets of cores, each in its one spelling."""
    if value is None:
        return None
    items = value if isinstance(value, (list, tuple)) and value else [value]
    if all(type(item) is int for item in items):
        items = [",".join(map(str, items))]
    if not all(isinstance(item, str) for item in items):
        raise wrong(_CORE_SETS_HINT)
    try:
        sets = [parse_cores(item) for item in items]
    except ValueError as error:
        raise wrong(f"{_CORE_SETS_HINT} ({error})") from error
    if len({len(cores) for cores in sets}) > 1:
        raise wrong("sets of as many cores each: settings are compared over all workers")
    return tuple(cores_text(cores) for cores in sets)


def _storage(value: Any) -> str | None:
    message = None if value is None else file_problem(value)
    if message is not None:
        raise PydanticCustomError(SECRET_VALUE, "not allowed", {"message": message})
    return None if value is None else str(value)


def _only(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """For editors: a mapping of no other keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _looks_like(pattern: re.Pattern[str]) -> WithJsonSchema:
    """For editors: text that the whole pattern matches."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


_GOAL_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": f"^(?:{PERCENT.pattern})$"},
        _only({"max_drop": {"type": "number"}, "kind": {"enum": list(GOAL_KINDS)}}, "max_drop"),
        _only({"min": {"type": "number"}}, "min"),
        _only({"max": {"type": "number"}}, "max"),
    ]
}
_OP_TYPES_SCHEMA = {
    "anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}
_CORES_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": f"^(?:{CORES.pattern})$"},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        {
            "type": "array",
            "items": {"type": "string", "pattern": f"^(?:{CORES.pattern})$"},
            "minItems": 1,
        },
        {"type": "null"},
    ]
}

DataType = Literal["bfloat16", "float16"]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_text)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Name = Annotated[str, AfterValidator(_name), _looks_like(_NAME)]
Size = Annotated[str, BeforeValidator(_parsed_by(parse_size)), _looks_like(SIZE)]
Duration = Annotated[str, BeforeValidator(_parsed_by(parse_duration)), _looks_like(DURATION)]
FunctionName = Annotated[str, AfterValidator(_function), _looks_like(FUNCTION)]
MetricName = Annotated[str, AfterValidator(_metric)]
GoalValue = Annotated[Any, PlainValidator(_goal), WithJsonSchema(_GOAL_SCHEMA)]
CoreSets = Annotated[Any, PlainValidator(_core_sets), WithJsonSchema(_CORES_SCHEMA)]
OpTypes = Annotated[Any, PlainValidator(_op_types), WithJsonSchema(_OP_TYPES_SCHEMA)]
Storage = Annotated[
    Any,
    PlainValidator(_storage),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": ADDRESS}, {"type": "null"}]}),
]
Positive = Annotated[float, Field(gt=0, le=1e9)]
