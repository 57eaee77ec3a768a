"""Rule sets: which pass, on which device, into which data type, and how it differs from the others.

A rule set names one real graph pass: ``itex-cpu-bfloat16``, ``tf-cuda-float16``, … Its default op
lists are data files beside this module, each with its source; its behaviour is a handful of flags.
Where lists or behaviour changed between versions the name takes one: ``tf-cpu-bfloat16@2.15``;
without one it means the newest known.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Optional

from amp_tuner.amp.lists import LIST_NAMES, AmpLists
from amp_tuner.errors import InputError

TENSORFLOW = "tensorflow"
ITEX = "itex"

_DATA = Path(__file__).parent / "data"
_TF_LEVELS = ("default", "treat_infer_as_deny", "tensor_cores_only", "unsafe_force_all")
_BF16_LEVELS = ("default", "treat_infer_as_deny")
_ITEX_LEVELS = ("default",)
# Name: (family, device, data type, list file without version, levels, versions newest first).
_KNOWN = {
    "tf-cpu-bfloat16": (TENSORFLOW, "cpu", "bfloat16", "tf-bfloat16", _BF16_LEVELS),
    "tf-cpu-float16": (TENSORFLOW, "cpu", "float16", "tf-float16", _TF_LEVELS),
    "tf-cuda-float16": (TENSORFLOW, "gpu", "float16", "tf-float16", _TF_LEVELS),
    "itex-cpu-bfloat16": (ITEX, "cpu", "bfloat16", "itex-cpu", _ITEX_LEVELS),
    "itex-gpu-bfloat16": (ITEX, "gpu", "bfloat16", "itex-gpu", _ITEX_LEVELS),
    "itex-gpu-float16": (ITEX, "gpu", "float16", "itex-gpu", _ITEX_LEVELS),
}
_VERSIONS = {TENSORFLOW: ("2.21", "2.15"), ITEX: ("2.15",)}
_ENGINE_RULES = {
    "cpu": {"bfloat16": "tf-cpu-bfloat16", "float16": "tf-cpu-float16"},
    "gpu": {"bfloat16": "itex-gpu-bfloat16", "float16": "tf-cuda-float16"},
    "xpu": {"bfloat16": "itex-gpu-bfloat16", "float16": "itex-gpu-float16"},
}
_DEFAULT_RULES = {
    "engine": _ENGINE_RULES,
    "roofline": _ENGINE_RULES,
    "xla": _ENGINE_RULES,
    "tensorflow": {"cpu": _ENGINE_RULES["cpu"], "gpu": {"float16": "tf-cuda-float16"}},
    "itex": {
        "cpu": {"bfloat16": "itex-cpu-bfloat16"},
        "gpu": _ENGINE_RULES["xpu"],
        "xpu": _ENGINE_RULES["xpu"],
    },
}


@dataclass(frozen=True)
class RuleSet:
    """One real pass: its default lists and every way in which it differs from the others.

    Attributes:
        name: ``tf-cpu-bfloat16``.
        version: the runtime's version whose lists and behaviour these are.
        family: ``tensorflow`` or ``itex``: whose environment variables apply.
        device: ``cpu`` or ``gpu``.
        data_type: ``bfloat16`` or ``float16``.
        lists: the default lists.
        levels: the levels that change something and do not make the pass fail.
        device_type: TensorFlow's name of the device, as kernels are registered for it.
        places_empty_devices: a node without a device counts as placed on ``device``; otherwise it
            is never converted.
        infer_follows_allow: the pass has the step that paints INFER right after ALLOW.
        infer_needs_kernel: that step asks for a 16-bit kernel, not only for a 16-bit type.
        allow_needs_kernel: an ALLOW op without a 16-bit kernel loses its paint.
        numbers_casts: Casts carry a counter in their names.
        types_of_functions: the type test knows functions of the graph, not only registered ops.
        gate: the pass runs only if some node's op type contains one of these; empty: always.
        tolerated_attributes: (op type, attribute) that may be on a node though its op has none.
    """

    name: str
    version: str
    family: str
    device: str
    data_type: str
    lists: AmpLists
    levels: tuple[str, ...]
    device_type: str
    places_empty_devices: bool
    infer_follows_allow: bool
    infer_needs_kernel: bool
    allow_needs_kernel: bool
    numbers_casts: bool
    types_of_functions: bool
    gate: tuple[str, ...]
    tolerated_attributes: frozenset[tuple[str, str]]

    @property
    def identifier(self) -> str:
        """Name and version: ``tf-cpu-bfloat16@2.21``."""
        return f"{self.name}@{self.version}"

    def with_lists(self, lists: Optional[AmpLists]) -> RuleSet:
        """This rule set with other default lists; None: as it is."""
        return self if lists is None else replace(self, lists=lists)


def rule_set_names() -> tuple[str, ...]:
    """The names of all rule sets, without versions."""
    return tuple(_KNOWN)


@cache
def rule_set(name: str) -> RuleSet:
    """The rule set called ``name``.

    Args:
        name: a name (``tf-cpu-bfloat16``: the newest version) or a name with a version
            (``tf-cpu-bfloat16@2.15``).

    Raises:
        InputError: there is none of that name or version; the message lists those that exist.
    """
    base, _, version = name.partition("@")
    if base not in _KNOWN:
        close = difflib.get_close_matches(base, _KNOWN, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        allowed = ", ".join(_KNOWN)
        raise InputError.one("rules", f"no rule set {name!r}{hint} Allowed: {allowed}")
    versions = _VERSIONS[_KNOWN[base][0]]
    if "@" in name and version not in versions:
        allowed = ", ".join(f"{base}@{known}" for known in versions)
        raise InputError.one("rules", f"no version {version!r} of {base}; allowed: {allowed}")
    return _build(base, version or versions[0])


def rule_sets_of(family: str) -> Iterator[RuleSet]:
    """All rule sets of a family (``tensorflow`` or ``itex``), newest versions first."""
    for version in _VERSIONS[family]:
        for name, known in _KNOWN.items():
            if known[0] == family:
                yield rule_set(f"{name}@{version}")


def rule_set_of_runtime(name: str, runtime_version: str) -> RuleSet:
    """The rule set as a runtime of that version applies it.

    Args:
        name: as in :func:`rule_set`; a version in it wins.
        runtime_version: such as ``2.17.1``: the newest known version that is not newer is taken,
            the oldest where all are.

    Raises:
        InputError: there is no such rule set.
    """
    newest = rule_set(name)
    if "@" in name:
        return newest
    known = _VERSIONS[newest.family]
    fit = (one for one in known if _numbers(one) <= _numbers(runtime_version))
    return rule_set(f"{name}@{next(fit, known[-1])}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])


def default_rules(runtime: str, device: str) -> dict[str, str]:
    """The rule set of each data type where a study names none: data type to rule set name.

    A data type that is missing does not exist on that runtime and device (float16 on ITEX's CPU).

    Args:
        runtime: ``engine``, ``roofline``, ``xla``, ``tensorflow`` or ``itex``.
        device: ``cpu``, ``gpu``, ``xpu`` or ``tpu``.
    """
    return dict(_DEFAULT_RULES.get(runtime, {}).get(device, {}))


def _build(name: str, version: str) -> RuleSet:
    family, device, data_type, lists, levels = _KNOWN[name]
    itex = family == ITEX
    return RuleSet(
        name=name,
        version=version,
        family=family,
        device=device,
        data_type=data_type,
        lists=_read_lists(f"{lists}-{version}"),
        levels=levels,
        device_type={"cpu": "CPU", "gpu": "XPU" if itex else "GPU"}[device],
        places_empty_devices=not itex,
        # TensorFlow 2.15 takes that step for bfloat16 only, 2.21 for every type (both observed).
        infer_follows_allow=itex or version != "2.15" or data_type == "bfloat16",
        infer_needs_kernel=itex,
        allow_needs_kernel=itex,
        numbers_casts=not itex,
        types_of_functions=itex,
        gate=("Conv", "GRU", "LSTM", "MatMul", "RNN") if itex and device == "cpu" else (),
        tolerated_attributes=_ITEX_TOLERATED if itex else frozenset(),
    )


_ITEX_TOLERATED = frozenset(
    {
        ("QuantizeV2", "dtype"),
        ("_MklFusedBatchMatMulV2", "epsilon"),
        ("QuantizedMaxPool", "out_type"),
        ("QuantizedConcatV2", "out_type"),
    }
)


def _read_lists(name: str) -> AmpLists:
    stored = json.loads((_DATA / f"{name}.json").read_text(encoding="utf-8"))
    return AmpLists.from_json({name: stored[name] for name in LIST_NAMES})
