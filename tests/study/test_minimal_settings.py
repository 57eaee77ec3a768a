"""What minimal settings make of a study's trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from amp_tuner.output.folder import RunFolder
from amp_tuner.records import EffectiveGraph, Interval, Measurement, Origin, Setting, Trial
from amp_tuner.study.minimal_settings import (
    Attempt,
    Minimal,
    is_minimal,
    minimised,
    origins,
    read_minimal,
    write_minimal,
)
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example

SHORT = Setting("float16", {"Sum": "allow"}, "default", onednn=True)
SHORTEST = replace(SHORT, moves={})
GRAPH = EffectiveGraph("c3d4", 20, 2)
AGAINST = Measurement(GRAPH, ACCURACY, replace(TIMING, speedup=Interval(1.0, 0.995, 1.005)))
KEPT = Attempt(SHORTEST, GRAPH, None, AGAINST, 0.5)
REFUSED = Attempt(SHORTEST, EffectiveGraph("e5f6", 1, 1), "speed: perhaps slower", AGAINST, 0.4)
ORIGINAL, SUBSTITUTE, OTHER = example(7), example(9, anchor="minimal of 7"), example(8)
TRIALS = {one.number: one for one in (ORIGINAL, OTHER, SUBSTITUTE)}
REPLACED = Minimal(7, SHORT, (REFUSED, KEPT), KEPT, accepted=SHORTEST, replaced_by=9, ended=True)


def verdict(trial: Trial, wanted: str) -> Measurement:
    assert trial.measurement is not None
    return replace(trial.measurement, accuracy=replace(ACCURACY, verdict=wanted))


@pytest.mark.parametrize("minimal", [Minimal(7, SHORT), REPLACED], ids=["idle", "replaced"])
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, minimal: Minimal) -> None:
    folder = RunFolder(tmp_path)
    write_minimal(folder, minimal)
    assert read_minimal(folder) == {7: minimal}
    assert read_minimal(RunFolder(tmp_path / "elsewhere")) == {}


def test_the_trial_of_a_minimal_setting_says_so_in_its_name() -> None:
    anchor = REPLACED.anchor()
    assert anchor is not None
    assert (anchor.name, anchor.setting) == ("minimal of 7", SHORTEST)
    assert Minimal(7, SHORT).anchor() is None
    assert is_minimal(SUBSTITUTE)
    assert not is_minimal(ORIGINAL)
    assert not is_minimal(example(1, anchor="default float16"))


def test_a_trial_whose_idle_moves_go_keeps_its_place_with_a_shorter_setting() -> None:
    found = minimised(TRIALS, {7: Minimal(7, SHORT)}, {})
    assert found == {**TRIALS, 7: replace(ORIGINAL, setting=SHORT)}


def test_a_trial_that_was_replaced_is_gone() -> None:
    assert minimised(TRIALS, {7: REPLACED}, {}) == {8: OTHER, 9: SUBSTITUTE}
    again = {9: verdict(SUBSTITUTE, "meets")}
    assert minimised(TRIALS, {7: REPLACED}, again).keys() == {8, 9}


def test_a_substitute_that_falls_short_when_measured_again_gives_the_place_back() -> None:
    assert minimised(TRIALS, {7: REPLACED}, {9: "SIGSEGV"}).keys() == {7, 8, 9}
    again = {9: verdict(SUBSTITUTE, "uncertain")}
    assert minimised(TRIALS, {7: REPLACED}, again).keys() == {7, 8, 9}


def test_places_are_not_handed_on() -> None:
    """Trial 9 was held against 7, and 8 against 9: nothing was held against 7 but 9."""
    known = {7: REPLACED, 9: replace(REPLACED, number=9, replaced_by=8)}
    assert minimised(TRIALS, known, {}).keys() == {7, 8}


def test_a_point_names_what_it_was_made_from_and_what_allowed_it() -> None:
    idle = Origin(7, {"Mul": "allow", "Sum": "allow"}, "a1b2")
    assert origins(TRIALS, {7: Minimal(7, SHORT)}) == {7: idle}
    compared = replace(idle, speed=Interval(1.0, 0.995, 1.005), p_worse=0.5)
    assert origins(TRIALS, {7: REPLACED}) == {7: idle, 9: compared}
    assert origins(TRIALS, {7: Minimal(7, ORIGINAL.setting)}) == {}


def test_the_last_look_at_what_was_accepted_stands_in_for_a_check_that_was_not_needed() -> None:
    found = origins(TRIALS, {7: replace(REPLACED, check=None)})
    assert found[9].speed == Interval(1.0, 0.995, 1.005)
