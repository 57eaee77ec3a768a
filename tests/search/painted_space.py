"""A small graph without TensorFlow, its space and what the sampler sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import optuna

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.typed_graph import Edge, Shapes, TypedGraph, TypedNode, Vertex
from amp_tuner.search.amp_sampler import AmpSampler
from amp_tuner.search.distributions import distributions
from amp_tuner.search.looks import Look
from amp_tuner.search.space import SearchSpace
from amp_tuner.study.looking import StudyViewer
from amp_tuner.study.planning import Planner

OP_TYPES = ("Conv2D", "Exp", "MatMul", "Mean", "Mul", "Relu", "Softmax", "Tanh")


def chain(ops: Sequence[str], rules: str) -> TypedGraph:
    """Nodes one behind the other, from a placeholder to a result; each has one float32 type."""
    nodes = [_node("x", "Placeholder", kept=True)]
    nodes += [_node(f"n{place}", op) for place, op in enumerate(ops)]
    nodes.append(_node("out", "Identity", kept=True))
    vertices = [Vertex(place, "T", -1, "float32", True, True) for place in range(len(nodes))]
    edges = [Edge(place, 0, place + 1, 0) for place in range(len(nodes) - 1)]
    shapes = {(place, 0): (16, 8 * (1 + place % 5)) for place in range(len(nodes) - 1)}
    return TypedGraph(
        rules=rule_set(rules).identifier,
        kernel_source="a test",
        skipped=None,
        nodes=tuple(nodes),
        vertices=tuple(vertices),
        edges=tuple(edges),
        shapes=Shapes(16, shapes),
    )


def _node(name: str, op: str, *, kept: bool = False) -> TypedNode:
    return TypedNode(name, op, not kept, not kept, False, False, False, not kept, kept)


@cache
def planner_of(ops: tuple[str, ...], rules: tuple[str, ...]) -> Planner:
    graphs = {rule_set(name).data_type: (rule_set(name), chain(ops, name)) for name in rules}
    return Planner.of(graphs, served=False)


class PaintedSpace:
    """A space, its viewer, and a sampler over it."""

    def __init__(
        self,
        ops: Sequence[str] = OP_TYPES * 3,
        lists: tuple[str, ...] = ("allow", "infer", "clear", "deny"),
        rules: tuple[str, ...] = ("tf-cpu-bfloat16",),
    ) -> None:
        self.planner = planner_of(tuple(ops), rules)
        self.space: SearchSpace = self.planner.space("auto", lists)
        self.viewer = StudyViewer(self.planner, self.space)
        self.distributions = distributions(self.space)

    def study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(directions=["maximize", "minimize"])

    def ask(self, study: optuna.Study, seed: int = 0) -> optuna.Trial:
        """The next trial, by a sampler made for it alone."""
        finished = len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))
        study.sampler = AmpSampler(1000 * seed + finished, self.space, self.viewer)
        return study.ask(self.distributions)

    def run(
        self,
        study: optuna.Study,
        trials: int,
        objective: Callable[[Look], tuple[float, float]],
        limit: float = 0.5,
    ) -> list[Mapping[str, str]]:
        """So many trials; what was asked."""
        asked = []
        for _ in range(trials):
            trial = self.ask(study)
            asked.append(dict(trial.params))
            speedup, drop = objective(self.look(trial.params))
            trial.set_constraint("accuracy", drop - limit)
            study.tell(trial, [speedup, drop])
        return asked

    def look(self, parameters: Mapping[str, str]) -> Look:
        found = self.viewer.look(parameters)
        assert found is not None
        return found

    def graphs(self, asked: Sequence[Mapping[str, str]]) -> list[str]:
        return [self.look(parameters).graph_id for parameters in asked]

    def share(self, look: Look, op_type: str, *, by_nodes: bool = False) -> float:
        """Of one op type's work, or of its nodes, what is 16-bit."""
        if op_type not in self.viewer.op_types:
            return 0.0
        return float(look.share(by_nodes=by_nodes)[self.viewer.op_types.index(op_type)])
