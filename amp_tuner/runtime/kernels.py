"""Which kernels a runtime has, as plain data, and the passes' test for a 16-bit kernel.

The test is TensorFlow's own look-up: device type, ``_kernel``
label and all type constraints must match; where the device has no such kernel, those of device
``DEFAULT`` are tried. Two matching kernels of the same, highest priority count as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Callable, Optional

import tensorflow as tf
from tensorflow.core.framework import kernel_def_pb2
from tensorflow.python.framework import kernels as tf_kernels

from amp_tuner.amp.rules import ITEX, RuleSet

_CUDA_TABLE = Path(__file__).parent.parent / "amp" / "data" / "kernels-tf-cuda-2.15.json"
_DEFAULT = "DEFAULT"
_XLA = "XLA_CPU_JIT"


@dataclass(frozen=True)
class Kernel:
    """A registered kernel.

    Attributes:
        device: device type it is registered for.
        label: what a node's ``_kernel`` must say.
        priority: the highest of those that match wins.
        constraints: (attribute, the types it may have, as numbers of TensorFlow's DataType).
    """

    device: str
    label: str
    priority: int
    constraints: tuple[tuple[str, frozenset[int]], ...]


@dataclass
class KernelTable:
    """The kernels of one runtime, with a memory of past look-ups.

    Attributes:
        source: where they come from, for the reader.
        kernels_of: op type to its kernels; None where kernels are unknown: then every look-up
            finds one.
    """

    source: str
    kernels_of: Optional[Callable[[str], Sequence[Kernel]]]
    _kernels: dict[str, Sequence[Kernel]] = field(default_factory=dict, repr=False)
    _found: dict[tuple[object, ...], bool] = field(default_factory=dict, repr=False)

    def has_kernel(
        self, op: str, device: str, label: str, types: Mapping[str, tuple[int, ...]]
    ) -> bool:
        """Whether exactly one best kernel matches.

        Args:
            op: op type.
            device: device type, such as ``CPU``.
            label: the node's ``_kernel`` label; usually empty.
            types: the node's type attributes, the one in question in 16 bits already.
        """
        if self.kernels_of is None:
            return True
        kernels = self._kernels.get(op)
        if kernels is None:
            kernels = self._kernels[op] = tuple(self.kernels_of(op))
        relevant = sorted({name for kernel in kernels for name, _ in kernel.constraints})
        key = (op, device, label, *(types.get(name) for name in relevant))
        if key not in self._found:
            self._found[key] = _one_best(kernels, device, label, types)
        return self._found[key]


def _one_best(
    kernels: Iterable[Kernel], device: str, label: str, types: Mapping[str, tuple[int, ...]]
) -> bool:
    for place in (device, _DEFAULT):
        matching = [
            kernel.priority
            for kernel in kernels
            if kernel.device == place and kernel.label == label and _matches(kernel, types)
        ]
        if matching:
            return matching.count(max(matching)) == 1
    return False


def _matches(kernel: Kernel, types: Mapping[str, tuple[int, ...]]) -> bool:
    return all(
        name in types and allowed.issuperset(types[name]) for name, allowed in kernel.constraints
    )


def kernel_table(rules: RuleSet) -> KernelTable:
    """The kernels of the runtime that ``rules`` speak of, as far as they can be known here.

    The loaded TensorFlow's own where it has that device; for CUDA elsewhere a table that was read
    from a CUDA build; for ITEX's GPU, where the plugin is absent, unknown.
    """
    if rules.device_type == "CPU":
        lacks_itex = rules.family == ITEX and not _kernels_of("_ITEXFusedMatMul")
        return registered_kernels("CPU, without ITEX's own" if lacks_itex else "CPU")
    if any(kernel.device == rules.device_type for kernel in _kernels_of("MatMul")):
        return registered_kernels(rules.device_type)
    if rules.family == ITEX:
        return KernelTable(
            "unknown: no ITEX GPU here, every 16-bit type is taken as supported", None
        )
    return _cuda_table()


def registered_kernels(which: str) -> KernelTable:
    """The kernels that are registered in this process; ``which`` says whose, for the reader."""
    return KernelTable(f"TensorFlow {tf.__version__}, {which}", _kernels_of)


def xla_table() -> KernelTable:
    """What XLA compiles, whatever device a node is on: its types are the same on all of them."""
    return KernelTable(f"TensorFlow {tf.__version__}, XLA", xla_kernels)


@cache
def _register_xla() -> None:
    """XLA's kernels are registered with the first function that it compiles."""
    tf.function(tf.identity, jit_compile=True)(tf.zeros(()))


@cache
def xla_kernels(op: str) -> tuple[Kernel, ...]:
    """XLA's kernels of an op type, each for any device."""
    _register_xla()
    found = tf_kernels.get_registered_kernels_for_op(op).kernel
    return tuple(
        replace(_kernel(kernel), device=_DEFAULT) for kernel in found if kernel.device_type == _XLA
    )


@cache
def _kernels_of(op: str) -> tuple[Kernel, ...]:
    """Asked once a process: to list them takes TensorFlow a millisecond an op."""
    return tuple(_kernel(found) for found in tf_kernels.get_registered_kernels_for_op(op).kernel)


def _kernel(found: kernel_def_pb2.KernelDef) -> Kernel:
    constraints = tuple(
        (constraint.name, frozenset(constraint.allowed_values.list.type))
        for constraint in found.constraint
    )
    return Kernel(found.device_type, found.label, found.priority, constraints)


def _cuda_table() -> KernelTable:
    stored = json.loads(_CUDA_TABLE.read_text(encoding="utf-8"))
    kernels = {
        op: tuple(
            Kernel(
                device,
                label,
                priority,
                tuple((name, frozenset(allowed)) for name, allowed in constraints),
            )
            for device, label, priority, constraints in entries
        )
        for op, entries in stored["kernels"].items()
    }
    return KernelTable(stored["source"], lambda op: kernels.get(op, ()))
