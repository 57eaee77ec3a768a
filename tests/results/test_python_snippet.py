from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.amp.environment import family_variables
from amp_tuner.records import BAKED, Point, Setting
from amp_tuner.results.activation import activation
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.python_snippet import python_text
from tests.environments import interpreter
from tests.results.examples import HOSTILE, point

ROOT = Path(__file__).parents[2]
#: Both change what the pass does to the graph below.
MOVES = {"Exp": "allow", "Tanh": "deny"}


def run(
    script: str,
    folder: Path,
    *arguments: str,
    python: str = sys.executable,
    source: str | None = None,
    **variables: str,
) -> str:
    """Standard output of a fresh Python process in ``folder``, started by a shell."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    before = "" if source is None else f". ./{source}; "
    ended = subprocess.run(
        ["sh", "-c", f'{before}exec "$@"', "sh", python, "-c", script, *arguments],
        env={**environment, **variables},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout


def written(folder: Path, given_point: Point) -> Path:
    path = folder / "best.py"
    path.write_text(python_text(given_point, baked=given_point.runtime in BAKED), encoding="utf-8")
    return path


APPLIED = """
import json, os, sys
import best
best.apply()
best.apply()
names = [name for name in os.environ if name.startswith(("TF_AUTO", "ITEX_", "TF_ENABLE"))]
print(json.dumps({name: os.environ[name] for name in names}))
"""


def test_apply_replaces_what_was_set_before(tmp_path: Path) -> None:
    given_point = point("float32")
    written(tmp_path, given_point)
    before = dict.fromkeys(family_variables(given_point.family), "left over")
    assert json.loads(run(APPLIED, tmp_path, **before)) == activation(given_point).variables


def test_no_text_of_a_point_is_executed(tmp_path: Path) -> None:
    given_point = point(
        "itex-cpu-bfloat16",
        study=HOSTILE,
        notices=(HOSTILE, '"""', "'''", "{unset}"),
        setting=Setting("bfloat16", {HOSTILE: HOSTILE}, "default", onednn=True),
        environment={"ITEX_AUTO_MIXED_PRECISION_ALLOWLIST_ADD": HOSTILE},
    )
    written(tmp_path, given_point)
    found = json.loads(run("import best, json; print(json.dumps(best.FIELDS))", tmp_path))
    assert found == {"data_type": "BFLOAT16", "allowlist_add": HOSTILE}
    assert not (tmp_path / "pwned").exists()


def test_apply_after_tensorflow_is_refused(tmp_path: Path) -> None:
    written(tmp_path, point())
    script = """
import best, sys, types
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
try:
    best.apply()
except RuntimeError as error:
    print(error)
"""
    assert "call it before anything imports TensorFlow" in run(script, tmp_path)


SWITCHED_ON = {
    "best.py": """
import best
best.apply()
import tensorflow as tf
""",
    # As the comment in the file says; for FP16 only sessions have an option.
    "best.env": """
import tensorflow as tf
tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
""",
}
#: Runs a function through the stock pass; compares its dump with our own rewrite of what it got.
FUNCTION = """
import json, os, sys
from pathlib import Path

dumps = Path("dumps")
dumps.mkdir()
os.environ["TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LOG_PATH"] = str(dumps)
import numpy as np

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.graph_changes import changed_type_attributes
from amp_tuner.runtime.pass_dumps import read_dumps
from amp_tuner.runtime.rewrite_graph import rewrite_graph

rules = rule_set(sys.argv[1])
lists = AmpLists.from_json(json.loads(sys.argv[2]))
weights = tf.Variable(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8))


@tf.function
def model(x):
    y = tf.exp(tf.tanh(tf.matmul(x, weights)))
    return tf.nn.relu(tf.matmul(tf.nn.sigmoid(y), weights)) - 1.0


def predicted(dump, lists):
    kept = [node.name for node in dump.before.node if node.op in ("_Arg", "_Retval")]
    after = rewrite_graph(dump.before, rules, lists, preserved=kept, default_device="CPU")
    return changed_type_attributes(dump.before, after)


model(tf.ones((4, 8)))
(dump,) = read_dumps(dumps)
real = changed_type_attributes(dump.before, dump.after)
assert real == predicted(dump, lists), (real, predicted(dump, lists))
assert real != predicted(dump, rules.lists)
assert {change.data_type for change in real} == {rules.data_type}
print("same effective graph")
"""
SESSION = """
with tf.Graph().as_default():
    x = tf.compat.v1.placeholder(tf.float32, (4, 8), name="x")
    product = tf.matmul(x, tf.constant(np.eye(8, dtype=np.float32)))
    y = tf.identity(tf.exp(tf.tanh(product)), name="y")
    with tf.compat.v1.Session(config=best.session_config()) as session:
        session.run(y, {x: np.ones((4, 8), np.float32)})
dump = next(dump for dump in read_dumps(dumps) if dump.item == "tf_graph")
changes = changed_type_attributes(dump.before, dump.after)
print(sorted({change.node for change in changes}))
"""
LEFT_OVER = {
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_BLACKLIST_ADD": "MatMul",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@pytest.mark.parametrize("rules", ["tf-cpu-bfloat16", "tf-cpu-float16"])
def test_after_apply_the_stock_pass_gives_the_predicted_graph(tmp_path: Path, rules: str) -> None:
    given_point = point(rules, MOVES)
    written(tmp_path, given_point)
    lists = json.dumps(given_point.lists.to_json())
    script = SWITCHED_ON["best.py"] + FUNCTION + SESSION
    in_function, in_session = run(
        script, tmp_path, given_point.rules, lists, **LEFT_OVER
    ).splitlines()
    assert in_function == "same effective graph"
    assert {"MatMul", "Exp"} <= set(ast.literal_eval(in_session))


def test_best_env_and_the_option_give_the_predicted_graph(tmp_path: Path) -> None:
    given_point = point("tf-cpu-bfloat16", MOVES)
    (tmp_path / "best.env").write_text(environment_text(given_point, measured=True))
    lists = json.dumps(given_point.lists.to_json())
    script = SWITCHED_ON["best.env"] + FUNCTION
    said = run(script, tmp_path, given_point.rules, lists, source="best.env", **LEFT_OVER)
    assert said == "same effective graph\n"


#: Has ITEX's pass rewrite a graph, which is never run; compares as above.
ITEX_SESSION = """
import json, os, sys
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from pathlib import Path

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.graph_changes import changed_type_attributes
from amp_tuner.runtime.pass_dumps import read_dumps
from amp_tuner.runtime.rewrite_graph import rewrite_graph

dumps = Path("dumps")
dumps.mkdir()
os.environ["ITEX_AUTO_MIXED_PRECISION_LOG_PATH"] = str(dumps)
rules = rule_set("itex-cpu-bfloat16")
lists = AmpLists.from_json(json.loads(sys.argv[1]))
with tf.Graph().as_default():
    x = tf.compat.v1.placeholder(tf.float32, (4, 8), name="x")
    weights = tf.constant(2.0, shape=(8, 8))
    y = tf.identity(tf.matmul(tf.nn.relu(tf.matmul(x, weights)), weights), name="y")
    with tf.compat.v1.Session() as session:
        options = config_pb2.CallableOptions(feed=["x:0"], fetch=["y:0"])
        session._make_callable_from_options(options)
first, *_ = read_dumps(dumps)


def predicted(lists):
    after = rewrite_graph(first.before, rules, lists, preserved=["x", "y"])
    return changed_type_attributes(first.before, after)


real = changed_type_attributes(first.before, first.after)
assert first.lists == lists
assert real == predicted(lists)
assert real != predicted(rules.lists)
print("same effective graph")
"""
APPLY = """
import best
best.apply()
"""


@pytest.mark.all_only
@pytest.mark.parametrize("form", ["best.py", "best.env"])
def test_itex_gives_the_predicted_graph_in_a_fresh_process(tmp_path: Path, form: str) -> None:
    python = str(interpreter("itex"))
    given_point = point("itex-cpu-bfloat16", {"Relu": "deny"}, runtime="itex")
    written(tmp_path, given_point)
    (tmp_path / "best.env").write_text(environment_text(given_point, measured=True))
    script, source = (ITEX_SESSION, form) if form == "best.env" else (APPLY + ITEX_SESSION, None)
    lists = json.dumps(given_point.lists.to_json())
    before = dict.fromkeys(family_variables("itex"), "left over")
    said = run(script, tmp_path, lists, python=python, source=source, **before)
    assert said == "same effective graph\n"


LOADED = """
import best
try:
    best.load()
except FileNotFoundError as error:
    print(error)
best.apply()
import tensorflow as tf

module = tf.Module()
module.double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec((), tf.float32)])
tf.saved_model.save(module, "best", signatures={"serving_default": module.double})
model = best.load()
print(float(model.signatures["serving_default"](tf.constant(4.0))["output_0"]))
"""


def test_the_engines_module_loads_the_baked_model_beside_it(tmp_path: Path) -> None:
    written(tmp_path, point("tf-cpu-bfloat16", MOVES, runtime="engine"))
    missing, doubled = run(LOADED, tmp_path).splitlines()
    assert missing.endswith("best is not there: amp-tune export --format savedmodel")
    assert doubled == "8.0"


TEXTS = ["# coding: utf-7", '"' * 3, "'" * 3, "{unset}", "%s", "\\", "\n__import__('os')"]


@settings(max_examples=200)
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(TEXTS),
    baked=st.booleans(),
)
def test_whatever_the_texts_hold_the_module_does_the_same(text: str, baked: bool) -> None:
    plain = ast.parse(python_text(point(environment={"A": ""}), baked=baked))
    sly_point = point(environment={"A": text}, study=text, notices=(text,), hardware={text: text})
    sly = ast.parse(python_text(sly_point, baked=baked).encode())
    constants = [node.value for node in ast.walk(sly) if isinstance(node, ast.Constant)]
    assert baked or text in constants
    for module in (plain, sly):
        for node in ast.walk(module):
            if isinstance(node, ast.Dict):
                node.keys, node.values = [], []
    assert ast.dump(plain) == ast.dump(sly)


COMPILED = """
import best
best.apply()
import numpy as np
import tensorflow as tf

module = tf.Module()


def halves(a, b):
    return a * b + b * b * a - a


def serve(x, y):
    return {"z": tf.cast(halves(tf.cast(x, tf.bfloat16), tf.cast(y, tf.bfloat16)), tf.float32)}


spec = [tf.TensorSpec([None], tf.float32, name=name) for name in "xy"]
module.serve = tf.function(serve, input_signature=spec)
tf.saved_model.save(module, "best", signatures={"serving_default": module.serve})
x, y = (np.random.default_rng(seed).normal(size=500).astype("float32") for seed in (0, 1))
stepwise = serve(tf.constant(x), tf.constant(y))["z"].numpy()
run = best.compiled()
print(np.array_equal(run(x=x, y=y)["z"].numpy(), stepwise))
print(tf.config.experimental.tensor_float_32_execution_enabled())
"""


@pytest.mark.all_only
@pytest.mark.parametrize("tf32", [True, False])
def test_xlas_module_compiles_the_baked_model_as_it_was_measured(
    tmp_path: Path, tf32: bool
) -> None:
    """No rounding is skipped, and TF32 is on where the baseline had it."""
    setting = Setting("bfloat16", tf32=tf32)
    written(tmp_path, point("tf-cpu-bfloat16", MOVES, runtime="xla", setting=setting))
    assert run(COMPILED, tmp_path, XLA_FLAGS="--xla_cpu_enable_fast_math=false").split() == [
        "True",
        str(tf32),
    ]


def test_a_modelled_points_module_says_so_whatever_its_device_is_called() -> None:
    given_point = point(runtime="roofline", modelled_for=f'T4 """ {HOSTILE} {{unset}}')
    text = python_text(given_point, baked=True)
    described = ast.get_docstring(ast.parse(text))
    assert described is not None
    assert "for what was modelled (for T4 ''' coding: utf-7" in described
    assert "touch pwned" in described.splitlines()[0]
    assert "as they were measured" not in text
