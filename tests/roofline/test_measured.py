"""A profile of what micro-benchmarks found."""

from __future__ import annotations

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
    "streams": [[2**18, 9e9], [2**20, 1e10], [2**22, 8e9], [2**24, 3e9], [2**26, 2e9]],
    "launch_s": 2e-6,
    "run_s": 5e-5,
    "missing": {"bfloat16": "no such kernel"},
}


def test_what_was_measured_stands_in_the_profile() -> None:
    text = profile_text(FOUND, "Imaginary: 9000 # CPU", 2, "TensorFlow 9")
    profile = parse_profile(yaml.safe_load(text), "here.yaml")
    assert profile.name == "Imaginary: 9000 # CPU"
    assert profile.rates["matrix"] == profile.rates["matmul"] == FOUND["rates"]["matmul"]
    assert profile.rates["vector"] == FOUND["rates"]["elementwise"]
    assert profile.rates["cast"] == FOUND["rates"]["cast"]
    assert (profile.launch_s, profile.run_s, profile.compute_units) == (2e-6, 5e-5, 2)


def test_the_cache_ends_where_tensors_are_read_nearer_to_the_memorys_rate() -> None:
    profile = parse_profile(yaml.safe_load(profile_text(FOUND, "CPU", 2, "TensorFlow 9")), "here")
    assert (profile.cache_bytes_per_s, profile.memory_bytes_per_s) == (1e10, 2e9)
    # 8e9 is above, 3e9 below the square root of 1e10 * 2e9.
    assert profile.cache_bytes == 2 * 2**22
    level = {**FOUND, "streams": [[2**18, 1e9], [2**26, 1e9]]}
    profile = parse_profile(yaml.safe_load(profile_text(level, "CPU", 2, "TensorFlow 9")), "here")
    assert profile.cache_bytes == 2 * 2**26


def test_a_machine_without_float32_has_no_profile() -> None:
    nothing = {**FOUND, "rates": {}, "missing": {"float32": "no MatMul"}}
    with pytest.raises(TargetError, match="float32 could not be measured: no MatMul"):
        profile_text(nothing, "CPU", 2, "TensorFlow 9")
