"""A published point as a model: its graph rewritten once and for all, weights in 16 bits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.files import digest
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import BAKED, Point
from amp_tuner.study.published import study_of
from amp_tuner.target.loaded import loaded_worker
from amp_tuner.target.workers import model_source
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate

_KEY = "exported"


def measured_study(folder: RunFolder, point: Point) -> StudyConfig:
    """The study that the point comes from; its model must still be the same.

    Raises:
        InputError: it is not, or the folder holds no study.
    """
    config = study_of(folder)
    if digest(config.model.path) != point.model_digest:
        message = f"{config.model.path} is not the model that was measured any more"
        raise InputError.one("$.model.path", message)
    return config


def study_worker(
    config: StudyConfig, device: str, runtime: str = "engine"
) -> AbstractContextManager[WorkerClient]:
    """A worker that has loaded the study's model; see :func:`loaded_worker`."""
    # A runner's interpreter has JAX; what bakes and paints is TensorFlow.
    python = None if config.target.runtime == "xla" else config.target.python
    return loaded_worker(model_source(config), python, device, runtime)


def bake(folder: RunFolder, point: Point, output: Path) -> None:
    """Writes the point's graph as a SavedModel to the new folder ``output``.

    Raises:
        InputError: the model changed.
        TargetError: no TensorFlow that can load it.
    """
    config = measured_study(folder, point)
    setting = point.setting
    candidate = Candidate(setting.data_type, point.rules, point.lists, setting.level)
    # XLA has other kernels than TensorFlow, so the same lists give another graph.
    runtime = point.runtime if point.runtime in BAKED else "engine"
    with study_worker(config, point.device, runtime) as worker:
        worker.build(_KEY, candidate)
        worker.save(_KEY, output.absolute(), "saved_model")
