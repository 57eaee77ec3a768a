"""The public entry where there is only TensorFlow and NumPy: older versions, ITEX's environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tensorflow.core.framework import graph_pb2

import amp_tuner
from amp_tuner.amp.rules import rule_set
from tests.environments import interpreter
from tests.oracle import Oracle, differences
from tests.rewrite import graphs

pytestmark = pytest.mark.all_only

PROGRAM = """
import importlib.util, json, sys
sys.path.insert(0, sys.argv[1])
for name in ("optuna", "pandas", "scipy", "pydantic", "rich"):
    assert importlib.util.find_spec(name) is None, name
from tensorflow.core.framework import graph_pb2
from amp_tuner.tf import rewrite
with open(sys.argv[2], "rb") as file:
    graph_def = graph_pb2.GraphDef.FromString(file.read())
rewritten = rewrite(graph_def, sys.argv[3], json.loads(sys.argv[4]), fetches=["out"])
with open(sys.argv[2], "wb") as file:
    file.write(rewritten.SerializeToString())
"""
CASES = {
    "convolutions": (graphs.conv_net(), {}),
    "training, moved": (graphs.training_step(), {"Relu": "deny", "BiasAdd": "allow"}),
    "loop": (graphs.while_loop(), {}),
}


@pytest.mark.parametrize("environment", ["tf215", "tf215-py39", "itex"])
def test_it_answers_as_that_environments_own_pass(environment: str, tmp_path: Path) -> None:
    python = interpreter(environment)
    package = tmp_path / "package"
    package.mkdir()
    (package / "amp_tuner").symlink_to(Path(amp_tuner.__file__).parent)
    oracle = Oracle(str(python))
    try:
        for name in ("tf-cpu-bfloat16@2.15", "tf-cpu-float16@2.15"):
            for case, (graph_def, moves) in CASES.items():
                rules = rule_set(name)
                lists = rules.lists.moved(moves)
                theirs = oracle.real_pass(graph_def, rules, lists, "default", ["out"])
                ours = rewritten_there(python, package, graph_def, name, moves, tmp_path / "graph")
                assert len(theirs.node) > len(graph_def.node), case
                assert differences(ours, theirs) == [], (name, case)
    finally:
        oracle.close()


def rewritten_there(
    python: Path,
    package: Path,
    graph_def: graph_pb2.GraphDef,
    rules: str,
    moves: dict[str, str],
    path: Path,
) -> graph_pb2.GraphDef:
    """What ``amp_tuner.tf.rewrite`` gives under another interpreter."""
    path.write_bytes(graph_def.SerializeToString())
    subprocess.run(
        [python, "-c", PROGRAM, package, path, rules, json.dumps(moves)],
        check=True,
        env={"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"},
    )
    return graph_pb2.GraphDef.FromString(path.read_bytes())
