"""``pareto/``: one YAML file a published point, and ``front.yaml``; both can be read back.

A point's file is accepted wherever lists are: of it (or of a file that a user wrote) only moves,
level and data type are then read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from amp_tuner.amp.environment import FAMILIES, level_variable, list_variables
from amp_tuner.amp.lists import DESTINATIONS, LIST_NAMES, is_node, is_op_type
from amp_tuner.config.problems import shown
from amp_tuner.config.yaml12 import read_yaml
from amp_tuner.errors import InputError, Problem
from amp_tuner.files import write_text
from amp_tuner.judge.front import Front
from amp_tuner.output.stored import checked
from amp_tuner.records import LEVELS, Point
from amp_tuner.text import did_you_mean

FORMAT = 1
_LIST_VALUE = re.compile(r"[A-Za-z0-9_>,]*")
DATA_TYPES = ("float32", "bfloat16", "float16")
#: What a file of lists that a user wrote may hold; a point's file holds more.
_LIST_KEYS = ("format", "moves", "level", "data_type")
_POINT_KEYS = (
    *_LIST_KEYS,
    "study",
    "number",
    "runtime",
    "device",
    "onednn",
    "tf32",
    "family",
    "rules",
    "lists",
    "environment",
    "speedup",
    "accuracy",
    "latency_ms",
    "runs",
    "throughput",
    "stop_reason",
    "nodes_16bit",
    "casts",
    "graph_id",
    "tied_with",
    "model_digest",
    "data_digest",
    "threads",
    "batch_size",
    "software",
    "hardware",
    "notices",
    "minimised_from",
    "modelled_for",
)


class Lists(NamedTuple):
    """What ``--lists`` gives: moves against default lists, the level, and for which data type."""

    moves: dict[str, str]
    level: str
    data_type: str | None


class _Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or 1.2 would take for something else."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|0o[0-7]+$"),
    list("-+.0123456789"),
)


def point_name(number: int) -> str:
    """The file's name in ``pareto/``."""
    return f"{number:03d}.yaml"


def write_point(path: Path, point: Point) -> None:
    """Writes a point, whole or not at all."""
    write_text(path, point_text(point))


def point_text(point: Point) -> str:
    """A point's file as YAML."""
    return _yaml(point_to_plain(point))


def read_point(path: Path) -> Point:
    """The point that :func:`write_point` wrote.

    Raises:
        InputError: not such a file, of a newer format, or something in it is missing or wrong.
    """
    content = _read(path, _POINT_KEYS)
    _lists_of(path, content)
    try:
        text = json.dumps(_nested(content))
    except (KeyError, TypeError, AttributeError) as error:
        message = f"not a whole point: {type(error).__name__}: {error}"
        raise InputError.one(str(path), message) from error
    point = checked(text, Point, str(path))
    problems = [Problem(str(path), problem) for problem in _what_a_pass_refuses(point)]
    if problems:
        raise InputError(problems)
    return point


def read_lists(path: Path) -> Lists:
    """The moves in a point's file, or in one that a user wrote: ``moves: {AvgPool: allow}``.

    Raises:
        InputError: not such a file or of a newer format; every problem at once.
    """
    return _lists_of(path, _read(path, _POINT_KEYS))


def write_pareto(folder: Path, study: str, front: Front, points: Mapping[int, Point]) -> None:
    """Writes each point, then ``front.yaml``; then removes files of points that are gone.

    Args:
        folder: ``pareto/``.
        study: the study's name.
        front: what is listed.
        points: every listed number's point.
    """
    for entry in front.entries:
        write_point(folder / point_name(entry.number), points[entry.number])
    entries = [
        {**asdict(entry), "tied_with": list(entry.tied_with), "file": point_name(entry.number)}
        for entry in front.entries
    ]
    named = {name: getattr(front, name) for name in ("best", "knee", "fastest", "safest")}
    listing = {"format": FORMAT, "study": study, **named, "points": entries}
    write_text(folder / "front.yaml", _yaml(listing))
    listed = {point_name(entry.number) for entry in front.entries}
    for path in folder.glob("[0-9]*.yaml"):
        if path.name not in listed:
            path.unlink()


def read_front(path: Path) -> Front:
    """The front in a ``front.yaml``.

    Raises:
        InputError: not such a file, or of a newer format.
    """
    content = _read(path, ("format", "study", "best", "knee", "fastest", "safest", "points"))
    text = json.dumps({**content, "entries": content.get("points")})
    return checked(text, Front, str(path))


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=100)
    return text


def _read(path: Path, allowed: tuple[str, ...]) -> dict[str, Any]:
    where = str(path)
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError.one(where, f"expected a mapping, found {type(content).__name__}")
    found = content.get("format", FORMAT)
    if found != FORMAT or isinstance(found, bool):
        message = f"format {found!r} is not known; this amp-tune reads format {FORMAT}"
        raise InputError.one(where, message)
    problems = [
        Problem(where, f"unknown key {key!r}{did_you_mean(str(key), allowed)}")
        for key in content
        if key not in allowed
    ]
    if problems:
        raise InputError(problems)
    return content


def _lists_of(path: Path, content: Mapping[str, Any]) -> Lists:
    where = str(path)
    moves = content.get("moves")
    level, data_type = content.get("level", "default"), content.get("data_type")
    problems = []
    if not isinstance(moves, dict):
        allowed = "a mapping of op types to lists: moves: {AvgPool: allow}"
        problems.append(Problem(f"{where}: moves", f"expected {allowed}, found {moves!r}"))
        moves = {}
    for op_type, place in moves.items():
        if not isinstance(op_type, str) or not (is_op_type(op_type) or is_node(op_type)):
            message = f"found {shown(op_type)}; allowed: op types, such as AvgPool, and node:NAME"
            problems.append(Problem(f"{where}: moves", message))
        elif place not in DESTINATIONS:
            hint = did_you_mean(str(place), DESTINATIONS)
            message = f"found {place!r}{hint}; allowed: {', '.join(DESTINATIONS)}"
            problems.append(Problem(f"{where}: moves.{op_type}", message))
    for name, found, allowed_values in (
        ("level", level, LEVELS),
        ("data_type", DATA_TYPES[0] if data_type is None else data_type, DATA_TYPES),
    ):
        if found not in allowed_values:
            message = f"found {found!r}; allowed: {', '.join(allowed_values)}"
            problems.append(Problem(f"{where}: {name}", message))
    if problems:
        raise InputError(problems)
    return Lists(dict(sorted(moves.items())), level, data_type)


def point_to_plain(point: Point) -> dict[str, Any]:
    """A point's file as plain values, under the file's names."""
    setting, accuracy = point.setting, point.accuracy
    return {
        "format": FORMAT,
        "study": point.study,
        "number": point.number,
        "runtime": point.runtime,
        "device": point.device,
        "modelled_for": point.modelled_for,
        "data_type": setting.data_type,
        "level": setting.level,
        "onednn": setting.onednn,
        "tf32": setting.tf32,
        "family": point.family,
        "rules": point.rules,
        "moves": dict(sorted(setting.moves.items())),
        "lists": point.lists.to_json(),
        "environment": dict(point.environment),
        "speedup": point.speedup
        and {
            **asdict(point.speedup),
            "search_time": point.search_speedup,
            "processes": list(point.processes),
        },
        "accuracy": {
            "metric": accuracy.metric,
            **asdict(accuracy.score),
            "drop": accuracy.drop.value,
            "drop_low": accuracy.drop.low,
            "drop_high": accuracy.drop.high,
            "verdict": accuracy.verdict,
            "samples": accuracy.samples,
            "also": dict(accuracy.also),
            "paired_test": accuracy.paired_test,
            "p_worse": accuracy.p_worse,
            "search_time": point.search_accuracy,
        },
        "latency_ms": {side: dict(figures) for side, figures in point.latency_ms.items()},
        "runs": dict(point.runs),
        "throughput": dict(point.throughput),
        "stop_reason": point.stop_reason,
        **asdict(point.effective),
        "tied_with": list(point.tied_with),
        "model_digest": point.model_digest,
        "data_digest": point.data_digest,
        "threads": dict(point.threads),
        "batch_size": point.batch_size,
        "software": dict(point.software),
        "hardware": dict(point.hardware),
        "notices": list(point.notices),
        "minimised_from": point.minimised_from and asdict(point.minimised_from),
    }


def _nested(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`point_to_plain` gave, in the shape of a :class:`Point`; types are as found."""
    # Files of before there were runtimes xla and roofline know nothing of these.
    plain = {"tf32": None, "modelled_for": None, **plain}
    speedup, accuracy = plain["speedup"], plain["accuracy"]
    own = ("data_type", "moves", "level", "onednn", "tf32")
    graph = ("graph_id", "nodes_16bit", "casts")
    return {
        **{key: value for key, value in plain.items() if key not in (*own, *graph, "format")},
        "setting": {key: plain[key] for key in own},
        "effective": {key: plain[key] for key in graph},
        "search_speedup": speedup and speedup["search_time"],
        "processes": speedup["processes"] if speedup and "processes" in speedup else [],
        "accuracy": {
            **accuracy,
            "score": accuracy,
            "drop": {
                "value": accuracy["drop"],
                "low": accuracy["drop_low"],
                "high": accuracy["drop_high"],
            },
        },
        "search_accuracy": accuracy["search_time"],
    }


def _what_a_pass_refuses(point: Point) -> Iterator[str]:
    """What could do more in a process than set a pass's lists."""
    if point.family not in FAMILIES:
        yield f"family: found {shown(point.family)}; allowed: {', '.join(FAMILIES)}"
        return
    for name in LIST_NAMES:
        for op_type in getattr(point.lists, name):
            if not is_op_type(op_type):
                yield f"lists.{name}: found {shown(op_type)}; allowed: op types, such as AvgPool"
    for subject, place in point.lists.nodes.items():
        if not is_node(subject) or place not in DESTINATIONS:
            yield f"lists.nodes: found {shown(subject)}: {shown(place)}; allowed: node:NAME, a list"
    allowed = {name for name, _, _ in list_variables(point.family)}
    for name, value in point.environment.items():
        if name not in allowed | {level_variable(point.family)}:
            yield f"environment: found {shown(name)}; allowed: variables of a pass's lists"
        elif not _LIST_VALUE.fullmatch(value):
            yield f"environment.{name}: found {shown(value)}; allowed: op types and commas"
