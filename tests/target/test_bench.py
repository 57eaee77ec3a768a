"""What a bench does about workers that die; how it measures is shown by whole studies."""

from __future__ import annotations

import errno
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.config.load import load_study
from amp_tuner.data.samples import open_data
from amp_tuner.errors import InputError, TargetError, WorkerFailure
from amp_tuner.records import FLOAT32, Setting
from amp_tuner.study.planning import Planner
from amp_tuner.target.bench import STARTS, Bench
from amp_tuner.target.switches import ONEDNN, Switch
from amp_tuner.target.workers import model_source
from amp_tuner.worker.client import WorkerClient
from tests import small_study
from tests.conftest import Files, Launcher

Starts = list[WorkerClient | TargetError]


@pytest.fixture
def bench(
    worker: WorkerClient, small: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Starts], Bench]:
    """A bench whose workers start, or do not start, as a list says."""
    plain = small_study.study(small.model, small.data)
    config = load_study(small_study.write_study(tmp_path, plain))
    loaded = worker.load(model_source(config), None, "engine", "cpu")
    data = open_data(config, loaded, tmp_path)
    monkeypatch.setattr(worker, "timeout_s", worker.timeout_s)

    def make(starts: Starts, switch: Switch = ONEDNN) -> Bench:
        def start(state: bool) -> WorkerClient:
            result = starts.pop(0)
            if isinstance(result, TargetError):
                raise result
            return result

        return Bench(config, start, data, loaded, tmp_path, switch)

    return make


def test_a_live_worker_is_kept(bench: Callable[[Starts], Bench], worker: WorkerClient) -> None:
    measuring = bench([worker])
    assert measuring.worker(True) is measuring.worker(True)


def test_what_is_wrong_with_samples_that_are_held_back_is_told_before_the_night(
    bench: Callable[[Starts], Bench], worker: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = bench([worker])
    measuring.check_held_back()
    again, original = bench([worker]), Bench.outputs

    def outputs(self: Bench, worker: WorkerClient, key: str, start: int, stop: int) -> Any:
        found = original(self, worker, key, start, stop)
        return found if start == 0 else np.full_like(found, np.nan)

    monkeypatch.setattr(Bench, "outputs", outputs)
    with pytest.raises(InputError, match=r"hold NaN or Inf .* \(on the samples that are held back"):
        again.check_held_back()


def test_fp32s_own_pass_after_a_resume_is_not_charged_to_a_setting(
    bench: Callable[[Starts], Bench], worker: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = bench([worker])
    planner = Planner.of(measuring.describe(), served=False)
    deadlines: dict[str, float] = {}
    original = Bench.outputs

    def outputs(self: Bench, worker: WorkerClient, key: str, start: int, stop: int) -> Any:
        deadlines[key] = self._deadline
        return original(self, worker, key, start, stop)

    monkeypatch.setattr(Bench, "outputs", outputs)
    monkeypatch.setattr(Bench, "timed", lambda *_, **__: None)
    plan = planner.plan(Setting(next(iter(planner.painters))))
    measuring.measure(plan, "search", always_timed=True, dominated_below=None)
    assert deadlines.pop(FLOAT32) == math.inf
    assert [limit < math.inf for limit in deadlines.values()] == [True]


def test_a_disk_that_is_full_for_fp32s_outputs_is_no_settings_failure(
    bench: Callable[[Starts], Bench], worker: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = bench([worker])
    planner = Planner.of(measuring.describe(), served=False)

    def outputs(*_: Any) -> Any:
        raise WorkerFailure(f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}", fatal=False)

    monkeypatch.setattr(Bench, "outputs", outputs)
    plan = planner.plan(Setting(next(iter(planner.painters))))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        measuring.measure(plan, "search", always_timed=True, dominated_below=None)


def test_fp32_in_another_form_has_outputs_of_its_own(
    bench: Callable[[Starts], Bench], worker: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = bench([worker, worker])
    forms = iter((0.25, 0.75))
    monkeypatch.setattr(Bench, "outputs", lambda *_: np.full((8, 2), next(forms), np.float32))
    for state, value in ((False, 0.25), (True, 0.75), (False, 0.25)):
        measuring.baseline_state = state
        assert measuring.reference("search", worker).reference[0, 0] == value


def test_a_worker_that_does_not_start_is_tried_again(
    bench: Callable[[Starts], Bench], worker: WorkerClient
) -> None:
    killed = [TargetError("killed at its start")] * (STARTS - 1)
    assert bench([*killed, worker]).worker(True) is worker


def test_a_target_that_starts_no_worker_again_and_again_is_given_up(
    bench: Callable[[Starts], Bench],
) -> None:
    starts: Starts = [TargetError(f"start {number}") for number in range(STARTS)]
    with pytest.raises(TargetError, match=f"start {STARTS - 1}"):
        bench(starts).worker(True)


def test_a_worker_that_died_while_nobody_asked_is_replaced_and_costs_no_trial(
    bench: Callable[[Starts], Bench], worker: WorkerClient, fresh_worker: Launcher
) -> None:
    idle = fresh_worker()
    measuring = bench([idle, worker])
    assert measuring.worker(True) is idle
    os.kill(idle.pid, signal.SIGKILL)
    os.waitid(os.P_PID, idle.pid, os.WEXITED | os.WNOWAIT)
    assert measuring.worker(True) is worker


def test_a_worker_that_dies_under_fp32_is_the_targets_fault_and_is_replaced(
    bench: Callable[[Starts], Bench], worker: WorkerClient, fresh_worker: Launcher
) -> None:
    dying = fresh_worker()
    measuring = bench([dying, worker, worker])
    measuring.worker(False)
    os.kill(dying.pid, signal.SIGKILL)
    with pytest.raises(TargetError, match="cannot run the FP32 model: SIGKILL"):
        measuring.float32()
    assert measuring.worker(False) is worker


@pytest.mark.parametrize("baseline", [True, False])
def test_where_the_study_chooses_the_baseline_speed_does_not(
    bench: Callable[..., Bench], worker: WorkerClient, baseline: bool
) -> None:
    switch = Switch("tf32", (False, True), baseline, {False: "FP32", True: "TF32"})
    measuring = bench([worker, worker], switch)
    measured = measuring.float32()
    assert measuring.baseline_state is baseline
    timing = measured[baseline].timing
    assert timing is not None
    assert (timing.speedup.low, timing.speedup.high) == (1.0, 1.0)
    assert set(measured) == {False, True}


def test_a_target_without_a_switch_has_one_form_of_fp32(
    bench: Callable[..., Bench], worker: WorkerClient
) -> None:
    measuring = bench([worker], Switch("tf32", (False,), False, {False: "FP32"}))
    (measured,) = measuring.float32().values()
    assert measured.timing is not None
    assert measured.timing.speedup.value == 1.0
    assert measured.timing.latency_ms["baseline"] == measured.timing.latency_ms["candidate"]
