"""Makes EfficientNet-Lite0 with its trained weights, and photos: 1,000 classes of ImageNet.

    python configs/models/efficientnet_lite0.py

The network is that of Tan, Le: "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks" (arXiv:1905.11946), table 1, in its Lite form: no squeeze and excitation, ReLU6 for
swish, stem and head not scaled. Its weights come from a package of PyTorch, whose file is a
pickle: the weights' names are read from the pickle's listing, and nothing in it is run. Made are

    models/efficientnet_lite0      SavedModel: images, float32 (batch, 224, 224, 3) from 0 to 255
    data/efficientnet_lite0.npz    20 labelled photos of ImageNet, each in 8 views, the whole first
"""

from __future__ import annotations

import io
import pickletools
from pathlib import Path

import numpy as np
import tensorflow as tf
from making import ROOT, run
from numpy.typing import NDArray
from packaged import packaged_model

SIZE = 224
VIEWS = 8
SEED = 0
#: Repeats, kernel, stride, expansion, filters: stages 2 to 8 of table 1.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: Pickles before that of the weights: magic number, version, system.
HEADERS = 3

Array = NDArray[np.float32]


def strings(file: io.BytesIO) -> list[str]:
    """The strings in the pickle that the file is at; nothing is unpickled."""
    found = pickletools.genops(file)
    return [str(argument) for opcode, argument, _ in found if opcode.name == "BINUNICODE"]


def trained(path: Path) -> dict[str, Array]:
    """The weights in PyTorch's file by name, flat; in TensorFlow's layout, from which they came.

    The file is a row of pickles, then the storages: each its length in 8 bytes, and its values.
    The pickle of the weights says the storage's key after each name; the last one lists the keys
    in the order of the storages.
    """
    content = path.read_bytes()
    file = io.BytesIO(content)
    for _ in range(HEADERS):
        strings(file)
    words = [word for word in strings(file) if "." in word or word.isdigit()]
    names = {key: name for name, key in zip(words, words[1:]) if key.isdigit()}
    keys = strings(file)
    at = file.tell()
    found = {}
    for key in keys:
        dtype = np.int64 if names[key].endswith("num_batches_tracked") else np.float32
        values = np.frombuffer(
            content, dtype, int.from_bytes(content[at : at + 8], "little"), at + 8
        )
        found[names[key]] = values
        at += 8 + values.nbytes
    if at != len(content):
        raise ValueError(f"{path} holds {len(content) - at} bytes more than its weights")
    return found


class Network:
    """The layers, with the package's names for their weights."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights

    def conv(
        self, x: tf.Tensor, name: str, filters: int, kernel: int = 1, stride: int = 1
    ) -> tf.Tensor:
        """Convolution without a bias."""
        values = self._weights[f"{name}.weight"].reshape(kernel, kernel, x.shape[-1], filters)
        return tf.nn.conv2d(x, values, stride, "SAME")

    def depthwise(self, x: tf.Tensor, name: str, kernel: int, stride: int) -> tf.Tensor:
        """Convolution of each channel alone."""
        values = self._weights[f"{name}.weight"].reshape(kernel, kernel, x.shape[-1], 1)
        return tf.nn.depthwise_conv2d(x, values, [1, stride, stride, 1], "SAME")

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Batch normalisation."""
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, offset, mean, variance = (self._weights[f"{name}.{part}"] for part in parts)
        return tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, epsilon=0.001, is_training=False
        )[0]

    def block(
        self, x: tf.Tensor, name: str, kernel: int, stride: int, expansion: int, filters: int
    ) -> tf.Tensor:
        """Inverted residual: wider, each channel alone, narrower; added where shapes allow."""
        y = x
        if expansion > 1:
            y = self.conv(y, f"{name}._expand_conv", expansion * x.shape[-1])
            y = tf.nn.relu6(self.norm(y, f"{name}._bn0"))
        y = self.depthwise(y, f"{name}._depthwise_conv", kernel, stride)
        y = tf.nn.relu6(self.norm(y, f"{name}._bn1"))
        y = self.norm(self.conv(y, f"{name}._project_conv", filters), f"{name}._bn2")
        return x + y if stride == 1 and filters == x.shape[-1] else y

    def classes(self, images: tf.Tensor) -> tf.Tensor:
        """Chances of the 1,000 classes."""
        x = self.conv((images - 127.0) / 128.0, "_conv_stem", 32, 3, 2)
        x = tf.nn.relu6(self.norm(x, "_bn0"))
        number = 0
        for repeats, kernel, stride, expansion, filters in STAGES:
            for repeat in range(repeats):
                name, step = f"_blocks.{number}", 1 if repeat else stride
                x = self.block(x, name, kernel, step, expansion, filters)
                number += 1
        x = tf.nn.relu6(self.norm(self.conv(x, "_conv_head", 1280), "_bn1"))
        x = tf.reduce_mean(x, [1, 2])
        weights = self._weights["_fc.weight"].reshape(1280, -1)
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(x, weights), self._weights["_fc.bias"]))


def save(path: Path) -> None:
    """Writes the SavedModel."""
    network = Network(trained(packaged_model("efficientnet-lite0")))
    module = tf.Module()
    images = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, "images")
    module.serve = tf.function(lambda images: {"classes": network.classes(images)}, [images])
    tf.saved_model.save(module, str(path), {"serving_default": module.serve})


def views(photo: tf.Tensor, generator: np.random.Generator) -> NDArray[np.float32]:
    """The middle of a photo as the authors crop it, and parts of it, half of them mirrored."""
    height, width = photo.shape[:2]
    found = []
    for number in range(VIEWS):
        side = int(min(height, width) * (0.875 if number == 0 else generator.uniform(0.7, 1)))
        free = np.array([height - side, width - side])
        top, left = (free / 2 if number == 0 else generator.uniform(0, free + 1)).astype(int)
        part = tf.image.resize(photo[top : top + side, left : left + side], [SIZE, SIZE], "bicubic")
        found.append(part[:, ::-1] if number % 2 else part)
    return np.clip(np.stack(found), 0, 255).astype(np.float32)


def make(model_path: Path, data_path: Path) -> None:
    """Writes the model and the data."""
    save(model_path)
    generator = np.random.default_rng(SEED)
    photos = sorted(packaged_model("foolbox").glob("imagenet_*.jpg"))
    images = [views(tf.io.decode_jpeg(path.read_bytes(), 3), generator) for path in photos]
    labels = [int(path.stem.split("_")[-1]) for path in photos]
    np.savez(data_path, images=np.concatenate(images), labels=np.repeat(labels, VIEWS))


if __name__ == "__main__":
    run(
        Path(__file__),
        make,
        ROOT / "models" / "efficientnet_lite0",
        ROOT / "data" / "efficientnet_lite0.npz",
    )
