"""The loader under older TensorFlows and Pythons, which targets may have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.environments import OLDER, interpreter
from tests.oracle import ROOT
from tests.runtime.loader_models import NAMES, Example, assert_outputs
from tests.runtime.test_saved_model_writer import serve_all

pytestmark = pytest.mark.all_only


@pytest.fixture(params=OLDER)
def python(request: pytest.FixtureRequest) -> str:
    return interpreter(request.param)


def test_every_form_loads_under_an_older_tensorflow(python: str, tmp_path: Path) -> None:
    command = [python, str(ROOT / "tests" / "runtime" / "loader_models.py"), str(tmp_path)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [f"loaded {name}" for name in NAMES]


def test_what_this_tensorflow_writes_an_older_one_serves(
    python: str, examples: dict[str, Example], tmp_path: Path
) -> None:
    serve_all(examples, tmp_path, python)
    for name, example in examples.items():
        with np.load(tmp_path / f"{name}.out.npz") as outputs:
            assert_outputs(dict(outputs), example.expected)
