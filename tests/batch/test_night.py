"""Nights of small programs in place of studies: turns, outcomes, what is written down."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.batch.night import Night, Running
from amp_tuner.batch.process import Exit
from amp_tuner.batch.standing import Standing, exit_code_of, state_of
from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from tests import small_study

_BEFORE = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
clock = folder / "clock.json"
spent = json.loads(clock.read_text())["spent_s"] if clock.exists() else 0.0
def say(*lines):
    print(*lines, sep="\\n", file=sys.stderr)
def work(seconds):
    time.sleep(seconds)
    clock.write_text(json.dumps({"format": 1, "spent_s": spent + seconds}))
"""
#: What a study's process does, by the study's name; its clock goes as far as it works.
PROGRAMS = {
    "good": "work(0.1)",
    "missed": "work(0.1); sys.exit(1)",
    "bad": "say('amp-tune: 2 problems', '  $.model: gone', '  $.data: gone'); sys.exit(2)",
    "target": "say('a warning', 'amp-tune: no TensorFlow', 'last words'); sys.exit(3)",
    "bug": "say('Traceback', 'ValueError: wrong'); sys.exit(70)",
    "crash": "import os; os.kill(os.getpid(), 11)",
    "stopped": "work(0.1); sys.exit(130)",
    "hangs": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
    "interrupts": "work(0.1); import os; spent or (os.kill(os.getppid(), 2), time.sleep(60))",
}


class Told:
    """Who is told whose turn it is."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.left_s: list[float] = []
        self.states: list[list[str]] = []

    def stands(self, index: int, standings: Sequence[Standing]) -> None:
        self.states.append([one.state for one in standings])

    def begins(self, index: int, left_s: float) -> None:
        self.turns.append(index)
        self.left_s.append(left_s)


class Batch:
    """A batch of programs in a folder, which can be run again and again."""

    def __init__(self, folder: Path, *names: str, **search: Any) -> None:
        self.limits: list[float | None] = []
        self.studies = [_study(folder, name, search) for name in names]
        self.known: dict[str, Standing] = {}

    def night(self, budget_s: float = math.inf, told: Told | None = None) -> Night:
        def command(study: StudyConfig, limit_s: float | None) -> list[str]:
            self.limits.append(limit_s)
            program = _BEFORE + PROGRAMS[study.name]
            return [sys.executable, "-c", program, str(study.output)]

        running = Running(command, stop_s=0.2)
        return Night(self.studies, self.known, budget_s, told or Told(), running)

    def run(self, budget_s: float = math.inf) -> dict[str, Standing]:
        night = self.night(budget_s)
        try:
            night.run()
        finally:
            self.known = {one.study_file: one for one in night.standings}
        return {one.name: one for one in night.standings}


def _study(folder: Path, name: str, search: dict[str, Any]) -> StudyConfig:
    (folder / "files").mkdir(exist_ok=True)
    for file in ("model.pb", "data.npz"):
        (folder / "files" / file).touch()
    plain = small_study.study(
        folder / "files" / "model.pb",
        folder / "files" / "data.npz",
        search=search,
        limits={"trial_seconds": 0.5},
    )
    return check_study({**plain, "name": name, "output": f"runs/{name}"}, folder / f"{name}.yaml")


@pytest.fixture
def any_batch(tmp_path: Path):
    return lambda *names, **search: Batch(tmp_path, *names, **search)


def test_a_failed_study_does_not_stop_the_rest_and_has_its_cause(any_batch: Any) -> None:
    found = any_batch("bad", "target", "bug", "crash", "missed", "good").run()
    assert {name: (one.state, one.exit_code, one.cause) for name, one in found.items()} == {
        "bad": ("failed", 2, "$.model: gone; $.data: gone"),
        "target": ("failed", 3, "no TensorFlow"),
        "bug": ("failed", 70, "the tuner failed: ValueError: wrong"),
        "crash": ("failed", -signal.SIGSEGV, "SIGSEGV"),
        "missed": ("ended", 1, None),
        "good": ("ended", 0, None),
    }
    assert found["target"].last_words == "a warning\namp-tune: no TensorFlow\nlast words\n"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("good",), 0),
        (("good", "missed"), 1),
        (("missed", "bad"), 2),
        (("bad", "target"), 3),
        (("crash", "bad"), 3),
        (("bug", "good"), 3),
        (("stopped", "crash"), 130),
    ],
)
def test_the_exit_code_is_the_largest(any_batch: Any, names: tuple[str, ...], code: int) -> None:
    assert exit_code_of(list(any_batch(*names).run().values())) == code


def test_what_ended_is_not_run_again_and_what_did_not_is(any_batch: Any) -> None:
    batch = any_batch("good", "crash", "missed", "stopped")
    batch.run()
    told = Told()
    batch.night(told=told).run()
    assert told.turns == [1, 3]


@pytest.mark.parametrize("changed", ["study", "budget", "folder"])
def test_what_ended_is_run_again_if_what_it_ended_under_has_changed(
    any_batch: Any, changed: str
) -> None:
    batch, budget_s = any_batch("good"), 60.0
    batch.run(budget_s)
    (study,) = batch.studies
    if changed == "study":
        search = study.search.model_copy(update={"trials": 99})
        batch.studies = [study.model_copy(update={"search": search})]
    elif changed == "budget":
        budget_s = 90.0
    else:
        (study.output / "clock.json").unlink()
        study.output.rmdir()
    told = Told()
    batch.night(budget_s, told).run()
    assert told.turns == [0]
    # Its time counts as long as its folder is there.
    assert (told.left_s[0] == budget_s) == (changed == "folder")


def test_a_study_is_given_its_share_on_top_of_what_it_had(any_batch: Any) -> None:
    batch = any_batch("good", "missed")
    for study, spent_s in zip(batch.studies, (5.0, 0.0)):
        study.output.mkdir(parents=True)
        (study.output / "clock.json").write_text(json.dumps({"format": 1, "spent_s": spent_s}))
    told = Told()
    night = batch.night(100.0, told)
    night.run()
    # The one that had less comes first; half of the budget is everybody's.
    assert told.turns == [1, 0]
    assert batch.limits[0] == 50
    assert batch.limits[1] == pytest.approx(100 - night.standings[1].spent_s)
    assert [one.share_s for one in night.standings] == list(reversed(batch.limits))


def test_a_studys_own_time_budget_is_its_upper_limit(any_batch: Any) -> None:
    batch = any_batch("good", "missed", time_budget="20s")
    batch.run(100.0)
    assert batch.limits == [20, 20]
    batch = any_batch("stopped")
    batch.run()
    assert batch.limits == [None]


def test_a_study_that_was_interrupted_past_its_own_limit_may_still_answer(any_batch: Any) -> None:
    batch = any_batch("good", time_budget="20s")
    batch.studies[0].output.mkdir(parents=True)
    clock = batch.studies[0].output / "clock.json"
    clock.write_text(json.dumps({"format": 1, "spent_s": 25.0}))
    assert batch.run()["good"].state == "ended"
    assert batch.limits == [20]


def test_a_study_that_hangs_is_stopped_after_its_share_and_two_trials(any_batch: Any) -> None:
    found = any_batch("hangs", "good", time_budget="1s").run()
    assert found["good"].state == "ended"
    assert found["hangs"].state == "failed"
    assert "did not end by itself; it was stopped after" in str(found["hangs"].cause)
    assert found["hangs"].spent_s >= 2


def test_a_folder_that_is_broken_by_then_costs_its_study_alone(any_batch: Any) -> None:
    batch = any_batch("good", "missed")
    night = batch.night()
    broken = batch.studies[0].output
    broken.mkdir(parents=True)
    (broken / "clock.json").write_text("{")
    night.run()
    good, missed = night.standings
    assert (good.state, missed.state) == ("failed", "ended")
    assert f"{broken / 'clock.json'}: broken" in str(good.cause)
    assert exit_code_of(night.standings) == 3


def test_a_study_that_ends_just_when_its_time_is_up_has_ended() -> None:
    exits = [Exit(status, timed_out=True, seconds=1.0, words="") for status in (0, 1, 130, -9)]
    assert [state_of(one) for one in exits] == ["ended", "ended", "failed", "failed"]


def test_without_time_a_study_waits_and_the_batch_has_not_ended(any_batch: Any) -> None:
    batch = any_batch("good", "missed")
    batch.run(60.0)
    (batch.studies[0].output / "clock.json").write_text('{"format": 1, "spent_s": 70}')
    batch.known.pop(str(batch.studies[1].study_file))
    found = batch.run(60.0)
    assert (found["missed"].state, found["good"].state) == ("waiting", "ended")
    assert found["missed"].cause == "no time was left of the time budget"
    assert exit_code_of(list(found.values())) == 130


def test_an_interruption_ends_the_batch_and_the_same_batch_goes_on(any_batch: Any) -> None:
    batch = any_batch("good", "interrupts", "missed")
    with pytest.raises(KeyboardInterrupt):
        batch.run()
    states = {one.name: one.state for one in batch.known.values()}
    assert states == {"good": "ended", "interrupts": "interrupted", "missed": "waiting"}
    told = Told()
    batch.night(told=told).run()
    assert told.turns == [1, 2]
    assert told.states[-1] == ["ended"] * 3


def test_a_killed_batchs_study_in_flight_has_another_turn(any_batch: Any) -> None:
    batch = any_batch("good")
    one = batch.run()["good"]
    batch.known = {one.study_file: replace(one, state="running", ended_under="")}
    told = Told()
    batch.night(told=told).run()
    assert told.turns == [0]
