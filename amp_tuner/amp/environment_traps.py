"""What in a user's environment does something else than it seems to: each told in a sentence.

An environment that a pass rejects is an error of ``from_environment``. These pass in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from amp_tuner.amp.environment import ON, family_variables, list_variables
from amp_tuner.amp.rules import ITEX, TENSORFLOW, RuleSet
from amp_tuner.text import did_you_mean

_PREFIX = {TENSORFLOW: "TF_AUTO_MIXED_PRECISION_", ITEX: "ITEX_AUTO_MIXED_PRECISION"}
_REWRITE = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
_LEVELS = ("UNSAFE_FORCE_ALL", "TREAT_INFER_AS_DENY", "TENSOR_CORES_ONLY")
# A comma is missing in ITEX's source, so its ALLOW list has this name and neither half of it.
_GLUED = "_ITEXPadWithDepthwiseConv2dNative_ITEXPadWithFusedConv2D"
_HALVES = ("_ITEXPadWithDepthwiseConv2dNative", "_ITEXPadWithFusedConv2D")


def explain_environment(
    rules: RuleSet, environ: Mapping[str, str], known: Collection[str] = ()
) -> tuple[str, ...]:
    """Sentences about what the pass of ``rules`` takes from ``environ`` in silence.

    Args:
        rules: the pass.
        environ: variables; those of others are skipped.
        known: the graph's op types; empty: whether op types exist is not checked.
    """
    return (
        *_unread(rules, environ),
        *_items(rules, environ, known),
        *(_itex(rules, environ) if rules.family == ITEX else _tensorflow(rules, environ)),
    )


def _unread(rules: RuleSet, environ: Mapping[str, str]) -> Iterator[str]:
    known = family_variables(rules.family)
    for variable in sorted(environ):
        if variable.startswith(_PREFIX[rules.family]) and variable not in known:
            yield f"{variable} is read by no pass{did_you_mean(variable, known)}"


def _items(rules: RuleSet, environ: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    exist = set(known).union(*vars(rules.lists).values())
    for variable, name, edit in list_variables(rules.family):
        members = getattr(rules.lists, name)
        value = environ.get(variable, "")
        for item in value.split(",") if value else ():
            if not item:
                yield f"{variable}: a comma too many makes the empty text an item"
            elif item != item.strip():
                yield f"{variable}: {item!r} matches nothing: the pass does not trim spaces"
            elif rules.family == ITEX and name == "allow" and item in _HALVES and edit == "REMOVE":
                yield f"{variable}: {item} is not on the list: the list has {_GLUED} instead"
            elif known and item not in exist:
                hint = did_you_mean(item, exist)
                yield f"{variable}: no list or graph has {item!r}{hint}; the pass does not mind"
            elif (
                edit == "REMOVE" and item not in members and not _is_added(environ, variable, item)
            ):
                yield f"{variable}: {item} is not on the list by default"


def _is_added(environ: Mapping[str, str], variable: str, item: str) -> bool:
    prefix = variable[: -len("REMOVE")]
    return item in environ.get(prefix + "ADD", "").split(",")


def _tensorflow(rules: RuleSet, environ: Mapping[str, str]) -> Iterator[str]:
    level = environ.get(_REWRITE + "LEVEL", "")
    if level and level.upper() not in _LEVELS:
        yield (
            f"{_REWRITE}LEVEL: {level!r} is ignored{did_you_mean(level, _LEVELS)}; "
            f"allowed: {', '.join(_LEVELS)}"
        )
    elif level and level.lower() not in rules.levels:
        yield f"{_REWRITE}LEVEL: {level} changes nothing under {rules.name}"
    if rules.name == "tf-cpu-float16" and _is_on(environ.get(_REWRITE + "EMULATE_FP16", "1")):
        yield (
            f"{_REWRITE}EMULATE_FP16 is not 0: the pass converts no node and surrounds each "
            "painted one with Casts"
        )
    if rules.device == "cpu" and _is_on(environ.get(_REWRITE + "SIMULATE_GPU", "0")):
        yield f"{_REWRITE}SIMULATE_GPU: nodes that name no device are not converted on the CPU"


def _itex(rules: RuleSet, environ: Mapping[str, str]) -> Iterator[str]:
    switch = _PREFIX[ITEX]
    if not _is_on(environ.get(switch, "0")):
        yield f"{switch} is not 1: the pass does not run"
    data_type = environ.get(f"{switch}_DATA_TYPE")
    default = "float16" if rules.device == "gpu" else "bfloat16"
    if (data_type or default).lower() != rules.data_type:
        asked = f"is {data_type}" if data_type else f"is not set, which means {default.upper()}"
        yield f"{switch}_DATA_TYPE {asked}, but {rules.name} converts to {rules.data_type}"
    if rules.device == "cpu" and (data_type or default).lower() == "float16":
        yield f"{switch}_DATA_TYPE=FLOAT16 fails on CPUs without AVX512_FP16 or AMX_FP16"


def _is_on(value: str) -> bool:
    return value.lower() in ON
