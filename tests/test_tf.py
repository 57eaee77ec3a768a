"""The public entry for TensorFlow programs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.errors import InputError, RewriteError
from amp_tuner.tf import rewrite
from tests.rewrite import graphs


def _types(graph_def):
    return {node.name: node.attr["T"].type for node in graph_def.node if "T" in node.attr}


def test_the_rewritten_graph_runs_and_stays_close():
    graph_def = graphs.conv_net()
    after = rewrite(graph_def, rules="tf-cpu-float16", fetches=["out"], fold_weights=True)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    results = []
    for one in (graph_def, after):
        with graphs.building() as graph:
            tf.import_graph_def(one, name="")
            with graphs.v1.Session(graph=graph) as session:
                results.append(session.run("out:0", {"x:0": x}))
    assert results[1].dtype == np.float32
    np.testing.assert_allclose(results[0], results[1], atol=5e-3)
    assert results[0].tobytes() != results[1].tobytes()


def test_moves_change_lists():
    graph_def = graphs.chain("MatMul", "Exp", source="x")
    assert _types(rewrite(graph_def, "tf-cpu-float16"))["Exp2"] == 1
    assert _types(rewrite(graph_def, "tf-cpu-float16", {"Exp": "allow"}))["Exp2"] == 19


def test_a_moved_node_is_converted_alone_and_must_be_there():
    graph_def = graphs.chain("MatMul", "Exp", "Exp", source="x")
    found = _types(rewrite(graph_def, "tf-cpu-float16", {"node:Exp2": "allow"}))
    assert (found["Exp2"], found["Exp3"]) == (19, 1)
    with pytest.raises(InputError, match=r"the graph has no node:Exp4 \(did you mean Exp"):
        rewrite(graph_def, "tf-cpu-float16", {"node:Exp4": "allow"})


def test_without_fetches_what_nobody_reads_is_kept():
    after = rewrite(graphs.chain("MatMul", "Relu", source="x"), "tf-cpu-float16")
    assert (_types(after)["Relu2"], _types(after)["out"]) == (19, 1)


def test_placeholders_keep_their_type():
    graph_def = graphs.chain("MatMul", source="x")
    after = rewrite(graph_def, "tf-cpu-float16", {"Placeholder": "allow"})
    assert next(node for node in after.node if node.name == "x").attr["dtype"].type == 1


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(InputError) as caught:
        rewrite(graphs.chain("MatMul"), moves={"MatMul": "maybe"}, fetches=["nobody"])
    assert [problem.where for problem in caught.value.problems] == ["moves.MatMul", "fetches"]


def test_a_graph_that_the_pass_fails_on_is_an_error():
    graph_def = graphs.chain("MatMul")
    graph_def.node[-1].op = "Unheard"
    with pytest.raises(RewriteError, match="unknown op Unheard"):
        rewrite(graph_def)


def test_a_level_is_applied():
    graph_def = graphs.chain("MatMul", "Sqrt", "MatMul")
    level = "treat_infer_as_deny"
    assert _types(rewrite(graph_def, "tf-cpu-float16", level=level))["Sqrt2"] == 1


def test_it_loads_nothing_of_the_tuner():
    code = (
        "import sys, amp_tuner.tf;"
        "parts = {name.split('.')[1] for name in sys.modules if name.startswith('amp_tuner.')};"
        "print(*sorted(parts), *sorted({'optuna', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == [
        *("amp", "errors", "graph", "records"),
        *("rewrite", "runtime", "text", "tf"),
    ]
