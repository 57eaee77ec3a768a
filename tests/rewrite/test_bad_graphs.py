"""Graphs that are not as they should be: an answer or an error that names the node, no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, RewriteError
from amp_tuner.runtime.pass_dumps import read_dumps
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite.bad_graphs import CHAIN, broken, mutated_graphs

BF16 = rule_set("tf-cpu-bfloat16")
FAULTS = {
    "unknown op": "Tanh3: unknown op NoSuchOp",
    "too many inputs": r"Tanh3 \(Tanh\) has 2 inputs; its op takes 1",
    "too few inputs": r"Tanh3 \(Tanh\) has 0 inputs; its op takes 1",
    "missing attribute": r"Tanh3 \(Tanh\) lacks its type attribute T",
    "dangling input": "input nobody of Tanh3 does not exist",
    "dangling port": "input Relu2:7 of Tanh3 does not exist",
    "duplicate name": "two nodes are called Tanh3",
}


def rewritten(graph_def):
    return rewrite_graph(graph_def, BF16, BF16.lists, preserved=["x", "out"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_the_nodes_name(fault):
    with pytest.raises(RewriteError, match=FAULTS[fault]):
        rewritten(broken(fault))


@pytest.mark.parametrize("fault", ["cycle", "itself"])
def test_a_cycle_outside_loops_is_painted(fault):
    # The real pass paints it, too ("Converted 2/8 nodes"); TensorFlow refuses the graph afterwards.
    after = {node.name: node for node in rewritten(broken(fault)).node}
    assert after["MatMul1"].attr["T"].type == after["MatMul4"].attr["T"].type == 14


def _answered(graph_def):
    before = graph_def.SerializeToString()
    try:
        rewritten(graph_def)
    except RewriteError as error:
        told = str(error)
    else:
        told = "rewritten"
    assert told
    assert graph_def.SerializeToString() == before


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(graph_def=mutated_graphs())
def test_a_broken_graph_is_rewritten_or_refused(graph_def):
    _answered(graph_def)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
@given(graph_def=mutated_graphs())
def test_many_broken_graphs_are_rewritten_or_refused(graph_def):
    _answered(graph_def)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_a_file_with_a_wrong_byte_is_read_or_refused(tmp_path: Path, position, byte, cut):
    data = bytearray(CHAIN.SerializeToString())
    place = position % len(data)
    data[place] = byte
    (tmp_path / "graphdef_preop_1.pb").write_bytes(data[:place] if cut else data)
    try:
        (dump,) = read_dumps(tmp_path)
    except InputError as error:
        told = str(error)
    else:
        _answered(dump.before)
        told = dump.files.before.name
    assert "graphdef_preop_1.pb" in told


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path):
    data = CHAIN.SerializeToString().replace(b"Tanh3", b"\xff\xfe\xfd\xfc\xfb")
    (tmp_path / "graphdef_preop_1.pb").write_bytes(data)
    with pytest.raises(InputError, match=r"graphdef_preop_1\.pb: node 5 is called b'\\xff"):
        read_dumps(tmp_path)
