"""What a study is doing, told as it changes."""

from __future__ import annotations

from pathlib import Path

from amp_tuner.results.event_log import EventLog, read_events
from amp_tuner.study.phases import Phases


def test_a_step_is_told_with_the_phase_that_it_belongs_to(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = EventLog(path)
    phases = Phases(log)
    phases.step("starting")
    phases.enter("confirming", trial=7, position=1, of=3)
    phases.step("timing", at_most_s=8.0)
    log.close()
    told = [
        {name: fact for name, fact in event.items() if name not in ("format", "time", "event")}
        for event in read_events(path)
    ]
    confirming = {"phase": "confirming", "trial": 7, "position": 1, "of": 3}
    assert told == [
        {"phase": "loading", "step": "starting"},
        confirming,
        {**confirming, "step": "timing", "at_most_s": 8.0},
    ]
