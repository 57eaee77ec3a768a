"""The trials that ended stay in their files until somebody asks for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from amp_tuner.files import write_json
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Block, EffectiveGraph, Trial
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.quarantine import Key
from tests.study.test_publishing import CRASHED, session
from tests.study.test_publishing import FAST as PUBLISHED

FAST = replace(PUBLISHED, effective=EffectiveGraph("fast", 1, 2))
KEY = Key("fast", FAST.setting.onednn)


def with_blocks(trial: Trial) -> Trial:
    """The trial with the raw times that its file has."""
    assert trial.measurement is not None
    assert trial.measurement.timing is not None
    timing = replace(trial.measurement.timing, blocks=(Block("baseline", "timed", 0.0, (0.1,)),))
    return replace(trial, measurement=replace(trial.measurement, timing=timing))


def ended(folder: Path, *trials: Trial) -> EndedTrials:
    """What is known after these, each written before it is told of, as in a study."""
    run = RunFolder(folder / "run")
    run.trials.mkdir(parents=True)
    found = EndedTrials(session(folder), run)
    for trial in trials:
        write_json(run.trial(trial.number), {"format": 1, "trial": trial.to_json()})
        found.add(trial)
    return found


def test_what_another_sampler_or_other_lists_hoped_for_does_not_count(tmp_path: Path) -> None:
    predicted = {"hope": 0.25, "explores": False}
    here = session(tmp_path).search
    trials = [
        replace(FAST, number=number, predicted=predicted, search=search)
        for number, search in enumerate((None, here, f"{here}, infer", "random: allow"))
    ]
    assert ended(tmp_path, *trials).hopes == [0.25, 0.25]


def test_hopes_of_what_was_enumerated_say_nothing_of_the_rest(tmp_path: Path) -> None:
    trials = [
        replace(FAST, number=number, predicted={"hope": 0.25, "explores": False} | more)
        for number, more in enumerate(({"enumerated": True}, {"enumerated": False}, {}))
    ]
    assert ended(tmp_path, *trials).hopes == [0.25, 0.25]


def test_known_settings_of_another_search_are_not_counted_and_end_no_count(tmp_path: Path) -> None:
    here = session(tmp_path).search
    known = [
        replace(FAST, number=number, cached_from=0, search=search)
        for number, search in enumerate((here, "random: allow", here), 1)
    ]
    assert ended(tmp_path, FAST, *known).known_in_a_row == 2


def test_known_settings_in_a_row_are_those_of_the_present_search(tmp_path: Path) -> None:
    here = session(tmp_path).search
    known = [
        replace(FAST, number=number, cached_from=0, search=search)
        for number, search in enumerate(("random: allow", here, here), 1)
    ]
    assert ended(tmp_path, FAST, *known).known_in_a_row == 2


def test_a_graph_that_ran_is_answered_from_its_trials_file(tmp_path: Path) -> None:
    known = ended(tmp_path, with_blocks(FAST))
    again = known.of_graph(KEY)
    assert again == FAST
    assert again is not known.of_graph(KEY)
    assert known.of_graph(Key("another", None)) is None


@pytest.mark.parametrize("asked_before", [False, True])
def test_all_trials_are_there_by_number_whenever_they_are_asked_for(
    asked_before: bool, tmp_path: Path
) -> None:
    known = ended(tmp_path, with_blocks(FAST))
    if asked_before:
        assert known.by_number == {FAST.number: FAST}
    path = RunFolder(tmp_path / "run").trial(CRASHED.number)
    write_json(path, {"format": 1, "trial": CRASHED.to_json()})
    known.add(CRASHED)
    assert known.by_number == {FAST.number: FAST, CRASHED.number: CRASHED}
    assert known.count == 2
