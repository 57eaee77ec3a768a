"""From a setting to what would run: legal lists, the effective graph, the worker's candidate.

The only place where the tuner paints. A plan costs milliseconds and no device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.lists import AmpLists, moves_of_nodes
from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.errors import InputError, Problem
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, EffectiveGraph, Setting
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.minimal import fewest_moves, least_changing_first
from amp_tuner.rewrite.moved_nodes import problems_of
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.rewrite.tunable import paint_legally, tunable_op_types
from amp_tuner.search.space import SearchSpace
from amp_tuner.text import did_you_mean
from amp_tuner.worker.protocol import Candidate

#: How the notice begins that tells of another conversion than was predicted.
UNPREDICTED = "the real pass converted another graph than was predicted"


@dataclass(frozen=True)
class Plan:
    """A setting, ready to be measured.

    Attributes:
        setting: the setting with its moves made legal: what is recorded and exported.
        lists: the full lists (the default ones for FP32's family are not needed: empty).
        effective: the identity of the graph that would run.
        candidate: what the worker is given.
    """

    setting: Setting
    lists: AmpLists
    effective: EffectiveGraph
    candidate: Candidate


@dataclass(frozen=True)
class Painter:
    """One data type's rule set and prepared graph."""

    rules: RuleSet
    graph: PreparedGraph

    def plan(self, setting: Setting, *, served: bool) -> Plan:
        """Paints ``setting``; ``served`` adds the family's variables for the real pass.

        Raises:
            RewriteError: the pass itself fails on these lists.
        """
        wanted = self.rules.lists.moved(setting.moves)
        lists, painting = paint_legally(self.graph, wanted, setting.level)
        effective = effective_graph(self.graph, painting)
        legal = replace(setting, moves=lists.moves_from(self.rules.lists))
        candidate = Candidate(
            data_type=setting.data_type,
            rules=self.rules.identifier,
            lists=lists,
            level=setting.level,
            environment=to_environment(self.rules, lists, setting.level) if served else {},
            expects_16bit=effective.nodes_16bit,
        )
        return Plan(legal, lists, effective, candidate)

    def variables(self, plan: Plan) -> dict[str, str]:
        """The family's variables for a plan; none where it moves nodes, which no pass can."""
        if plan.lists.nodes:
            return {}
        return to_environment(self.rules, plan.lists, plan.setting.level)

    def why_nothing(self) -> str:
        """Why no op type can be 16-bit, where none can."""
        graph, data_type = self.graph, self.rules.data_type
        if graph.graph.skipped is not None:
            return f"the pass leaves it alone ({graph.graph.skipped})"
        if not (graph.float32 & graph.processable).any():
            return "it computes nothing in float32 that the pass may convert"
        if not graph.candidate.any():
            return f"no op type in it has a {data_type} kernel"
        return f"what has {data_type} kernels would change its meaning (state, references)"

    def shortest(self, setting: Setting) -> Setting:
        """The setting with the fewest moves that is found to paint what this legal one does."""
        level = setting.level
        return replace(
            setting, moves=fewest_moves(self.graph, self.rules.lists, setting.moves, level)
        )

    def least_changing_first(self, setting: Setting) -> tuple[str, ...]:
        """The moved op types; first those whose move changes the fewest type attributes."""
        return least_changing_first(self.graph, self.rules.lists, setting.moves, setting.level)


@dataclass(frozen=True)
class Planner:
    """Painters for every data type of a study.

    Attributes:
        painters: data type to painter, in the study file's order.
        served: whether the runtime reads variables (``tensorflow``, ``itex``).
    """

    painters: Mapping[str, Painter]
    served: bool

    @classmethod
    def of(cls, graphs: Mapping[str, tuple[RuleSet, TypedGraph]], *, served: bool) -> Planner:
        """Prepares each data type's graph once.

        Lists that the runtime's own pass printed win over those that are known of it.
        """
        painters = {
            data_type: Painter(rules.with_lists(graph.lists), prepare(graph, rules))
            for data_type, (rules, graph) in graphs.items()
        }
        return cls(painters, served)

    def plan(self, setting: Setting) -> Plan:
        """The plan of any setting; painting nothing is FP32, whatever the data type says."""
        if setting.data_type == FLOAT32:
            return Plan(setting, AmpLists(), FLOAT32_GRAPH, Candidate(FLOAT32))
        return self.painters[setting.data_type].plan(setting, served=self.served)

    def without(self, setting: Setting, op_type: str) -> Plan:
        """The plan of a 16-bit setting without one of its moves, and none that are idle then.

        Raises:
            RewriteError: the pass itself fails without it.
        """
        moves = {moved: place for moved, place in setting.moves.items() if moved != op_type}
        smaller = self.plan(replace(setting, moves=moves)).setting
        return self.plan(self.painters[setting.data_type].shortest(smaller))

    def space(self, op_types: str | tuple[str, ...], proposed: tuple[str, ...]) -> SearchSpace:
        """The search space: ``auto`` op types, or the ones that the user named.

        Raises:
            InputError: an op type that the graph lacks or that cannot be 16-bit in it.
        """
        tunable = {
            op_type
            for painter in self.painters.values()
            for op_type in tunable_op_types(painter.graph)
        }
        if op_types != "auto":
            self._check(tuple(op_types), tunable)
            tunable &= set(op_types)
        defaults = {name: painter.rules.lists for name, painter in self.painters.items()}
        return SearchSpace(tuple(self.painters), tuple(sorted(tunable)), proposed, defaults)

    def graphs(self) -> dict[str, TypedGraph]:
        """Each data type's graph with the default lists that it is painted with, without shapes."""
        return {
            name: replace(painter.graph.graph, lists=painter.rules.lists, shapes=None)
            for name, painter in self.painters.items()
        }

    def why_nothing(self, space: SearchSpace) -> str | None:
        """Why no setting can change anything; None if there is something to tune."""
        if space.op_types:
            moved = {
                place != lists.list_of(op_type)
                for lists in space.defaults.values()
                for op_type in space.op_types
                for place in space.proposed
            }
            if any(moved):
                return None
            return f"every op type is in {space.proposed[0]} (search.lists) by default"
        reasons = {painter.why_nothing() for painter in self.painters.values()}
        return " and ".join(sorted(reasons))

    def notices(self) -> tuple[str, ...]:
        """A sentence for each runtime whose default lists are not those that are known of it."""
        found = []
        for painter in self.painters.values():
            known = rule_set(painter.rules.identifier)
            moves = painter.rules.lists.moves_from(known.lists)
            if moves:
                named = ", ".join(f"{op_type} in {place}" for op_type, place in moves.items())
                found.append(
                    f"the target's own lists are used; they differ from {known.identifier}: {named}"
                )
        return tuple(found)

    def op_types(self) -> frozenset[str]:
        """Every op type of the graphs."""
        return frozenset(
            node.op for painter in self.painters.values() for node in painter.graph.graph.nodes
        )

    def _check(self, wanted: tuple[str, ...], tunable: set[str]) -> None:
        present = self.op_types()
        problems = []
        for position, op_type in enumerate(wanted):
            where = f"$.search.op_types[{position}]"
            if op_type not in present:
                hint = did_you_mean(op_type, present)
                problems.append(Problem(where, f"the graph has no op type {op_type!r}{hint}"))
            elif op_type not in tunable:
                message = (
                    f"{op_type!r} cannot be tuned in this graph: no 16-bit kernel, or no list "
                    f"changes anything; tunable: {', '.join(sorted(tunable)) or 'none'}"
                )
                problems.append(Problem(where, message))
        if problems:
            raise InputError(problems)


def unpredicted(differences: Sequence[str]) -> str:
    """The notice about a graph that is not the predicted one; names where it differs."""
    return f"{UNPREDICTED}: {'; '.join(differences)}"


def move_problems(
    where: str, moves: Mapping[str, str], graphs: Sequence[TypedGraph], *, served: bool = False
) -> list[Problem]:
    """Moves of what graphs do not have or cannot convert, with what was probably meant.

    Args:
        where: where they were read: a file.
        moves: of op types and nodes.
        graphs: those that they are for.
        served: a pass reads variables, which know op types only.
    """
    return [
        Problem(f"{where}: moves", problem)
        for problem in _wrong_moves(moves, graphs, served=served)
    ]


def _wrong_moves(
    moves: Mapping[str, str], graphs: Sequence[TypedGraph], *, served: bool
) -> Iterator[str]:
    present = {node.op for graph in graphs for node in graph.nodes}
    of_nodes = moves_of_nodes(moves)
    for subject in moves:
        if subject not in of_nodes and subject not in present:
            yield f"the graph has no op type {subject!r}{did_you_mean(subject, present)}"
    if of_nodes and served:
        yield (
            f"{min(of_nodes)} moves a node, and this runtime's pass knows op types only; allowed: "
            "runtimes that rewrite the graph themselves, such as engine"
        )
        return
    yield from dict.fromkeys(wrong for graph in graphs for wrong in problems_of(graph, moves))
