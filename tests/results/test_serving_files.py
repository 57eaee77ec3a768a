from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amp_tuner.records import Point
from amp_tuner.results.serving_files import PLATFORM_CONFIG, START, VARIABLES, serving_files
from tests.environments import ENVIRONMENTS
from tests.results.examples import HOSTILE, point

MOVES = {"Exp": "allow", "Tanh": "deny"}
#: In place of the server, which no registry has: tells its arguments and variables.
SERVER = """#!/bin/sh
printf '%s\\n' "$@"
env | sort | grep -E '^(TF|ITEX)_'
"""


def written(folder: Path, given_point: Point, *, baked: bool = False) -> Path:
    for name, text in serving_files(given_point, measured=True, baked=baked).items():
        (folder / name).write_text(text)
    (folder / START).chmod(0o755)
    return folder


def started(folder: Path, *options: str) -> list[str]:
    """What a server would be told, started from another folder."""
    programs = folder / "bin"
    programs.mkdir()
    server = programs / "tensorflow_model_server"
    server.write_text(SERVER)
    server.chmod(0o755)
    before = {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_BLACKLIST_ADD": "MatMul"}
    ended = subprocess.run(
        [folder / START, *options],
        env={"PATH": f"{programs}:{os.environ['PATH']}", **before},
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_the_start_script_gives_the_server_model_configuration_and_variables(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "with spaces"
    folder.mkdir()
    given_point = point("tf-cpu-bfloat16", MOVES)
    told = started(written(folder, given_point), "--port=8500")
    assert told[:4] == [
        "--model_name=model",
        f"--model_base_path={folder}/model",
        f"--platform_config_file={folder}/platform.config",
        "--port=8500",
    ]
    variables = dict(line.split("=", 1) for line in told[4:])
    assert variables == {**given_point.environment, "TF_ENABLE_ONEDNN_OPTS": "1"}


def test_no_text_of_a_point_is_executed(tmp_path: Path) -> None:
    sly = point(study=HOSTILE, notices=(HOSTILE,), hardware={HOSTILE: HOSTILE})
    started(written(tmp_path, sly))
    assert not (tmp_path / "pwned").exists()
    assert not Path("/pwned").exists()


def test_every_file_says_what_was_measured() -> None:
    files = serving_files(point("tf-cpu-float16", MOVES), measured=True, baked=False)
    assert files.keys() == {PLATFORM_CONFIG, VARIABLES, START}
    for text in files.values():
        assert "# speed-up over FP32: 1.31 [1.3, 1.32]" in text
        assert "# hardware: cpu Imaginary 9000" in text


#: Reads platform.config with TensorFlow Serving's own message, and with the two around the session,
#: which its package leaves out (their numbers: saved_model_bundle_source_adapter.proto and
#: session_bundle_config.proto); then has a session of that configuration run a graph.
SESSION = """
import json, os, sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import platform_config_pb2

pool = descriptor_pool.Default()
file = descriptor_pb2.FileDescriptorProto(
    name="adapter.proto", package="tensorflow.serving", syntax="proto3",
    dependency=[config_pb2.DESCRIPTOR.name],
)
for name, field, number, kind in (
    ("SessionBundleConfig", "session_config", 2, ".tensorflow.ConfigProto"),
    ("SavedModelBundleSourceAdapterConfig", "legacy_config", 1000,
     ".tensorflow.serving.SessionBundleConfig"),
):
    message = file.message_type.add(name=name)
    message.field.add(name=field, number=number, label=1, type=11, type_name=kind)
pool.Add(file)
platform = platform_config_pb2.PlatformConfigMap()
text_format.Parse(Path("platform.config").read_text(), platform, descriptor_pool=pool)
adapter = message_factory.GetMessageClass(
    pool.FindMessageTypeByName("tensorflow.serving.SavedModelBundleSourceAdapterConfig")
)()
assert list(platform.platform_configs) == ["tensorflow"]
assert platform.platform_configs["tensorflow"].source_adapter_config.Unpack(adapter)
serialized = adapter.legacy_config.session_config.SerializeToString()
config = config_pb2.ConfigProto.FromString(serialized)
print(config.intra_op_parallelism_threads, config.inter_op_parallelism_threads)

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.graph_changes import changed_type_attributes
from amp_tuner.runtime.pass_dumps import read_dumps
from amp_tuner.runtime.rewrite_graph import rewrite_graph

dumps = Path("dumps")
dumps.mkdir()
os.environ["TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LOG_PATH"] = str(dumps)
rules = rule_set(sys.argv[1])
lists = AmpLists.from_json(json.loads(sys.argv[2]))
with tf.Graph().as_default():
    x = tf.compat.v1.placeholder(tf.float32, (4, 8), name="x")
    product = tf.matmul(x, tf.constant(np.eye(8, dtype=np.float32)))
    y = tf.identity(tf.exp(tf.tanh(product)), name="y")
    with tf.compat.v1.Session(config=config) as session:
        session.run(y, {x: np.ones((4, 8), np.float32)})
dump = next(dump for dump in read_dumps(dumps) if dump.item == "tf_graph")
kept = ["x", "y"]
after = rewrite_graph(dump.before, rules, lists, preserved=kept, default_device="CPU")
real = changed_type_attributes(dump.before, dump.after)
assert real == changed_type_attributes(dump.before, after)
assert {change.data_type for change in real} == {rules.data_type}
print("same effective graph")
"""


@pytest.mark.all_only
@pytest.mark.parametrize("rules", ["tf-cpu-bfloat16", "tf-cpu-float16"])
def test_the_servers_configuration_switches_the_pass_on(tmp_path: Path, rules: str) -> None:
    serving = ENVIRONMENTS / "serving"
    if not (serving / "tensorflow_serving").is_dir():
        pytest.skip("NOT TESTED: `make environments` has not made serving")
    given_point = point(rules, MOVES)
    written(tmp_path, given_point)
    variables = dict(
        line.split("=", 1)
        for line in (tmp_path / VARIABLES).read_text().splitlines()
        if not line.startswith("#")
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", SESSION, given_point.rules, json.dumps(given_point.lists.to_json())],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{root}:{serving}", **variables},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.splitlines() == ["2 1", "same effective graph"]
