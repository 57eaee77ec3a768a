"""``amp-tune export --format tf-serving``: a folder that TensorFlow Serving's model server runs."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from amp_tuner.api.baking import measured_study
from amp_tuner.cli.export_model import bake
from amp_tuner.errors import InputError
from amp_tuner.files import write_text
from amp_tuner.judge.metrics import TRAINING_LOSS
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Point
from amp_tuner.results.serving_files import MODEL, START, VERSION, serving_files


def write_serving_folder(
    folder: RunFolder, point: Point, output: Path | None, *, measured: bool, baked: bool
) -> None:
    """Writes the new folder ``output`` whole or not at all: the model, and the files around it.

    Args:
        folder: the study's.
        point: what to serve.
        output: a path that does not exist.
        measured: whether the family's own pass was what was measured.
        baked: serve the baked model; else the study's own, which the server's pass rewrites.

    Raises:
        InputError: no new path was named, or the point cannot be served like that.
        TargetError: no TensorFlow to bake the model.
    """
    if output is None:
        raise InputError.one("--output", "tf-serving is a folder; name a new one")
    if output.exists():
        raise InputError.one("--output", f"{output} exists; name a new path")
    if point.runtime == "xla":
        message = (
            "the model server does not compile with XLA as runtime xla did: nothing that was "
            "measured would run; --format savedmodel and best.py do"
        )
        raise InputError.one("--format", message)
    if point.accuracy.metric == TRAINING_LOSS:
        message = "a training step is not served; allowed are the others, such as env and python"
        raise InputError.one("--format", message)
    files = serving_files(point, measured=measured, baked=baked)
    beside = output.with_name(f".{output.name}.{secrets.token_hex(4)}")
    try:
        model = beside / MODEL / VERSION
        model.parent.mkdir(parents=True)
        if baked:
            bake(folder, point, model)
        else:
            shutil.copytree(_saved_model(folder, point), model)
        for name, text in files.items():
            write_text(beside / name, text, shared=True)
        (beside / START).chmod(0o755)
        beside.replace(output)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    print(f"{output}: trial {point.number}, {point.setting.data_type}; start it with {START}")


def _saved_model(folder: RunFolder, point: Point) -> Path:
    path = measured_study(folder, point).model.path
    if not path.is_dir():
        message = (
            f"the model server needs a SavedModel, and the study's model is {path.name}: save it "
            "as one and run the study on that, or use runtime engine"
        )
        raise InputError.one("--format", message)
    return path
