"""Whatever ends a tuner, the same command goes on: nothing that ended is lost or run again."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from amp_tuner.output.folder import RunFolder
from amp_tuner.records import CACHED, FAILED, MEASURED, QUARANTINED, Trial
from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.study import TuningStudy
from amp_tuner.study.ended import read_trials
from amp_tuner.study.prospects import STUCK
from tests import small_study
from tests.cli.chaos import DONE, INTERRUPTED, KILLED, History, Hit, ended_again_and_again
from tests.cli.conftest import Command
from tests.cli.processes import events, finished, started
from tests.conftest import Files

SEED = 20


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, small: Files) -> History:
    """Killed three times, its worker once, and once interrupted."""
    hits = [
        Hit(signal.SIGKILL),
        Hit(signal.SIGINT),
        Hit(signal.SIGKILL, at_worker=True),
        Hit(signal.SIGKILL),
        Hit(signal.SIGKILL),
    ]
    folder = tmp_path_factory.mktemp("resumed")
    return ended_again_and_again(folder, small_study.study(small.model, small.data), hits, SEED)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, night: Files) -> History:
    """Eight rounds of :func:`chaos`, and between them interrupted in both ways."""
    return chaos(tmp_path_factory.mktemp("killed"), night, rounds=10)


@pytest.fixture(scope="module")
def longest(tmp_path_factory: pytest.TempPathFactory, night: Files) -> History:
    """200 rounds."""
    return chaos(tmp_path_factory.mktemp("chaos"), night, rounds=200)


def chaos(folder: Path, night: Files, rounds: int) -> History:
    """Tuner and workers are killed at random, in a study whose settings do their worst besides.

    They abort, segfault, take 2 GB, hang, write 256 MiB, print without end, or give NaN.
    """
    plain = small_study.night_study(
        night.model,
        night.data,
        search={
            "op_types": [
                *("AddV2", "Cumprod", "Cumsum", "Prod", "SquaredDifference", "Sum"),
                *("Abs", "Maximum", "Mean", "Minimum", "Mul", "Neg", "Square"),
            ],
            "lists": ["allow", "deny"],
            # More than there is time for: the last run is told to stop.
            "trials": 10**6,
            "seed": SEED,
        },
        measure={"max_seconds": 0.5},
        limits={
            "trial_seconds": 6,
            "worker_memory": "1536MiB",
            "disk": "192MiB",
        },
    )
    chance = random.Random(SEED)
    hits = [Hit(signal.SIGKILL, at_worker=chance.random() < 0.5) for _ in range(rounds)]
    hits[3], hits[7] = Hit(signal.SIGTERM), Hit(signal.SIGINT)
    return ended_again_and_again(folder, plain, hits, SEED, last=("--trials", "1"))


@pytest.fixture(
    params=[
        pytest.param("short", marks=pytest.mark.nightly),
        pytest.param("long", marks=[pytest.mark.all_only, pytest.mark.timeout(1200)]),
        pytest.param("longest", marks=[pytest.mark.nightly, pytest.mark.timeout(4 * 3600)]),
    ]
)
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    return request.getfixturevalue(request.param)


def trials_of(run: Path) -> list[Trial]:
    return list(read_trials(RunFolder(run)))


def key_of(trial: Trial) -> tuple[str, bool | None]:
    """What runs, of a trial that was planned."""
    assert trial.effective is not None
    return trial.effective.graph_id, trial.setting.onednn


def began(run: Path) -> list[tuple[str, bool | None]]:
    """What was about to run, in order."""
    return [(event["graph_id"], event["onednn"]) for event in events(run, "measuring")]


def excused(run: Path) -> set[int]:
    """Trials that the user interrupted: that is no death of the setting's."""
    return {event["trial"] for event in events(run, "interrupted")}


def test_every_run_ends_as_it_was_ended_and_the_last_by_itself(history: History) -> None:
    assert set(history.codes[:-1]) <= {DONE, KILLED, INTERRUPTED}
    assert history.codes.count(KILLED) >= 2
    assert history.codes[-1] == DONE
    assert "Traceback" not in history.said


def test_finished_trials_are_never_lost_nor_run_again(history: History) -> None:
    assert history.lost == set()
    ended = [event["trial"] for event in events(history.run, "ended")]
    assert len(ended) == len(set(ended))
    # A setting runs again only if it ended the worker or the tuner before.
    began_as = [(event["trial"], event["deaths"]) for event in events(history.run, "measuring")]
    assert len(began_as) == len(set(began_as))


def test_no_setting_runs_again_that_has_an_end(history: History) -> None:
    finished: set[tuple[str, bool | None]] = set()
    by_number = {trial.number: trial for trial in trials_of(history.run)}
    for event in events(history.run):
        if event["event"] == "measuring":
            assert (event["graph_id"], event["onednn"]) not in finished
        elif event["event"] == "ended" and event["cached_from"] is None:
            trial = by_number[event["trial"]]
            if trial.effective is not None:
                finished.add(key_of(trial))
    own = [key_of(trial) for trial in by_number.values() if trial.outcome in (MEASURED, FAILED)]
    assert len(own) == len(set(own))


def test_what_ended_the_worker_twice_is_never_run_again(history: History) -> None:
    quarantine = history.run / "quarantine.json"
    settings = json.loads(quarantine.read_text())["settings"] if quarantine.exists() else []
    ran = began(history.run)
    interrupted = [
        (event["graph_id"], event["onednn"])
        for event in events(history.run, "measuring")
        if event["trial"] in excused(history.run)
    ]
    for setting in settings:
        key = (setting["graph_id"], setting["onednn"])
        assert 1 <= len(setting["deaths"]) <= 2
        # Once more if it came to an end after its only death.
        assert ran.count(key) - interrupted.count(key) <= 2
    dead = {(one["graph_id"], one["onednn"]) for one in settings if len(one["deaths"]) == 2}
    told = [trial for trial in trials_of(history.run) if trial.outcome == QUARANTINED]
    assert {key_of(trial) for trial in told} <= dead


def test_the_table_is_always_readable_and_whole_in_the_end(history: History) -> None:
    assert history.unreadable == []
    table = pd.read_csv(history.run / "trials.csv")
    assert list(table["number"]) == [trial.number for trial in trials_of(history.run)]


def test_no_worker_outlives_its_tuner(history: History) -> None:
    assert history.left_behind == []


def test_an_answer_is_published_whenever_a_run_is_interrupted_and_in_the_end(
    history: History,
) -> None:
    assert history.unpublished == 0
    front = yaml.safe_load((history.run / "pareto" / "front.yaml").read_text())
    assert front["best"] is not None
    references = {trial.anchor for trial in trials_of(history.run)}
    assert {"FP32, oneDNN on", "default bfloat16", "default float16"} <= references
    assert (history.run / "best.env").exists()


def test_a_second_tuner_on_the_same_folder_is_refused(history: History) -> None:
    assert history.second == 2


def test_proposals_are_those_of_an_uninterrupted_study(history: History, tmp_path: Path) -> None:
    """A fresh study that is told the same values, in one go, asks for the same settings."""
    study = json.loads((history.run / "study.json").read_text())["config"]
    told = optuna.load_study(
        study_name=study["name"],
        storage=JournalStorage(JournalFileBackend(str(history.run / "study.journal"))),
    ).trials
    again, known_in_a_row, drawn = replayed(tmp_path, told[0], study), 0, 0
    for trial in trials_of(history.run):
        asked = told[trial.number]
        if trial.anchor is not None:
            again.enqueue(asked.params, trial.anchor)
        proposal = again.ask({}, stuck=known_in_a_row >= STUCK)
        assert proposal.parameters == asked.params
        drawn += trial.anchor is None
        if asked.values is None:
            again.tell_failed(proposal.number, "failed")
        else:
            violation = asked.constraints["accuracy"]
            again.tell(proposal.number, Objectives(*asked.values, violation), {})
        known = trial.outcome in (CACHED, QUARANTINED)
        known_in_a_row = known_in_a_row + 1 if known else 0
    assert drawn >= 3


def replayed(folder: Path, first: FrozenTrial, study: Mapping[str, Any]) -> TuningStudy:
    """A study of the same space and seed to which nothing has happened."""
    types = first.distributions["data_type"].choices  # type: ignore[attr-defined]
    op_types = [name.removeprefix("list:") for name in first.distributions if name != "data_type"]
    space = SearchSpace(tuple(types[1:]), tuple(op_types), tuple(study["search"]["lists"]), {})
    search = study["search"]
    storage = OneWriterStorage(folder / "journal")
    return TuningStudy(storage, "again", space, search["sampler"], search["seed"])


def test_a_finished_study_is_not_run_again(quick: Command, finished: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    ended = quick("--config", finished / "study.yaml")
    assert ended.code == 0
    assert "all 10 trials are measured" in ended.out
    assert {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()} == before


def test_totals_are_totals(quick: Command, finished: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    ended = quick("--config", finished / "study.yaml", "--trials", 12)
    assert ended.code == 0
    now = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    assert {path: now[path] for path in before} == before
    own = [trial for trial in trials_of(finished / "run") if trial.cached_from is None]
    assert len([trial for trial in own if trial.cause is None]) == 12


def test_fresh_moves_the_old_study_aside(quick: Command, finished: Path) -> None:
    old = {path.name for path in (finished / "run").iterdir()}
    (finished / "run.1").mkdir()
    ended = quick("--config", finished / "study.yaml", "--fresh", "--trials", 2)
    assert ended.code == 0
    assert {path.name for path in (finished / "run.2").iterdir()} == old
    assert len(trials_of(finished / "run.2")) > 7
    numbers = [trial.number for trial in trials_of(finished / "run")]
    assert numbers == list(range(len(numbers)))
    assert len(events(finished / "run", "started")) == 1


def test_a_table_that_a_kill_left_behind_is_made_whole(quick: Command, finished: Path) -> None:
    table = finished / "run" / "trials.csv"
    whole = table.read_text()
    table.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert quick("--config", finished / "study.yaml").code == 0
    assert table.read_text() == whole


def test_a_kill_while_the_folder_was_claimed_is_no_strangers_file(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    (tmp_path / "run" / "work").mkdir(parents=True)
    (tmp_path / "run" / ".study.json.x7_b2k9q").write_text('{"format": 1, "ident')
    assert quick("--config", path, "--trials", 2).code == 0


def test_a_stop_by_the_service_manager_is_an_interruption(small: Files, tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    with started(path) as tuner:
        while not (tmp_path / "run" / "lock").exists():
            time.sleep(0.01)
        tuner.send_signal(signal.SIGTERM)
        code, said = finished(tuner)
    assert code == INTERRUPTED
    assert said.splitlines()[-1] == "interrupted"
