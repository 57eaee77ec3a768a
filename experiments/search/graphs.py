"""Typed graphs of real models, written once as JSON: what the problems are made of.

    .venv/bin/python experiments/search/graphs.py [--fresh]

Keras applications have random weights: only their graphs are used. Packaged models are those of
``configs/models``. Shapes are of ``BATCH`` samples.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "configs" / "models"))

import minilm
import numpy as np
import tensorflow as tf
from common import RESULTS
from packaged import packaged_model
from sklearn.linear_model import LogisticRegression

from amp_tuner.amp.rules import rule_set
from amp_tuner.files import write_json
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.shapes import with_shapes
from amp_tuner.worker.protocol import ModelSource

GRAPHS = RESULTS / "search" / "graphs"
BATCH = 16
RULES = ("tf-cpu-bfloat16", "tf-cpu-float16", "itex-gpu-bfloat16", "tf-cuda-float16")
APPLICATIONS = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "InceptionV3"),
    *("MobileNetV2", "MobileNetV3Small", "ResNet50", "Xception"),
)


def application(name: str) -> Callable[[Path], Path]:
    """Saves a model of ``keras.applications``."""

    def save(folder: Path) -> Path:
        path = folder / "model.keras"
        getattr(tf.keras.applications, name)(weights=None).save(path)
        return path

    return save


def u_net(folder: Path) -> Path:
    """Down twice, up by resizing, and joined again."""
    layers = tf.keras.layers
    image = layers.Input([128, 128, 3])
    skipped, down = [], image
    for width in (32, 64, 128):
        down = layers.Conv2D(width, 3, padding="same")(down)
        down = layers.Activation("gelu")(layers.BatchNormalization()(down))
        skipped.append(down)
        down = layers.AveragePooling2D(2)(down)
    for width, skip in zip((64, 32, 16), reversed(skipped)):
        up = layers.UpSampling2D(interpolation="bilinear")(down)
        down = layers.Conv2D(width, 3, padding="same")(layers.Concatenate()([up, skip]))
        down = layers.LayerNormalization()(down)
    out = layers.Softmax()(layers.Conv2DTranspose(4, 3, padding="same")(down))
    path = folder / "model.keras"
    tf.keras.Model(image, out).save(path)
    return path


def transformer(folder: Path) -> Path:
    """An encoder of four layers over token numbers."""
    layers = tf.keras.layers
    tokens = layers.Input([128], dtype="int32")
    y = layers.Embedding(8000, 256)(tokens)
    for _ in range(4):
        y = layers.LayerNormalization()(y + layers.MultiHeadAttention(8, 32)(y, y))
        y = layers.LayerNormalization()(y + layers.Dense(256)(layers.Dense(1024, "gelu")(y)))
    path = folder / "model.keras"
    out = layers.Dense(5, "softmax")(layers.GlobalMaxPool1D()(y))
    tf.keras.Model(tokens, out).save(path)
    return path


def mini_lm(folder: Path) -> Path:
    """A sentence encoder, as ``configs/models/minilm.py`` makes it, with a random classifier."""
    random = np.random.default_rng(0)
    probe = LogisticRegression().fit(random.normal(size=(40, minilm.WIDTH)), np.arange(40) % 4)
    minilm.save(folder / "model", minilm.encoder(), probe)
    return folder / "model"


MODELS: dict[str, Callable[[Path], Path]] = {
    **{name: application(name) for name in APPLICATIONS},
    "UNet": u_net,
    "Transformer": transformer,
    "MiniLM": mini_lm,
    "BasicPitch": lambda _: packaged_model("basic-pitch"),
}


@contextmanager
def saved(name: str) -> Iterator[Path]:
    """A model's file or folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield MODELS[name](Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="write graphs again")
    options = parser.parse_args()
    GRAPHS.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        target = GRAPHS / f"{name}.json"
        if target.exists() and not options.fresh:
            continue
        with saved(name) as path:
            model = load_model(ModelSource(str(path)))
        typed = {}
        for rules in RULES:
            device = "GPU" if rule_set(rules).device == "gpu" else None
            graph = describe(model.graph_def, rule_set(rules), model.preserved(), device)
            typed[rules] = with_shapes(graph, model.graph_def, BATCH).to_json()
        write_json(target, typed)
        nodes = len(model.graph_def.node)
        print(f"{name}: {nodes} nodes, {len(json.dumps(typed)) / 2**20:.1f} MiB", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
