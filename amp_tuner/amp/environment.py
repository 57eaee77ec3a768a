"""Lists and levels as environment variables, both ways, as the passes read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amp_tuner.amp.levels import FORCE_ALL, effective_lists
from amp_tuner.amp.lists import LIST_NAMES, AmpLists
from amp_tuner.amp.rules import ITEX, TENSORFLOW, RuleSet
from amp_tuner.errors import RewriteError

_PREFIX = {
    TENSORFLOW: "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_",
    ITEX: "ITEX_AUTO_MIXED_PRECISION_",
}
# The names of each list's variables, in the order in which the passes apply them.
_LIST_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    TENSORFLOW: {
        "allow": ("ALLOWLIST", "WHITELIST"),
        "deny": ("DENYLIST", "BLACKLIST"),
        "infer": ("INFERLIST", "GRAYLIST"),
        "clear": ("CLEARLIST",),
    },
    ITEX: {
        "allow": ("ALLOWLIST",),
        "deny": ("DENYLIST",),
        "infer": ("INFERLIST",),
        "clear": ("CLEARLIST",),
    },
}
_OTHERS = {
    TENSORFLOW: ("LEVEL", "LOG_PATH", "IGNORE_PERFORMANCE", "SIMULATE_GPU", "EMULATE_FP16"),
    ITEX: ("DATA_TYPE", "UNSAFE_FORCE_ALL", "LOG_PATH"),
}
#: Whose variables there are.
FAMILIES = (TENSORFLOW, ITEX)
#: What the passes read as a switch that is off, or on, in any case of letters.
OFF, ON = ("0", "false"), ("1", "true")
_SAFE_OP_TYPE = re.compile(r"[A-Za-z0-9_]+")


def to_environment(rules: RuleSet, lists: AmpLists, level: str = "default") -> dict[str, str]:
    """The variables that turn the default lists of ``rules`` into ``lists``.

    Only list and level variables; empty for the defaults. Where an op type joins a list it also
    leaves the one that it was in, so the pass never meets a conflict.

    Raises:
        RewriteError: the pass would fail with these lists or this level, nodes are moved, or an op
            type cannot stand in a variable (only letters, digits and ``_`` can).
    """
    effective_lists(rules, lists, level)
    if lists.nodes:
        subject = min(lists.nodes)
        raise RewriteError(f"{subject} moves a node, which no variable can; a baked model can")
    if level != "default" and rules.family == ITEX:
        raise RewriteError(f"{rules.name} has no levels; found {level!r}")
    environment = {}
    for name in LIST_NAMES:
        variable = _PREFIX[rules.family] + _LIST_NAMES[rules.family][name][0]
        wanted, default = getattr(lists, name), getattr(rules.lists, name)
        for suffix, op_types in (("_ADD", wanted - default), ("_REMOVE", default - wanted)):
            if op_types:
                environment[variable + suffix] = ",".join(map(_safe, sorted(op_types)))
    if level != "default":
        environment[_PREFIX[rules.family] + "LEVEL"] = level.upper()
    return environment


def _safe(op_type: str) -> str:
    if not _SAFE_OP_TYPE.fullmatch(op_type):
        raise RewriteError(
            f"op type {op_type!r} cannot be set by a variable; letters, digits and _ can"
        )
    return op_type


def from_environment(rules: RuleSet, environ: Mapping[str, str]) -> tuple[AmpLists, str]:
    """The lists and the level that the pass takes from ``environ``, parsed as the pass does.

    Values are split at commas and nothing is trimmed; additions come before removals; legacy names
    come after the new ones. An unknown level is ``default``, as is one that changes nothing.

    Raises:
        RewriteError: the pass would fail, or abort the process: an op type (or the empty text
            between two commas) is in two lists, the level or the data type is refused, a switch is
            neither 0, 1, true nor false.
    """
    _check_switches(rules, environ)
    prefix = _PREFIX[rules.family]
    edited: dict[str, Any] = {}
    for name in LIST_NAMES:
        members = set(getattr(rules.lists, name))
        for variable in _LIST_NAMES[rules.family][name]:
            members |= _items(environ.get(f"{prefix}{variable}_ADD", ""))
            members -= _items(environ.get(f"{prefix}{variable}_REMOVE", ""))
        edited[name] = frozenset(members)
    lists = AmpLists(**edited)
    level = _level(rules, environ)
    effective_lists(rules, lists, level)
    return lists, level


def _check_switches(rules: RuleSet, environ: Mapping[str, str]) -> None:
    """Raises RewriteError for a variable that the pass cannot read, or refuses."""
    for variable in switches(rules):
        value = environ.get(variable)
        if value is not None and value.lower() not in (*OFF, *ON):
            message = f"{variable}={value!r} aborts the process; allowed: 0, 1, true, false"
            raise RewriteError(message)
    if rules.family == ITEX:
        prefix = _PREFIX[ITEX]
        force = environ.get(prefix + "UNSAFE_FORCE_ALL", "0")
        if force.lower() not in OFF:
            raise RewriteError(f"{rules.name} fails with UNSAFE_FORCE_ALL={force!r}")
        data_type = environ.get(prefix + "DATA_TYPE", rules.data_type)
        if data_type.upper() not in ("BFLOAT16", "FLOAT16"):
            message = f"{rules.name} fails with {prefix}DATA_TYPE={data_type!r}"
            raise RewriteError(f"{message}; allowed: BFLOAT16, FLOAT16")


def switches(rules: RuleSet) -> tuple[str, ...]:
    """The boolean variables that the pass of ``rules`` reads; any other text aborts the process.

    Seen in TensorFlow 2.21 and ITEX 2.15; the empty text is no exception.
    """
    if rules.family == ITEX:
        return (_PREFIX[ITEX].rstrip("_"),)
    own = {"tf-cpu-float16": ("EMULATE_FP16",), "tf-cuda-float16": ("IGNORE_PERFORMANCE",)}
    return tuple(_PREFIX[TENSORFLOW] + name for name in ("SIMULATE_GPU", *own.get(rules.name, ())))


def itex_switches(rules: RuleSet) -> dict[str, str]:
    """The variables that switch ITEX's pass on for the data type of ``rules``."""
    prefix = _PREFIX[ITEX]
    return {prefix.rstrip("_"): "1", f"{prefix}DATA_TYPE": rules.data_type.upper()}


def log_variable(family: str) -> str:
    """The variable that names the folder, which must exist, for a pass's dumps."""
    return f"{_PREFIX[family]}LOG_PATH"


def list_variables(family: str) -> tuple[tuple[str, str, str], ...]:
    """Every variable that edits a list: (its name, the list, ``ADD`` or ``REMOVE``)."""
    return tuple(
        (f"{_PREFIX[family]}{variable}_{edit}", name, edit)
        for name, variables in _LIST_NAMES[family].items()
        for variable in variables
        for edit in ("ADD", "REMOVE")
    )


def level_variable(family: str) -> str:
    """The variable that sets the level, where the family has levels."""
    return f"{_PREFIX[family]}LEVEL"


def _items(value: str) -> set[str]:
    return set(value.split(",")) if value else set()


def _level(rules: RuleSet, environ: Mapping[str, str]) -> str:
    if rules.family == ITEX:
        return "default"
    level = environ.get(_PREFIX[TENSORFLOW] + "LEVEL", "").lower()
    return level if level in (*rules.levels, FORCE_ALL) else "default"


def family_variables(family: str) -> tuple[str, ...]:
    """Every variable of a family's pass, legacy names too: what to unset before setting any.

    Args:
        family: ``tensorflow`` or ``itex``.
    """
    prefix = _PREFIX[family]
    edits = (variable for variable, _, _ in list_variables(family))
    switch = (prefix.rstrip("_"),) if family == ITEX else ()
    return (*switch, *edits, *(prefix + other for other in _OTHERS[family]))
