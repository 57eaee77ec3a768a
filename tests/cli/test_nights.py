"""A night in which settings crash, hang, eat memory and overflow: each costs its trial, no more.

The troubles are real: numbers that 16 bits cannot hold send TensorFlow's own kernels astray.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from amp_tuner.data.samples import SPLIT_SEED
from tests import small_study, tiny_models
from tests.cli.conftest import Command
from tests.cli.processes import await_event, events, finished, started, workers
from tests.conftest import Files

TRIAL_SECONDS = 10
#: The random sampler's proposals with this seed bring every trouble of bfloat16 within seven.
SEED, PROPOSALS = 194, 11
#: The first of these op types that is 16-bit decides what happens.
CAUSES = {
    "Sum": "SIGABRT",
    "Prod": "SIGSEGV",
    "Cumsum": "memory above 1.5 GiB",
    "AddV2": f"timeout: the trial took more than {TRIAL_SECONDS} s",
}


@dataclass(frozen=True)
class Night:
    """A study that is over.

    Attributes:
        run: its output folder.
        code: its exit code.
        said: what it printed.
        killed: the number of the trial during which the test killed the worker, once.
        table: ``trials.csv`` by number.
    """

    run: Path
    code: int
    said: str
    killed: int
    table: Any


def cause_of(moves: Mapping[str, str]) -> str | None:
    """What must become of a bfloat16 setting that nobody kills."""
    return next((cause for op, cause in CAUSES.items() if moves.get(op) == "allow"), None)


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory, night: Files) -> Night:
    """A study with every trouble that bfloat16 brings; default AMP's worker is killed."""
    folder = tmp_path_factory.mktemp("night_run")
    plain = small_study.night_study(
        night.model,
        night.data,
        target={"data_types": ["bfloat16"]},
        search={"seed": SEED},
        # Long enough to be killed in the middle.
        measure={"ci_half_width": 0.001, "max_seconds": 1.5},
        limits={
            "trial_seconds": TRIAL_SECONDS,
            "worker_memory": "1536MiB",
            "max_proposals": PROPOSALS,
        },
    )
    run = folder / "run"
    with started(small_study.write_study(folder, plain)) as tuner:
        assert await_event(tuner, run, "measuring", 1), finished(tuner)
        for worker in workers(tuner):
            worker.send_signal(signal.SIGKILL)
        code, said = finished(tuner)
    killed = events(run, "measuring")[0]["trial"]
    table = pd.read_csv(run / "trials.csv").set_index("number")
    return Night(run, code, said, killed, table)


def own(over: Night) -> Any:
    """Rows of the trials that ran."""
    known = over.table["cause"].fillna("").str.startswith("quarantined")
    return over.table[over.table["cached_from"].isna() & ~known]


def deaths(over: Night) -> dict[int, list[str]]:
    """How the worker ended in each trial, by number."""
    found: dict[int, list[str]] = {}
    for setting in json.loads((over.run / "quarantine.json").read_text())["settings"]:
        for death in setting["deaths"]:
            found.setdefault(death["trial"], []).append(death["cause"])
    return found


@pytest.mark.all_only
def test_every_trial_ends_as_its_setting_makes_it(over: Night) -> None:
    seen = set()
    for _, trial in own(over).iterrows():
        expected = None
        if trial["data_type"] != "float32":
            expected = cause_of(json.loads(trial["moves"]))
        seen.add(expected)
        assert trial["state"] == ("COMPLETE" if expected is None else "FAIL")
        assert (None if pd.isna(trial["cause"]) else trial["cause"]) == expected
    assert seen == {None, *CAUSES.values()}


@pytest.mark.all_only
def test_a_worker_that_was_killed_once_costs_no_trial(over: Night) -> None:
    assert over.table.loc[over.killed, "state"] == "COMPLETE"
    assert deaths(over)[over.killed] == ["SIGKILL"]


@pytest.mark.all_only
def test_what_ends_the_worker_is_tried_twice_and_then_quarantined(over: Night) -> None:
    ran = own(over)
    fatal = ran[
        ran["cause"].isin(list(CAUSES.values())) & ~ran["cause"].str.contains("timeout", na=False)
    ]
    expected = {number: [trial["cause"]] * 2 for number, trial in fatal.iterrows()}
    assert deaths(over) == {**expected, over.killed: ["SIGKILL"]}
    measuring = [event["trial"] for event in events(over.run, "measuring")]
    assert all(measuring.count(number) == 2 for number in expected)
    told = over.table[over.table["cause"].fillna("").str.startswith("quarantined")]
    assert set(told["graph_id"]) <= set(fatal["graph_id"])
    assert not set(told.index) & set(measuring)


@pytest.mark.all_only
def test_a_failed_trials_last_words_are_kept(over: Night) -> None:
    ran = own(over)
    failed = ran[ran["state"] == "FAIL"]
    words = {
        trial["cause"]: (over.run / "failures" / f"{number:04d}.log")
        for number, trial in failed.iterrows()
    }
    assert "Check failed" in words["SIGABRT"].read_text()
    numbers = {*failed.index, over.killed}
    assert {path.name for path in (over.run / "failures").iterdir()} <= {
        f"{number:04d}.log" for number in numbers
    }
    assert all(path.stat().st_size <= 4096 for path in words.values() if path.exists())


@pytest.mark.all_only
def test_a_failed_graph_is_not_run_again(over: Night) -> None:
    assert not own(over).duplicated(["graph_id", "onednn"]).any()
    for _, trial in over.table[over.table["cached_from"].notna()].iterrows():
        source = over.table.loc[int(trial["cached_from"])]
        assert (trial["state"], trial["graph_id"]) == (source["state"], source["graph_id"])


@pytest.mark.all_only
def test_the_study_goes_on_and_ends_with_an_answer(over: Night) -> None:
    assert over.code == 0
    assert (~small_study.minimal(over.table)).sum() == PROPOSALS
    # Which it is, is the machine's affair.
    best = yaml.safe_load((over.run / "pareto" / "front.yaml").read_text())["best"]
    data_type = over.table.loc[best, "data_type"]
    answer = f"Best is trial {best}: {data_type} with "
    assert ("FP32 is best on this machine" if data_type == "float32" else answer) in over.said
    assert over.table.loc[best, "state"] == "COMPLETE"
    assert (over.run / "best.env").exists()
    assert "Traceback" not in over.said


def test_an_overflow_in_fp16_is_infeasible_and_keeps_the_worker(
    quick: Command, worker: Any, night: Files, tmp_path: Path
) -> None:
    plain = small_study.night_study(
        night.model,
        night.data,
        target={"data_types": ["float16"]},
        search={"op_types": ["Mul"], "trials": 4},
        limits={"max_proposals": 8},
    )
    before = worker.pid
    ended = quick("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 0
    assert "FP32 is best on this machine" in ended.out
    table = pd.read_csv(tmp_path / "run" / "trials.csv")
    # Forced, the pass would paint ops that have no kernel: refused before it runs.
    overflown = table[(table["data_type"] == "float16") & (table["level"] == "default")]
    assert {"default float16", "everything float16"} <= set(overflown["anchor"])
    assert set(overflown["state"]) == {"FAIL"}
    assert all("not finite" in cause for cause in overflown["cause"])
    assert worker.alive
    assert worker.pid == before


def test_a_setting_that_fails_on_held_back_samples_is_named_and_is_not_published(
    quick: Command, night: Files, tmp_path: Path
) -> None:
    size = np.full(small_study.SAMPLES, 0.1, np.float32)
    # The last one of the order in which samples are split is held back.
    size[np.random.default_rng(SPLIT_SEED).permutation(small_study.SAMPLES)[-1]] = 1
    np.savez(tmp_path / "x.npz", x=np.repeat(size, 4).reshape(-1, 4))
    plain = small_study.night_study(
        night.model,
        tmp_path / "x.npz",
        target={"data_types": ["float16"]},
        search={"op_types": ["Mul"], "trials": 3},
    )
    ended = quick("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 0
    run = tmp_path / "run"
    numbers = [event["trial"] for event in events(run, "not_confirmed")]
    # One graph or two, as fast as they happen to look.
    assert numbers
    table = pd.read_csv(run / "trials.csv").set_index("number")
    for number in numbers:
        failed = f"trial {number} failed when it was measured again: outputs are not finite"
        assert failed in ended.out
        words = (run / "failures" / f"{number:04d}-confirmation.log").read_text()
        assert "not finite" in words
        assert table.loc[number, "state"] == "COMPLETE"
        assert not (run / "pareto" / f"{number:03d}.yaml").exists()
    assert "FP32 is best on this machine" in ended.out


def test_check_says_that_default_amp_does_not_run(
    quick: Command, night: Files, tmp_path: Path
) -> None:
    plain = small_study.night_study(night.model, night.data)
    ended = quick("check", "--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 3
    assert "default float16 does not run on this target" in ended.err
    assert "not finite" in ended.err
    assert "default bfloat16" in ended.out
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_model_that_crashes_in_fp32_is_the_targets_end(amp_tune: Command, tmp_path: Path) -> None:
    tiny_models.trouble(tmp_path / "model")
    aborts = 4
    np.savez(tmp_path / "data.npz", x=np.full((64, 4), aborts, np.float32))
    plain = {
        "name": "crash",
        "model": {"path": "model"},
        "data": {"path": "data.npz", "batch_size": 8},
        "accuracy": {"metric": "sqnr", "goal": {"min": 40}},
        "output": "run",
    }
    ended = amp_tune("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 3
    assert "the target cannot run the FP32 model: SIGABRT" in ended.err
    assert "Check failed" in ended.err
