from __future__ import annotations

import pytest
from tensorflow.core.framework import graph_pb2, types_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.devices import full_device, parse_device
from tests.rewrite import graphs

BF16 = rule_set("tf-cpu-bfloat16")
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"


def _copy(graph_def):
    return graph_pb2.GraphDef.FromString(graph_def.SerializeToString())


def _nodes(graph):
    return {node.name: node for node in graph.nodes}


def _vertices(graph, name):
    return {
        (vertex.attribute, vertex.element): vertex
        for vertex in graph.vertices
        if graph.nodes[vertex.node].name == name
    }


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        (CPU, ("CPU", 0)),
        ("/cpu:1", ("CPU", 1)),
        ("/job:worker/device:XPU:0", ("XPU", 0)),
        ("/device:GPU:*", ("GPU", None)),
        ("/job:localhost", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_device_names_are_read_as_tensorflow_does(name, parsed):
    assert parse_device(name) == parsed


def test_a_device_type_becomes_a_full_name():
    assert full_device("cpu") == CPU
    assert full_device("/cpu:0") == "/cpu:0"


def test_list_attributes_have_a_vertex_per_element():
    graph = describe(graphs.lists_of_types(), BF16, ["out"])
    found = _vertices(graph, "IdentityN")
    assert [found["T", element].dtype for element in range(4)] == ["float32"] * 3 + ["bool"]


def test_batch_norm_becomes_v2_with_a_float_scale():
    graph = describe(graphs.conv_net(), BF16, ["out"])
    assert _nodes(graph)["FusedBatchNorm"].op == "FusedBatchNormV2"
    found = _vertices(graph, "FusedBatchNorm")
    assert found["T", -1].kernel_ok
    assert found["U", -1].dtype == "float32"
    assert not found["U", -1].kernel_ok


def test_batch_norm_that_is_kept_stays_as_it_is():
    graph = describe(graphs.conv_net(), BF16, ["FusedBatchNorm:0"])
    assert _nodes(graph)["FusedBatchNorm"].op == "FusedBatchNorm"


def test_fixed_types_can_never_be_set():
    graph = describe(graphs.chain("SparseMatMul"), BF16, [])
    fixed = _vertices(graph, "SparseMatMul1")["", -1]
    assert (fixed.dtype, fixed.type_ok, fixed.kernel_ok) == ("float32", False, False)


def test_nodes_without_a_device_are_where_tensorflow_puts_them():
    graph_def = graphs.chain("MatMul")
    assert _nodes(describe(graph_def, BF16, []))["MatMul1"].processable
    assert not _nodes(describe(graph_def, BF16, [], "GPU"))["MatMul1"].processable


def test_itex_leaves_nodes_without_a_device_alone_unless_told():
    rules = rule_set("itex-cpu-bfloat16")
    graph_def = graphs.chain("MatMul")
    assert not _nodes(describe(graph_def, rules, []))["MatMul1"].processable
    assert _nodes(describe(graph_def, rules, [], "CPU"))["MatMul1"].processable


def test_itex_calls_a_gpu_xpu():
    rules = rule_set("itex-gpu-float16")
    assert _nodes(describe(graphs.chain("MatMul"), rules, [], "GPU"))["MatMul1"].processable


def test_other_devices_are_not_processed():
    graph_def = graphs.chain("MatMul", "Relu")
    graph_def.node[-2].device = "/device:GPU:0"
    nodes = _nodes(describe(graph_def, BF16, []))
    assert (nodes["MatMul1"].processable, nodes["Relu2"].processable) == (True, False)


def test_preserved_tensors_keep_their_nodes():
    assert not _nodes(describe(graphs.chain("MatMul"), BF16, ["MatMul1:0"]))["MatMul1"].processable


def test_calls_are_boundaries_of_tensor_lists():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(graphs.tf.float32, [4, 4], "x")
        graphs.tf.function(lambda y: y + 1.0)(x)
    graph_def = graph.as_graph_def()
    call = next(node for node in graph_def.node if "Call" in node.op)
    assert _nodes(describe(graph_def, BF16, []))[call.name].boundary
    # The same call in the style of TensorFlow 1: the function is the op.
    call.op = call.attr["f"].func.name
    for name in list(call.attr):
        del call.attr[name]
    direct = describe(graph_def, BF16, [])
    assert _nodes(direct)[call.name].boundary


def test_attributes_left_at_their_defaults_count():
    graph_def = graphs.chain("MatMul")
    shape = graph_def.node.add(name="shape", op="Shape", input=["MatMul1"])
    shape.attr["T"].type = types_pb2.DT_FLOAT
    found = _vertices(describe(graph_def, BF16, []), "shape")
    assert found["out_type", -1].dtype == "int32"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda node: setattr(node, "op", "NoSuchOp"), "unknown op NoSuchOp"),
        (lambda node: node.input.append("x"), "has 2 inputs; its op takes 1"),
        (lambda node: node.attr.pop("T"), "lacks its type attribute T"),
        (lambda node: node.attr["new"].__setattr__("b", True), "has no attribute new"),
        (lambda node: node.input.__setitem__(0, "nobody"), "input nobody of .* does not exist"),
        (lambda node: node.input.__setitem__(0, "x:7"), "input x:7 of .* does not exist"),
    ],
)
def test_what_the_pass_fails_on_is_one_clear_error(damage, message):
    graph_def = graphs.chain("Relu", source="x")
    damage(graph_def.node[-1])
    with pytest.raises(RewriteError, match=message):
        describe(graph_def, BF16, [])


def test_the_graph_is_not_changed():
    graph_def = graphs.conv_net()
    before = _copy(graph_def)
    describe(graph_def, BF16, ["out"])
    assert graph_def == before
