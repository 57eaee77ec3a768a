"""Running what users run: scripts, ready studies, experiments."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml
from filelock import FileLock

from amp_tuner.config.load import load_study

ROOT = Path(__file__).parents[2]


def run(*command: str) -> str:
    """What a Python program prints that must end well."""
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def made(name: str) -> Path:
    """Has a script of ``configs/models`` make its model and data, once for all tests.

    Tests that run beside each other in other processes wait for it.

    Returns:
        Where a model of the script's name is; some scripts give theirs another.
    """
    models = ROOT / "models"
    models.mkdir(exist_ok=True)
    with FileLock(models / f".{name}.lock"):
        run(f"configs/models/{name}.py")
    return models / name


def smaller(
    study: str, folder: Path, samples: int, overrides: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """A ready study for a test: its first samples, briefly timed, and what the test overrides."""
    ready = ROOT / "configs" / f"{study}.yaml"
    with np.load(str(load_study(ready).data.path)) as arrays:
        np.savez(folder / "data.npz", **{name: arrays[name][:samples] for name in arrays})
    changes = {
        "data.path": str(folder / "data.npz"),
        "measure.ci_half_width": 0.2,
        "measure.max_seconds": 1,
        "measure.min_block_ms": 5,
        "measure.processes": 1,
        "output": str(folder / "run"),
        **overrides,
    }
    written = folder / "study.yaml"
    written.write_text(yaml.safe_dump(load_study(ready, overrides=changes).to_plain()))
    return written
