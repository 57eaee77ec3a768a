from __future__ import annotations

from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.records import Setting
from amp_tuner.search.anchors import anchors, default_anchor, float32_anchor
from amp_tuner.search.space import SearchSpace
from amp_tuner.target.switches import ONEDNN

RULES = (rule_set("tf-cpu-bfloat16"), rule_set("tf-cpu-float16"))


def space(*rules: RuleSet) -> SearchSpace:
    defaults = {one.data_type: one.lists for one in rules}
    return SearchSpace(tuple(defaults), ("GatherV2", "MatMul", "Sum"), ("allow",), defaults)


def test_references_come_first_and_have_names_of_their_own() -> None:
    names = [anchor.name for anchor in anchors(space(*RULES), RULES, ONEDNN)]
    assert names == [
        "FP32, oneDNN off",
        "FP32, oneDNN on",
        "default bfloat16",
        "default float16",
        "everything bfloat16",
        "everything float16",
        "forced float16",
    ]


def test_fp32_and_default_amp_are_references_and_nothing_else_is() -> None:
    references = {
        anchor.name for anchor in anchors(space(*RULES), RULES, ONEDNN) if anchor.reference
    }
    assert references == {
        float32_anchor(ONEDNN, state=False).name,
        float32_anchor(ONEDNN, state=True).name,
        default_anchor("bfloat16").name,
        default_anchor("float16").name,
    }


def test_default_amp_moves_nothing() -> None:
    assert default_anchor("float16").setting == Setting("float16")


def test_everything_moves_what_is_not_allowed_anyway() -> None:
    found = {anchor.name: anchor.setting for anchor in anchors(space(*RULES), RULES, ONEDNN)}
    moves = {"GatherV2": "allow", "Sum": "allow"}
    assert found["everything bfloat16"] == Setting("bfloat16", moves)


def test_forcing_is_an_anchor_only_where_the_pass_has_that_level() -> None:
    found = {anchor.name: anchor.setting for anchor in anchors(space(*RULES), RULES, ONEDNN)}
    assert found["forced float16"] == Setting("float16", level="unsafe_force_all")
    itex = rule_set("itex-cpu-bfloat16")
    assert "forced bfloat16" not in [one.name for one in anchors(space(itex), (itex,), ONEDNN)]
