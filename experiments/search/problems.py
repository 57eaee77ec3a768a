"""Problems for samplers: a real graph, real painting, and an evaluation without a device.

What a setting costs is a function of its painting alone, so each effective graph is evaluated once.
A cost that takes a device's place (a model of one, say) only has to be a :class:`Cost`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, Setting
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import Painting
from amp_tuner.rewrite.prepare import PreparedGraph
from amp_tuner.rewrite.tunable import paint_legally
from amp_tuner.search.acquisition import front_of
from amp_tuner.search.space import SearchSpace
from amp_tuner.study.looking import StudyViewer
from amp_tuner.study.planning import Planner

GRAPHS = RESULTS / "search" / "graphs"
#: The search space's lists, as a study file's default has them.
LISTS = ("allow", "infer", "clear", "deny")


@dataclass(frozen=True)
class Truth:
    """What a painting really does.

    Attributes:
        log_speedup: over FP32.
        drop: loss of accuracy.
        crashes: it cannot run.
    """

    log_speedup: float
    drop: float
    crashes: bool = False


class Cost(Protocol):
    """What takes the device's place."""

    def __call__(self, data_type: str, prepared: PreparedGraph, painting: Painting) -> Truth:
        """The truth about one painting of the data type's graph."""
        ...


@dataclass
class Problem:
    """One model under two data types on one device that is not there.

    Attributes:
        name: as tables show it.
        planner, space, viewer: as a study of it has them.
        cost: evaluates paintings.
        limit: the drop that the accuracy goal allows.
    """

    name: str
    planner: Planner
    space: SearchSpace
    viewer: StudyViewer
    cost: Cost
    limit: float = math.inf
    _known: dict[str, Truth] = field(default_factory=dict)
    _drawn: dict[tuple[str, ...], tuple[str, Truth] | None] = field(default_factory=dict)

    def evaluate(self, setting: Setting) -> tuple[str, Truth]:
        """The effective graph's id and the truth about it; each graph is evaluated once.

        Raises:
            RewriteError: the pass refuses the setting.
        """
        if setting.data_type == FLOAT32:
            return FLOAT32_GRAPH.graph_id, Truth(0.0, 0.0)
        painter = self.planner.painters[setting.data_type]
        lists = painter.rules.lists.moved(setting.moves)
        _, painting = paint_legally(painter.graph, lists, setting.level)
        graph_id = effective_graph(painter.graph, painting).graph_id
        if graph_id == FLOAT32_GRAPH.graph_id:
            return graph_id, Truth(0.0, 0.0)
        if graph_id not in self._known:
            self._known[graph_id] = self.cost(setting.data_type, painter.graph, painting)
        return graph_id, self._known[graph_id]

    def parameters(self, parameters: Mapping[str, str]) -> tuple[str, Truth] | None:
        """The same for a set of parameters; None where the pass refuses it."""
        key = tuple(parameters[name] for name in self.space.choices())
        if key not in self._drawn:
            try:
                self._drawn[key] = self.evaluate(self.space.setting(parameters))
            except RewriteError:
                self._drawn[key] = None
        return self._drawn[key]

    def volume(self, truths: list[Truth]) -> float:
        """Hypervolume of speed-up above FP32's and drop below the limit, the limit counted as 1."""
        points = [
            (-math.exp(one.log_speedup), one.drop / self.limit) for one in truths if not one.crashes
        ]
        reference = np.array([-1.0, 1.0])
        front = front_of(np.array(points).reshape(-1, 2), reference)
        widths = np.diff(front[:, 0], append=reference[0])
        return float((widths * (reference[1] - front[:, 1])).sum())


def planner_of(model: str, rules: tuple[str, ...]) -> Planner:
    """A planner over a model's typed graphs under some rule sets.

    Raises:
        FileNotFoundError: ``graphs.py`` has not run.
    """
    stored = json.loads((GRAPHS / f"{model}.json").read_text(encoding="utf-8"))
    graphs = {}
    for name in rules:
        rule = rule_set(name)
        graphs[rule.data_type] = (rule, TypedGraph.from_json(stored[name]))
    return Planner.of(graphs, served=False)


def problem_of(name: str, planner: Planner, cost: Cost, strictness: float) -> Problem:
    """A problem whose goal allows ``strictness`` times what the fastest default AMP loses."""
    space = planner.space("auto", LISTS)
    problem = Problem(name, planner, space, StudyViewer(planner, space), cost)
    defaults = [problem.evaluate(Setting(data_type))[1] for data_type in space.data_types]
    painted = [truth for truth in defaults if truth.drop > 0]
    fastest = max(painted, key=lambda truth: truth.log_speedup)
    problem.limit = strictness * fastest.drop
    return problem


def random_parameters(space: SearchSpace, random: np.random.Generator) -> dict[str, str]:
    """A 16-bit setting with every list drawn on its own."""
    choices = {name: list(values) for name, values in space.choices().items()}
    drawn = {name: str(random.choice(values)) for name, values in choices.items()}
    return {**drawn, "data_type": str(random.choice(list(space.data_types)))}
