"""A profile of what micro-benchmarks found."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import yaml

from amp_tuner.errors import TargetError
from amp_tuner.roofline.device import parse_profile
from amp_tuner.roofline.measured import profile_text

FOUND: dict[str, Any] = {
    "rates": {
        "matmul": {"float32": 2e11, "float16": 4e11},
        "elementwise": {"float32": 1e10, "float16": 2e10},
        "cast": {"float32": 3e9, "float16": 4e9},
    },
    "convolutions": [
        {
            "operations": 1e9,
            "gathered": 1e7,
            "window_rows": 1e5,
            "seconds": {"float32": 1e-2, "float16": 5e-3},
        }
    ],
    "streams": [[2**18, 9e9], [2**20, 1e10], [2**22, 8e9], [2**24, 3e9], [2**26, 2e9]],
    "launch_s": 2e-6,
    "run_s": 5e-5,
    "fused": ["float32"],
    "missing": {"bfloat16": "no such kernel"},
}


def test_what_was_measured_stands_in_the_profile() -> None:
    text = profile_text(FOUND, "Imaginary: 9000 # CPU", 2, "TensorFlow 9")
    profile = parse_profile(yaml.safe_load(text), "here.yaml")
    assert profile.name == "Imaginary: 9000 # CPU"
    assert profile.rates["matrix"] == profile.rates["matmul"] == FOUND["rates"]["matmul"]
    assert profile.rates["vector"] == FOUND["rates"]["elementwise"]
    assert profile.rates["cast"] == FOUND["rates"]["cast"]
    assert profile.fused == ("float32",)
    assert (profile.launch_s, profile.run_s, profile.compute_units) == (2e-6, 5e-5, 2)


def test_the_cache_ends_where_tensors_are_read_nearer_to_the_memorys_rate() -> None:
    profile = parse_profile(yaml.safe_load(profile_text(FOUND, "CPU", 2, "TensorFlow 9")), "here")
    assert (profile.cache_bytes_per_s, profile.memory_bytes_per_s) == (1e10, 2e9)
    # 8e9 is above, 3e9 below the square root of 1e10 * 2e9.
    assert profile.cache_bytes == 2 * 2**22
    level = {**FOUND, "streams": [[2**18, 1e9], [2**26, 1e9]]}
    profile = parse_profile(yaml.safe_load(profile_text(level, "CPU", 2, "TensorFlow 9")), "here")
    assert profile.cache_bytes == 2 * 2**26


def test_what_a_convolution_takes_is_told_apart_by_shapes() -> None:
    planted = {"float32": (1e11, 1e10, 1e9), "float16": (2e11, 5e9, 1e8)}
    amounts = [(9e8, 7e6, 4e4), (6e7, 4e6, 2e5), (3e7, 5e5, 2e5), (3e7, 1e7, 1e5), (2e7, 1e7, 8e4)]

    def found(noise: float) -> dict[str, Any]:
        convolutions = [
            {
                "operations": amount[0],
                "gathered": amount[1],
                "window_rows": amount[2],
                "seconds": {
                    name: sum(map(operator.truediv, amount, rates)) * (1 + noise * (-1) ** number)
                    for name, rates in planted.items()
                },
            }
            for number, amount in enumerate(amounts)
        ]
        return {**FOUND, "convolutions": convolutions}

    for noise, tolerance in ((0.0, 1e-3), (0.02, 0.4)):
        text = profile_text(found(noise), "CPU", 2, "TensorFlow 9")
        rates = parse_profile(yaml.safe_load(text), "here").rates
        for kind, index in (("convolution", 0), ("gathered", 1), ("window_rows", 2)):
            for name, of_kinds in planted.items():
                assert rates[kind][name] == pytest.approx(of_kinds[index], rel=tolerance)


def test_what_takes_no_time_that_can_be_seen_has_a_rate_all_the_same() -> None:
    [one] = FOUND["convolutions"]
    # Twice as much of all that is gathered takes no longer.
    found = {**FOUND, "convolutions": [one, {**one, "gathered": 2e7, "window_rows": 2e5}]}
    text = profile_text(found, "CPU", 2, "TensorFlow 9")
    rates = parse_profile(yaml.safe_load(text), "here").rates
    assert rates["convolution"]["float16"] == pytest.approx(2e11)
    assert rates["gathered"]["float16"] == rates["window_rows"]["float16"]
    assert rates["gathered"]["float16"] == pytest.approx(1e15)


def test_a_machine_without_float32_has_no_profile() -> None:
    nothing = {**FOUND, "rates": {}, "missing": {"float32": "no MatMul"}}
    with pytest.raises(TargetError, match="float32 could not be measured: no MatMul"):
        profile_text(nothing, "CPU", 2, "TensorFlow 9")
