"""What the vendor's guide finds in MobileNet by eye: only pooling and Softmax stay FP32."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tests.cli.conftest import Command
from tests.environments import interpreter
from tests.oracle import Oracle

pytestmark = pytest.mark.all_only
RULES = ("--rules", "itex-cpu-bfloat16")
FREEZE = Path(__file__).with_name("freeze_mobilenet.py")
EXPECTED = "stayed FP32 though they could be 16-bit: Mean (DENY), Softmax (no ALLOW op downstream)"


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobilenet") / "mobilenet.keras"
    tf.keras.applications.MobileNet(weights=None).save(path)
    return path


def test_of_the_frozen_model(quick: Command, mobilenet: Path) -> None:
    ended = quick("inspect", mobilenet, *RULES, "--default-device", "CPU")
    assert ended.code == 0
    assert EXPECTED in ended.out.splitlines()


def test_of_the_log_folder_that_itex_leaves(
    amp_tune: Command, mobilenet: Path, tmp_path: Path
) -> None:
    python = interpreter("itex")
    given, log = tmp_path / "frozen.pb", tmp_path / "log"
    log.mkdir()
    subprocess.run([python, FREEZE, given], check=True, capture_output=True)
    graph_def = graph_pb2.GraphDef.FromString(given.read_bytes())
    with closing(Oracle(python)) as oracle:
        oracle.itex_pass(graph_def, {"ITEX_AUTO_MIXED_PRECISION_LOG_PATH": str(log)}, ["Identity"])
    ended = amp_tune("inspect", log, *RULES, "--python", python, "--fetch", "Identity")
    assert ended.code == 0, ended.err
    assert "painting agrees with the pass" in ended.err
    assert "lists: the defaults of itex-cpu-bfloat16@2.15" in ended.err
    assert "_ITEXFusedConv2D" in ended.out
    assert EXPECTED in ended.out.splitlines()
