"""The switch under which FP32 itself has two forms, and which form is the baseline.

TensorFlow's oneDNN switch chooses FP32's kernels on a CPU: the faster form is the baseline, so that
16 bits are never credited with what oneDNN gives. On NVIDIA from Ampere on, products of FP32 may be
rounded to TF32, which stock TensorFlow does unless it is told not to: both forms are measured and
named, and the study file says which is the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from amp_tuner.config.model import TargetConfig
from amp_tuner.errors import InputError
from amp_tuner.records import Setting
from amp_tuner.target.tf32 import has_tf32


@dataclass(frozen=True)
class Switch:
    """A switch of a whole process.

    Attributes:
        field: the field of Setting that holds its state.
        states: the states that this target has, FP32 in each of which is measured.
        baseline: the state of the baseline; None: the faster one.
        names: of FP32 in each state, as tables and files show it.
    """

    field: str
    states: tuple[bool, ...]
    baseline: bool | None
    names: Mapping[bool, str]

    def of(self, setting: Setting) -> bool | None:
        """The state that a setting runs under; None where that is not settled yet."""
        state: bool | None = getattr(setting, self.field)
        return state

    def put(self, setting: Setting, state: bool) -> Setting:
        """The setting under a state."""
        if self.field == "tf32":
            return replace(setting, tf32=state)
        return replace(setting, onednn=state)


ONEDNN = Switch("onednn", (False, True), None, {False: "FP32, oneDNN off", True: "FP32, oneDNN on"})

#: A device model has one FP32; accuracy is computed with oneDNN, whose 16-bit products add up in
#: float32 as those of matrix units do.
ONE_FORM = Switch("onednn", (True,), True, {True: "FP32"})


def first_state(target: TargetConfig) -> bool:
    """The state under which the first worker runs, which says what the target has."""
    return target.runtime != "xla"


def switch_of(target: TargetConfig, software: Mapping[str, Any]) -> Switch:
    """The switch that a target has.

    Args:
        target: the study's.
        software: what its worker said of itself. A device that was not seen yet has no platform
            in it: what it may have is taken for what it has.

    Raises:
        InputError: ``target.baseline`` is nothing that the device has.
    """
    if target.runtime == "roofline":
        return ONE_FORM
    if target.runtime != "xla":
        return ONEDNN
    seen = "platform" in software
    with_tf32 = has_tf32(software) if seen else target.device == "gpu"
    if target.baseline == "tf32" and not with_tf32:
        message = f"{software.get('device_kind', target.device)} has no tf32; allowed: fp32"
        raise InputError.one("$.target.baseline", message)
    baseline = with_tf32 if target.baseline is None else target.baseline == "tf32"
    states = (False, True) if with_tf32 else (False,)
    return Switch("tf32", states, baseline, {False: "FP32", True: "TF32"})
