"""SavedModels of TensorFlow 1 and 2: read, checked, loaded into a session, frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from amp_tuner.errors import InputError, Problem
from amp_tuner.runtime.file_names import leads_out
from amp_tuner.runtime.loader_freeze import freeze
from amp_tuner.runtime.loader_graph import (
    check_message_size,
    cpu_session,
    first_line,
    node_name,
    tensor_name,
    unknown_ops,
)
from amp_tuner.runtime.loader_model import FrozenModel, ServedModel, Step
from amp_tuner.runtime.loader_step import LOSS_SCALE, inlined_step, step_of, step_problems
from amp_tuner.runtime.model_names import wrong_names, wrong_words
from amp_tuner.runtime.unsafe import Loader, unsafe_nodes
from amp_tuner.text import did_you_mean
from amp_tuner.worker.protocol import ModelSource, TensorInfo

_SERVE = "serve"
_INIT_SIGNATURE = "__saved_model_init_op"
#: Where a SavedModel names the op that initialises it, newest first.
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


@dataclass(frozen=True)
class _Signature:
    """A checked signature of a SavedModel."""

    tags: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    feeds: dict[str, str]
    fetches: dict[str, str]
    step: Optional[Step]


def freeze_saved_model(
    source: ModelSource, folder: str, scratch: Optional[str] = None
) -> FrozenModel:
    """Loads and freezes the signature of a SavedModel; a training step keeps its variables.

    Args:
        source: what the user gave; errors name its path.
        folder: the SavedModel, where ``source`` is another form of it.
        scratch: an existing folder for weights that one graph cannot hold; None: the system's.

    Raises:
        InputError: every problem of the model.
    """
    signature = _checked_signature(source, folder)
    with cpu_session(tf.Graph()) as session:
        load_saved_model(session, folder, signature.tags, source.path)
        feeds, fetches = list(signature.feeds.values()), list(signature.fetches.values())
        step = signature.step
        if step is None:
            frozen = freeze(session, feeds, fetches, source.path, scratch)
        else:
            frozen, updates = inlined_step(session, feeds, fetches, source.path, scratch)
            step = replace(step, targets=(updates,))
    return FrozenModel(
        graph_def=frozen.graph_def,
        signature=source.signature,
        inputs=signature.inputs,
        outputs=signature.outputs,
        feeds=signature.feeds,
        fetches=dict(zip(signature.fetches, frozen.fetches)),
        initializers=frozen.initializers,
        weights=frozen.weights,
        step=step,
    )


def serve_saved_model(source: ModelSource, folder: str) -> ServedModel:
    """The SavedModel as it is, checked.

    Args:
        source: what the user gave; errors name its path.
        folder: the SavedModel, where ``source`` is another form of it.

    Raises:
        InputError: every problem of the model.
    """
    signature = _checked_signature(source, folder)
    return ServedModel(
        folder=folder,
        tags=signature.tags,
        graph_def=None,
        signature=source.signature,
        inputs=signature.inputs,
        outputs=signature.outputs,
        feeds=signature.feeds,
        fetches=signature.fetches,
        step=signature.step,
    )


def load_saved_model(
    session: tf.compat.v1.Session, folder: str, tags: tuple[str, ...], where: str
) -> None:
    """Loads a SavedModel into a session: graph, variables, tables. ``where`` is for errors.

    Raises:
        InputError: its variables or assets are missing or broken.
    """
    try:
        with session.graph.as_default():
            tf.compat.v1.saved_model.load(session, list(tags), folder, clear_devices=True)
    except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        text = f"the SavedModel cannot be loaded: {first_line(error)}"
        raise InputError.one(where, text) from error


def _checked_signature(source: ModelSource, folder: str) -> _Signature:
    """The signature that is asked for, after all checks that need no session."""
    meta_graph = _serving_graph(_parsed(folder), source.path)
    problems = wrong_names(meta_graph.graph_def) + list(_wrong_words(meta_graph))
    if problems:
        # Before any other message names a node.
        raise InputError(Problem(source.path, problem) for problem in problems)
    problems = list(_signature_problems(meta_graph, source))
    problems += unknown_ops(meta_graph.graph_def)
    problems += _asset_problems(meta_graph)
    if not source.allow_unsafe:
        outputs = _tensors(meta_graph, source.signature)
        problems += unsafe_nodes(meta_graph.graph_def, outputs, _loader(meta_graph))
    if source.training is not None and not problems:
        signature = meta_graph.signature_def[source.signature]
        problems += step_problems(meta_graph.graph_def, signature, source.training)
    if problems:
        raise InputError(Problem(source.path, problem) for problem in problems)
    chosen = meta_graph.signature_def[source.signature]
    step = None if source.training is None else step_of(chosen, source.training)
    arguments = [name for name in sorted(chosen.inputs) if step is None or name != LOSS_SCALE]
    return _Signature(
        tags=tuple(meta_graph.meta_info_def.tags),
        inputs=tuple(_tensor_info(name, chosen.inputs[name]) for name in arguments),
        outputs=tuple(_tensor_info(name, chosen.outputs[name]) for name in sorted(chosen.outputs)),
        feeds={name: chosen.inputs[name].name for name in sorted(chosen.inputs)},
        fetches={name: chosen.outputs[name].name for name in sorted(chosen.outputs)},
        step=step,
    )


def _parsed(folder: str) -> saved_model_pb2.SavedModel:
    """The folder's ``saved_model.pb``."""
    path = Path(folder) / "saved_model.pb"
    if not path.is_file():
        inner = sorted(Path(folder).glob("*/saved_model.pb"))
        hint = f" (did you mean {inner[-1].parent}?)" if inner else ""
        raise InputError.one(
            folder,
            f"is a folder without a file saved_model.pb{hint}; allowed are a SavedModel's folder, "
            "a .keras or .h5 file, a frozen .pb",
        )
    check_message_size(path)
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        text = f"cannot be read as a SavedModel, is broken or truncated: {first_line(error)}"
        raise InputError.one(str(path), text) from error
    return saved_model


def _serving_graph(saved_model: Any, folder: str) -> tf.compat.v1.MetaGraphDef:
    """The meta graph for serving, or the only one."""
    graphs = list(saved_model.meta_graphs)
    if not graphs:
        raise InputError.one(folder, "is a SavedModel without a graph")
    serving = [graph for graph in graphs if set(graph.meta_info_def.tags) == {_SERVE}]
    serving = serving or [graph for graph in graphs if _SERVE in graph.meta_info_def.tags]
    if not serving and len(graphs) > 1:
        found = "; ".join("+".join(graph.meta_info_def.tags) for graph in graphs)
        raise InputError.one(folder, f"has graphs with the tags {found}; allowed is {_SERVE!r}")
    return (serving or graphs)[0]


def _signature_problems(meta_graph: Any, source: ModelSource) -> Iterator[str]:
    names = sorted(name for name in meta_graph.signature_def if not name.startswith("__"))
    if source.fetches:
        yield "fetches are for frozen .pb files; a SavedModel's outputs are those of its signature"
    if source.signature not in names:
        has = f"it has {', '.join(names)}" if names else "it has none"
        hint = did_you_mean(source.signature, names)
        yield f"has no signature {source.signature!r}{hint}; {has}"
        return
    signature = meta_graph.signature_def[source.signature]
    for kind, tensors in (("argument", signature.inputs), ("output", signature.outputs)):
        for name, tensor in sorted(tensors.items()):
            if tensor.WhichOneof("encoding") != "name":
                yield f"{kind} {name!r} is sparse, ragged or composite; allowed are plain tensors"
    if not signature.outputs:
        yield f"signature {source.signature!r} has no outputs"


def _loader(meta_graph: Any) -> Loader:
    """What TensorFlow runs and feeds when it loads a SavedModel."""
    initial = _tensors(meta_graph, _INIT_SIGNATURE)
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            named = meta_graph.collection_def[key].node_list.value
            initial += [node_name(name) for name in named]
    return Loader(
        initial=tuple(initial),
        restore_op=node_name(meta_graph.saver_def.restore_op_name),
        checkpoint=tensor_name(meta_graph.saver_def.filename_tensor_name),
        assets=tuple(tensor_name(asset.tensor_info.name) for asset in meta_graph.asset_file_def),
    )


def _tensors(meta_graph: Any, signature: str) -> list[str]:
    """Names of the nodes that running a signature asks for; none where there is no such one."""
    if signature not in meta_graph.signature_def:
        return []
    outputs = meta_graph.signature_def[signature].outputs.values()
    return [node_name(tensor.name) for tensor in outputs]


def _wrong_words(meta_graph: Any) -> Iterator[str]:
    yield from wrong_words("signature", meta_graph.signature_def)
    for signature in meta_graph.signature_def.values():
        yield from wrong_words("argument", signature.inputs)
        yield from wrong_words("output", signature.outputs)


def _asset_problems(meta_graph: Any) -> Iterator[str]:
    for asset in meta_graph.asset_file_def:
        if leads_out(asset.filename):
            text = f"the asset {asset.filename!r} leads out of the model's folder"
            yield f"{text}, which is never allowed"


def _tensor_info(name: str, tensor: Any) -> TensorInfo:
    shape = tensor.tensor_shape
    return TensorInfo(
        name=name,
        dtype=tf.as_dtype(tensor.dtype).name,
        shape=None if shape.unknown_rank else tuple(int(side.size) for side in shape.dim),
    )
