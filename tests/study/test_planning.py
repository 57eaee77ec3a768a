from __future__ import annotations

from dataclasses import replace

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.records import Setting
from amp_tuner.study.planning import Planner, move_problems

BF16 = rule_set("tf-cpu-bfloat16")
GRAPH = TypedGraph(
    rules=BF16.identifier,
    kernel_source="a test",
    skipped=None,
    nodes=(TypedNode("sine", "Sin", True, True, False, False, False, True),),
    vertices=(Vertex(0, "T", -1, "float32", True, True),),
    edges=(),
)
THEIRS = BF16.lists.moved({"Sin": "allow"})


def planner(graph: TypedGraph) -> Planner:
    return Planner.of({"bfloat16": (BF16, graph)}, served=True)


def test_a_runtime_with_the_known_lists_is_nothing_to_tell() -> None:
    assert planner(GRAPH).notices() == ()
    assert planner(replace(GRAPH, lists=BF16.lists)).notices() == ()


def test_a_runtime_with_other_lists_is_told_and_its_lists_are_used() -> None:
    served = planner(replace(GRAPH, lists=THEIRS))
    (notice,) = served.notices()
    assert notice.endswith("they differ from tf-cpu-bfloat16@2.21: Sin in allow")
    plan = served.plan(Setting(data_type="bfloat16", moves={}, level="default"))
    assert plan.lists == THEIRS
    assert plan.effective.nodes_16bit == 1
    # Nothing needs to be set: the runtime has that list already.
    assert plan.candidate.environment == {}
    back = served.plan(Setting(data_type="bfloat16", moves={"Sin": "none"}, level="default"))
    assert back.candidate.environment == {
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE": "Sin"
    }


def test_moves_of_what_a_graph_lacks_are_told_all_at_once() -> None:
    moves = {"Sine": "allow", "node:sin": "none", "node:sine": "none"}
    found = [str(problem) for problem in move_problems("lists.yaml", moves, [GRAPH])]
    assert found == [
        "lists.yaml: moves: the graph has no op type 'Sine' (did you mean Sin?)",
        "lists.yaml: moves: the graph has no node:sin (did you mean sine?)",
    ]


def test_a_runtime_with_a_pass_of_its_own_moves_no_nodes() -> None:
    (found,) = move_problems("lists.yaml", {"node:sine": "none"}, [GRAPH, GRAPH], served=True)
    assert "node:sine moves a node, and this runtime's pass knows op types only" in found.message


def test_a_node_is_planned_with_its_own_list_and_no_variables() -> None:
    baked = Planner.of({"bfloat16": (BF16, replace(GRAPH, lists=THEIRS))}, served=False)
    plan = baked.plan(Setting("bfloat16", {"node:sine": "none"}))
    assert plan.effective.nodes_16bit == 0
    assert plan.setting.moves == {"node:sine": "none"}
    assert plan.candidate.lists.nodes == {"node:sine": "none"}
    assert baked.painters["bfloat16"].variables(plan) == {}
