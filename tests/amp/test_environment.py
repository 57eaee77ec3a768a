from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.environment import family_variables, from_environment, to_environment
from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set, rule_set_names
from amp_tuner.errors import RewriteError

TF = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
ITEX = "ITEX_AUTO_MIXED_PRECISION_"
BF16 = rule_set("tf-cpu-bfloat16")
OP_TYPES = ("AvgPool", "Conv2D", "Exp", "Relu", "MatMul", "Mean", "Custom_Op", "Identity")


def test_the_defaults_need_no_variables():
    assert to_environment(BF16, BF16.lists) == {}


def test_a_move_adds_to_one_list_and_removes_from_the_other():
    assert to_environment(BF16, BF16.lists.moved({"AvgPool": "allow"})) == {
        TF + "ALLOWLIST_ADD": "AvgPool",
        TF + "INFERLIST_REMOVE": "AvgPool",
    }


def test_itex_has_its_own_prefix():
    rules = rule_set("itex-gpu-float16")
    environment = to_environment(rules, rules.lists.moved({"Sum": "none", "Mean": "none"}))
    assert environment == {ITEX + "DENYLIST_REMOVE": "Mean,Sum"}


@given(
    name=st.sampled_from(rule_set_names()),
    moves=st.dictionaries(st.sampled_from(OP_TYPES), st.sampled_from(DESTINATIONS)),
    pick=st.integers(0, 3),
)
def test_what_is_written_is_read_back(name, moves, pick):
    rules = rule_set(name)
    lists = rules.lists.moved(moves)
    level = rules.levels[pick % len(rules.levels)]
    assert from_environment(rules, to_environment(rules, lists, level)) == (lists, level)


def test_additions_come_before_removals():
    environment = {TF + "ALLOWLIST_ADD": "New,Other", TF + "ALLOWLIST_REMOVE": "New"}
    lists, _ = from_environment(BF16, environment)
    assert lists.list_of("New") == "none"
    assert lists.list_of("Other") == "allow"


def test_legacy_names_come_after_the_new_ones():
    environment = {TF + "ALLOWLIST_ADD": "New", TF + "WHITELIST_REMOVE": "New"}
    assert from_environment(BF16, environment)[0].list_of("New") == "none"


def test_itex_does_not_know_legacy_names():
    rules = rule_set("itex-cpu-bfloat16")
    assert from_environment(rules, {ITEX + "WHITELIST_ADD": "New"})[0] == rules.lists


def test_nothing_is_trimmed():
    lists, _ = from_environment(BF16, {TF + "ALLOWLIST_ADD": "A, B"})
    assert {"A", " B"} <= lists.allow
    assert "B" not in lists.allow


def test_two_trailing_commas_conflict_on_the_empty_name():
    environment = {TF + "ALLOWLIST_ADD": "A,", TF + "CLEARLIST_ADD": "B,"}
    with pytest.raises(RewriteError, match="''"):
        from_environment(BF16, environment)


def test_an_addition_without_its_removal_fails_as_the_pass_does():
    with pytest.raises(RewriteError, match="'Softmax'"):
        from_environment(BF16, {TF + "ALLOWLIST_ADD": "Softmax"})


def test_an_empty_value_is_no_item():
    assert from_environment(BF16, {TF + "ALLOWLIST_ADD": ""})[0] == BF16.lists


def test_levels_are_read_in_any_case_and_unknown_ones_ignored():
    assert from_environment(BF16, {TF + "LEVEL": "Treat_Infer_As_Deny"})[1] == "treat_infer_as_deny"
    assert from_environment(BF16, {TF + "LEVEL": "fastest"})[1] == "default"


def test_force_all_fails_where_the_pass_refuses_it():
    with pytest.raises(RewriteError, match="unsafe_force_all"):
        from_environment(BF16, {TF + "LEVEL": "UNSAFE_FORCE_ALL"})
    with pytest.raises(RewriteError, match="UNSAFE_FORCE_ALL='1'"):
        from_environment(rule_set("itex-cpu-bfloat16"), {ITEX + "UNSAFE_FORCE_ALL": "1"})


@pytest.mark.parametrize("op_type", ["A,B", "A B", "A\nB", "$(reboot)", "A;B", "`A`", "'A'", ""])
def test_what_could_break_out_of_a_variable_is_refused(op_type):
    with pytest.raises(RewriteError, match="cannot be set by a variable"):
        to_environment(BF16, BF16.lists.moved({op_type: "allow"}))


def test_a_level_for_itex_is_refused():
    rules = rule_set("itex-cpu-bfloat16")
    with pytest.raises(RewriteError, match="no levels"):
        to_environment(rules, rules.lists, "treat_infer_as_deny")


def test_the_family_includes_switches_and_legacy_names():
    assert {TF + "GRAYLIST_ADD", TF + "LEVEL", TF + "EMULATE_FP16"} <= set(
        family_variables("tensorflow")
    )
    assert {"ITEX_AUTO_MIXED_PRECISION", ITEX + "DATA_TYPE"} <= set(family_variables("itex"))


@given(st.dictionaries(st.sampled_from(OP_TYPES), st.sampled_from(DESTINATIONS)))
def test_all_variables_that_are_set_are_of_the_family(moves):
    environment = to_environment(BF16, BF16.lists.moved(moves), "treat_infer_as_deny")
    assert environment.keys() <= set(family_variables("tensorflow"))
