from __future__ import annotations

from dataclasses import replace

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.records import Setting
from amp_tuner.study.planning import Planner

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
