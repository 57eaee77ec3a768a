"""The unit tests of TensorFlow's own pass, replayed: what they expect, and what the pass does.

Where the installed pass differs from the expectation of those tests (written for older versions)
the pass wins: PreserveCPUNodes expects Tanh to stay float32; it does not since INFER follows ALLOW
for every data type. The cases that are not here are in ``test_paint.py`` and
``test_against_tensorflow.py``.

With emulated float16 the pass paints the same nodes, computes them in float32 and rounds what goes
in and comes out by pairs of Casts. No rule set does that: it can only be slower. The numbers of
Casts (10 and 9) differ from those tests' (9 and 10), whose graphs share constants in another way.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import graph_pb2, types_pb2

from amp_tuner.amp.rules import rule_set
from tests.oracle import PREFIX
from tests.rewrite import random_graphs
from tests.rewrite.conformance_graphs import CONFORMANCE, EMULATED
from tests.rewrite.painted import painted
from tests.rewrite.test_against_tensorflow import CPU_RULES, assert_same


@pytest.mark.parametrize("name", CPU_RULES)
@pytest.mark.parametrize("case", CONFORMANCE)
def test_default_lists(cpu_oracle, case, name):
    assert_same(cpu_oracle, CONFORMANCE[case], name, ["out"])


@pytest.mark.parametrize("case", CONFORMANCE)
def test_default_lists_for_cuda(cuda_oracle, case):
    assert_same(cuda_oracle, CONFORMANCE[case], "tf-cuda-float16", ["out"])


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_lists_and_level(cpu_oracle, data):
    graph_def = CONFORMANCE[data.draw(st.sampled_from(sorted(CONFORMANCE)))]
    name = data.draw(st.sampled_from(CPU_RULES))
    level = data.draw(st.sampled_from(rule_set(name).levels))
    moves = data.draw(random_graphs.moves(graph_def))
    assert_same(cpu_oracle, graph_def, name, ["out"], moves, level)


def rounded(graph_def: graph_pb2.GraphDef) -> set[str]:
    """Nodes that read a tensor which a pair of Casts has rounded to float16."""
    pair = "-CastToFp16-0-AutoMixedPrecision-0-CastToFp32-"
    return {
        node.name
        for node in graph_def.node
        if node.op != "Cast" and any(pair in name for name in node.input)
    }


@pytest.mark.parametrize(("case", "casts"), [("simple", 10), ("mixed fanout", 9)])
def test_emulated_float16_rounds_around_what_would_be_painted(cpu_oracle, case, casts):
    graph_def = EMULATED[case]
    after = cpu_oracle.real_pass_with(
        graph_def, rule_set("tf-cpu-float16"), {f"{PREFIX}EMULATE_FP16": "1"}, ["out"]
    )
    assert len(after.node) - len(graph_def.node) == casts
    nodes = {node.name: node for node in after.node}
    # Everything that our rules paint is still float32, and only reads rounded tensors.
    for name in painted(graph_def, "tf-cpu-float16"):
        assert nodes[name].attr["T"].type == types_pb2.DT_FLOAT
        assert name in rounded(after)


@pytest.mark.parametrize("name", CPU_RULES)
def test_what_is_16bit_already_stays_as_it_is(name):
    assert painted(CONFORMANCE["float16 already"], name) == set()
    assert painted(CONFORMANCE["bfloat16 already"], name) == set()


def test_nodes_on_another_device_stay_float32():
    assert painted(CONFORMANCE["two devices"], "tf-cuda-float16") == {"Relu", "MatMul1", "Tanh"}


def test_both_kinds_of_batch_norm_become_their_second_version():
    found = painted(CONFORMANCE["batch norm and its gradient"])
    assert found == {"first", "norm", "gradient", "add", "second"}


def test_infer_follows_allow_and_not_deny():
    after_conv = painted(CONFORMANCE["bias after convolution"], "tf-cpu-bfloat16")
    assert after_conv == {"Conv2D", "BiasAdd", "Relu"}
    assert painted(CONFORMANCE["bias after power"], "tf-cpu-bfloat16") == set()


@pytest.mark.parametrize("name", CPU_RULES)
def test_all_elements_of_a_list_are_painted(name):
    assert painted(CONFORMANCE["repeated types"], name) == {
        *("MatMul1", "IdentityN", "AddN", "MatMul2")
    }


def test_quantized_nodes_are_not_painted():
    found = painted(CONFORMANCE["quantized"], moves={"QuantizeV2": "allow", "Dequantize": "allow"})
    assert found
    assert not any("uantize" in name for name in found)
