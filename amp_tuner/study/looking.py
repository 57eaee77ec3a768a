"""A study's graphs as the sampler sees them: settings painted, never run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from amp_tuner.errors import RewriteError
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH
from amp_tuner.rewrite.effective import graph_id
from amp_tuner.rewrite.tunable import paint_legally
from amp_tuner.rewrite.work import WorkTable
from amp_tuner.search.looks import Look
from amp_tuner.search.space import SearchSpace
from amp_tuner.study.planning import Planner

#: Looks that are remembered: a long study's trials and the newest candidates, some 30 MB.
_KEPT = 20_000
#: New settings for one proposal, so that it takes less than half a second: a setting of a graph of
#: 2,000 type attributes is painted in about 1.5 ms.
_PAINTINGS = 160
_VERTICES = 2_000
_FEWEST_PAINTINGS = 24


class StudyViewer:
    """Looks of a study's settings; see :class:`amp_tuner.search.looks.Viewer`."""

    def __init__(self, planner: Planner, space: SearchSpace) -> None:
        self._space = space
        self._painters = planner.painters
        graphs = [painter.graph for painter in planner.painters.values()]
        self.op_types = tuple(
            sorted({graph.op_types[op] for graph in graphs for op in graph.op_of[graph.candidate]})
        )
        self._tables = {
            name: WorkTable(painter.graph, self.op_types)
            for name, painter in planner.painters.items()
        }
        self.weight = np.mean([table.weight for table in self._tables.values()], axis=0)
        self.nodes = np.mean([table.nodes for table in self._tables.values()], axis=0)
        largest = max(graph.vertices for graph in graphs)
        self.paintings = max(_FEWEST_PAINTINGS, min(_PAINTINGS, _PAINTINGS * _VERTICES // largest))
        self._names = tuple(space.choices())
        self._looked = lru_cache(_KEPT)(self._look)

    def look(
        self, parameters: Mapping[str, str], lists: tuple[str, ...] | None = None
    ) -> Look | None:
        """The look of a set of parameters; see :class:`amp_tuner.search.looks.Viewer`."""
        values = tuple(parameters[name] for name in self._names)
        return self._looked(values, lists or self._space.proposed)

    def _look(self, values: tuple[str, ...], lists: tuple[str, ...]) -> Look | None:
        space = replace(self._space, proposed=lists)
        setting = space.setting(dict(zip(self._names, values, strict=True)))
        nothing = np.zeros(len(self.op_types))
        float32 = Look(FLOAT32, FLOAT32, nothing, nothing, nothing, np.zeros(4))
        if setting.data_type == FLOAT32:
            return float32
        painter = self._painters[setting.data_type]
        try:
            _, painting = paint_legally(painter.graph, painter.rules.lists.moved(setting.moves))
        except RewriteError:
            return None
        graph = graph_id(painter.graph, painting)
        if graph == FLOAT32_GRAPH.graph_id:
            return float32
        work = self._tables[setting.data_type].work(painting)
        shares = (work.painted, work.painted_nodes, work.borders, work.casts)
        return Look(graph, setting.data_type, *shares)
