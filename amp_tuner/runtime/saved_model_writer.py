"""Writes a GraphDef as a model that any TensorFlow from 2.15 on serves by itself."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.files import whole_file
from amp_tuner.runtime.loader_graph import cpu_session
from amp_tuner.runtime.loader_model import FrozenModel
from amp_tuner.runtime.outside_weights import (
    OutsideWeights,
    WeightVariables,
    imported_with_variables,
    write_checkpoint,
)
from amp_tuner.worker.protocol import TensorInfo

_TAG = "serve"


def write_saved_model(graph_def: tf.compat.v1.GraphDef, frozen: FrozenModel, path: Path) -> None:
    """Writes a SavedModel folder with the signature of ``frozen``, whole or not at all.

    The signature's key, names, types and shapes are those of the model that was loaded. An
    existing folder is replaced only if it is a SavedModel or empty.

    Args:
        graph_def: the graph to write: ``frozen``'s own, or rewritten with its nodes preserved.
        frozen: the model that it came from.
        path: the folder to make.

    Raises:
        InputError: something else is at ``path``, or it cannot be written.
    """
    _check_place(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError.one(str(path), f"cannot be written: {error.strerror}") from error
    try:
        _build(graph_def, frozen, str(beside / "new"))
        _put(beside / "new", path, beside / "old")
    finally:
        shutil.rmtree(beside)


def write_graph_def(graph_def: tf.compat.v1.GraphDef, path: Path) -> None:
    """Writes a frozen GraphDef as ``.pb``, whole or not at all."""
    with whole_file(path, shared=True) as file:
        file.write(graph_def.SerializeToString(deterministic=True))


def _check_place(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / "saved_model.pb").is_file()):
        allowed = "allowed are a new name, an empty folder, or a SavedModel to replace"
        raise InputError.one(str(path), f"is there already; {allowed}")


def _put(new: Path, path: Path, old: Path) -> None:
    """Renames ``new`` to ``path``; what was there comes back if that fails."""
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise


def _build(graph_def: tf.compat.v1.GraphDef, frozen: FrozenModel, folder: str) -> None:
    variables = imported_with_variables(graph_def, "the rewritten model")
    graph = variables.graph
    saved = tf.compat.v1.saved_model
    with graph.as_default(), cpu_session(graph) as session:
        signature = saved.signature_def_utils.build_signature_def(
            {item.name: _tensor(graph, frozen.feeds[item.name], item) for item in frozen.inputs},
            {item.name: _tensor(graph, frozen.fetches[item.name], item) for item in frozen.outputs},
            saved.signature_constants.PREDICT_METHOD_NAME,
        )
        fillers = [graph.get_operation_by_name(name) for name in frozen.initializers]
        builder = saved.Builder(folder)
        builder.add_meta_graph_and_variables(
            session,
            [_TAG],
            {frozen.signature: signature},
            main_op=tf.group(*fillers) if fillers else None,
            strip_default_attrs=True,
            saver=None if frozen.weights is None else _OutsideSaver(variables, frozen.weights),
        )
        builder.save()


class _OutsideSaver(tf.compat.v1.train.Saver):  # type: ignore[misc]
    """Saves variables that nobody has filled: their values come from outside weights."""

    def __init__(self, variables: WeightVariables, weights: OutsideWeights) -> None:
        super().__init__(list(variables.by_weight.values()))
        self._outside = variables, weights

    def save(self, sess: tf.compat.v1.Session, save_path: str, **options: bool) -> str:
        del sess, options
        write_checkpoint(*self._outside, save_path)
        return save_path


def _tensor(
    graph: tf.Graph, name: str, info: TensorInfo
) -> tf.compat.v1.saved_model.utils.build_tensor_info:
    """The tensor with the shape that the signature promises, which may say more than the graph."""
    described = tf.compat.v1.saved_model.utils.build_tensor_info(graph.get_tensor_by_name(name))
    if info.shape is not None:
        shape = tf.TensorShape([None if side < 0 else side for side in info.shape])
        described.tensor_shape.CopyFrom(shape.as_proto())
    return described
