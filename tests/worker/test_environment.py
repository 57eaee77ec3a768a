from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.worker.environment import runner_environment, worker_environment
from amp_tuner.worker.protocol import Threads

FOLDER = Path("/scratch/import")


@pytest.mark.parametrize(
    "name",
    [
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD",
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_WHITELIST_ADD",
        "TF_XLA_FLAGS",
        "ITEX_AUTO_MIXED_PRECISION",
        "OMP_NUM_THREADS",
        "KMP_AFFINITY",
        "MKL_NUM_THREADS",
        "DNNL_VERBOSE",
        "XLA_FLAGS",
        "JAX_PLATFORMS",
        "LD_PRELOAD",
        "PYTHONHOME",
    ],
)
def test_what_changes_tensorflow_is_dropped_and_reported(name: str) -> None:
    environment, dropped = worker_environment({name: "1"}, FOLDER, Threads(), onednn=False)
    assert name not in environment
    assert dropped == (name,)


def test_paths_and_devices_are_kept_and_the_rest_goes_silently() -> None:
    ambient = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "EDITOR": "vi"}
    environment, dropped = worker_environment(ambient, FOLDER, Threads(), onednn=False)
    assert environment["PATH"] == "/bin"
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert "EDITOR" not in environment
    assert dropped == ()


def test_the_switches_are_ours_whatever_the_user_had() -> None:
    ambient = {"TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": "/elsewhere"}
    environment, dropped = worker_environment(ambient, FOLDER, Threads(), onednn=True)
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert environment["TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_EMULATE_FP16"] == "0"
    assert environment["PYTHONPATH"] == str(FOLDER)
    assert dropped == ("PYTHONPATH", "TF_ENABLE_ONEDNN_OPTS")


def test_pools_have_the_sizes_that_were_asked_for_and_0_leaves_them_alone() -> None:
    environment, _ = worker_environment({}, FOLDER, Threads(3, 2), onednn=True)
    assert environment["TF_NUM_INTRAOP_THREADS"] == environment["OMP_NUM_THREADS"] == "3"
    assert environment["TF_NUM_INTEROP_THREADS"] == "2"
    untouched, _ = worker_environment({}, FOLDER, Threads(0, 0), onednn=True)
    assert not [name for name in untouched if "THREADS" in name]


def test_a_runner_gets_nothing_of_xlas_and_shares_its_device() -> None:
    ambient = {"PATH": "/bin", "XLA_FLAGS": "--x", "JAX_PLATFORMS": "tpu", "PYTHONPATH": "/y"}
    environment = runner_environment(ambient, Threads(3, 2))
    assert environment["PATH"] == "/bin"
    assert environment["NPROC"] == "3"
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert not {"XLA_FLAGS", "JAX_PLATFORMS", "PYTHONPATH"} & environment.keys()
    assert "NPROC" not in runner_environment(ambient, Threads())
