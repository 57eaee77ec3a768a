from __future__ import annotations

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.graph_inputs import drop_double_controls, producer, split_tensor
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite import graphs

CHAIN = graphs.chain("MatMul", "Exp", source="x")


def _copy(graph_def):
    return graph_pb2.GraphDef.FromString(graph_def.SerializeToString())


def _rewritten(graph_def, name="tf-cpu-float16", device=None):
    rules = rule_set(name)
    return rewrite_graph(
        graph_def, rules, rules.lists, preserved=["x", "out"], default_device=device
    )


def _casts(graph_def):
    return {node.name: node for node in graph_def.node if "CastTo" in node.name}


def test_tensorflow_numbers_its_casts():
    assert _casts(_rewritten(CHAIN)).keys() == {
        "x-0-CastToFp16-0-AutoMixedPrecision",
        "Const-0-CastToFp16-0-AutoMixedPrecision",
        "MatMul1-0-CastToFp32-0-AutoMixedPrecision",
    }


def test_itex_does_not():
    assert "MatMul1-0-CastToFp32-AutoMixedPrecision" in _casts(
        _rewritten(CHAIN, "itex-gpu-float16", "GPU")
    )
    assert "x-0-CastToBf16-AutoMixedPrecision" in _casts(
        _rewritten(CHAIN, "itex-cpu-bfloat16", "CPU")
    )


def test_a_taken_name_is_passed_over():
    graph_def = _copy(CHAIN)
    graph_def.node.add(name="x-0-CastToFp16-0-AutoMixedPrecision", op="NoOp")
    assert "x-0-CastToFp16-1-AutoMixedPrecision" in _casts(_rewritten(graph_def))


def test_casts_stand_where_their_source_does_and_at_the_end():
    graph_def = _copy(CHAIN)
    for node in graph_def.node:
        node.device = "/device:CPU:0"
    after = _rewritten(graph_def)
    before = len(graph_def.node)
    assert [node.name for node in after.node[:before]] == [node.name for node in graph_def.node]
    assert {node.device for node in after.node} == {"/device:CPU:0"}


def test_one_cast_serves_all_readers_of_a_port():
    graph_def = _copy(CHAIN)
    for name in ("more", "evenmore"):
        reader = graph_def.node.add(name=name, op="Exp", input=["MatMul1"])
        reader.attr["T"].type = 1
    after = _rewritten(graph_def)
    cast = "MatMul1-0-CastToFp32-0-AutoMixedPrecision"
    assert sum(cast in node.input for node in after.node) == 3


def test_later_ports_are_named_in_the_cast():
    casts = _casts(_rewritten(graphs.lists_of_types()))
    assert casts == {} or all("-" in name for name in casts)
    after = _rewritten(graphs.tensor_lists("batch"))
    for cast in _casts(after).values():
        port = cast.name.rsplit("-CastTo")[0].rsplit("-", 1)[1]
        assert split_tensor(cast.input[0])[1] == int(port)


def test_the_given_graph_is_not_changed():
    graph_def = _copy(CHAIN)
    _rewritten(graph_def)
    assert graph_def == CHAIN


def test_batch_norm_becomes_v2_even_when_nothing_is_converted():
    rules = rule_set("tf-cpu-float16")
    graph_def = graphs.conv_net()
    nothing = dict.fromkeys({node.op for node in graph_def.node}, "none")
    after = rewrite_graph(graph_def, rules, rules.lists.moved(nothing))
    assert {node.op for node in after.node} - {node.op for node in graph_def.node} == {
        "FusedBatchNormV2"
    }


def test_inputs_are_taken_apart():
    assert split_tensor("a:3") == ("a", 3)
    assert split_tensor("a/b") == ("a/b", 0)
    assert [producer(name) for name in ("^a", "a:1", "a")] == ["a", "a", "a"]


def test_controls_that_say_nothing_new_go():
    graph_def = _copy(CHAIN)
    node = next(node for node in graph_def.node if node.name == "Exp2")
    node.input.extend(["^MatMul1", "^x", "^x", "^Const"])
    drop_double_controls(graph_def)
    assert list(node.input) == ["MatMul1", "^Const", "^x"]
