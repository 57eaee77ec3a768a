"""What ``export`` needs the model for: to bake a point, or to predict it for another runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import default_rules, rule_set
from amp_tuner.api import baking
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.activation import NODES_ARE_BAKED
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.study.planning import Painter


def bake(folder: RunFolder, point: Point, output: Path) -> None:
    """Writes the point's graph as a SavedModel to the new folder ``output``, and says so.

    Raises:
        InputError: the model changed.
        TargetError: no TensorFlow that can load it.
    """
    with working(make_console(), "baking the model"):
        baking.bake(folder, point, output)


def predicted(folder: RunFolder, point: Point, runtime: str) -> Point:
    """The point for another runtime: painted again with that runtime's rules, not measured.

    Raises:
        InputError: the model changed, that runtime does not have the data type, or no pass can have
            the moves.
        TargetError: no TensorFlow that can load it.
    """
    if point.lists.nodes:
        raise InputError.one(f"moves.{min(point.lists.nodes)}", NODES_ARE_BAKED)
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
    config = baking.measured_study(folder, point)
    # A modelled device need not be here.
    painter = "engine" if point.modelled_for is None else point.runtime
    with (
        working(make_console(), "painting"),
        baking.study_worker(config, point.device, painter) as worker,
    ):
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
