"""Which training steps can be loaded, and what is told of those that cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.loader_model import FrozenModel
from amp_tuner.worker.protocol import ModelSource, Training
from tests import tiny_models

SPEC = [tf.TensorSpec([None, 4], tf.float32, name="x")]
PYTHON = """
import numpy as np
import tensorflow as tf

SPEC = [tf.TensorSpec([None, 4], tf.float32, name="x")]


def plain(start=0.5, spec=SPEC):
    weight = tf.Variable(start)

    @tf.function(input_signature=spec)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((weight * x - 1) ** 2)
        weight.assign_sub(0.1 * tape.gradient(loss, weight))
        return loss

    return step


def unseeded():
    return plain(np.random.rand())


def without_a_signature():
    return plain(spec=None)


def fails():
    raise KeyError("weights.npz")


def no_step():
    return plain
"""


def saved(folder: Path, body: Any, spec: list[Any] = SPEC) -> Path:
    """A signature ``train`` of one variable."""
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([4]))
    module.train = tf.function(lambda *inputs: {"loss": body(module.weight, *inputs)}, spec)
    tf.saved_model.save(module, str(folder), signatures={"train": module.train})
    return folder


def trains(weight: Any, x: Any) -> Any:
    weight.assign_sub(tf.reduce_mean(x, 0))
    return tf.reduce_sum(weight)


def loaded(path: Path, **training: Any) -> FrozenModel:
    source = ModelSource(str(path), "train", training=Training(10, **training))
    return load_model(source)


def problem(path: Path, **training: Any) -> str:
    with pytest.raises(InputError) as caught:
        loaded(path, **training)
    (found,) = caught.value.problems
    assert found.where == str(path)
    return found.message


@pytest.fixture(scope="module")
def python_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("python") / "steps.py"
    path.write_text(PYTHON)
    return path


def test_variables_stay_variables_and_updates_are_kept(tmp_path: Path) -> None:
    step = loaded(saved(tmp_path / "model", trains))
    ops = [node.op for node in step.graph_def.node]
    assert ops.count("VarHandleOp") == 1
    assert ops.count("AssignSubVariableOp") == 1
    assert "StatefulPartitionedCall" not in ops
    assert step.step is not None
    assert set(step.step.targets) <= step.preserved()
    assert step.step.loss_scale is None


def test_the_loss_scale_is_no_input_of_the_datas(tmp_path: Path) -> None:
    step = load_model(tiny_models.step(tmp_path / "model"))
    assert [info.name for info in step.inputs] == ["labels", "x"]
    assert step.step is not None
    assert step.step.loss_scale == step.feeds["loss_scale"]


def test_a_step_without_that_argument_has_no_loss_to_scale(tmp_path: Path) -> None:
    path = saved(tmp_path / "model", trains)
    assert problem(path, loss_scale=8.0) == (
        "the step has no argument 'loss_scale' to scale its loss by; it has: x"
    )


def test_a_loss_scale_of_another_shape_is_refused(tmp_path: Path) -> None:
    spec = [*SPEC, tf.TensorSpec([1], tf.float32, name="loss_scale")]
    path = saved(tmp_path / "model", lambda weight, x, scale: trains(weight, x) * scale, spec)
    assert problem(path) == (
        "its argument 'loss_scale' must be one float32 number: shape (), dtype float32"
    )


def test_a_signature_that_writes_nothing_trains_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "model", lambda weight, x: tf.reduce_sum(x * weight))
    assert problem(path) == "it writes to no variable: this is no training step"


def test_random_numbers_that_no_reset_repeats_are_refused(tmp_path: Path) -> None:
    def drops(weight: Any, x: Any) -> Any:
        return trains(weight, tf.nn.dropout(x, 0.5, seed=3))

    text = problem(saved(tmp_path / "model", drops))
    assert "(RandomUniform) holds state that cannot be set back for the next setting" in text
    assert "tf.random.stateless_*" in text


def test_random_numbers_from_a_variable_are_no_trouble(tmp_path: Path) -> None:
    generator = tf.random.Generator.from_seed(1)

    def drops(weight: Any, x: Any) -> Any:
        return trains(weight, x * generator.uniform(tf.shape(x)))

    module = tf.Module()
    module.weight, module.generator = tf.Variable(tf.ones([4])), generator
    module.train = tf.function(lambda x: {"loss": drops(module.weight, x)}, SPEC)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"train": module.train})
    ops = [node.op for node in loaded(tmp_path / "model").graph_def.node]
    assert ops.count("VarHandleOp") == 2


def test_a_python_files_step_is_a_signature_like_any_other(python_file: Path) -> None:
    step = loaded(python_file, function="plain")
    assert [info.name for info in step.inputs] == ["x"]
    assert [info.shape for info in step.outputs] == [()]
    assert "AssignSubVariableOp" in {node.op for node in step.graph_def.node}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nonesuch", "it has no function 'nonesuch'; it has fails, no_step, plain, "),
        ("fails", "fails() raised KeyError: 'weights.npz'"),
        ("no_step", "no_step() returned function; allowed: a tf.function"),
        ("without_a_signature", "the tf.function of without_a_signature() cannot be traced: "),
        ("unseeded", "unseeded() begins with other variables at each call, so two settings"),
    ],
)
def test_a_python_file_at_fault_is_told(python_file: Path, function: str, message: str) -> None:
    assert problem(python_file, function=function).startswith(message)


def test_a_python_file_that_cannot_be_read_or_imported_is_told(tmp_path: Path) -> None:
    path = tmp_path / "steps.py"
    assert problem(path, function="plain").startswith("no such file")
    path.write_text("import nonesuch_module\n")
    assert problem(path, function="plain").startswith(
        "it cannot be imported: ModuleNotFoundError: No module named 'nonesuch_module'"
    )
