"""Makes models/guide_mobilenet: MobileNet with the last layers that Intel's guide shows.

    python configs/models/guide_mobilenet.py

Its figures show AvgPool of 7 x 7, a convolution to 1,001 classes, Squeeze, Softmax; Keras's network
(mobilenet.py) takes a Mean in place of the AvgPool. The weights are random: this model is there to
be inspected.
"""

from __future__ import annotations

import keras
from making import ROOT
from untrained import SEED, SIDE

CLASSES = 1001


def network() -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3), name="image")
    body = keras.applications.MobileNet(weights=None, include_top=False, input_tensor=image)
    x = keras.layers.AveragePooling2D(7, strides=2)(body.output)
    x = keras.layers.Conv2D(CLASSES, 1)(x)
    x = keras.layers.Reshape((CLASSES,))(x)
    return keras.Model(image, keras.layers.Softmax()(x))


if __name__ == "__main__":
    keras.utils.set_random_seed(SEED)
    path = ROOT / "models" / "guide_mobilenet"
    network().export(path, verbose=False)
    print(f"wrote {path}")
