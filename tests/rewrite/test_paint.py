"""What each step decides, on graphs small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, RewriteError
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from tests.rewrite import graphs
from tests.rewrite.painted import painted, prepared_graph


def test_nothing_happens_without_an_allow_op():
    assert painted(graphs.chain("Exp", "Relu", "Sqrt", "Relu")) == set()


def test_clear_follows_its_neighbours_and_infer_waits_for_them():
    graph_def = graphs.chain(
        *("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Relu", "SparseMatMul", "Relu")
    )
    assert painted(graph_def) == {"Relu4", "MatMul5", "Relu6"}


def test_infer_is_denied_when_it_is_treated_so():
    graph_def = graphs.chain(
        *("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Relu", "MatMul", "Log")
    )
    found = painted(graph_def, level="treat_infer_as_deny")
    assert found == {"Relu4", "MatMul5", "Relu6", "Relu8", "MatMul9"}
    assert painted(graph_def) == {*found, "Log7", "Log10"}


def test_clear_spreads_sideways_in_both_directions():
    assert painted(graphs.sideways()) >= {"Relu1", "Relu2", "Relu4", "ShapeN"}


def test_fetches_keep_their_type():
    graph_def = graphs.chain("MatMul", "Relu", "Sqrt", "Exp", "Relu", "MatMul", "Relu", "Exp")
    assert painted(graph_def, fetches=("MatMul1", "Relu5", "Relu7", "out")) == {"MatMul6"}


def test_reference_variables_are_not_spread_into():
    assert painted(graphs.variables()) == {"MatMul1", "MatMul2", "Same"}


def test_infer_right_after_allow_depends_on_the_order_of_nodes():
    graph_def = graphs.chain("MatMul", "Sqrt", "Tanh", "Sigmoid")
    assert painted(graph_def) == {"MatMul1", "Sqrt2", "Tanh3", "Sigmoid4"}
    backwards = list(graph_def.node)[::-1]
    copies = [type(node).FromString(node.SerializeToString()) for node in backwards]
    del graph_def.node[:]
    graph_def.node.extend(copies)
    assert painted(graph_def) == {"MatMul1", "Sqrt2"}


def test_tensorflow_2_15_has_that_step_for_bfloat16_only():
    graph_def = graphs.chain("MatMul", "Sqrt")
    assert painted(graph_def, "tf-cpu-float16@2.15") == {"MatMul1"}
    assert painted(graph_def, "tf-cpu-bfloat16@2.15") == {"MatMul1", "Sqrt2"}


def test_ops_on_one_tensor_list_share_a_colour():
    found = painted(graphs.tensor_lists("push"))
    # The first item pushed is only an input; the ops that make the list have no neighbour at all.
    assert {"EmptyTensorList", "TensorListPushBack", "TensorListPopBack"} <= found
    denied = painted(graphs.tensor_lists("push"), moves={"TensorListPopBack": "deny"})
    assert not any("TensorList" in name for name in denied)


def test_a_tensor_list_that_leaves_the_graph_is_denied():
    graph_def = graphs.tensor_lists("push")
    handle = next(node for node in graph_def.node if node.op == "TensorListPushBack")
    leak = graph_def.node.add(name="leak", op="_Retval", input=[handle.name])
    leak.attr["T"].type = 21  # DT_VARIANT
    leak.attr["index"].i = 0
    found = painted(graph_def)
    assert found.isdisjoint({"EmptyTensorList", "TensorListPushBack", "TensorListPopBack"})
    assert "TensorListPopBack_1" in found


def test_a_tensor_list_that_a_function_touches_is_denied():
    found = painted(graphs.list_through_function())
    assert {"product", "Tanh"} <= found
    lists = [name for name in found if "TensorList" in name]
    assert len(lists) == 3
    assert all(name.startswith("second") for name in lists)


def test_an_allow_op_whose_type_cannot_change_loses_its_paint():
    found = painted(graphs.recurrent_cell())
    assert "GRUBlockCell" not in found
    # What was painted because of it stays so.
    assert "Relu" in found


def test_a_loop_is_float32_as_a_whole_if_a_part_of_it_must_be():
    found = painted(graphs.recurrent_edges())
    assert "MatMul" in found
    # Merge1 is denied, so what shares its NextIteration is not painted either.
    assert found.isdisjoint({"Merge1", "NextIteration", "Merge2"})


def test_an_existing_cast_becomes_the_cast_that_is_needed():
    found = painted(graphs.lists_of_types())
    assert "ToFloat" in found
    assert "IdentityN" in found


def test_only_kernels_decide_between_allow_ops():
    # SparseMatMul has no float16, Cumsum is in no list.
    graph_def = graphs.chain("MatMul", "SparseMatMul", "MatMul")
    assert painted(graph_def) == {"MatMul1", "MatMul3"}


def test_an_op_in_two_lists_fails():
    prepared = prepared_graph(graphs.chain("MatMul"), rule_set("tf-cpu-float16"))
    lists = AmpLists(allow=frozenset({"MatMul"}), clear=frozenset({"MatMul"}))
    with pytest.raises(RewriteError, match="'MatMul'"):
        paint(prepared, lists)


def test_a_forced_type_that_the_op_fixes_fails():
    graph_def = graphs.chain("MatMul", "SparseMatMul")
    with pytest.raises(RewriteError, match=r"SparseMatMul2:float32 .* fixes"):
        painted(graph_def, level="unsafe_force_all")


def test_a_next_iteration_that_feeds_no_merge_fails():
    graph_def = graphs.recurrent_edges()
    copy = graph_def.node.add(name="astray", op="Identity", input=["NextIteration"])
    copy.attr["T"].type = 1
    with pytest.raises(RewriteError, match="NextIteration:T feeds a Identity"):
        painted(graph_def)


def test_a_graph_described_for_other_rules_is_refused():
    prepared = prepared_graph(graphs.chain("MatMul"), rule_set("tf-cpu-float16"))
    with pytest.raises(InputError, match=r"tf-cpu-float16@2\.21, not tf-cpu-bfloat16@2\.21"):
        prepare(prepared.graph, rule_set("tf-cpu-bfloat16"))


def test_itex_runs_only_where_a_contraction_is():
    # Einsum is on its ALLOW list, but its name opens no gate.
    with graphs.building() as graph:
        x = graphs.v1.placeholder(graphs.tf.float32, [4, 4], "x")
        product = graphs.raw.Einsum(inputs=[x, x], equation="ij,jk->ik", name="product")
        graphs.tf.identity(product, name="out")
    assert painted(graph.as_graph_def(), "itex-cpu-bfloat16") == set()
    assert painted(graph.as_graph_def(), "itex-gpu-bfloat16") == {"product"}


def test_painting_is_the_same_each_time():
    rules = rule_set("tf-cpu-bfloat16")
    prepared = prepared_graph(graphs.conv_net(), rules)
    first, second = (paint(prepared, rules.lists) for _ in range(2))
    assert first.painted.any()
    assert np.array_equal(first.painted, second.painted)
