"""A painting in numbers."""

from __future__ import annotations

import numpy as np

from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.effective import count_casts
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.rewrite.work import WorkTable
from tests.search.painted_space import chain

RULES = rule_set("tf-cpu-bfloat16")
OPS = ("MatMul", "Relu", "Exp", "Relu", "MatMul")
TOLD_APART = ("Exp", "MatMul", "Relu", "Softmax")


def test_nothing_painted_is_no_work() -> None:
    prepared = prepare(chain(OPS, "tf-cpu-bfloat16"), RULES)
    lists = RULES.lists.moved(dict.fromkeys(set(OPS), "deny"))
    work = WorkTable(prepared, TOLD_APART).work(paint(prepared, lists))
    assert not work.painted.any()
    assert not work.borders.any()
    assert not work.casts.any()


def test_shares_are_of_elements_by_op_type() -> None:
    prepared = prepare(chain(OPS, "tf-cpu-bfloat16"), RULES)
    # The first MatMul has results of 16 x 16, the last one of 16 x 8.
    lists = RULES.lists.moved({"MatMul": "deny", "Exp": "deny", "Relu": "allow"})
    work = WorkTable(prepared, TOLD_APART).work(paint(prepared, lists))
    assert work.painted.tolist() == [0.0, 0.0, 1.0, 0.0]


def test_nodes_of_an_op_type_count_alike_however_large_their_tensors_are() -> None:
    prepared = prepare(chain(("MatMul", "Relu", "Exp", "Relu"), "tf-cpu-bfloat16"), RULES)
    # 16 bits spread from MatMul to the first Relu; Exp ends them.
    lists = RULES.lists.moved({"MatMul": "allow", "Exp": "deny", "Relu": "clear"})
    work = WorkTable(prepared, TOLD_APART).work(paint(prepared, lists))
    relu = TOLD_APART.index("Relu")
    # Of 16 x 24 elements and of 16 x 40.
    assert work.painted[relu] == 24 / (24 + 40)
    assert work.painted_nodes[relu] == 1 / 2


def test_a_node_counts_by_the_largest_tensor_that_it_reads_or_writes() -> None:
    prepared = prepare(chain(OPS, "tf-cpu-bfloat16"), RULES)
    work = WorkTable(prepared, TOLD_APART).vertex_work
    # Results of the chain grow from 16 x 8 to 16 x 40, and then begin anew at 16 x 8.
    names = {node.name: place for place, node in enumerate(prepared.graph.nodes)}
    of_node = {name: work[prepared.node_of == place].max() for name, place in names.items()}
    assert of_node["n0"] == 16 * 16
    assert of_node["n4"] == 16 * 40


def test_casts_down_and_up_are_counted_apart() -> None:
    prepared = prepare(chain(OPS, "tf-cpu-bfloat16"), RULES)
    lists = RULES.lists.moved({"MatMul": "allow", "Exp": "deny", "Relu": "deny"})
    painting = paint(prepared, lists)
    work = WorkTable(prepared, TOLD_APART).work(painting)
    ports = len(np.unique(prepared.edge_port))
    down, up = work.casts[2] * ports, work.casts[3] * ports
    assert (down, up) == (2, 2)
    assert down + up == count_casts(prepared, painting)
    # Casts up stand behind MatMul, casts down behind the placeholder and a Relu.
    assert work.borders[TOLD_APART.index("MatMul")] == 1.0
    assert 0 < work.borders[TOLD_APART.index("Relu")] < 1


def test_weights_are_shares_of_all_work_that_is_told_apart() -> None:
    prepared = prepare(chain(OPS, "tf-cpu-bfloat16"), RULES)
    table = WorkTable(prepared, TOLD_APART)
    assert table.weight.sum() == 1.0
    assert table.nodes[TOLD_APART.index("Softmax")] == 0.0
