"""Keras files of attackers, after known weaknesses of Keras' own loading: none runs anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pytest

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.worker.protocol import ModelSource
from tests.hostile_models import keras_config, pickled_npz, write_keras


def refusal(path: Path, *, allow_unsafe: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        load_model(ModelSource(str(path), allow_unsafe=allow_unsafe))
    return str(caught.value)


def layer(class_name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    """One layer of a configuration, named ``sly``."""
    given = {"name": "sly", "trainable": True, "dtype": "float32", **config}
    return {"module": module, "class_name": class_name, "config": given, "registered_name": None}


def function(module: str, name: str) -> dict[str, Any]:
    """A function as Keras writes it down."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


CODE = {"class_name": "__lambda__", "config": {"value": "4wEAAAAAAAAA"}}
LAYERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "Python code (CVE-2024-3660)": (
        layer("Lambda", function=CODE),
        "layer 'sly' (Lambda) runs Python code that the file carries",
    ),
    "a lambda as an activation": (
        layer("Dense", units=1, activation=CODE),
        "layer 'sly' carries a Python lambda",
    ),
    "a lambda in an inner layer": (
        layer("TimeDistributed", layer=layer("Lambda", function=CODE)),
        "layer 'sly' (Lambda) runs Python code",
    ),
    "a function of any module (CVE-2025-1550)": (
        layer("Dense", units=1, activation=function("subprocess", "call")),
        "names the function 'subprocess.call'",
    ),
    "a class of any module (CVE-2025-1550)": (
        layer("Popen", module="subprocess", args=["touch", "pwned"]),
        "layer 'sly' imports 'subprocess.Popen'",
    ),
    "a module that hides behind a newline": (
        layer("Dense", module="keras.layers\nos", units=1),
        "imports",
    ),
    "a download (CVE-2025-8747)": (
        layer("Dense", units=1, activation=function("keras.utils", "get_file")),
        "names the function 'keras.utils.get_file'",
    ),
    "a download as a class (CVE-2025-8747)": (
        layer("get_file", module="keras.utils", origin="http://localhost:9/x"),
        "has the class_name 'get_file', which is no class",
    ),
    "a switch for unsafe files (CVE-2025-9906)": (
        layer("enable_unsafe_deserialization", module="keras.config"),
        "has the class_name 'enable_unsafe_deserialization', which is no class",
    ),
    "the same as a function (CVE-2025-9906)": (
        layer(
            "Dense", units=1, activation=function("keras.config", "enable_unsafe_deserialization")
        ),
        "names the function 'keras.config.enable_unsafe_deserialization'",
    ),
    "the same behind a registered name": (
        {**layer("Nothing", module="keras.config"), "registered_name": "load_model"},
        "has the registered_name 'load_model', which is no class",
    ),
    "a vocabulary from a file (CVE-2025-12058)": (
        layer("StringLookup", vocabulary="/etc/passwd"),
        "layer 'sly' reads its vocabulary from the file '/etc/passwd'",
    ),
    "a vocabulary from the network (CVE-2025-12058)": (
        layer("TextVectorization", vocabulary="http://localhost:9/words"),
        "reads its vocabulary from the file 'http://localhost:9/words'",
    ),
    "a vocabulary of a feature column": (
        layer("DenseFeatures", feature_columns=[{"vocabulary_file": "/etc/passwd"}]),
        "reads its vocabulary from the file '/etc/passwd'",
    ),
    "another model": (layer("TFSMLayer", filepath="/x"), "(TFSMLayer) loads another model"),
    "a pickled module": (
        layer("TorchModuleWrapper", module_bytes="gASV"),
        "(TorchModuleWrapper) unpickles data",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_keras_file_with_a_layer_that_reaches_out_is_refused(name: str, tmp_path: Path) -> None:
    sly, text = LAYERS[name]
    said = refusal(write_keras(tmp_path / "model.keras", keras_config(sly)))
    assert text in said
    assert "; set allow_unsafe: true if you trust the model" in said


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_in_an_h5_file_which_keras_opens_without_its_safe_mode(
    name: str, tmp_path: Path
) -> None:
    """CVE-2025-9905: Keras' ``safe_mode`` means nothing for ``.h5``."""
    sly, text = LAYERS[name]
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(keras_config(sly))
    assert text in refusal(path)


def test_weights_that_would_be_unpickled_are_refused(tmp_path: Path) -> None:
    """Keras 2 opens them with ``allow_pickle=True``."""
    mark = tmp_path / "pwned"
    members = {"model.weights.npz": pickled_npz(mark)}
    path = write_keras(tmp_path / "model.keras", keras_config(), members)
    assert "'model.weights.npz' may hold pickled objects, which is refused" in refusal(path)
    assert not mark.exists()


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    members = {"model.weights.h5": bytes(80 << 20)}
    path = write_keras(tmp_path / "model.keras", keras_config(), members, packed=True)
    assert path.stat().st_size < 1 << 20
    for allow_unsafe in (False, True):
        assert "bytes unpack to 838" in refusal(path, allow_unsafe=allow_unsafe)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 900 + "]" * 900])
def test_a_configuration_nested_without_end_is_refused(text: str, tmp_path: Path) -> None:
    said = refusal(write_keras(tmp_path / "model.keras", text))
    assert "nested too deeply" in said or "cannot be loaded" in said


def test_the_last_of_two_configurations_is_what_is_read_and_checked(tmp_path: Path) -> None:
    config = json.dumps(keras_config(layer("Lambda", function=CODE)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_keras(
            tmp_path / "model.keras", keras_config(), {"config.json": config.encode()}
        )
    assert "(Lambda) runs Python code" in refusal(path)


@pytest.mark.parametrize(
    ("offset", "content"),
    [(6, b"\x62\x00"), (8, b"\x01\x00"), (10, b"\x63\x00")],
    ids=["version", "encrypted", "unknown packing"],
)
def test_an_archive_that_cannot_be_unpacked_is_told(
    offset: int, content: bytes, tmp_path: Path
) -> None:
    path = write_keras(tmp_path / "model.keras", keras_config())
    archive = bytearray(path.read_bytes())
    entry = archive.index(b"PK\x01\x02") + offset
    archive[entry : entry + len(content)] = content
    path.write_bytes(archive)
    assert "is no .keras archive, or a broken one" in refusal(path)
