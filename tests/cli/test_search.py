"""Searches from the command line: sampler ``amp``, small spaces, nothing to tune."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files

FEWEST_ANCHORS = 7


def events(run: Path, name: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def test_a_study_of_sampler_amp_predicts_explains_and_goes_on(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    plain = small_study.study(small.model, small.data, search={"sampler": "amp", "trials": 12})
    path, run = small_study.write_study(tmp_path, plain), tmp_path / "run"
    first = quick("--config", path, "--trials", "10", "--quiet")
    assert first.code == 0
    ended = quick("--config", path)
    assert ended.code == 0
    trials = pd.read_csv(run / "trials.csv")
    measured = trials[trials["cached_from"].isna() & (trials["data_type"] != "float32")]
    assert not measured["graph_id"].duplicated().any()
    predicted = [event for event in events(run, "asked") if event["predicted"] is not None]
    assert len(predicted) >= 12 - FEWEST_ANCHORS
    quality = events(run, "calibration")[-1]
    assert quality["time"]["outcomes"] <= len(predicted)
    assert "predictions of the time" in ended.out
    effects = pd.read_csv(run / "effects.csv")
    assert set(effects["data_type"]) == {"bfloat16", "float16"}
    assert "own work" in set(effects["change"])


def test_few_distinct_graphs_are_all_measured_and_the_study_ends(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    search = {"trials": 60, "op_types": ["MatMul"], "lists": ["allow", "deny"]}
    target = {"data_types": ["bfloat16"]}
    plain = small_study.study(small.model, small.data, search=search, target=target)
    ended = quick("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 0
    assert "distinct 16-bit graphs are all that painting every setting finds; each is" in ended.out
    assert "distinct 16-bit graphs were tried" in ended.out
    (said,) = events(tmp_path / "run", "distinct_graphs")
    trials = pd.read_csv(tmp_path / "run" / "trials.csv")
    assert len(trials) < 30
    graphs = set(trials["graph_id"]) - {"float32"}
    assert len(graphs) >= int(said["found"].split()[0])


def test_nothing_to_tune_is_said_with_its_reason_and_fp32_or_default_amp_is_the_answer(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    search = {"op_types": ["MatMul"], "lists": ["allow"]}
    plain = small_study.study(small.model, small.data, search=search)
    ended = quick("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 0
    reason = "because every op type is in allow (search.lists) by default"
    assert f"nothing to tune in this graph, {reason}" in ended.out.replace("\n", " ")
    assert (tmp_path / "run" / "best.env").exists()


def test_sampler_and_lists_may_change_when_a_study_goes_on_op_types_may_not(
    quick: Command, finished: Path, tmp_path: Path
) -> None:
    path = finished / "study.yaml"
    plain = small_study.yaml.safe_load(path.read_text(encoding="utf-8"))
    other = small_study.changed(
        plain, search={"sampler": "amp", "lists": ["allow", "deny"], "trials": 12}
    )
    small_study.write_study(finished, other)
    ended = quick("--config", path, "--quiet")
    assert ended.code == 0
    before = (finished / "run" / "trials.csv").read_bytes()
    refused = quick(
        "--config",
        small_study.write_study(finished, small_study.changed(other, search={"op_types": ["Sum"]})),
    )
    assert refused.code == 2
    assert "$.search.op_types" in refused.err
    assert (finished / "run" / "trials.csv").read_bytes() == before
