"""Keras files (``.keras``, ``.h5``): checked as data, opened, exported to a SavedModel.

Their graph exists only once Keras has built the model, so the way on is the SavedModel's: an
argument is named like its input layer, an output like its output layer.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import zipfile
import zlib
from typing import Any

import h5py
import tensorflow as tf

from amp_tuner.errors import InputError, Problem
from amp_tuner.runtime.loader_graph import first_line
from amp_tuner.runtime.unsafe_keras import (
    pickled_members,
    unsafe_archive,
    unsafe_hdf5,
    unsafe_keras_config,
)
from amp_tuner.worker.protocol import ModelSource

SIGNATURE = "serving_default"
#: What Keras raises for files that it cannot load or models that it cannot trace.
_KERAS_ERRORS = (
    AttributeError,
    ImportError,
    KeyError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
#: What reading an archive or an HDF5 file raises where it is damaged, or made to look so.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, OSError),
    *(RuntimeError, ValueError),
)


def export_keras(source: ModelSource, folder: str) -> None:
    """Opens a Keras file and writes it as a SavedModel into ``folder``.

    Raises:
        InputError: every problem of the file.
    """
    _check(source)
    keras, model = _opened(source)
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name.split(":")[0])
        for tensor in model.inputs
    ]
    names = _output_names(model)

    def serve(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        given = arguments[0] if len(arguments) == 1 else list(arguments)
        return dict(zip(names, tf.nest.flatten(model(given, training=False))))

    # Keras' own archive knows which of the model's variables and tables TensorFlow must track.
    archive = keras.export.ExportArchive()
    try:
        archive.track(model)
        archive.add_endpoint(SIGNATURE, serve, input_signature=specs)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the signature
            archive.write_out(folder)
    except _KERAS_ERRORS as error:
        text = f"Keras cannot turn the model into a graph: {first_line(error)}"
        raise InputError.one(source.path, text) from error


def _check(source: ModelSource) -> None:
    """All checks that need no Keras."""
    problems = []
    if source.fetches:
        problems.append("fetches are for frozen .pb files; a Keras model has its own outputs")
    if source.signature != SIGNATURE:
        problems.append(
            f"a Keras file has no signature {source.signature!r}; allowed is {SIGNATURE!r}"
        )
    read = _archive_config if source.path.endswith(".keras") else _hdf5_config
    try:
        config, outside = read(source.path)
        if not source.allow_unsafe:
            problems += unsafe_keras_config(config) + outside
    except RecursionError as error:
        text = "its configuration is nested too deeply to be a model's"
        raise InputError.one(source.path, text) from error
    if problems:
        raise InputError(Problem(source.path, problem) for problem in problems)


def _archive_config(path: str) -> tuple[Any, list[str]]:
    """The configuration in a ``.keras`` archive, and what in it lies in other files."""
    try:
        with zipfile.ZipFile(path) as archive:
            problems = unsafe_archive(archive)
            if problems:
                raise InputError(Problem(path, problem) for problem in problems)
            config = json.loads(archive.read("config.json"))
            outside = pickled_members(archive.namelist())
            for name in filter(lambda name: name.endswith(".h5"), archive.namelist()):
                with archive.open(name) as member, h5py.File(member, "r") as file:
                    outside += unsafe_hdf5(file)
    except RecursionError:
        raise
    except _BROKEN as error:
        text = f"is no .keras archive, or a broken one: {first_line(error)}"
        raise InputError.one(path, text) from error
    if isinstance(config, dict):
        config.pop("compile_config", None)  # the model is not compiled, so this is never used
    return config, outside


def _hdf5_config(path: str) -> tuple[Any, list[str]]:
    """The configuration in an ``.h5`` file, and what in it lies in other files."""
    try:
        with h5py.File(path, "r") as file:
            text, outside = file.attrs.get("model_config"), unsafe_hdf5(file)
    except _BROKEN as error:
        raise InputError.one(
            path, f"is no HDF5 file, or a broken one: {first_line(error)}"
        ) from error
    if text is None:
        raise InputError.one(
            path,
            "holds weights only, no model; allowed is a whole model, as model.save(...) writes it",
        )
    try:
        return json.loads(text), outside
    except (TypeError, ValueError) as error:
        message = f"its model_config is no JSON: {first_line(error)}"
        raise InputError.one(path, message) from error


def _opened(source: ModelSource) -> tuple[Any, Any]:
    """The Keras that can load the file, and the model, not compiled."""
    failures = []
    for keras in _keras_packages():
        model, failure = _attempt(keras, source)
        if model is not None:
            _check_built(model, source.path)
            return keras, model
        failures.append(failure)
    raise InputError.one(
        source.path,
        f"cannot be loaded; {'; '.join(failures)}; allowed are models without custom objects, of "
        "this Keras, or of Keras 2 where the package tf_keras is installed beside TensorFlow; or "
        "export the model as a SavedModel where it was made",
    )


def _attempt(keras: Any, source: ModelSource) -> tuple[Any, str]:
    """The model, or None and the reason."""
    safe_mode = not source.allow_unsafe
    try:
        return keras.models.load_model(source.path, compile=False, safe_mode=safe_mode), ""
    except _KERAS_ERRORS as error:
        version = getattr(keras, "__version__", "2")
        return None, f"Keras {version} on TensorFlow {tf.__version__}: {first_line(error)}"


def _keras_packages() -> list[Any]:
    """TensorFlow's own Keras, and Keras 2 where it is installed beside it."""
    packages = [tf.keras]
    if importlib.util.find_spec("tf_keras") is not None:
        packages.append(importlib.import_module("tf_keras"))
    return packages


def _check_built(model: Any, where: str) -> None:
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise InputError.one(
            where,
            "the model's inputs are not known; allowed are functional models and sequential ones "
            "with an input shape, or export the model as a SavedModel",
        )


def _output_names(model: Any) -> list[str]:
    """One name for each output: the output layer's, numbered where a layer has several."""
    names = list(getattr(model, "output_names", None) or [model.layers[-1].name])
    if len(names) != len(model.outputs):
        names = [f"output_{number}" for number in range(len(model.outputs))]
    return [
        name if names.count(name) == 1 else f"{name}_{position}"
        for position, name in enumerate(names)
    ]
