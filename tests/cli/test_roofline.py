"""Commands on studies of runtime ``roofline``: whatever they show of speed is called modelled."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from amp_tuner.cli.main import main
from amp_tuner.results.points import read_front, read_point
from amp_tuner.roofline.device import load_profile
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files
from tests.report.html_text import Page

T4 = Path(__file__).parents[2] / "configs" / "devices" / "nvidia-t4.yaml"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, small: Files, lent: Callable[[], Any]) -> Path:
    """The folder of a finished study; its output is in ``run``."""
    folder = tmp_path_factory.mktemp("roofline")
    shutil.copy(T4, folder / "t4.yaml")
    plain = small_study.study(small.model, small.data, search={"trials": 14})
    target = {"runtime": "roofline", "device": "gpu", "data_types": ["float16"]}
    plain = small_study.changed(plain, target={**target, "profile": "t4.yaml"})
    path = small_study.write_study(folder, plain)
    before = signal.getsignal(signal.SIGTERM)
    with lent():
        assert main(["--config", str(path)]) == 0
    signal.signal(signal.SIGTERM, before)
    return folder


@pytest.fixture
def study(done: Path, tmp_path: Path) -> Path:
    """A copy's study file."""
    return shutil.copytree(done, tmp_path / "study") / "study.yaml"


def test_every_row_of_the_table_says_which_device_was_modelled(done: Path) -> None:
    table = pd.read_csv(done / "run" / "trials.csv")
    assert set(table["state"]) == {"COMPLETE"}
    timed = table[table["speedup"].notna()]
    assert len(timed) == len(table) >= 5
    assert set(timed["modelled_for"]) == {"NVIDIA T4"}
    # A modelled time is exact, accuracy is measured and is not.
    assert (timed["speedup_low"] == timed["speedup_high"]).all()
    assert timed[timed["nodes_16bit"] > 0]["accuracy_low"].lt(1).all()
    assert timed["speedup"].nunique() > 1


def test_points_exports_and_the_closing_words_are_labelled(
    quick: Command, done: Path, study: Path
) -> None:
    run = study.parent / "run"
    points = [read_point(path) for path in sorted(run.glob("pareto/[0-9]*.yaml"))]
    assert {point.modelled_for for point in points} == {"NVIDIA T4"}
    assert {point.stop_reason for point in points} == {"modelled"}
    first, *_ = (run / "best.env").read_text().splitlines()
    assert first == "# modelled for NVIDIA T4, not measured: no device has shown this speed-up"
    again = quick("--config", study)
    assert again.code == 0
    assert "modelled speed-up" in again.out
    assert "modelled for NVIDIA T4, not measured" in again.out
    assert "Speed is modelled for NVIDIA T4, not measured." in again.out
    for form in ("env", "python", "yaml"):
        exported = quick("export", run, "--point", "fastest", "--format", form)
        assert exported.code == 0
        assert "modelled" in exported.out
        assert "measured with" not in exported.out
        assert "as they were measured" not in exported.out
    other = quick("export", run, "--point", "fastest", "--format", "env", "--runtime", "tensorflow")
    assert "modelled for NVIDIA T4, not measured" in other.out


def test_the_report_calls_every_speed_modelled(quick: Command, study: Path) -> None:
    run = study.parent / "run"
    assert quick("report", run).code == 0
    page = Page((run / "report.html").read_text())
    before = re.findall(r"(\w+) [\d.]+x", page.text)
    assert len(before) >= 2 * len(read_front(run / "pareto" / "front.yaml").entries)
    assert set(before) == {"modelled"}
    assert "Speed is modelled for NVIDIA T4, not measured." in page.texts("conclusion")
    assert "runtime roofline (speed modelled for NVIDIA T4)" in page.text
    assert "Modelled for NVIDIA T4, nothing was timed" in page.text
    told = [one["searched"][0] for one in page.data["cards"] if "searched" in one]
    told += [row["speed-up"] for row in page.data["trials"]]
    assert len(told) >= 10
    assert all(re.fullmatch(r"modelled [\d.]+x", words) for words in told if words != "not timed")
    assert '"modelled speed-up"' in json.dumps(page.data["specs"]["front"])
    assert '"modelled speed, times as fast"' in json.dumps(page.data["specs"]["effects"])
    # What only a clock could say, and a command that would be refused.
    for words in ("A B B A", "p90", "Drift", "amp-tune verify"):
        assert words not in page.text


def test_the_report_of_a_study_in_which_nothing_meets_the_goal_says_modelled_too(
    quick: Command, study: Path
) -> None:
    run = study.parent / "run"
    front = run / "pareto" / "front.yaml"
    plain = yaml.safe_load(front.read_text())
    front.write_text(yaml.safe_dump({**plain, "best": None}))
    assert quick("report", run).code == 0
    said = Page((run / "report.html").read_text()).texts("conclusion")
    assert said.startswith("Nothing certainly meets the goal")
    assert said.endswith("Speed is modelled for NVIDIA T4, not measured.")


def test_a_batch_and_its_page_say_modelled(quick: Command, study: Path, tmp_path: Path) -> None:
    ended = quick("batch", study, "--summary", tmp_path / "summary")
    assert ended.code == 0
    assert re.search(r" modelled [\d.]+x ", ended.out)
    page = Page((tmp_path / "summary" / "summary.html").read_text())
    assert "NVIDIA T4, modelled on " in page.text
    assert set(re.findall(r"(\w+) [\d.]+x", page.text)) == {"modelled"}
    assert '"modelled speed-up"' in json.dumps(page.data["specs"])


def test_effects_and_the_journal_name_the_modelled_device(done: Path) -> None:
    table = pd.read_csv(done / "run" / "effects.csv")
    assert len(table)
    assert set(table["modelled_for"]) == {"NVIDIA T4"}
    assert '"modelled_for":"NVIDIA T4"' in (done / "run" / "study.journal").read_text()


def test_a_baked_model_is_exported_as_the_modelled_device_would_run_it(
    quick: Command, study: Path, tmp_path: Path
) -> None:
    run = study.parent / "run"
    ended = quick(
        "export", run, "--point", "fastest", "--format", "savedmodel", "--output", tmp_path / "out"
    )
    assert ended.code == 0
    assert (tmp_path / "out" / "saved_model.pb").is_file()


def test_there_is_nothing_to_verify(quick: Command, study: Path) -> None:
    ended = quick("verify", study.parent / "run", "--point", "fastest")
    assert ended.code == 2
    assert "speed is modelled for NVIDIA T4, so there is no measurement to verify" in ended.err


def test_check_and_compare_say_modelled(quick: Command, study: Path) -> None:
    for words in (("check",), ("compare", "--batch-size", "1", "16")):
        ended = quick(*words, "--config", study)
        assert ended.code == 0
        assert "modelled speed-up" in ended.out
        assert "modelled latency, ms" in ended.out
        assert "modelled for NVIDIA T4, not measured" in ended.out
    assert "modelled, normalised to FP32" in ended.out


def test_another_profile_is_another_study(quick: Command, study: Path) -> None:
    profile = study.with_name("t4.yaml")
    profile.write_text(profile.read_text().replace("320.0e9", "640.0e9"))
    ended = quick("--config", study)
    assert ended.code == 2
    assert "profile" in ended.err


def test_every_problem_of_the_profile_is_told_with_those_of_the_study(
    quick: Command, study: Path
) -> None:
    profile = study.with_name("t4.yaml")
    text = (
        profile.read_text().replace("value: 40,", "value: none,").replace("winograd:", "winogra:")
    )
    profile.write_text(text)
    plain = yaml.safe_load(study.read_text())
    study.write_text(yaml.safe_dump(small_study.changed(plain, accuracy={"threshold": "half"})))
    ended = quick("--config", study)
    assert ended.code == 2
    head, *lines = [line.strip() for line in ended.err.splitlines()]
    assert head == "amp-tune: 4 problems"
    assert lines[0].startswith("$.accuracy.threshold: found 'half'")
    assert lines[1].startswith(f"{profile}: winogra: unknown key (did you mean winograd?)")
    assert lines[2] == f"{profile}: compute_units.value: found 'none'; allowed: a number above 0"
    assert lines[3].startswith(f"{profile}: winograd: found nothing (null); allowed: ")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ({"data_types": ["bfloat16"]}, "$.target.data_types[0]: NVIDIA T4 has no rates for bfloat"),
        ({"device": "cpu"}, "$.target.profile: NVIDIA T4 is a gpu, the study's device is cpu"),
        ({"profile": "no.yaml"}, "$.target.profile: no such file: "),
    ],
)
def test_a_profile_must_fit_the_study(
    quick: Command, study: Path, target: dict[str, Any], problem: str
) -> None:
    plain = yaml.safe_load(study.read_text())
    study.write_text(yaml.safe_dump(small_study.changed(plain, target=target)))
    ended = quick("--config", study)
    assert ended.code == 2
    assert problem in ended.err


def test_profile_device_writes_a_profile_of_this_machine(quick: Command, tmp_path: Path) -> None:
    path = tmp_path / "here.yaml"
    ended = quick("profile-device", "--seconds", "0", "--threads", "1,1", "--output", path)
    assert ended.code == 0
    profile = load_profile(path)
    assert profile.device == "cpu"
    assert profile.data_types == ("float32", "bfloat16", "float16")
    assert {"depthwise", "transcendental", "cast"} <= profile.rates.keys()
    assert profile.memory_bytes_per_s <= profile.cache_bytes_per_s
    assert "measured by amp-tune profile-device, TensorFlow 2" in path.read_text()
