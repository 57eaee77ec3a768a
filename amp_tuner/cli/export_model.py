"""What ``export`` needs the model for: to bake a point, or to predict it for another runtime."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import default_rules, rule_set
from amp_tuner.cli.model_worker import loaded_worker
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.files import digest
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import BAKED, FLOAT32, Point
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.study.planning import Painter
from amp_tuner.study.published import study_of
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


def bake(folder: RunFolder, point: Point, output: Path) -> None:
    """Writes the point's graph as a SavedModel to the new folder ``output``.

    Raises:
        InputError: the model changed.
        TargetError: no TensorFlow that can load it.
    """
    config = measured_study(folder, point)
    setting = point.setting
    candidate = Candidate(setting.data_type, point.rules, point.lists, setting.level)
    console = make_console()
    # XLA has other kernels than TensorFlow, so the same lists give another graph.
    runtime = point.runtime if point.runtime in BAKED else "engine"
    with (
        working(console, "baking the model"),
        _worker(config, point.device, runtime) as worker,
    ):
        worker.build(_KEY, candidate)
        worker.save(_KEY, output.absolute(), "saved_model")


def predicted(folder: RunFolder, point: Point, runtime: str) -> Point:
    """The point for another runtime: painted again with that runtime's rules, not measured.

    Raises:
        InputError: the model changed, or that runtime does not have the point's data type.
        TargetError: no TensorFlow that can load it.
    """
    how = "measured" if point.modelled_for is None else "modelled"
    notice = f"{how} with runtime {point.runtime}; for {runtime} it is predicted, not measured"
    plain = replace(point, family=runtime, notices=(*point.notices, notice))
    data_type = point.setting.data_type
    if data_type == FLOAT32:
        return plain
    available = default_rules(runtime, point.device)
    if data_type not in available:
        allowed = ", ".join(available) or "none"
        message = f"{runtime} has no {data_type} on {point.device}; it has: {allowed}"
        raise InputError.one("--runtime", message)
    rules = rule_set(available[data_type])
    config = measured_study(folder, point)
    console = make_console()
    # A modelled device need not be here.
    painter = "engine" if point.modelled_for is None else point.runtime
    with working(console, "painting"), _worker(config, point.device, painter) as worker:
        graph = worker.describe([rules.identifier])[rules.identifier]
    plan = Painter(rules, prepare(graph, rules)).plan(point.setting, served=True)
    return replace(
        plain,
        setting=plan.setting,
        rules=rules.identifier,
        lists=plan.lists,
        environment=to_environment(rules, plan.lists, point.setting.level),
        effective=plan.effective,
    )


def _worker(
    config: StudyConfig, device: str, runtime: str = "engine"
) -> AbstractContextManager[WorkerClient]:
    # A runner's interpreter has JAX; what bakes and paints is TensorFlow.
    python = None if config.target.runtime == "xla" else config.target.python
    return loaded_worker(model_source(config), python, device, runtime)
