"""Reads YAML as plain data: scalars of YAML 1.2's core schema, nothing executable, nothing huge.

PyYAML resolves scalars as YAML 1.1 does: ``1e-3`` is a string there, ``1:30`` is 90 and ``on`` is
true. Here only PyYAML's composer is used, with the resolvers of the core schema (YAML 1.2.2,
10.3.2), and the nodes are turned into dicts, lists and scalars by this module: so a key given twice
is an error with its line, tags other than the core's are refused, and a file whose aliases expand
to millions of nodes is refused before it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from amp_tuner.errors import InputError, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
#: Nodes after every alias is replaced by what it stands for.
MAX_NODES = 100_000

_TAG = "tag:yaml.org,2002:"
_LONGEST_INT = 400
_TOO_LARGE = f"the file is larger than {MAX_BYTES} bytes"


class _CoreLoader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's front half with the core schema's implicit resolvers; it constructs nothing."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)


def _add_resolver(kind: str, pattern: str, first: str) -> None:
    characters = [*first, ""] if kind == "null" else list(first)
    _CoreLoader.add_implicit_resolver(_TAG + kind, re.compile(f"^(?:{pattern})$"), characters)


_add_resolver("null", r"~|null|Null|NULL|", "~nN")
_add_resolver("bool", r"true|True|TRUE|false|False|FALSE", "tTfF")
_add_resolver("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_add_resolver(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)


def read_yaml(path: Path) -> Any:
    """The one document in a file; see :func:`load_yaml`.

    Raises:
        InputError: it cannot be read, is larger than MAX_BYTES, no UTF-8, or no plain YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError.one(str(path), f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError.one(str(path), _TOO_LARGE)
    try:
        return load_yaml(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text (byte {error.start})"
        raise InputError.one(str(path), message) from error


def load_yaml(text: str, where: str) -> Any:
    """The one document in ``text`` as dicts, lists, strings, numbers, booleans and None.

    Args:
        text: the file's content.
        where: names the file in errors.

    Raises:
        InputError: not YAML, more than one document, a duplicate key, a tag outside the core
            schema, nesting deeper than MAX_DEPTH, or more than MAX_NODES nodes.
    """
    if len(text) > MAX_BYTES:
        raise InputError.one(where, _TOO_LARGE)
    try:
        _check_depth(text, where)
        root = _CoreLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{where}, line {mark.line + 1}" if mark else where
        raise InputError.one(line, f"not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise InputError.one(where, f"not valid YAML: {first_line}") from error
    if root is None:
        return None
    reader = _NodeReader(where)
    value = reader.value(root, 0)
    if reader.problems:
        raise InputError(reader.problems)
    return value


def _check_depth(text: str, where: str) -> None:
    """Refuses deep nesting on the flat stream of events: the composer would recurse into it."""
    depth = 0
    loader = _CoreLoader(text)
    while loader.check_event():
        event = loader.get_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = f"{where}, line {event.start_mark.line + 1}"
            raise InputError.one(line, f"nested deeper than {MAX_DEPTH} levels")


class _NodeReader:
    """Turns composed nodes into plain data, collecting what is wrong with them."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []
        self.nodes = 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise InputError.one(
                self._line(node),
                f"aliases expand to more than {MAX_NODES} nodes or {MAX_DEPTH} levels",
            )
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return dict(self._pairs(node, depth))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return self._wrong(node, f"the tag {node.tag} is not allowed; allowed: plain YAML")

    def _pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[Any, Any]]:
        first_lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, depth + 1)
            if isinstance(key, (dict, list)):
                self._wrong(key_node, "a key must be a plain word, not a mapping or a list")
                continue
            if key in first_lines:
                self._wrong(key_node, f"duplicate key {key!r} (first on line {first_lines[key]})")
                continue
            first_lines[key] = key_node.start_mark.line + 1
            yield key, self.value(value_node, depth + 1)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            if not text.isascii() and _has_surrogates(text):
                return self._wrong(node, "the text holds half of a surrogate pair")
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text in ("true", "True", "TRUE")
        if kind in ("int", "float"):
            return self._number(node, kind)
        return self._wrong(node, f"the tag {node.tag} is not allowed; allowed: plain YAML")

    def _number(self, node: yaml.ScalarNode, kind: str) -> Any:
        text: str = node.value
        if len(text) > _LONGEST_INT:
            return self._wrong(node, f"a number of {len(text)} characters is too long")
        try:
            if kind == "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        except ValueError:
            # Only an explicit tag (`!!int abc`) gets here: the resolvers match numbers alone.
            return self._wrong(node, f"{text!r} is not a number")

    def _wrong(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(self._line(node), message))

    def _line(self, node: yaml.Node) -> str:
        return f"{self.where}, line {node.start_mark.line + 1}"


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
