"""Faults that TensorFlow does not tell with a node's name."""

from __future__ import annotations

import pytest
from tensorflow.core.framework import graph_pb2

from amp_tuner.runtime.graph_faults import cycles, unreadable_names
from tests.rewrite import graphs
from tests.rewrite.bad_graphs import CHAIN


def reading(**inputs: list[str]) -> graph_pb2.GraphDef:
    """Nodes by name with what they read."""
    graph_def = graph_pb2.GraphDef()
    for name, read in inputs.items():
        graph_def.node.add(name=name, op="NoOp", input=read)
    return graph_def


@pytest.mark.parametrize(
    "graph_def", [CHAIN, graphs.while_loop(), graphs.recurrent_edges(), graphs.recurrent_net()]
)
def test_chains_and_loops_are_no_cycles(graph_def: graph_pb2.GraphDef) -> None:
    assert cycles(graph_def) == []


def test_a_cycle_is_told_without_what_leads_to_it_or_away() -> None:
    graph_def = reading(start=[], a=["start", "^c"], b=["a:1"], c=["b", "b"], end=["c", "gone"])
    assert cycles(graph_def) == [
        "nodes form a cycle outside loops: 'a' reads 'c' reads 'b' reads 'a'"
    ]


def test_a_long_cycle_is_cut_short() -> None:
    count = 100_000
    ring = {f"n{place}": [f"n{(place + 1) % count}"] for place in range(count)}
    (told,) = cycles(reading(**ring))
    assert told.endswith("'n6' reads 'n7' reads …")


def test_only_names_that_are_no_utf_8_are_told() -> None:
    data = CHAIN.SerializeToString()
    assert unreadable_names(data) == []
    assert unreadable_names(data[:-3]) == []
    # The name of the third node and both places where it is read.
    broken = data.replace(b"Relu2", b"Rel\xff2")
    (told,) = unreadable_names(broken)
    assert "is called b'Rel\\xff2', which is no UTF-8" in told
