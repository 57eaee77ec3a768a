"""Each trap is told in a sentence that names the variable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.environment import from_environment, to_environment
from amp_tuner.amp.environment_traps import explain_environment
from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set, rule_set_names
from amp_tuner.errors import RewriteError

TF = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
ITEX = "ITEX_AUTO_MIXED_PRECISION"
ON = {ITEX: "1", f"{ITEX}_DATA_TYPE": "BFLOAT16"}
OP_TYPES = ("AvgPool", "Conv2D", "Exp", "Relu", "MatMul", "Mean", "Custom_Op", "Identity")


def told(rules: str, environ: dict[str, str], known: tuple[str, ...] = ()) -> str:
    return "\n".join(explain_environment(rule_set(rules), environ, known))


@pytest.mark.parametrize(
    ("rules", "environ", "sentence"),
    [
        ("tf-cpu-bfloat16", {TF + "CLEARLIST_ADD": "A, B"}, "' B' matches nothing"),
        ("tf-cpu-bfloat16", {TF + "CLEARLIST_ADD": "A,"}, "a comma too many"),
        ("tf-cpu-bfloat16", {TF + "CLEARLIST_REMOVE": "Conv2D"}, "Conv2D is not on the list"),
        ("tf-cpu-bfloat16", {TF + "ALLOWLIST": "A"}, "did you mean " + TF + "ALLOWLIST_ADD?"),
        ("tf-cpu-bfloat16", {TF + "LEVEL": "FASTEST"}, "'FASTEST' is ignored"),
        ("tf-cpu-bfloat16", {TF + "LEVEL": "TENSOR_CORES_ONLY"}, "changes nothing under"),
        ("tf-cpu-float16", {}, "EMULATE_FP16 is not 0"),
        ("tf-cpu-bfloat16", {TF + "SIMULATE_GPU": "1"}, "name no device are not converted"),
        ("itex-cpu-bfloat16", {}, ITEX + " is not 1: the pass does not run"),
        ("itex-gpu-bfloat16", {ITEX: "1"}, "is not set, which means FLOAT16"),
        ("itex-cpu-bfloat16", {ITEX: "1", ITEX + "_DATA_TYPE": "float16"}, "fails on CPUs without"),
        ("itex-cpu-bfloat16", {**ON, ITEX + "_WHITELIST_ADD": "A"}, "WHITELIST_ADD is read by no"),
        (
            "itex-cpu-bfloat16",
            {**ON, ITEX + "_ALLOWLIST_REMOVE": "_ITEXPadWithFusedConv2D"},
            "the list has _ITEXPadWithDepthwiseConv2dNative_ITEXPadWithFusedConv2D instead",
        ),
    ],
)
def test_a_trap_is_told(rules: str, environ: dict[str, str], sentence: str) -> None:
    assert sentence in told(rules, environ)


def test_unknown_op_types_are_told_where_it_is_known_which_exist() -> None:
    environ = {TF + "ALLOWLIST_ADD": "Soft,Sinh", TF + "INFERLIST_REMOVE": "Softmax"}
    assert told("tf-cpu-bfloat16", environ) == ""
    assert told("tf-cpu-bfloat16", environ, ("Sinh",)).count("no list or graph has 'Soft'") == 1


def test_variables_of_others_are_no_traps() -> None:
    assert told("tf-cpu-bfloat16", {ITEX: "yes", "HOME": "/root", ITEX + "_X": "1"}) == ""


@given(
    name=st.sampled_from(("tf-cpu-bfloat16", "tf-cuda-float16", "tf-cpu-bfloat16@2.15")),
    moves=st.dictionaries(st.sampled_from(OP_TYPES), st.sampled_from(DESTINATIONS)),
)
def test_what_is_exported_holds_no_trap(name: str, moves: dict[str, str]) -> None:
    rules = rule_set(name)
    environ = to_environment(rules, rules.lists.moved(moves))
    assert explain_environment(rules, environ, OP_TYPES) == ()


@pytest.mark.parametrize("value", ["yes", "", " 1", "2", "on"])
@pytest.mark.parametrize(
    ("rules", "variable"),
    [
        ("itex-cpu-bfloat16", ITEX),
        ("tf-cpu-float16", TF + "EMULATE_FP16"),
        ("tf-cpu-bfloat16", TF + "SIMULATE_GPU"),
        ("tf-cuda-float16", TF + "IGNORE_PERFORMANCE"),
    ],
)
def test_a_switch_that_aborts_the_process_is_rejected(
    rules: str, variable: str, value: str
) -> None:
    with pytest.raises(RewriteError, match=f"{variable}=.* aborts the process"):
        from_environment(rule_set(rules), {variable: value})


@pytest.mark.parametrize("value", ["DEFAULT_DATA_TYPE", "BF16", "", "bfloat16 "])
def test_a_data_type_that_itex_refuses_is_rejected(value: str) -> None:
    with pytest.raises(RewriteError, match="allowed: BFLOAT16, FLOAT16"):
        from_environment(rule_set("itex-cpu-bfloat16"), {ITEX + "_DATA_TYPE": value})


@pytest.mark.parametrize("value", ["1", "true", "yes", ""])
def test_itex_fails_when_it_is_to_force_all(value: str) -> None:
    with pytest.raises(RewriteError, match="UNSAFE_FORCE_ALL"):
        from_environment(rule_set("itex-gpu-float16"), {ITEX + "_UNSAFE_FORCE_ALL": value})


TEXTS = st.text(st.sampled_from("A,B Relu"), max_size=12)
VARIABLES = st.sampled_from(
    [
        TF + f"{name}_{edit}"
        for name in ("ALLOWLIST", "DENYLIST", "GRAYLIST", "CLEARLIST")
        for edit in ("ADD", "REMOVE")
    ]
)


@given(st.dictionaries(VARIABLES, TEXTS), st.sampled_from(rule_set_names()[:3]))
def test_any_text_is_parsed_or_rejected_and_exported_again(environ, name) -> None:
    rules = rule_set(name)
    try:
        lists, level = from_environment(rules, environ)
        exported = to_environment(rules, lists, level)
    except RewriteError:
        return
    assert from_environment(rules, exported) == (lists, level)
