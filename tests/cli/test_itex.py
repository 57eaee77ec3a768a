"""Studies on ITEX's own pass and kernels: measured, verified, and where the kernels abort."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests import small_study, tiny_models
from tests.cli.conftest import Command
from tests.cli.test_verify import point_of, wrong
from tests.environments import interpreter
from tests.itex import runs_bfloat16, without_bfloat16

pytestmark = pytest.mark.all_only
SAMPLES = 256


@pytest.fixture
def write_study(tmp_path: Path) -> Any:
    """Writes a study of pictures under an interpreter."""

    def write(python: Path) -> Path:
        data = tmp_path / "data.npz"
        images = np.random.default_rng(0).normal(size=(SAMPLES, 8, 8, 1))
        np.savez(data, image=images.astype(np.float32))
        model = tiny_models.pictures(tmp_path / "model").path
        target = {"runtime": "itex", "python": str(python)}
        plain = small_study.study(Path(model), data, target=target)
        plain["data"] = {"path": str(data), "batch_size": 32}
        plain["accuracy"] = {"metric": "agreement", "goal": "80%"}
        plain["search"] |= {"trials": 4, "op_types": ["Relu", "Softmax"]}
        plain["limits"]["max_proposals"] = 6
        return small_study.write_study(tmp_path, plain)

    return write


def test_kernels_that_abort_are_told_and_end_with_float32(
    amp_tune: Command, write_study: Any, tmp_path: Path
) -> None:
    study = write_study(without_bfloat16(tmp_path))
    checked = amp_tune("check", "--config", study)
    assert checked.code == 3
    sentence = next(line for line in checked.err.splitlines() if line.startswith("amp-tune: "))
    assert "default bfloat16 does not run on this target (SIG" in sentence
    assert "use runtime engine or tensorflow, or another machine" in sentence

    ended = amp_tune("--config", study)
    assert ended.code == 0
    assert "FP32 is best on this machine" in ended.out
    table = pd.read_csv(tmp_path / "run" / "trials.csv")
    failed = table[table.data_type.eq("bfloat16") & table.cached_from.isna()]
    assert "default bfloat16" in set(failed.anchor)
    assert set(failed.state) == {"FAIL"}
    assert set(failed.cause) <= {"SIGABRT", "SIGSEGV"}
    for number in failed.number:
        last_words = (tmp_path / "run" / "failures" / f"{number:04d}.log").read_text()
        assert "auto_mixed_precision" in last_words


@runs_bfloat16
def test_a_study_is_measured_and_its_points_hold(
    amp_tune: Command, write_study: Any, tmp_path: Path
) -> None:
    ended = amp_tune("--config", write_study(interpreter("itex")))
    assert ended.code == 0
    run = tmp_path / "run"
    point = point_of(run, "bfloat16")
    found = tmp_path / "verdict.json"
    amp_tune("verify", run, "--point", point, "--json", found)
    verdict = json.loads(found.read_text())
    assert wrong(verdict) <= {"speed-up"}, "times may differ on a busy machine"
    checks = {check["name"]: check["here"] for check in verdict["checks"]}
    assert checks["conversion"].endswith("as predicted")
    assert checks["software: itex"].startswith("2.15.")
    printed = amp_tune("export", run, "--point", int(point.stem), "--format", "env").out
    assert "export ITEX_AUTO_MIXED_PRECISION=1" in printed.splitlines()
    assert "predicted, not measured" not in printed


@runs_bfloat16
def test_what_the_engine_measured_is_verified_by_itexs_pass(
    amp_tune: Command, finished: Path, tmp_path: Path
) -> None:
    found = tmp_path / "verdict.json"
    point = point_of(finished / "run", "bfloat16")
    words = ["verify", finished / "run", "--point", point, "--json", found]
    ended = amp_tune(*words, "--runtime", "itex", "--python", interpreter("itex"))
    assert ended.code == 4, "another TensorFlow than the study's"
    verdict = json.loads(found.read_text())
    assert {"software: tensorflow", "software: itex"} <= wrong(verdict)
    checks = {check["name"]: check for check in verdict["checks"]}
    assert checks["rules"]["here"] == "itex-cpu-bfloat16@2.15, painted again"
    assert checks["conversion"]["here"].endswith("as predicted")


def test_an_interpreter_without_itex_is_told_what_it_needs(
    amp_tune: Command, write_study: Any
) -> None:
    ended = amp_tune("check", "--config", write_study(interpreter("tf215")))
    assert ended.code == 3
    assert "has no ITEX: runtime itex needs an interpreter with intel-extension-for-" in ended.err
