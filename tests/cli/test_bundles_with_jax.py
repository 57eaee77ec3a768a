"""Bundles from end to end: written here, run under an interpreter that has JAX alone, taken in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from amp_tuner.bundle.archive import write_archive
from amp_tuner.bundle.run_bundle import PARTS, SUMS
from amp_tuner.cli.main import main
from tests import small_study
from tests.conftest import Files
from tests.environments import interpreter

pytestmark = pytest.mark.all_only
TIMEOUT_S = 240


def command(*words: Any) -> int:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return main([str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, before)


def start(bundle: Path, *words: Any, python: str | None = None) -> subprocess.Popen[str]:
    """The command of the device machine, in an environment that knows nothing of this project."""
    return subprocess.Popen(
        [python or interpreter("jax"), str(bundle / "run_bundle.py"), *map(str, words)],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(bundle: Path, *words: Any, python: str | None = None) -> tuple[int, str, str]:
    process = start(bundle, *words, python=python)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def write(folder: Path, name: str, trials: int, *words: str) -> Path:
    path = folder / "study.yaml"
    options = ("--trials", trials, "--part-size", "1MiB", "--output", folder / name)
    assert command("bundle", "--config", path, *options, *words) == 0
    return folder / name


def wait_for(folder: Path, pattern: str, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(folder.glob(pattern))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_children(process: subprocess.Popen[str]) -> None:
    """Kills the runner, and leaves the command alone."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)


def results_of(bundle: Path) -> Path:
    (path,) = bundle.glob("results-*.zip")
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, small: Files) -> Path:
    """A study's folder with a bundle that nobody has run."""
    folder = tmp_path_factory.mktemp("study")
    plain = small_study.study(small.model, small.data)
    plain["target"] |= {"runtime": "xla", "python": "/no/python"}
    small_study.write_study(folder, plain)
    write(folder, "bundle", 3)
    return folder


@pytest.fixture
def study(first: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(first, tmp_path / "study")


def test_two_rounds_with_a_kill_in_the_middle(study: Path) -> None:
    bundle = study / "bundle"
    killed = start(bundle)
    wait_for(bundle, "work-*/progress/*.search.json", 2)
    # The command and its runner, as a power cut would.
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    ended = {path: path.stat().st_mtime_ns for path in bundle.glob("work-*/progress/*.json")}
    assert not list(bundle.glob("results-*.zip"))
    code, out, err = run(bundle)
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in ended} == ended, "what ended stays"
    assert out.count("measuring ") <= 1 + 2 + 3 - 2 + out.count("measuring again")
    assert command("ingest", "--config", study / "study.yaml", results_of(bundle), "--quiet") == 0
    trials = pd.read_csv(study / "run/trials.csv")
    assert set(trials["state"]) == {"COMPLETE"}
    assert {"FP32", "default bfloat16", "default float16"} <= set(trials["anchor"].dropna())
    points = [yaml.safe_load(path.read_text()) for path in study.glob("run/pareto/[0-9]*.yaml")]
    assert points
    for point in points:
        assert point["software"]["xla_options"] == "xla_allow_excess_precision=False"
        assert point["accuracy"]["samples"] == small_study.SAMPLES // 2
        assert not [one for one in point["notices"] if one.startswith("not measured again")]
    assert (study / "run/best.env").exists()
    again = write(study, "second", 2)
    code, _, err = run(again)
    assert code == 0, err
    assert command("ingest", "--config", study / "study.yaml", results_of(again), "--quiet") == 0
    after = pd.read_csv(study / "run/trials.csv")
    pd.testing.assert_frame_equal(after[: len(trials)], trials, check_dtype=False)
    measured = after[after["cached_from"].isna()]
    assert measured["graph_id"].is_unique
    assert len(measured) == trials["cached_from"].isna().sum() + 2


def test_outputs_are_those_of_a_study_that_reaches_its_device(study: Path, small: Files) -> None:
    code, _, err = run(study / "bundle")
    assert code == 0, err
    results = results_of(study / "bundle")
    assert command("ingest", "--config", study / "study.yaml", results, "--quiet") == 0
    here = study / "here"
    here.mkdir()
    plain = small_study.study(small.model, small.data, search={"trials": 3})
    plain["target"] |= {"runtime": "xla", "python": interpreter("jax")}
    path = small_study.write_study(here, plain)
    assert command("--config", path, "--quiet") == 0
    tables = [pd.read_csv(folder / "run/trials.csv") for folder in (study, here)]
    scores = [
        table[table["anchor"].notna()].set_index("anchor")[["graph_id", "accuracy"]]
        for table in tables
    ]
    both = scores[0].index.intersection(scores[1].index)
    assert len(both) >= 3
    pd.testing.assert_frame_equal(scores[0].loc[both], scores[1].loc[both])


def test_a_runner_that_is_killed_costs_no_setting(study: Path) -> None:
    bundle = study / "bundle"
    process = start(bundle)
    wait_for(bundle, "work-*/progress/*.search.begun", 2)
    kill_children(process)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "failed" not in out
    with zipfile.ZipFile(results_of(bundle)) as archive:
        assert json.loads(archive.read("results.json"))["complete"] is True


def test_a_queue_that_ends_the_run_gets_the_results_so_far(study: Path) -> None:
    bundle = study / "bundle"
    process = start(bundle)
    wait_for(bundle, "work-*/progress/*.search.json", 2)
    process.terminate()
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "interrupted; the same command goes on" in err
    assert "settings are left" in out
    with zipfile.ZipFile(results_of(bundle)) as archive:
        described = json.loads(archive.read("results.json"))
    assert described["complete"] is False
    assert described["steps"] >= 2


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """An archive with other members and right checksums."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != SUMS}
    with path.open("wb") as file:
        write_archive(file, ((name, [change(name, data)]) for name, data in members.items()))


def newer(name: str, data: bytes) -> bytes:
    return data.replace(b"StableHLO_v1.", b"StableHLO_v9.") if name.startswith("pieces/") else data


def without_checksums(path: Path) -> None:
    """Takes the bundle's files at their word."""
    script = path / "run_bundle.py"
    text = script.read_text()
    assert text.count('!= info["sha256"]:') == 1
    script.write_text(text.replace('!= info["sha256"]:', "is None:"))


def test_an_artifact_of_a_newer_stablehlo_is_refused_with_both_versions(study: Path) -> None:
    bundle = study / "bundle"
    for part in bundle.glob(PARTS):
        rewritten(part, newer)
    code, _, err = run(bundle)
    assert code == 2
    assert "has another checksum" in err
    without_checksums(bundle)
    code, _, err = run(bundle)
    assert code == 3
    assert "the artifact is of StableHLO 9." in err
    assert "this JAX reads 1." in err


def test_artifacts_are_written_for_an_older_jax_on_demand(study: Path) -> None:
    bundle = write(study, "older", 1, "--stablehlo", "1.9.0")
    content = b"".join(path.read_bytes() for path in bundle.glob(PARTS))
    assert b"StableHLO_v1.9.0" in content
    assert run(bundle)[0] == 0


def test_an_interpreter_without_jax_is_named(study: Path) -> None:
    code, _, err = run(study / "bundle", python=sys.executable)
    assert code == 3
    assert f"{sys.executable} has no JAX of use here" in err


def test_a_changed_part_is_refused_before_anything_of_it_runs(study: Path) -> None:
    bundle = study / "bundle"
    part = next(bundle.glob(PARTS))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    code, out, err = run(bundle)
    assert (code, out) == (2, "")
    assert str(part) in err


def test_two_runs_in_one_place_do_not_disturb_each_other(study: Path) -> None:
    bundle = study / "bundle"
    first = start(bundle)
    wait_for(bundle, "work-*/progress/*.begun", 1)
    code, _, err = run(bundle)
    assert code == 2
    assert "another run_bundle.py works here" in err
    first.terminate()
    first.communicate(timeout=TIMEOUT_S)


def test_a_setting_that_ends_its_process_twice_fails_and_the_others_do_not(study: Path) -> None:
    bundle = study / "bundle"
    process = start(bundle)
    wait_for(bundle, "work-*/progress/*.search.begun", 2)
    (begun,) = [
        path
        for path in bundle.glob("work-*/progress/*.search.begun")
        if not path.name.startswith("float32") and not path.with_suffix(".json").exists()
    ]
    for count in ("1", "2"):
        while begun.read_text() != count:
            time.sleep(0.005)
        kill_children(process)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert out.count("failed: SIGKILL") == 1
    with zipfile.ZipFile(results_of(bundle)) as archive:
        described = json.loads(archive.read("results.json"))
        steps = [
            json.loads(archive.read(f"step-{position:04d}.json"))
            for position in range(described["steps"])
        ]
    assert [(step["cause"], step["fatal"]) for step in steps if step["cause"]] == [
        ("SIGKILL", True)
    ]
