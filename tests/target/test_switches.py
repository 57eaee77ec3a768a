from __future__ import annotations

from typing import Any

import pytest

from amp_tuner.config.model import TargetConfig
from amp_tuner.errors import InputError
from amp_tuner.records import Setting, baseline_name
from amp_tuner.target.switches import ONEDNN, Switch, first_state, switch_of


def xla(**keys: Any) -> TargetConfig:
    return TargetConfig(runtime="xla", **keys)


def nvidia(capability: str) -> dict[str, Any]:
    return {"platform": "gpu", "device_kind": "NVIDIA X", "compute_capability": capability}


CPU = {"platform": "cpu", "device_kind": "cpu", "compute_capability": None}
AMD = {"platform": "gpu", "device_kind": "AMD X", "compute_capability": "gfx942"}


def found(software: dict[str, Any], **keys: Any) -> tuple[tuple[bool, ...], bool | None]:
    switch = switch_of(xla(**keys), software)
    assert switch.field == "tf32"
    return switch.states, switch.baseline


def test_tensorflows_own_kernels_have_onednn_and_the_faster_form_is_the_baseline() -> None:
    for runtime in ("engine", "tensorflow"):
        assert switch_of(TargetConfig(runtime=runtime), {}) is ONEDNN
    assert ONEDNN.baseline is None
    assert first_state(TargetConfig())
    assert not first_state(xla())


@pytest.mark.parametrize("capability", ["8.0", "8.9", "9.0", "10.0"])
def test_from_ampere_on_both_forms_are_measured_and_tf32_is_the_baseline(capability: str) -> None:
    assert found(nvidia(capability), device="gpu") == ((False, True), True)


@pytest.mark.parametrize("software", [CPU, AMD, nvidia("7.5")])
def test_elsewhere_there_is_only_fp32(software: dict[str, Any]) -> None:
    assert found(software) == ((False,), False)


def test_the_study_file_chooses_the_baseline() -> None:
    assert found(nvidia("9.0"), device="gpu", baseline="fp32") == ((False, True), False)
    assert found(nvidia("9.0"), device="gpu", baseline="tf32") == ((False, True), True)


def test_a_baseline_that_the_device_has_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"\$\.target\.baseline: NVIDIA X has no tf32; allowed"):
        switch_of(xla(device="gpu", baseline="tf32"), nvidia("7.5"))


@pytest.mark.parametrize("switch", [ONEDNN, switch_of(xla(), CPU)])
@pytest.mark.parametrize("state", [True, False])
def test_a_setting_holds_its_state(switch: Switch, state: bool) -> None:
    assert switch.of(Setting("float32")) is None
    assert switch.of(switch.put(Setting("float32"), state)) is state


def test_what_a_speedup_is_over_has_its_own_name() -> None:
    assert baseline_name(Setting("bfloat16", tf32=True)) == "TF32"
    assert baseline_name(Setting("bfloat16", tf32=False)) == "FP32"
    assert baseline_name(Setting("bfloat16", onednn=True)) == "FP32"
