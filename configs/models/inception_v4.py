"""Makes the model and the data of inception_v4.yaml: Inception v4 for pictures of 299 x 299.

    python configs/models/inception_v4.py [--weights FILE]

The network is that of Szegedy, Ioffe, Vanhoucke, Alemi: "Inception-v4, Inception-ResNet and the
Impact of Residual Connections on Learning" (arXiv:1602.07261), figures 3 to 9; names such as
Inception-A are the paper's. Without a file its weights are random, with normalisation as training
would leave it: enough to compare speed, and 16 bits with FP32. Made are

    models/inception_v4        SavedModel: image, float32 (batch, 299, 299, 3), 1,000 classes
    data/inception_v4.npz      random pictures from -1 to 1: patches of colour, and noise
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from making import ROOT, run
from untrained import SEED, WEIGHTS, pictures, write

SIZE = 299
CLASSES = 1000
PICTURES = 32
#: Pixels of a patch's side; 13 patches of 23 make 299.
PATCH = 23

Tensor = Any


def conv(x: Tensor, filters: int, *kernel: int, strides: int = 1, padding: str = "same") -> Tensor:
    """Convolution, batch normalisation without a scale, ReLU: every "Conv" of the figures."""
    size = kernel if len(kernel) == 2 else kernel * 2
    layers = keras.layers
    convolution = layers.Conv2D(
        filters,
        size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=keras.random.SeedGenerator(SEED)),
    )
    x = layers.BatchNormalization(momentum=0.9997, epsilon=0.001, scale=False)(convolution(x))
    return layers.ReLU()(x)


def halved(x: Tensor, filters: int) -> Tensor:
    """A 3 x 3 convolution that halves height and width; no padding ("V" in the figures)."""
    return conv(x, filters, 3, strides=2, padding="valid")


def pooled(x: Tensor) -> Tensor:
    """Largest of 3 x 3; halves height and width."""
    return keras.layers.MaxPooling2D(3, 2)(x)


def averaged(x: Tensor, filters: int) -> Tensor:
    """Mean of 3 x 3, then a 1 x 1 convolution: the first branch of each Inception block."""
    return conv(keras.layers.AveragePooling2D(3, 1, "same")(x), filters, 1)


def joined(*branches: Tensor) -> Tensor:
    """The figures' "filter concat"."""
    return keras.layers.Concatenate()(branches)


def stem(x: Tensor) -> Tensor:
    """Figure 3: 299 x 299 x 3 to 35 x 35 x 384."""
    x = conv(halved(x, 32), 32, 3, padding="valid")
    x = conv(x, 64, 3)
    x = joined(pooled(x), halved(x, 96))
    short = conv(conv(x, 64, 1), 96, 3, padding="valid")
    long = conv(conv(conv(x, 64, 1), 64, 7, 1), 64, 1, 7)
    x = joined(short, conv(long, 96, 3, padding="valid"))
    return joined(halved(x, 192), pooled(x))


def inception_a(x: Tensor) -> Tensor:
    """Figure 4, on 35 x 35."""
    once = conv(conv(x, 64, 1), 96, 3)
    twice = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
    return joined(averaged(x, 96), conv(x, 96, 1), once, twice)


def reduction_a(x: Tensor) -> Tensor:
    """Figure 7 with k, l, m, n of table 1: to 17 x 17 x 1024."""
    long = halved(conv(conv(x, 192, 1), 224, 3), 256)
    return joined(pooled(x), halved(x, 384), long)


def inception_b(x: Tensor) -> Tensor:
    """Figure 5, on 17 x 17; its two 1 x 7 in a row are 1 x 7 and 7 x 1, as in the authors' code."""
    once = conv(conv(conv(x, 192, 1), 224, 1, 7), 256, 7, 1)
    twice = conv(conv(conv(x, 192, 1), 192, 7, 1), 224, 1, 7)
    twice = conv(conv(twice, 224, 7, 1), 256, 1, 7)
    return joined(averaged(x, 128), conv(x, 384, 1), once, twice)


def reduction_b(x: Tensor) -> Tensor:
    """Figure 8: to 8 x 8 x 1536."""
    short = halved(conv(x, 192, 1), 192)
    long = halved(conv(conv(conv(x, 256, 1), 256, 1, 7), 320, 7, 1), 320)
    return joined(pooled(x), short, long)


def inception_c(x: Tensor) -> Tensor:
    """Figure 6, on 8 x 8."""
    once = conv(x, 384, 1)
    twice = conv(conv(conv(x, 384, 1), 448, 3, 1), 512, 1, 3)
    split = (conv(part, 256, *size) for part in (once, twice) for size in ((1, 3), (3, 1)))
    return joined(averaged(x, 256), conv(x, 256, 1), *split)


def network() -> keras.Model:
    """Figure 9."""
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = stem(image)
    for block, times in (
        (inception_a, 4),
        (reduction_a, 1),
        (inception_b, 7),
        (reduction_b, 1),
        (inception_c, 3),
    ):
        for _ in range(times):
            x = block(x)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Dense(CLASSES, "softmax", name="classes")(x))


def make(model_path: Path, data_path: Path, weights: Path | None = None) -> None:
    """Builds the network and writes."""
    images = pictures(np.random.default_rng(SEED), PICTURES, SIZE, PATCH)
    write(network, images, model_path, data_path, weights)


if __name__ == "__main__":
    run(
        Path(__file__),
        make,
        ROOT / "models" / "inception_v4",
        ROOT / "data" / "inception_v4.npz",
        WEIGHTS,
    )
