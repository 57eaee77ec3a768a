"""Experiments, small: those on accelerators, on the CPU and labelled so, and how studies grow."""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.configs.ready import ROOT, made, run, smaller
from tests.environments import interpreter

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study file."""
    interpreter("jax")
    made("decoder")
    return smaller("xla_decoder", tmp_path_factory.mktemp("decoder"), samples=24)


def own_names(module: Path) -> Iterator[str]:
    """What may be imported from a module."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            yield from (one.id for one in ast.walk(node) if isinstance(one, ast.Name))


def test_what_experiments_import_from_each_other_is_there() -> None:
    # They are no package: each puts its neighbours' folder on the path, which mypy does not see.
    modules = sorted((ROOT / "experiments").rglob("*.py"))
    names: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        names[module.stem].update(own_names(module))
    imported = [
        (module, node.module, alias.name)
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in names
        for alias in node.names
    ]
    assert len(imported) > 20
    assert [one for one in imported if one[2] not in names[one[1]]] == []


@pytest.mark.all_only
def test_the_table_of_a_cpu_says_so_and_holds_fp32_and_default_amp(
    decoder: Path, tmp_path: Path
) -> None:
    words = ["--device", "cpu", "--config", str(decoder), "--batch-size", "2", "--trials", "3"]
    run("experiments/accelerator/run.py", *words, "--output", str(tmp_path))
    text = (tmp_path / "cpu.md").read_text()
    title, _, label, *_ = text.splitlines()
    assert (title, "These figures are a CPU's" in label) == ("# cpu", True)
    assert "- jax: " in text
    assert "- xla_options: xla_allow_excess_precision=False" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| study | 2 |")]
    settings = {(row[2], row[3].strip("*")) for row in rows}
    assert {("ITEX CPU", "FP32"), ("ITEX CPU", "default bfloat16")} <= settings
    defaults = {("TensorFlow CPU", f"default {name}") for name in ("bfloat16", "float16")}
    assert defaults <= settings
    # The median latency in ms.
    assert all(float(row[5]) > 0 for row in rows)


@pytest.mark.all_only
def test_fp32_of_xla_is_that_of_tensorflows_own_compiler(decoder: Path) -> None:
    words = ["--untimed", "--config", str(decoder), "--samples", "8"]
    text = run("experiments/jit_compile/run.py", *words)
    for ours in ("ours", "ours, compiled by TensorFlow"):
        assert f"  FP32 outputs, {ours}: within 1e-06: " in text
    (bf16,) = (line for line in text.splitlines() if line.startswith("  BF16 sqnr: ours "))
    assert ", TensorFlow's " in bf16


def rows(text: str) -> dict[int, tuple[int, int, float]]:
    """How a study grew, by the number of its workers: trials, trials an hour, share of linear."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {
        int(row[0]): (int(row[1]), int(row[2].replace(",", "")), float(row[3])) for row in cells[1:]
    }


@pytest.mark.all_only
def test_members_on_a_simulated_clock_work_beside_each_other() -> None:
    postgres.needed()
    words = ["--members", "1", "3", "--trials", "4", "--trial-seconds", "100"]
    found = rows(run("-m", "experiments.growth.members", *words))
    # FP32 is one of the trials, and needs no measuring.
    assert found[1][0] == 3
    assert found[3][0] in (11, 12)
    assert found[1][2] == 1
    assert found[1][1] <= 36
    # Nobody waits for somebody else's trial.
    assert 2 * found[1][1] < found[3][1] <= 3 * 36


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="NOT TESTED: no ray")
def test_workers_that_ray_places_share_a_study_whose_device_is_a_wait() -> None:
    postgres.needed()
    words = ["--workers", "2", "--trials", "4", "--trial-seconds", "10"]
    found = rows(run("-m", "experiments.growth.workers", *words))
    ((trials, hourly, linear),) = found.values()
    # FP32 is one of the trials; what two workers begin at the same moment may be one too many.
    assert trials in (7, 8)
    assert linear == 1
    assert 0 < hourly <= 2 * 360
