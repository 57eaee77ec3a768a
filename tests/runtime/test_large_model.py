"""A model with more than 2 GiB of weights, from the command line to the server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from amp_tuner.amp.rules import rule_set
from amp_tuner.worker.launch import launch
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads
from tests import tiny_models
from tests.environments import OLDER, interpreter
from tests.runtime.test_outside_weights import files_bytes, serve

pytestmark = [pytest.mark.all_only, pytest.mark.timeout(600)]
GIB = 2**30
WEIGHTS_BYTES = 4 * 16384 * 8448 * 4
NEEDS_DISK_BYTES = 8 * GIB
NEEDS_MEMORY_BYTES = 6 * GIB
#: What the worker holds beside the weights: TensorFlow itself, and one weight on its way.
BESIDE_BYTES = int(1.75 * GIB)
BF16 = rule_set("tf-cpu-bfloat16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    for name, needed, free in (
        ("disk", NEEDS_DISK_BYTES, shutil.disk_usage(folder).free),
        ("memory", NEEDS_MEMORY_BYTES, psutil.virtual_memory().available),
    ):
        if free < needed:
            pytest.skip(f"NOT TESTED: {free / GIB:.1f} GiB of {name} free, {needed / GIB} needed")
    script = Path(__file__).with_name("make_large_model.py")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def rewritten(folder):
    """What ``amp-tune rewrite`` wrote, and the largest memory of the tuner and of the worker."""
    command = [Path(sys.executable).with_name("amp-tune"), "rewrite", folder / "large"]
    command += ["--rules", "tf-cpu-bfloat16", "--output", folder / "model"]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as tuner:
        peaks_bytes = [0, 0]
        while tuner.poll() is None:
            for place, processes in enumerate(_tuner_and_worker(tuner.pid)):
                peaks_bytes[place] = max(peaks_bytes[place], sum(map(_memory_bytes, processes)))
            time.sleep(0.05)
        printed = tuner.stdout.read()
    assert tuner.returncode == 0
    print(
        f"peak memory: tuner {peaks_bytes[0] / GIB:.2f} GiB, worker {peaks_bytes[1] / GIB:.2f} GiB"
    )
    return printed, *peaks_bytes


def _tuner_and_worker(pid):
    try:
        tuner = psutil.Process(pid)
        return [tuner], tuner.children(recursive=True)
    except psutil.NoSuchProcess:
        return [], []


def _memory_bytes(process):
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _peak_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) * 1024


def test_the_tuner_holds_no_weights_and_the_worker_one_copy(rewritten):
    printed, tuner_bytes, worker_bytes = rewritten
    assert "7 of 13 nodes in 16 bits" in printed
    assert tuner_bytes < 0.25 * GIB
    assert WEIGHTS_BYTES < worker_bytes < WEIGHTS_BYTES + BESIDE_BYTES


def test_the_written_model_has_its_weights_in_16_bits_as_variables(folder, rewritten):
    assert (folder / "model" / "saved_model.pb").stat().st_size < 100_000
    assert 0.5 * WEIGHTS_BYTES < files_bytes(folder / "model") < 0.501 * WEIGHTS_BYTES


def test_what_is_served_is_what_a_worker_measures(folder, rewritten):
    x, exact = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    source = tiny_models.data(folder / "data", {"x": x}, batch=2)
    (folder / "worker").mkdir()
    with launch(
        None,
        threads=Threads(2, 1),
        onednn=True,
        worker_memory_bytes=8 * GIB,
        scratch=folder / "worker",
        timeout_s=300,
    ) as worker:
        loaded = worker.load(ModelSource(str(folder / "large")), source, "engine", "cpu")
        assert loaded.weight_bytes == WEIGHTS_BYTES > 2 * GIB
        measured = {}
        settings = {
            "float32": Candidate("float32"),
            "painted": Candidate("bfloat16", BF16.identifier, BF16.lists),
        }
        for key, candidate in settings.items():
            worker.build(key, candidate)
            worker.outputs(key, 0, 2, folder / "data" / "outputs.npz", ["y"])
            with np.load(folder / "data" / "outputs.npz") as arrays:
                measured[key] = arrays["y"]
        assert all(seconds > 0 for seconds in worker.block("painted", 0, 2))
        peak_bytes = max(map(_peak_bytes, psutil.Process().children(recursive=True)))
    print(f"peak memory of the worker with both sessions: {peak_bytes / GIB:.2f} GiB")
    assert peak_bytes < 1.5 * WEIGHTS_BYTES + BESIDE_BYTES  # FP32, and 16 bits beside it
    assert not (folder / "worker").exists()  # its copy of the weights goes with it
    np.testing.assert_allclose(measured["float32"], exact, rtol=1e-3, atol=1e-6)
    scale = np.abs(exact).max()
    assert 1e-5 * scale < np.abs(measured["painted"] - exact).max() < 0.1 * scale
    np.testing.assert_allclose(_served(folder), measured["painted"], atol=1e-3 * scale)


@pytest.mark.parametrize("environment", OLDER)
def test_an_older_tensorflow_serves_it(folder, rewritten, environment):
    exact = np.load(folder / "y.npy")
    assert (
        np.abs(_served(folder, interpreter(environment)) - exact).max() < 0.1 * np.abs(exact).max()
    )


def _served(folder, python=sys.executable):
    np.savez(folder / "model.npz", x=np.load(folder / "x.npy"))
    (folder / "model.key").write_text("serving_default")
    return serve(folder, ["model"], python)["model"]["y"]
