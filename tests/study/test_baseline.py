"""One form of FP32 is the baseline of all machines that share a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32_GRAPH, Measurement
from amp_tuner.study.baseline import agreed_baseline
from amp_tuner.study.session import Session
from amp_tuner.target.switches import ONEDNN, Switch
from tests.results.examples import ACCURACY, TIMING


class Bench:
    """A device on which FP32 is faster with oneDNN on."""

    def __init__(self) -> None:
        self.switch: Switch = ONEDNN
        self.baseline_state = True
        self.measured_against: list[bool] = []

    def float32(self) -> Mapping[bool, Measurement]:
        if self.switch.baseline is None:
            self.baseline_state = True
        self.measured_against.append(self.baseline_state)
        return dict.fromkeys((False, True), Measurement(FLOAT32_GRAPH, ACCURACY, TIMING))

    def check_held_back(self) -> None:
        assert self.measured_against


@dataclass(frozen=True)
class Opened:
    """What of a session the baseline needs."""

    bench: Bench

    @property
    def switch(self) -> Switch:
        return self.bench.switch


class Agreement:
    """What the database says."""

    def __init__(self, *answers: bool | None) -> None:
        self._answers = list(answers)
        self.proposed: list[bool | None] = []

    def __call__(self, state: bool | None) -> bool | None:
        self.proposed.append(state)
        return self._answers.pop(0)


@pytest.mark.parametrize(
    ("agreed", "against"),
    [
        pytest.param((None, True), [True], id="the first to say so"),
        pytest.param((False, False), [False], id="it was settled before"),
        pytest.param((None, False), [True, False], id="another was faster to say so"),
    ],
)
def test_fp32_is_measured_against_the_form_that_all_use(
    tmp_path: Path, agreed: Any, against: list[bool]
) -> None:
    bench, agree = Bench(), Agreement(*agreed)
    forms = agreed_baseline(cast("Session", Opened(bench)), RunFolder(tmp_path), agree)
    assert set(forms) == {False, True}
    assert bench.measured_against == against
    assert bench.baseline_state is agreed[1]
    assert agree.proposed == [None, against[0]]
