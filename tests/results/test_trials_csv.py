from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.records import Measurement, Setting
from amp_tuner.results.trials_csv import COLUMNS, TrialsTable
from tests.results.examples import ACCURACY, HOSTILE, TIMING, trial


def table(path: Path, *trials: object) -> pd.DataFrame:
    TrialsTable(path / "trials.csv", trials).close()  # type: ignore[arg-type]
    return pd.read_csv(path / "trials.csv")


def test_pandas_reads_a_measured_trial_back_in_one_line(tmp_path: Path) -> None:
    row = table(tmp_path, trial()).iloc[0]
    assert (row["number"], row["state"], row["data_type"]) == (7, "COMPLETE", "float16")
    assert json.loads(row["moves"]) == {"Mul": "allow", "Sum": "allow"}
    assert (row["speedup"], row["speedup_low"], row["speedup_high"]) == (1.31, 1.3, 1.32)
    assert (row["accuracy"], row["drop"]) == (0.9991, 0.0009)
    assert row["feasible"]
    assert row["onednn"]
    assert (row["nodes_16bit"], row["casts"], row["graph_id"]) == (31, 4, "a1b2")
    assert (row["seconds"], row["overhead_s"], row["format"]) == (12.346, 0.2, 1)
    assert json.loads(row["notices"]) == ["too noisy to resolve 1 %"]


def test_what_has_no_value_is_empty(tmp_path: Path) -> None:
    failed = trial(state="FAIL", cause="SIGSEGV", measurement=None, effective=None)
    row = table(tmp_path, failed).iloc[0]
    empty = {name for name in COLUMNS if pd.isna(row[name])}
    assert empty == {
        *("anchor", "speedup", "speedup_low", "speedup_high", "modelled_for"),
        *("accuracy", "accuracy_low", "accuracy_high", "drop", "feasible"),
        *("tf32", "cached_from", "nodes_16bit", "casts", "graph_id", "notices"),
    }
    assert row["cause"] == "SIGSEGV"


def test_a_modelled_speed_names_its_device_and_a_measured_one_names_none(tmp_path: Path) -> None:
    modelled = replace(TIMING, modelled_for="=T4\n")
    priced = trial(8, measurement=Measurement(trial().effective, ACCURACY, modelled))  # type: ignore[arg-type]
    rows = table(tmp_path, trial(7), priced)
    assert pd.isna(rows.iloc[0]["modelled_for"])
    assert rows.iloc[1]["modelled_for"] == "'=T4"


def test_a_trial_that_accuracy_ended_has_no_speedup(tmp_path: Path) -> None:
    misses = replace(ACCURACY, verdict="misses")
    untimed = trial(measurement=Measurement(trial().effective, misses, None))  # type: ignore[arg-type]
    row = table(tmp_path, untimed).iloc[0]
    assert pd.isna(row["speedup"])
    assert not row["feasible"]


def test_rows_come_by_number_and_cached_ones_name_their_source(tmp_path: Path) -> None:
    read = table(tmp_path, trial(9, cached_from=7), trial(7))
    assert list(read["number"]) == [7, 9]
    assert read["cached_from"].iloc[1] == 7


# Each example waits for the disk.
@given(st.text() | st.just(HOSTILE), st.dictionaries(st.text(min_size=1), st.just("deny")))
def test_each_trial_is_one_line_whatever_its_texts_hold(
    tmp_path_factory: pytest.TempPathFactory, cause: str, moves: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    read = table(folder, trial(1, cause=cause, setting=Setting("float16", moves)), trial(2))
    assert (folder / "trials.csv").read_bytes().count(b"\n") == 3
    assert list(read["number"]) == [1, 2]
    assert json.loads(read["moves"].iloc[0]) == moves


def test_figures_are_read_back_exactly(tmp_path: Path) -> None:
    value = 1.1 + 2.2e-16
    speedup = replace(TIMING.speedup, value=value)
    measurement = Measurement(
        trial().effective,  # type: ignore[arg-type]
        ACCURACY,
        replace(TIMING, speedup=speedup),
    )
    TrialsTable(tmp_path / "t.csv", [trial(measurement=measurement)]).close()
    read = pd.read_csv(tmp_path / "t.csv")
    assert read["speedup"].iloc[0] == value


FULL = """
import signal, sys
from pathlib import Path
from amp_tuner.results.trials_csv import TrialsTable
from tests.results.examples import trial
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
table = TrialsTable(path, [trial(1)])
try:
    if sys.argv[2] == "anew":
        TrialsTable(path, [trial(number) for number in range(1000)])
    for number in range(2, 1000):
        table.add(trial(number))
except OSError:
    sys.exit(7)
"""


@pytest.mark.parametrize("how", ["anew", "row by row"])
def test_a_full_disk_leaves_the_rows_of_before(tmp_path: Path, how: str) -> None:
    path = tmp_path / "trials.csv"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", FULL, str(path), how]
    ended = subprocess.run(command, check=False, preexec_fn=limit, env=environment)
    assert ended.returncode == 7
    numbers = list(pd.read_csv(path)["number"])
    assert numbers == list(range(1, len(numbers) + 1))
    assert (len(numbers) > 1) == (how == "row by row")
    assert [item.name for item in tmp_path.iterdir()] == ["trials.csv"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_no_cell_is_a_spreadsheets_formula(tmp_path: Path, start: str) -> None:
    sly = trial(state="FAIL", cause=f"{start}cmd|' /c calc'!A1", measurement=None)
    cause = table(tmp_path, sly).iloc[0]["cause"]
    assert not cause.lstrip().startswith(("=", "+", "-", "@"))


def test_rows_that_are_added_one_by_one_are_the_table_that_is_written_whole(
    tmp_path: Path,
) -> None:
    trials = [trial(1), trial(2, cached_from=1), trial(3, cause="SIGSEGV", measurement=None)]
    TrialsTable(tmp_path / "whole.csv", trials).close()
    grown = TrialsTable(tmp_path / "grown.csv", trials[:1])
    for one in trials[1:]:
        grown.add(one)
    grown.close()
    assert (tmp_path / "grown.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
