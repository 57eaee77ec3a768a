"""Loads a model of any form: frozen for the rewrite, or as it is served.

| form | found by | signature |
|---|---|---|
| SavedModel (TensorFlow 1 or 2) | a folder with ``saved_model.pb`` | one of its own |
| Keras 3 or 2 | suffix ``.keras``, ``.h5``, ``.hdf5`` | input and output layers |
| frozen GraphDef | suffix ``.pb`` | placeholders; fetches, or the nodes that nobody consumes |
| training step | suffix ``.py`` | arguments of the ``tf.function`` that a function returns |
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, Optional

import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader_graph_def import load_graph_def
from amp_tuner.runtime.loader_keras import export_keras
from amp_tuner.runtime.loader_model import FrozenModel, ServedModel
from amp_tuner.runtime.loader_python import export_step
from amp_tuner.runtime.loader_saved_model import (
    freeze_saved_model,
    load_saved_model,
    serve_saved_model,
)
from amp_tuner.runtime.outside_weights import fill, fill_handles, imported_with_variables
from amp_tuner.worker.protocol import ModelSource

__all__ = ["FrozenModel", "ServedModel", "load_model", "open_served", "served_model"]

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
#: What writes a model of another form as a SavedModel, by form.
_EXPORTS: Mapping[str, Callable[[ModelSource, str], None]] = {
    "keras": export_keras,
    "python": export_step,
}


def load_model(source: ModelSource, scratch: Optional[str] = None) -> FrozenModel:
    """Loads a model and freezes it.

    Args:
        source: the model.
        scratch: an existing folder for weights that one graph cannot hold, which are as large as
            the model; None: the system's folder for temporary files.

    Raises:
        InputError: the model is missing, broken, unsafe or of an unknown form: every problem that
            can be found at once.
    """
    form = _form(source)
    if form == "pb":
        return load_graph_def(source)
    if form == "saved_model":
        return freeze_saved_model(source, source.path, scratch)
    with tempfile.TemporaryDirectory(prefix="amp_tuner_export_", dir=scratch) as folder:
        _EXPORTS[form](source, folder)
        gc.collect()  # Keras' own copy of the weights is held by cycles
        return freeze_saved_model(source, folder, scratch)


def served_model(source: ModelSource, scratch: str) -> ServedModel:
    """The model in the form in which a server runs it: variables stay variables.

    Args:
        source: the model.
        scratch: a folder; what is no SavedModel yet is exported to ``scratch/served``, which must
            not exist.

    Raises:
        InputError: as in :func:`load_model`.
    """
    form = _form(source)
    if form == "saved_model":
        return serve_saved_model(source, source.path)
    if form in _EXPORTS:
        folder = str(Path(scratch) / "served")
        _EXPORTS[form](source, folder)
        return serve_saved_model(source, folder)
    model = load_graph_def(source)
    return ServedModel(
        folder=None,
        tags=(),
        graph_def=model.graph_def,
        signature=model.signature,
        inputs=model.inputs,
        outputs=model.outputs,
        feeds=model.feeds,
        fetches=model.fetches,
        initializers=model.initializers,
        notices=model.notices,
        weights=model.weights,
    )


def open_served(served: ServedModel, config: tf.compat.v1.ConfigProto) -> tf.compat.v1.Session:
    """A new session that holds the served model, variables and tables filled, ready to run.

    Raises:
        InputError: variables or assets are missing or broken.
    """
    if served.graph_def is not None:
        variables = imported_with_variables(served.graph_def, "the model")
        session = tf.compat.v1.Session(graph=variables.graph, config=config)
        if served.weights is not None and served.step is not None:
            fill_handles(session, served.weights)
        elif served.weights is not None:
            fill(session, variables, served.weights)
        if served.initializers:
            session.run(list(served.initializers))
        return session
    folder = str(served.folder)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    load_saved_model(session, folder, served.tags, folder)
    return session


def _form(source: ModelSource) -> str:
    """``saved_model``, ``keras``, ``pb``, or ``python`` where a function returns the step.

    Raises:
        InputError: there is nothing at its path, or nothing of these forms.
    """
    path = source.path
    if source.training is not None and source.training.function is not None:
        return "python"
    place = Path(path)
    allowed = "allowed are a SavedModel's folder, a .keras, .h5 or .hdf5 file, a frozen .pb"
    if not place.exists():
        raise InputError.one(path, f"no such file or folder; {allowed}")
    if place.is_dir():
        return "saved_model"
    if place.suffix in KERAS_SUFFIXES:
        return "keras"
    if place.suffix == ".pb":
        return "pb"
    raise InputError.one(path, f"has the suffix {place.suffix!r}; {allowed}")
