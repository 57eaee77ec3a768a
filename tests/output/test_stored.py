"""What files of a study's folder mean once they are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amp_tuner.output.stored import StoredBaseline, checked
from tests.results.examples import trial

FP32 = trial(0).measurement


@pytest.mark.parametrize(
    ("content", "states", "forms"),
    [
        ({"onednn": False, "off": FP32, "on": FP32}, {"onednn": False}, {False, True}),
        ({"tf32": True, "off": FP32, "on": FP32}, {"tf32": True}, {False, True}),
        ({"tf32": False, "off": FP32}, {"tf32": False}, {False}),
    ],
)
def test_a_baseline_has_a_form_of_fp32_for_each_state_of_its_runtimes_switch(
    content: dict[str, Any], states: dict[str, bool], forms: set[bool]
) -> None:
    plain = {"format": 1, **content}
    text = json.dumps(plain, default=lambda measurement: measurement.to_json())
    held = checked(text, StoredBaseline, "baseline.json")
    assert held.states() == states
    assert held.forms().keys() == forms
    assert all(form == FP32 for form in held.forms().values())
