"""The engine against TensorFlow's real passes, node for node."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.lists import LIST_NAMES
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.runtime.kernels import registered_kernels
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests import tiny_models
from tests.oracle import PREFIX, differences
from tests.rewrite import graphs, random_graphs

CPU_RULES = ("tf-cpu-bfloat16", "tf-cpu-float16")
UNARY_INFER = (
    *("Elu", "Erf", "Erfc", "Inv", "Log", "Log1p", "LogSoftmax", "Reciprocal", "Sigmoid"),
    *("Softmax", "Softplus", "Sqrt", "Tanh"),
)
CASES = {
    "nothing on the allow list": graphs.chain("Exp", "Relu", "Sqrt", "Relu"),
    "simple": graphs.chain(
        *("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Relu", "SparseMatMul", "Relu")
    ),
    "infer between": graphs.chain(
        *("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Relu", "MatMul", "Log")
    ),
    "infer after allow": graphs.chain("MatMul", "Sqrt", "Tanh", "Sigmoid", "Relu"),
    "infer after clear": graphs.chain("MatMul", "Relu", "Tanh", "Relu"),
    "infer after deny": graphs.chain("Expm1", "Tanh", "Relu", "Tanh", "MatMul"),
    "batch matmul": graphs.chain("BatchMatMulV2"),
    "convolutions": graphs.conv_net(),
    "training": graphs.training_step(),
    "loop": graphs.while_loop(),
    "loops that must match": graphs.recurrent_edges(),
    "recurrent net": graphs.recurrent_net(),
    "lists of types, casts": graphs.lists_of_types(),
    "variables": graphs.variables(),
    "a list through a function": graphs.list_through_function(),
    "an allow op without a 16-bit type": graphs.recurrent_cell(),
    "sideways through clear": graphs.sideways(),
    **{f"tensor lists, {kind}": graphs.tensor_lists(kind) for kind in graphs.LIST_KINDS},
    **{f"between, {op}": graphs.chain("MatMul", op, "MatMul", source="x") for op in UNARY_INFER},
}


def _ours(graph_def, rules, lists, level, fetches):
    """The engine's answer; the graph as it was where the pass fails."""
    kept = {*fetches, *(node.name for node in graph_def.node if node.op == "Placeholder")}
    try:
        return rewrite_graph(
            graph_def, rules, lists, level, kept, kernels=registered_kernels("here")
        )
    except RewriteError:
        return graph_def


def assert_same(oracle, graph_def, name, fetches, moves=None, level="default"):
    rules = rule_set(name)
    lists = rules.lists.moved(moves or {})
    theirs = oracle.real_pass(graph_def, rules, lists, level, fetches)
    found = differences(_ours(graph_def, rules, lists, level, fetches), theirs)
    assert not found, "\n".join([f"{name} {level} {moves} {fetches}", *found[:20]])
    return theirs


@pytest.mark.parametrize("name", CPU_RULES)
@pytest.mark.parametrize("case", CASES)
def test_default_lists_on_hand_made_graphs(cpu_oracle, case, name):
    assert_same(cpu_oracle, CASES[case], name, ["out"])


@pytest.mark.parametrize("name", CPU_RULES)
@pytest.mark.parametrize("moves", [{}, {"Relu": "allow", "RealDiv": "allow"}, {"MatMul": "infer"}])
def test_a_loaded_training_step_with_its_variables(cpu_oracle, tmp_path, moves, name):
    step = load_model(tiny_models.step(tmp_path / "step"))
    ends = [*(tensor.split(":")[0] for tensor in step.fetches.values()), *step.step.targets]
    rewritten = assert_same(cpu_oracle, step.graph_def, name, ends, moves)
    assert {"ResourceApplyMomentum", "AssignAddVariableOp"} <= {node.op for node in rewritten.node}


@pytest.mark.parametrize("case", CASES)
def test_default_lists_on_hand_made_graphs_for_cuda(cuda_oracle, case):
    assert_same(cuda_oracle, CASES[case], "tf-cuda-float16", ["out"])


@pytest.mark.parametrize("name", CPU_RULES)
def test_the_oracle_really_converts(cpu_oracle, name):
    before = CASES["convolutions"]
    after = assert_same(cpu_oracle, before, name, ["out"])
    assert len(after.node) >= len(before.node) + 4


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_lists_and_level_on_hand_made_graphs(cpu_oracle, data):
    graph_def = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    name = data.draw(st.sampled_from(CPU_RULES))
    level = data.draw(st.sampled_from(rule_set(name).levels))
    moves = data.draw(random_graphs.moves(graph_def))
    assert_same(cpu_oracle, graph_def, name, ["out"], moves, level)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_and_lists(cpu_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    name = data.draw(st.sampled_from(CPU_RULES))
    moves = data.draw(random_graphs.moves(graph_def)) if data.draw(st.booleans()) else {}
    assert_same(cpu_oracle, graph_def, name, fetches, moves)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_and_lists_for_cuda(cuda_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    moves = data.draw(random_graphs.moves(graph_def))
    assert_same(cuda_oracle, graph_def, "tf-cuda-float16", fetches, moves)


def test_preserved_nodes_stay_float32(cpu_oracle):
    graph_def = graphs.chain("MatMul", "Relu", "Sqrt", "Exp", "Relu", "MatMul", "Relu", "Exp")
    after = assert_same(cpu_oracle, graph_def, "tf-cpu-float16", ["MatMul1", "Relu5", "out"])
    types = {node.name: node.attr["T"].type for node in after.node}
    assert (types["MatMul1"], types["MatMul6"]) == (1, 19)


@pytest.mark.parametrize("name", CPU_RULES)
def test_shipped_default_lists_are_those_that_the_pass_logs(cpu_oracle, tmp_path, name):
    rules = rule_set(name)
    environment = {PREFIX + "LOG_PATH": str(tmp_path)}
    cpu_oracle.real_pass_with(CASES["convolutions"], rules, environment, ["out"])
    _assert_logged(tmp_path, rules)


def test_shipped_default_lists_are_those_that_the_cuda_pass_logs(cuda_oracle, tmp_path):
    rules = rule_set("tf-cuda-float16")
    environment = {PREFIX + "LOG_PATH": str(tmp_path)}
    cuda_oracle.real_pass_with(CASES["convolutions"], rules, environment, ["out"])
    _assert_logged(tmp_path, rules)


def _assert_logged(folder, rules):
    (log,) = folder.glob("paintbuckets_*.txt")
    sections = [section.split() for section in log.read_text().split("\n\n")]
    logged = {head.removesuffix("List:").lower(): set(ops) for head, *ops in sections}
    assert logged == {name: getattr(rules.lists, name) for name in LIST_NAMES}


def test_an_op_in_two_lists_makes_both_fail(cpu_oracle):
    rules = rule_set("tf-cpu-bfloat16")
    graph_def = CASES["convolutions"]
    environment = {PREFIX + "ALLOWLIST_ADD": "Softmax"}
    theirs = cpu_oracle.real_pass_with(graph_def, rules, environment, ["out"])
    assert differences(graph_def, theirs) == []
    both = rules.lists.__class__(
        **{
            **{name: getattr(rules.lists, name) for name in LIST_NAMES},
            "allow": rules.lists.allow | {"Softmax"},
        }
    )
    with pytest.raises(RewriteError, match="'Softmax'"):
        rewrite_graph(graph_def, rules, both)


def test_an_attribute_that_the_op_lacks_makes_both_fail(cpu_oracle):
    graph_def = type(CASES["simple"]).FromString(CASES["simple"].SerializeToString())
    graph_def.node[-1].attr["novelty"].b = True
    rules = rule_set("tf-cpu-bfloat16")
    theirs = cpu_oracle.real_pass(graph_def, rules, rules.lists, "default", ["out"])
    assert differences(graph_def, theirs) == []
    with pytest.raises(RewriteError, match="no attribute novelty"):
        rewrite_graph(graph_def, rules, rules.lists)
