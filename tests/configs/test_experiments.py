"""The experiments on accelerators, tried on the CPU: small, and labelled as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configs.ready import made, run, smaller
from tests.environments import interpreter

pytestmark = [pytest.mark.all_only, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study file."""
    interpreter("jax")
    made("decoder")
    return smaller("xla_decoder", tmp_path_factory.mktemp("decoder"), samples=24)


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


def test_fp32_of_xla_is_that_of_tensorflows_own_compiler(decoder: Path) -> None:
    words = ["--untimed", "--config", str(decoder), "--samples", "8"]
    text = run("experiments/jit_compile/run.py", *words)
    for ours in ("ours", "ours, compiled by TensorFlow"):
        assert f"  FP32 outputs, {ours}: within 1e-06: " in text
    (bf16,) = (line for line in text.splitlines() if line.startswith("  BF16 sqnr: ours "))
    assert ", TensorFlow's " in bf16
