"""List variables as the real pass reads them: parsing, order, conflicts, levels, legacy names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.environment import from_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.oracle import PREFIX, ROOT, differences
from tests.rewrite import graphs

GRAPH = graphs.chain(
    *("MatMul", "Relu", "Tanh", "Relu", "Exp", "Relu", "Softmax", "MatMul", "Relu", "Sqrt"),
    source="x",
)
CPU_RULES = ("tf-cpu-bfloat16", "tf-cpu-float16")
NAMES = ("ALLOWLIST", "WHITELIST", "INFERLIST", "GRAYLIST", "DENYLIST", "BLACKLIST", "CLEARLIST")
ENVIRONMENTS = (
    {},
    {"INFERLIST_REMOVE": "Tanh", "ALLOWLIST_ADD": "Tanh"},
    {"ALLOWLIST_ADD": "Exp"},
    {"INFERLIST_REMOVE": " Softmax"},
    {"INFERLIST_REMOVE": "Softmax "},
    {"INFERLIST_REMOVE": "Softmax,"},
    {"INFERLIST_REMOVE": ",Softmax,,Tanh"},
    {"INFERLIST_REMOVE": "softmax"},
    {"INFERLIST_REMOVE": "Softmax;Tanh"},
    {"ALLOWLIST_ADD": "A,"},
    {"ALLOWLIST_ADD": "A,", "CLEARLIST_ADD": "B,"},
    {"ALLOWLIST_ADD": ",", "CLEARLIST_ADD": ",", "ALLOWLIST_REMOVE": ","},
    {"ALLOWLIST_ADD": "NoSuchOp,Exp", "DENYLIST_REMOVE": "Exp,NeitherThis"},
    {"ALLOWLIST_ADD": "Exp", "ALLOWLIST_REMOVE": "Exp"},
    {"ALLOWLIST_REMOVE": "MatMul"},
    {"WHITELIST_REMOVE": "MatMul", "ALLOWLIST_ADD": "MatMul"},
    {"WHITELIST_ADD": "Exp", "BLACKLIST_REMOVE": "Exp"},
    {"GRAYLIST_ADD": "Exp", "DENYLIST_REMOVE": "Exp"},
    {"BLACKLIST_ADD": "Relu", "CLEARLIST_REMOVE": "Relu"},
    {"CLEARLIST_REMOVE": "Relu"},
    {"LEVEL": "treat_infer_as_deny"},
    {"LEVEL": "Treat_Infer_As_Deny", "DENYLIST_ADD": "Tanh"},
    {"LEVEL": "TENSOR_CORES_ONLY", "CLEARLIST_ADD": "MatMul"},
    {"LEVEL": "TENSOR_CORES_ONLY"},
    {"LEVEL": "UNSAFE_FORCE_ALL"},
    {"LEVEL": " TENSOR_CORES_ONLY"},
    {"LEVEL": "anything"},
    {"LEVEL": ""},
)


def _assert_same(oracle, rules, environment):
    environment = {PREFIX + name: value for name, value in environment.items()}
    theirs = oracle.real_pass_with(GRAPH, rules, environment, ["out"])
    try:
        lists, level = from_environment(rules, environment)
        ours = rewrite_graph(GRAPH, rules, lists, level, ["x", "out"])
    except RewriteError:
        ours = GRAPH
    assert differences(ours, theirs) == [], environment


@pytest.mark.parametrize("name", CPU_RULES)
def test_variables_are_read_as_the_pass_reads_them(cpu_oracle, name):
    for environment in ENVIRONMENTS:
        _assert_same(cpu_oracle, rule_set(name), environment)


ITEMS = st.lists(
    st.sampled_from(("MatMul", "Relu", "Tanh", "Exp", "Softmax", "Sqrt", " Relu", "", "Other")),
    max_size=3,
).map(",".join)
VARIABLES = st.sampled_from([f"{name}_{edit}" for name in NAMES for edit in ("ADD", "REMOVE")])


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(environment=st.dictionaries(VARIABLES, ITEMS, max_size=4), name=st.sampled_from(CPU_RULES))
def test_any_variables_are_read_as_the_pass_reads_them(cpu_oracle, environment, name):
    _assert_same(cpu_oracle, rule_set(name), environment)


_ABORTING = """
import sys
from tensorflow.core.framework import graph_pb2
from tests.oracle_process import optimize

graph_def = graph_pb2.GraphDef.FromString(sys.stdin.buffer.read())
optimize(graph_def, ["out"], "auto_mixed_precision_cpu", {}, False)
"""


@pytest.mark.all_only
@pytest.mark.parametrize(("value", "aborts"), [("", True), ("yes", True), ("False", False)])
def test_a_switch_that_is_no_switch_aborts_the_process(value, aborts):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), PREFIX + "EMULATE_FP16": value}
    done = subprocess.run(
        [sys.executable, "-c", _ABORTING],
        input=GRAPH.SerializeToString(),
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode != 0) == aborts, done.stderr[-2000:]
    rules = rule_set("tf-cpu-float16")
    if aborts:
        with pytest.raises(RewriteError, match="aborts the process"):
            from_environment(rules, {PREFIX + "EMULATE_FP16": value})
    else:
        from_environment(rules, {PREFIX + "EMULATE_FP16": value})
