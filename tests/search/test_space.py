from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.lists import DESTINATIONS, AmpLists
from amp_tuner.records import Setting
from amp_tuner.search.space import SearchSpace

DEFAULT = AmpLists(allow=frozenset({"MatMul"}), infer=frozenset({"Mul"}), deny=frozenset({"Exp"}))
OTHER = AmpLists(allow=frozenset({"MatMul"}), infer=frozenset({"Exp", "Mul"}))
SPACE = SearchSpace(
    data_types=("bfloat16", "float16"),
    op_types=("Exp", "GatherV2", "MatMul", "Mul"),
    proposed=DESTINATIONS,
    defaults={"bfloat16": OTHER, "float16": DEFAULT},
)
places = st.dictionaries(
    st.sampled_from(SPACE.op_types), st.sampled_from(DESTINATIONS), min_size=4, max_size=4
)


def test_choices_are_absolute_and_the_same_for_every_data_type() -> None:
    choices = SPACE.choices()
    assert choices["data_type"] == ("float32", "bfloat16", "float16")
    assert choices["list:Exp"] == ("allow", "infer", "clear", "deny", "none")
    assert list(choices) == ["data_type", "list:Exp", "list:GatherV2", "list:MatMul", "list:Mul"]


def test_a_list_that_is_the_default_is_no_move() -> None:
    parameters = {
        "data_type": "float16",
        "list:Exp": "deny",
        "list:GatherV2": "allow",
        "list:MatMul": "allow",
        "list:Mul": "none",
    }
    assert SPACE.setting(parameters) == Setting("float16", {"GatherV2": "allow", "Mul": "none"})


def test_fp32_ignores_the_lists() -> None:
    parameters = {**SPACE.parameters(Setting("float16")), "data_type": "float32"}
    assert SPACE.setting(parameters) == Setting("float32")


def test_a_list_that_is_not_to_be_proposed_means_the_default() -> None:
    narrow = SearchSpace(SPACE.data_types, SPACE.op_types, ("allow", "deny"), SPACE.defaults)
    parameters = {**narrow.parameters(Setting("float16")), "list:Exp": "none", "list:Mul": "deny"}
    assert narrow.setting(parameters) == Setting("float16", {"Mul": "deny"})


@pytest.mark.parametrize("data_type", ["bfloat16", "float16"])
@given(drawn=places)
def test_parameters_and_settings_are_each_others_inverse(
    data_type: str, drawn: dict[str, str]
) -> None:
    parameters = {"data_type": data_type, **{f"list:{op}": drawn[op] for op in SPACE.op_types}}
    assert SPACE.parameters(SPACE.setting(parameters)) == parameters
