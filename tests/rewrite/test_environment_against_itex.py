"""ITEX's variables as its real pass reads them."""

from __future__ import annotations

from contextlib import closing

import pytest

from amp_tuner.amp.environment import from_environment
from amp_tuner.amp.pass_logs import find_logs, lists_from_text
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from tests.environments import interpreter
from tests.oracle import Oracle
from tests.rewrite import graphs

pytestmark = pytest.mark.all_only
RULES = rule_set("itex-cpu-bfloat16")
GRAPH = graphs.conv_net()
SWITCH = "ITEX_AUTO_MIXED_PRECISION"


def _lists(oracle, folder, environment):
    """The lists that the pass prints; None where it printed none: it failed."""
    oracle.itex_pass(GRAPH, {**environment, SWITCH + "_LOG_PATH": str(folder)}, ["out"])
    (log,) = find_logs(folder) or (None,)
    if log is None or not log.lists.exists():
        return None
    return lists_from_text(log.lists.read_text(), str(log.lists))


ENVIRONMENTS = (
    {},
    {"ALLOWLIST_ADD": "AvgPool", "INFERLIST_REMOVE": "AvgPool"},
    {"ALLOWLIST_ADD": "AvgPool"},
    {"INFERLIST_REMOVE": " Softmax, Mul,Sub"},
    {"ALLOWLIST_ADD": "A,"},
    {"ALLOWLIST_ADD": "A,", "CLEARLIST_ADD": "B,"},
    {"ALLOWLIST_ADD": "A,B", "ALLOWLIST_REMOVE": "A"},
    {"WHITELIST_ADD": "Unread"},
    {"UNSAFE_FORCE_ALL": "1"},
    {"UNSAFE_FORCE_ALL": "false"},
    {"UNSAFE_FORCE_ALL": "yes"},
    {"DATA_TYPE": "bfloat16"},
    {"DATA_TYPE": "DEFAULT_DATA_TYPE"},
    {"DATA_TYPE": "BF16"},
    {"DATA_TYPE": ""},
)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_variables_are_read_as_the_pass_reads_them(itex_oracle, tmp_path, environment):
    environment = {f"{SWITCH}_{name}": value for name, value in environment.items()}
    theirs = _lists(itex_oracle, tmp_path, environment)
    try:
        ours = from_environment(RULES, environment)[0]
    except RewriteError:
        ours = None
    assert ours == theirs


@pytest.mark.parametrize("value", ["yes", ""])
def test_a_switch_that_is_no_switch_aborts_the_process(tmp_path, value):
    with (
        closing(Oracle(interpreter("itex"))) as oracle,
        pytest.raises(RuntimeError, match="oracle died"),
    ):
        _lists(oracle, tmp_path, {SWITCH: value})
    with pytest.raises(RewriteError, match="aborts the process"):
        from_environment(RULES, {SWITCH: value})
