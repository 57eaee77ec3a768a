"""What the other verbs say and write, on a real model and with real workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from amp_tuner.records import Timing
from amp_tuner.study.planning import Plan
from amp_tuner.study.repeating import time_again
from amp_tuner.study.session import Session
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files

SERVE = Path(__file__).parents[1] / "runtime" / "serve_models.py"
RULES = ("--rules", "tf-cpu-bfloat16")
MOVES = {"GatherV2": "allow", "Mul": "allow", "Sum": "allow"}


@pytest.fixture
def study_file(small: Files, tmp_path: Path) -> Path:
    """A study file in a folder of its own."""
    folder = tmp_path / "study"
    folder.mkdir()
    return small_study.write_study(folder, small_study.study(small.model, small.data))


@pytest.fixture
def moves(tmp_path: Path) -> Path:
    """Moves as a user writes them."""
    path = tmp_path / "moves.yaml"
    path.write_text(yaml.safe_dump({"moves": MOVES}))
    return path


def rows(text: str) -> dict[str, str]:
    """A comparing table's rows by name, their second lines left out."""
    lines = text[text.index("data type") :].splitlines()[1:]
    return {line.split("  ")[0]: line for line in lines if line and not line.startswith(" ")}


def test_check_says_what_works_and_what_a_trial_costs(quick: Command, study_file: Path) -> None:
    ended = quick("check", "--config", study_file)
    assert ended.code == 0
    assert "input keys: int32 [?, 8]" in ended.out
    assert "output probability: float32 [?, 1]" in ended.out
    assert "300 samples to search on, 300 held back" in ended.out
    assert "op types that can be tuned: GatherV2, MatMul, Mul, " in ended.out
    assert {"FP32, oneDNN off", "default bfloat16", "default float16"} <= rows(ended.out).keys()
    assert re.search(r"a trial takes about .+; 10 trials: ", ended.out)
    assert list(study_file.parent.iterdir()) == [study_file], "check writes nothing"


def test_compare_takes_points_and_moves_of_ones_own(
    quick: Command, finished: Path, study_file: Path, moves: Path
) -> None:
    table = pd.read_csv(finished / "run" / "trials.csv").set_index("anchor")
    number = table.loc["default float16", "number"]
    point = finished / "run" / "pareto" / f"{number:03d}.yaml"
    ended = quick("compare", "--config", study_file, "--lists", point, moves)
    assert ended.code == 0
    found = rows(ended.out)
    assert re.search(r"float16 +same graph", found[point.stem])
    # A file of moves alone is tried in each data type.
    for data_type in ("bfloat16", "float16"):
        line = found[f"moves {data_type}"]
        assert re.search(rf"{data_type} +\d+\.\d+x +[\d.]+ +\d+ +\d+ ", line), line
    assert list(study_file.parent.iterdir()) == [study_file]


def test_compare_at_several_batch_sizes_shows_latency_and_throughput_over_float32(
    quick: Command, study_file: Path
) -> None:
    ended = quick("compare", "--config", study_file, "--batch-size", 1, 32)
    assert ended.code == 0
    first, second, normalised = re.split(
        r"(?m)^batches of \d+, in one process$|(?=^normalised to)", ended.out
    )[1:]
    assert "latency, ms" in first
    assert "samples/s" in first
    names = {"FP32, oneDNN on", "FP32, oneDNN off", "default bfloat16", "default float16"}
    assert names <= rows(first).keys() & rows(second).keys()
    title, *lines = normalised.splitlines()
    assert re.search(r"  latency, batch of 1  throughput, batches of 32$", title)
    ratios = {name: line.split()[-2:] for line in lines for name in names if line.startswith(name)}
    assert ratios.keys() == names
    for column in zip(ratios["FP32, oneDNN on"], ratios["FP32, oneDNN off"], strict=True):
        assert "1.000" in column, "the faster FP32 is the baseline"


def test_compare_times_all_but_the_baseline_in_each_process(
    quick: Command, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def once_more(session: Session, plan: Plan, known: Timing, patience: float) -> Timing:
        timed.append(f"{plan.setting.data_type}, oneDNN {plan.setting.onednn}")
        return time_again(session, plan, known, patience)

    monkeypatch.setattr("amp_tuner.study.comparing.time_again", once_more)
    ended = quick("compare", "--config", study_file, "--processes", 3)
    assert ended.code == 0
    assert "batches of 64, in 3 processes" in ended.out
    others = [name for name in timed if name.startswith("float32")]
    assert len(others) == 2, "FP32's other form, in two further processes"
    assert len(timed) == 6, "and each default AMP"


def test_inspect_shows_lists_colours_and_casts(quick: Command, small: Files, moves: Path) -> None:
    ended = quick("inspect", small.model, *RULES)
    assert ended.code == 0
    assert re.search(r"tf-cpu-bfloat16@2\.21: 5 of \d+ nodes in 16 bits, 5 casts", ended.out)
    assert re.search(r"MatMul +allow +2 +2 +2 ", ended.out)
    assert re.search(r"GatherV2 +clear +1 +1 +0 ", ended.out)
    moved = quick("inspect", small.model, *RULES, "--lists", moves)
    assert re.search(r"GatherV2 +allow +1 +1 +1 ", moved.out)


def test_inspect_says_of_every_node_why(quick: Command, small: Files) -> None:
    ended = quick("inspect", small.model, *RULES, "--nodes")
    assert re.search(r"\(GatherV2, clear\): FP32: \w+", ended.out)
    assert re.search(r"\(Relu, clear\): 16-bit: CLEAR, between MatMul", ended.out)


def test_inspect_gives_everything_as_json(quick: Command, small: Files, tmp_path: Path) -> None:
    printed = json.loads(quick("inspect", small.model, *RULES, "--json", "-").out)
    ended = quick("inspect", small.model, *RULES, "--json", tmp_path / "graph.json")
    assert ended.code == 0
    assert json.loads((tmp_path / "graph.json").read_text()) == printed
    assert (printed["format"], printed["rules"]) == (1, "tf-cpu-bfloat16@2.21")
    by_op = {node["op"]: node for node in printed["nodes"]}
    assert by_op["Relu"]["colour"] == "16-bit"
    assert by_op["GatherV2"]["colour"] == "float32"


def test_a_rewritten_graph_is_read_again_and_has_16_bit_ops(
    quick: Command, small: Files, moves: Path, tmp_path: Path
) -> None:
    path = tmp_path / "baked.pb"
    ended = quick("rewrite", small.model, *RULES, "--lists", moves, "--output", path)
    assert ended.code == 0
    predicted = re.search(r"baked\.pb: (\d+) of \d+ nodes in 16 bits, (\d+) casts$", ended.out)
    assert predicted is not None, ended.out
    nodes = json.loads(quick("inspect", path, *RULES, "--json", "-").out)["nodes"]
    casts = [node for node in nodes if node["op"] == "Cast"]
    assert len(casts) >= int(predicted[2])


@pytest.mark.all_only
def test_baked_models_are_served_by_a_process_without_this_package(
    quick: Command, small: Files, finished: Path, moves: Path, tmp_path: Path
) -> None:
    """The model itself, `rewrite`'s and `export`'s, side by side: same signature, near outputs."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "given").symlink_to(small.model)
    words = ["rewrite", small.model, *RULES, "--lists", moves]
    ended = quick(*words, "--output", folder / "rewritten")
    assert ended.code == 0
    assert "weights folded" in ended.out
    table = pd.read_csv(finished / "run" / "trials.csv").set_index("anchor")
    number = table.loc["default float16", "number"]
    words = ["export", finished / "run", "--point", number, "--format", "savedmodel"]
    assert quick(*words, "--output", folder / "exported").code == 0

    with np.load(small.data) as arrays:
        keys = arrays["keys"][:200]
    for name in ("given", "rewritten", "exported"):
        np.savez(folder / f"{name}.npz", keys=keys)
        (folder / f"{name}.key").write_text("serving_default")
    subprocess.run([sys.executable, SERVE, folder], check=True, env={"PATH": "/usr/bin:/bin"})
    outputs: dict[str, Any] = {}
    for name in ("given", "rewritten", "exported"):
        with np.load(folder / f"{name}.out.npz") as arrays:
            assert arrays.files == ["probability"]
            outputs[name] = arrays["probability"]
    for name, tolerance in (("rewritten", 0.05), ("exported", 0.005)):
        assert outputs[name].dtype == np.float32
        assert not np.array_equal(outputs[name], outputs["given"]), "nothing is in 16 bits"
        np.testing.assert_allclose(outputs[name], outputs["given"], atol=tolerance)


def test_export_bakes_into_the_runs_own_folder_and_only_once(
    quick: Command, finished: Path
) -> None:
    words = ["export", finished / "run", "--format", "savedmodel"]
    ended = quick(*words)
    assert ended.code == 0
    assert (finished / "run" / "best" / "saved_model.pb").exists()
    again = quick(*words)
    assert again.code == 2
    assert "exists; name a new path" in again.err


@pytest.mark.parametrize("form", ["env", "python", "yaml"])
def test_export_gives_the_best_point_as_the_run_wrote_it(
    amp_tune: Command, finished: Path, tmp_path: Path, form: str
) -> None:
    run = finished / "run"
    front = yaml.safe_load((run / "pareto" / "front.yaml").read_text())
    path = {
        "env": run / "best.env",
        "python": run / "best.py",
        "yaml": run / "pareto" / f"{front['best']:03d}.yaml",
    }[form]
    printed = amp_tune("export", run, "--format", form)
    assert (printed.code, printed.out) == (0, path.read_text())
    ended = amp_tune("export", run, "--format", form, "--output", tmp_path / "there")
    assert (ended.code, ended.out) == (0, "")
    assert (tmp_path / "there").read_text() == path.read_text()


def test_export_for_another_runtime_is_labelled_as_predicted(
    quick: Command, finished: Path
) -> None:
    table = pd.read_csv(finished / "run" / "trials.csv").set_index("anchor")
    number = table.loc["default bfloat16", "number"]
    words = ["export", finished / "run", "--point", number, "--format", "env"]
    ended = quick(*words, "--runtime", "itex")
    assert ended.code == 0
    assert "predicted, not measured" in ended.out.splitlines()[0]
    assert "ITEX_AUTO_MIXED_PRECISION" in ended.out
    number = table.loc["default float16", "number"]
    refused = quick(*words[:3], number, *words[4:], "--runtime", "itex")
    assert refused.code == 2
    assert "itex has no float16 on cpu; it has: bfloat16" in refused.err


@pytest.mark.all_only
def test_a_study_of_the_stock_pass_exports_what_was_measured(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    plain = small_study.study(small.model, small.data, target={"runtime": "tensorflow"})
    path = small_study.write_study(tmp_path, plain)
    ended = quick("--config", path, "--trials", 6)
    assert ended.code == 0
    run = tmp_path / "run"
    table = pd.read_csv(run / "trials.csv").set_index("anchor")
    assert table.loc["default bfloat16", "nodes_16bit"] > 0
    assert table.loc["default bfloat16", "state"] == "COMPLETE"
    number = table.loc["everything bfloat16", "number"]
    point = run / "pareto" / f"{table.loc['default bfloat16', 'number']:03d}.yaml"
    assert yaml.safe_load(point.read_text())["rules"] == "tf-cpu-bfloat16@2.21"
    assert "predicted" not in (run / "best.env").read_text()
    assert number >= 0


@pytest.mark.parametrize(
    "verb",
    [
        *("run", "init", "check", "inspect", "rewrite", "export", "compare"),
        *("dashboard", "completion"),
    ],
)
def test_the_help_of_every_verb_names_its_options(
    verb: str, capsys: pytest.CaptureFixture[str], amp_tune: Command
) -> None:
    with pytest.raises(SystemExit, match="0"):
        amp_tune(verb, "--help")
    text = capsys.readouterr().out
    assert text.startswith(f"usage: amp-tune {verb}")
    assert len(text.splitlines()) >= 8
