"""Commands on studies of runtime ``xla``, with a real JAX on the CPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml

from amp_tuner.cli.main import main
from amp_tuner.worker.xla_client import XlaClient
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files
from tests.environments import interpreter

pytestmark = pytest.mark.all_only


def study(small: Files, **changes: dict[str, Any]) -> dict[str, Any]:
    plain = small_study.study(small.model, small.data, search={"trials": 5})
    plain["target"] |= {"runtime": "xla", "python": str(interpreter("jax"))}
    return small_study.changed(plain, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small: Files) -> Path:
    """The output of a study that ran with processes of its own; nothing may write into it."""
    folder = tmp_path_factory.mktemp("study")
    path = small_study.write_study(folder, study(small))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--config", str(path), "--quiet"]) == 0
    signal.signal(signal.SIGTERM, before)
    return folder / "run"


@pytest.fixture
def quick(
    amp_tune: Command, xla_worker: XlaClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Runs a command in this process, with the session's worker and runner."""
    monkeypatch.setattr("amp_tuner.target.workers.launch_xla", lambda *_, **__: xla_worker)
    monkeypatch.setattr(xla_worker, "close", lambda: None)
    return amp_tune


def points(run: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(path.read_text()) for path in sorted(run.glob("pareto/[0-9]*.yaml"))]


def test_a_study_measures_fp32_default_amp_and_more(finished: Path) -> None:
    table = pd.read_csv(finished / "trials.csv")
    assert set(table["state"]) == {"COMPLETE"}
    assert {"FP32", "default bfloat16", "default float16"} <= set(table["anchor"].dropna())
    assert not table["tf32"].any()
    assert table["tf32"].notna().all()
    assert table["onednn"].isna().all()
    measured = table[table["cached_from"].isna()]
    assert measured["graph_id"].nunique() == len(measured) >= 5
    assert (measured["speedup"] > 0).all()


def test_a_trials_file_has_what_building_it_took(finished: Path) -> None:
    seen = 0
    for path in finished.glob("trials/*.json"):
        trial = json.loads(path.read_text())["trial"]
        if trial["setting"]["data_type"] != "float32" and trial["cached_from"] is None:
            steps = trial["measurement"]["build_s"]
            assert steps.keys() == {"lower", "compile"}
            assert 0 < sum(steps.values()) <= trial["overhead_s"]
            seen += 1
    assert seen >= 2


def test_every_point_says_which_baseline_device_and_options(finished: Path) -> None:
    assert points(finished)
    for point in points(finished):
        assert (point["runtime"], point["tf32"], point["onednn"]) == ("xla", False, None)
        software = point["software"]
        assert {"jax", "jaxlib", "tensorflow", "stablehlo", "device_kind"} <= software.keys()
        assert software["xla_options"] == "xla_allow_excess_precision=False"
    content = json.loads((finished / "baseline.json").read_text())
    assert content["tf32"] is False


def test_a_study_goes_on_where_it_was(
    quick: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = small_study.write_study(tmp_path, study(small, search={"trials": 6}))
    ended = quick("--config", path, "--quiet")
    assert ended.code == 0, ended.err
    before, after = (pd.read_csv(run / "trials.csv") for run in (finished, tmp_path / "run"))
    pd.testing.assert_frame_equal(after[: len(before)], before, check_dtype=False)
    measured = [small_study.proposed_and_measured(table) for table in (before, after)]
    assert measured == [5, 6]
    known, still = ((run / "baseline.json").read_text() for run in (finished, tmp_path / "run"))
    assert still == known


def test_a_baseline_of_another_runtime_is_refused_by_name(
    quick: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    held = json.loads((run / "baseline.json").read_text())
    held["onednn"] = held.pop("tf32")
    (run / "baseline.json").write_text(json.dumps(held))
    path = small_study.write_study(tmp_path, study(small, search={"trials": 6}))
    ended = quick("--config", path, "--quiet")
    assert ended.code == 2
    assert "baseline.json: FP32 was measured in other forms than this target has" in ended.err


def test_check_names_the_one_form_of_fp32(quick: Command, small: Files, tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path, study(small))
    ended = quick("check", "--config", path)
    assert ended.code == 0, ended.err
    assert re.search(r"^FP32 +float32 +1\.000x", ended.out, re.MULTILINE)
    assert "oneDNN" not in ended.out
    assert re.search(r"^default bfloat16 +bfloat16 ", ended.out, re.MULTILINE)


def test_compare_takes_a_point(
    quick: Command, small: Files, finished: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, study(small))
    moves = tmp_path / "moves.yaml"
    moves.write_text(yaml.safe_dump({"moves": {"GatherV2": "allow"}, "data_type": "bfloat16"}))
    ended = quick("compare", "--config", path, "--lists", moves)
    assert ended.code == 0, ended.err
    assert re.search(r"^moves +bfloat16 +\d+\.\d+x", ended.out, re.MULTILINE)


def test_verify_finds_an_unchanged_point_valid(
    quick: Command, finished: Path, tmp_path: Path
) -> None:
    (converted, *_) = [point for point in points(finished) if point["nodes_16bit"]]
    # On a noisy machine speed alone must not decide.
    converted["speedup"] = None
    point = tmp_path / "point.yaml"
    point.write_text(yaml.safe_dump(converted))
    verdict = tmp_path / "verdict.json"
    ended = quick("verify", finished, "--point", point, "--json", verdict)
    checks = json.loads(verdict.read_text())["checks"]
    assert [one for one in checks if one["answer"] != "valid"] == []
    assert ended.code == 0
    assert {"software: jax", "software: xla_options", "predicted graph"} <= {
        one["name"] for one in checks
    }


def test_a_point_is_verified_under_tensorflow_by_tensorflows_own_interpreter(
    amp_tune: Command, finished: Path, lent: Callable[[], Any], tmp_path: Path
) -> None:
    (fp32, *_) = [point for point in points(finished) if point["data_type"] == "float32"]
    fp32["speedup"] = None
    point = tmp_path / "point.yaml"
    point.write_text(yaml.safe_dump(fp32))
    with lent():
        ended = amp_tune("verify", finished, "--point", point, "--runtime", "tensorflow")
    assert ended.code == 4, ended.err
    assert "software: jax" in ended.out


def test_another_jax_is_other_software(quick: Command, finished: Path, tmp_path: Path) -> None:
    (fp32, *_) = [point for point in points(finished) if point["data_type"] == "float32"]
    fp32["software"]["jaxlib"] = "0.1.0"
    point = tmp_path / "point.yaml"
    point.write_text(yaml.safe_dump(fp32))
    ended = quick("verify", finished, "--point", point)
    assert ended.code == 4
    assert "software: jaxlib" in ended.out


_PROGRAM = """
import sys
import best
best.apply()
import numpy as np
run = best.compiled()
with np.load(sys.argv[1]) as data:
    outputs = run(keys=data["keys"][:64])
np.save(sys.argv[2], outputs["probability"].numpy())
"""


def test_what_is_exported_runs_as_it_was_measured(
    amp_tune: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    (converted, *_) = [point for point in points(finished) if point["nodes_16bit"]]
    chosen = ("--point", converted["number"])
    for form, name in (("savedmodel", "best"), ("python", "best.py"), ("env", "best.env")):
        ended = amp_tune("export", finished, *chosen, "--format", form, "--output", tmp_path / name)
        assert ended.code == 0, ended.err
    program = [sys.executable, "-c", _PROGRAM, str(small.data), "outputs.npy"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run(program, cwd=tmp_path, env=environment, check=True, timeout=120)
    served = np.load(tmp_path / "outputs.npy")
    with np.load(small.data) as data:
        model = tf.saved_model.load(str(small.model))
        exact = model.signatures["serving_default"](keys=data["keys"][:64])["probability"].numpy()
    assert 0 < np.abs(served - exact).max() < 0.05
    text = (tmp_path / "best.env").read_text()
    assert "export XLA_FLAGS=--xla_allow_excess_precision=false\n" in text
    assert "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD=" not in text


def test_another_runtimes_variables_are_painted_by_tensorflow_not_by_the_runner(
    amp_tune: Command, finished: Path
) -> None:
    (converted, *_) = [point for point in points(finished) if point["nodes_16bit"]]
    words = ("--point", converted["number"], "--format", "env", "--runtime", "tensorflow")
    ended = amp_tune("export", finished, *words)
    assert ended.code == 0, ended.err
    assert "for tensorflow it is predicted, not measured" in ended.out
    assert "XLA_FLAGS" not in ended.out


def strings(folder: Path) -> Path:
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.int32, name="keys")])
    def serve(keys: Any) -> Any:
        lengths = tf.strings.length(tf.strings.as_string(keys))
        return {"probability": tf.cast(tf.reduce_sum(lengths, axis=1), tf.float32)}

    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures=serve)
    return folder


@pytest.mark.parametrize("verb", [("check",), ()])
def test_a_model_that_xla_cannot_compile_is_bad_input_before_anything_is_measured(
    quick: Command, small: Files, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    model = strings(tmp_path / "model")
    path = small_study.write_study(tmp_path, study(small, model={"path": str(model)}))
    ended = quick(*verb, "--config", path)
    assert ended.code == 2
    assert re.search(r"\$\.model: XLA cannot compile AsString \(node .+\), StringLength", ended.err)
    assert not list(tmp_path.glob("run/trials*"))


def test_a_gpu_that_is_not_there_is_the_targets_fault(
    amp_tune: Command, small: Files, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, study(small, target={"device": "gpu"}))
    ended = amp_tune("check", "--config", path)
    assert ended.code == 3
    assert "has no gpu; it has: cpu" in ended.err
