"""The ready studies, end to end: real models, real data, real measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.config.load import load_study
from amp_tuner.results.points import read_front, read_point
from tests.configs.ready import ROOT, made, run, smaller
from tests.environments import interpreter


@pytest.mark.all_only
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("study", "maker", "metric", "samples"),
    [
        ("quickstart", "flight_delays", "agreement", 20_000),
        ("fashion_cnn", "fashion_mnist", "top1", 1000),
        ("basic_pitch", "basic_pitch", "sqnr", 64),
    ],
)
def test_a_ready_study_ends_with_an_answer(
    study: str, maker: str, metric: str, samples: int, tmp_path: Path
) -> None:
    made(maker)
    path = smaller(study, tmp_path, samples)
    words = ("--config", str(path), "--trials", "8", "--time-budget", "90s")
    assert metric in run("-m", "amp_tuner", *words)
    assert_answer(tmp_path / "run", metric)


def assert_answer(output: Path, metric: str) -> None:
    """A study measured FP32 and more, and ended with a best setting that meets the goal."""
    trials = pd.read_csv(output / "trials.csv")
    assert (trials.state.eq("COMPLETE") & trials.cached_from.isna()).sum() >= 3
    assert {"float32", "bfloat16", "float16"} <= set(trials.data_type)
    front = read_front(output / "pareto" / "front.yaml")
    assert front.best is not None
    best = read_point(output / "pareto" / f"{front.best:03d}.yaml")
    assert best.accuracy.verdict == "meets"
    assert best.accuracy.metric == metric
    # Whatever this machine's answer is: it is FP32, or certainly faster.
    assert best.speedup is not None
    assert best.setting.data_type == "float32" or best.speedup.low > 1
    assert (output / "best.env").is_file()
    assert (output / "best.py").is_file()


@pytest.mark.all_only
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("study", "maker", "metric", "samples", "op_types"),
    [
        ("xla_resnet50", "resnet50", "sqnr", 24, ["Relu", "MatMul"]),
        ("xla_efficientnet_lite0", "efficientnet_lite0", "agreement", 16, ["Relu6", "MatMul"]),
        ("xla_mobilenet", "mobilenet", "sqnr", 24, ["Relu6", "Mean"]),
        ("xla_minilm", "minilm", "top1", 128, ["Softmax", "MatMul"]),
        ("xla_decoder", "decoder", "sqnr", 24, ["Softmax", "MatMul"]),
        ("xla_fashion_cnn", "fashion_mnist", "top1", 1000, ["Relu", "MatMul"]),
    ],
)
def test_a_study_for_accelerators_runs_on_a_cpu(
    study: str, maker: str, metric: str, samples: int, op_types: list[str], tmp_path: Path
) -> None:
    interpreter("jax")
    made(maker)
    # XLA takes its time on a CPU, and how much is the machine's affair: few moves bound what is
    # compiled, without a budget of seconds.
    bounds = {"search.op_types": op_types, "search.time_budget": None}
    path = smaller(study, tmp_path, samples, bounds)
    words = ("--config", str(path), "--trials", "4", "--batch-size", "2")
    assert metric in run("-m", "amp_tuner", *words)
    assert_answer(tmp_path / "run", metric)
    point = read_point(tmp_path / "run" / "pareto" / "000.yaml")
    assert (point.runtime, point.batch_size) == ("xla", 2)


@pytest.mark.all_only
@pytest.mark.timeout(900)
def test_a_study_of_nodes_sets_single_nodes_apart(tmp_path: Path) -> None:
    made("topics")
    bounds = {"search.op_types": ["GatherV2", "Sum"], "search.time_budget": None}
    path = smaller("topics", tmp_path, 4096, bounds)
    assert "top1" in run("-m", "amp_tuner", "--config", str(path), "--trials", "12")
    assert_answer(tmp_path / "run", "top1")
    trials = pd.read_csv(tmp_path / "run" / "trials.csv")
    own = trials[trials.state.eq("COMPLETE") & trials.cached_from.isna()]
    assert any(moves_of_nodes(json.loads(moves)) for moves in own.moves)


@pytest.mark.all_only
@pytest.mark.timeout(900)
def test_a_training_step_is_tuned_with_its_gradients(tmp_path: Path) -> None:
    made("fashion_mnist")
    ready = ROOT / "configs" / "train_cnn.yaml"
    overrides = {
        "training.steps": 10,
        "training.curves": 2,
        "accuracy.goal": "80%",
        "measure.max_seconds": 1,
        "measure.processes": 1,
        "output": str(tmp_path / "run"),
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(load_study(ready, overrides=overrides).to_plain()))
    text = run("-m", "amp_tuner", "--config", str(path), "--trials", "6", "--time-budget", "2m")
    assert "training_loss" in text
    assert_answer(tmp_path / "run", "training_loss")
    graph = (tmp_path / "run" / "graphs" / "bfloat16.json").read_text()
    for op_type in ("Conv2DBackpropFilter", "Conv2DBackpropInput", "MaxPoolGrad", "ReluGrad"):
        assert f'"{op_type}"' in graph
    space = json.loads((tmp_path / "run" / "study.json").read_text())["identity"]["op_types"]
    assert {"Conv2DBackpropFilter", "Conv2DBackpropInput"} <= set(space)
    assert not [op_type for op_type in space if op_type.startswith(("Assign", "Resource"))]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_inception_v4_is_compared_at_batch_1_and_more(tmp_path: Path) -> None:
    made("inception_v4")
    path = smaller("inception_v4", tmp_path, samples=32)
    words = ("compare", "--config", str(path), "--batch-size", "1", "4")
    text = run("-m", "amp_tuner", *words)
    *tables, normalised = text.split("normalised to FP32")
    assert "sqnr" in tables[0]
    title, *lines = normalised.splitlines()
    assert title.split("  ")[-2:] == ["latency, batch of 1", "throughput, batches of 4"]
    (amp,) = (line for line in lines if line.startswith("default bfloat16"))
    assert all(float(ratio) > 0 for ratio in amp.split()[-2:])
