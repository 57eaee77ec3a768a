"""What ``verify`` says of a point that still holds, and of one that does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from amp_tuner.records import Timing
from amp_tuner.target.bench import Bench
from tests.cli.conftest import Command, Ended
from tests.conftest import Files
from tests.environments import interpreter

Edit = Callable[[dict[str, Any]], object]


def point_of(run: Path, data_type: str) -> Path:
    """A published point that converts something."""
    for path in sorted((run / "pareto").glob("[0-9]*.yaml")):
        plain = yaml.safe_load(path.read_text())
        if plain["data_type"] == data_type and plain["nodes_16bit"]:
            return path
    raise AssertionError(f"no point of {data_type} in {run}")


@pytest.fixture
def verified(quick: Command, finished: Path, tmp_path: Path) -> Callable[..., Any]:
    """Verifies a point of the finished study, edited first; gives the end and what was compared.

    Its speed-up may be anything: no clock of a busy machine decides what a test says.
    """

    def verify(*options: Any, edit: Edit | None = None) -> tuple[Ended, dict[str, Any]]:
        plain = yaml.safe_load(point_of(finished / "run", "float16").read_text())
        plain["speedup"].update(value=1.0, low=1e-6, high=1e6)
        if edit is not None:
            edit(plain)
        point = tmp_path / "point.yaml"
        point.write_text(yaml.safe_dump(plain))
        found = tmp_path / "verdict.json"
        ended = quick("verify", finished / "run", "--point", point, "--json", found, *options)
        return ended, json.loads(found.read_text())

    return verify


def wrong(verdict: dict[str, Any]) -> set[str]:
    return {check["name"] for check in verdict["checks"] if check["answer"] != "valid"}


def test_an_unchanged_system_is_valid(verified: Callable[..., Any]) -> None:
    ended, verdict = verified()
    assert wrong(verdict) == set()
    assert (ended.code, verdict["answer"]) == (0, "valid")
    assert ended.out.startswith("Valid: conversion, accuracy and speed are what was published.")
    names = [check["name"] for check in verdict["checks"]]
    for name in ("model", "data", "threads", "batch size", "lists", "variables"):
        assert name in names
    assert names[-3:] == ["conversion", "agreement", "speed-up"]


def test_the_best_point_is_verified_by_default(
    quick: Command, finished: Path, tmp_path: Path
) -> None:
    found = tmp_path / "verdict.json"
    quick("verify", finished / "run", "--json", found)
    front = yaml.safe_load((finished / "run" / "pareto" / "front.yaml").read_text())
    assert json.loads(found.read_text())["point"] == front["best"]


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [("--threads", "2,1", "threads"), ("--batch-size", 32, "batch size")],
)
def test_other_threads_or_batches_are_stale(
    verified: Callable[..., Any], option: str, value: Any, name: str
) -> None:
    ended, verdict = verified(option, value)
    assert ended.code == 1
    assert name in wrong(verdict)
    assert ended.out.startswith(f"Stale: not as published any more: {name}")


def test_a_changed_list_is_stale(verified: Callable[..., Any]) -> None:
    def edit(plain: dict[str, Any]) -> None:
        plain["moves"] = {**plain["moves"], "MatMul": "deny"}

    ended, verdict = verified(edit=edit)
    assert ended.code == 1
    assert {"lists", "predicted graph"} <= wrong(verdict)


def test_changed_variables_are_stale(verified: Callable[..., Any]) -> None:
    def edit(plain: dict[str, Any]) -> None:
        plain["environment"] = {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD": "MatMul"}

    ended, verdict = verified(edit=edit)
    assert (ended.code, wrong(verdict)) == (1, {"variables"})


def test_a_changed_model_is_stale_and_nothing_else_is_looked_at(
    verified: Callable[..., Any], small: Files, tmp_path: Path
) -> None:
    other = shutil.copytree(small.model, tmp_path / "other")
    with (other / "saved_model.pb").open("ab") as file:
        file.write(b"\x12\x00")
    ended, verdict = verified("--model", other)
    assert ended.code == 1
    assert [check["name"] for check in verdict["checks"]] == ["model"]


def test_other_data_are_stale(verified: Callable[..., Any], small: Files, tmp_path: Path) -> None:
    data = tmp_path / "other.npz"
    with np.load(small.data) as arrays:
        np.savez(data, **{**arrays, "keys": arrays["keys"][::-1]})
    ended, verdict = verified("--data", data)
    assert (ended.code, wrong(verdict)) == (1, {"data"})


def faster_than_it_can_be(plain: dict[str, Any]) -> None:
    plain["speedup"].update(value=60.0, low=50.0, high=70.0)
    plain["latency_ms"]["candidate"]["p50"] = 1e-6


def beside_a_slower_float32(plain: dict[str, Any]) -> None:
    """FP32 took longer when it was published; the setting took no less than now."""
    faster_than_it_can_be(plain)
    plain["latency_ms"]["candidate"]["p50"] = 1e6


def test_a_certain_loss_of_speed_is_stale(verified: Callable[..., Any]) -> None:
    ended, verdict = verified(edit=faster_than_it_can_be)
    assert (ended.code, wrong(verdict)) == (1, {"speed-up"})


def test_a_setting_beside_which_float32_has_become_faster_is_valid_and_both_are_told(
    verified: Callable[..., Any],
) -> None:
    _, verdict = verified(edit=beside_a_slower_float32)
    assert wrong(verdict) == set()
    (speed,) = (check for check in verdict["checks"] if check["name"] == "speed-up")
    assert "the setting " in speed["here"]
    assert "ms (published 1e+06 ms)" in speed["here"]


@pytest.mark.all_only
def test_a_loss_of_speed_is_certain_only_if_further_processes_show_it_too(
    verified: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    timed, close = Bench.timed, Bench.close

    def timing(self: Bench, *words: Any, **more: Any) -> Timing:
        done.append("time")
        return timed(self, *words, **more)

    def closed(self: Bench) -> None:
        done.append("end the processes")
        close(self)

    monkeypatch.setattr(Bench, "timed", timing)
    monkeypatch.setattr(Bench, "close", closed)
    stored = finished / "run" / "study.json"
    study = json.loads(stored.read_text())
    study["config"]["measure"]["processes"] = 3
    stored.write_text(json.dumps(study))
    verified(edit=faster_than_it_can_be)
    assert done[:5] == ["time", *2 * ["end the processes", "time"]]


@pytest.mark.all_only
@pytest.mark.parametrize(("load", "told"), [(7.1, True), (1.0, False)])
def test_a_loss_of_speed_is_told_with_the_load_of_other_programs(
    load: float, told: bool, verified: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    _, verdict = verified(edit=faster_than_it_can_be)
    (speed,) = (check for check in verdict["checks"] if check["name"] == "speed-up")
    assert ("while other programs ran (load average 7.1, 2 threads)" in speed["here"]) == told


def test_a_certain_loss_of_accuracy_is_stale(verified: Callable[..., Any]) -> None:
    def edit(plain: dict[str, Any]) -> None:
        plain["accuracy"].update(drop=-0.5, drop_low=-0.6, drop_high=-0.4)

    ended, verdict = verified(edit=edit)
    assert (ended.code, wrong(verdict)) == (1, {"agreement"})


def test_other_hardware_is_named_whatever_else_is_wrong(verified: Callable[..., Any]) -> None:
    def edit(plain: dict[str, Any]) -> None:
        plain["hardware"]["cpu"] = "another one"
        faster_than_it_can_be(plain)

    ended, verdict = verified(edit=edit)
    assert (ended.code, verdict["answer"]) == (4, "other hardware or software")
    assert wrong(verdict) == {"hardware: cpu", "speed-up"}
    assert "than the point was measured on: hardware: cpu." in ended.out


def test_the_real_pass_is_run_where_it_was_only_predicted(verified: Callable[..., Any]) -> None:
    _, verdict = verified("--runtime", "tensorflow")
    checks = {check["name"]: check for check in verdict["checks"]}
    assert checks["conversion"]["answer"] == "valid"
    assert checks["conversion"]["here"].endswith("as predicted")
    assert checks["agreement"]["answer"] == "valid"


@pytest.mark.all_only
def test_another_tensorflow_is_named(amp_tune: Command, finished: Path, tmp_path: Path) -> None:
    found = tmp_path / "verdict.json"
    python = interpreter("tf215")
    ended = amp_tune("verify", finished / "run", "--python", python, "--json", found)
    assert ended.code == 4
    assert "software: tensorflow" in wrong(json.loads(found.read_text()))


def test_a_study_that_never_ended_has_nothing_to_verify(quick: Command, tmp_path: Path) -> None:
    ended = quick("verify", tmp_path)
    assert ended.code == 2
    assert "holds no finished study" in ended.err


def test_a_point_that_the_front_has_not(quick: Command, finished: Path) -> None:
    ended = quick("verify", finished / "run", "--point", "4711")
    assert ended.code == 2
    assert "--point: found '4711'; allowed: best, knee, fastest, safest, or one of [" in ended.err


def test_threads_are_two_numbers(quick: Command, finished: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        quick("verify", finished / "run", "--threads", "2")
    assert stopped.value.code == 2
