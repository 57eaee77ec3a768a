"""What the scripts of networks without trained weights share: seeded weights, random pictures.

No package carries weights of these networks that were trained on ImageNet. Without a file of such
weights they are random, with normalisation as training would leave it: enough to compare speed, and
16 bits with FP32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from making import ROOT, run
from numpy.typing import NDArray

SEED = 0
#: Of Keras's networks: pixels of a picture's side, of a patch's side, and how many pictures.
SIDE = 224
PATCH = 16
PICTURES = 128
#: Pictures from which normalisation takes its means and variances.
SETTLING = 8
#: The option of a script that takes trained weights.
WEIGHTS = {"weights": "Keras weights (.weights.h5) for 1,000 classes; default: random ones"}


def settle(model: keras.Model, images: NDArray[np.float32]) -> None:
    """Sets every normalisation's mean and variance to those of the images."""
    layers = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)


def pictures(
    generator: np.random.Generator, count: int, side: int, patch: int
) -> NDArray[np.float32]:
    """Patches of one colour each, with some noise; shape (count, side, side, 3), from -1 to 1."""
    patches = side // patch
    colours = generator.uniform(-0.9, 0.9, (count, patches, patches, 3)).astype(np.float32)
    images = colours.repeat(patch, axis=1).repeat(patch, axis=2)
    return images + generator.uniform(-0.1, 0.1, images.shape).astype(np.float32)


def write(
    network: Callable[[], keras.Model],
    images: NDArray[np.float32],
    model_path: Path,
    data_path: Path,
    weights: Path | None,
) -> None:
    """Writes a network as a SavedModel, and its pictures; without a file its weights are random."""
    keras.utils.set_random_seed(SEED)
    model = network()
    if weights is None:
        settle(model, images[:SETTLING])
    else:
        model.load_weights(weights)
    model.export(model_path, verbose=False)
    np.savez(data_path, images=images)


def run_application(script: Path, application: Callable[..., keras.Model]) -> None:
    """The command line of a script for one of Keras's networks; both have one name."""

    def network() -> keras.Model:
        image = keras.Input((SIDE, SIDE, 3), name="image")
        return keras.Model(image, application(weights=None, input_tensor=image).output)

    def make(model_path: Path, data_path: Path, weights: Path | None = None) -> None:
        images = pictures(np.random.default_rng(SEED), PICTURES, SIDE, PATCH)
        write(network, images, model_path, data_path, weights)

    name = script.stem
    run(script, make, ROOT / "models" / name, ROOT / "data" / f"{name}.npz", WEIGHTS)
