"""Written models: whole, with the signature of the model they came from, served by themselves."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.saved_model_writer import write_graph_def, write_saved_model
from amp_tuner.worker.protocol import ModelSource
from tests.runtime.loader_models import NAMES, Example, assert_outputs, run_frozen

Examples = dict[str, Example]
SERVE = Path(__file__).with_name("serve_models.py")


def serve_all(examples: Examples, folder: Path, python: str) -> None:
    """Writes every example's frozen model and runs it in a fresh process of ``python``."""
    for name, example in examples.items():
        model = load_model(example.source)
        write_saved_model(model.graph_def, model, folder / name)
        (folder / f"{name}.key").write_text(model.signature)
        texts = {"O": "S"}
        feeds = {
            key: array.astype(texts.get(array.dtype.kind, array.dtype))
            for key, array in example.feeds.items()
        }
        np.savez(folder / f"{name}.npz", **feeds)
    environment = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [python, str(SERVE), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    serve_all(examples, folder, sys.executable)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_written_model_is_served_by_a_fresh_process(
    name: str, examples: Examples, served: Path
) -> None:
    with np.load(served / f"{name}.out.npz") as outputs:
        assert_outputs(dict(outputs), examples[name].expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_written_model_loads_again_with_the_same_signature(
    name: str, examples: Examples, tmp_path: Path
) -> None:
    model = load_model(examples[name].source)
    write_saved_model(model.graph_def, model, tmp_path / "model")
    again = load_model(ModelSource(str(tmp_path / "model"), model.signature))
    assert set(again.inputs) == set(model.inputs)
    assert set(again.outputs) == set(model.outputs)
    assert_outputs(run_frozen(again, examples[name].feeds), examples[name].expected)


@pytest.mark.parametrize("name", ["saved_model", "saved_model_table"])
def test_a_written_graph_def_loads_again(name: str, examples: Examples, tmp_path: Path) -> None:
    example = examples[name]
    model = load_model(example.source)
    path = tmp_path / "model.pb"
    write_graph_def(model.graph_def, path)
    again = load_model(ModelSource(str(path), fetches=tuple(model.fetches.values())))
    (argument,) = again.inputs
    outputs = run_frozen(again, {argument.name: next(iter(example.feeds.values()))})
    names = [model.fetches[item.name].split(":")[0] for item in model.outputs]
    expected = [example.expected[item.name] for item in model.outputs]
    assert_outputs(outputs, dict(zip(names, expected)))


def test_a_saved_model_is_replaced_whole(examples: Examples, tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("saved_model", "pb"):
        model = load_model(examples[name].source)
        write_saved_model(model.graph_def, model, path)
    assert_outputs(
        run_frozen(load_model(ModelSource(str(path))), examples["pb"].feeds),
        examples["pb"].expected,
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_other_peoples_folders_and_files_are_not_replaced(
    examples: Examples, tmp_path: Path
) -> None:
    model = load_model(examples["pb"].source)
    precious = tmp_path / "photos" / "cat.jpg"
    precious.parent.mkdir()
    precious.write_text("meow")
    for path in (precious, precious.parent):
        with pytest.raises(InputError, match="is there already; allowed are a new name"):
            write_saved_model(model.graph_def, model, path)
    assert precious.read_text() == "meow"


def test_a_write_that_fails_leaves_what_was_there(examples: Examples, tmp_path: Path) -> None:
    model = load_model(examples["pb"].source)
    path = tmp_path / "model"
    write_saved_model(model.graph_def, model, path)
    broken = replace(model, fetches=dict.fromkeys(model.fetches, "absent:0"))
    with pytest.raises(KeyError):
        write_saved_model(model.graph_def, broken, path)
    assert load_model(ModelSource(str(path))).outputs
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
