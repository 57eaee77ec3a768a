"""Settings that might be worth a look."""

from __future__ import annotations

import numpy as np
import pytest

from amp_tuner.search.candidates import Candidates
from tests.search.painted_space import OP_TYPES, PaintedSpace


@pytest.mark.parametrize("op_types", [{"Conv2D"}, {"Exp", "MatMul", "Tanh"}, set(OP_TYPES)])
def test_just_some_op_types_are_16_bit_and_nothing_else(op_types: set[str]) -> None:
    painted = PaintedSpace()
    draw = Candidates(painted.space, np.random.default_rng(0))
    look = painted.look(draw.just("bfloat16", op_types))
    assert {op for op in OP_TYPES if painted.share(look, op) == 1.0} == op_types
    assert {op for op in OP_TYPES if painted.share(look, op) > 0.0} == op_types


def test_lists_that_may_not_be_proposed_leave_op_types_on_their_default() -> None:
    painted = PaintedSpace(lists=("infer", "deny"))
    draw = Candidates(painted.space, np.random.default_rng(0))
    proposed = draw.just("bfloat16", {"Exp", "Tanh"})
    default = painted.space.defaults["bfloat16"]
    for op_type in OP_TYPES:
        assert proposed[f"list:{op_type}"] in {"infer", "deny", default.list_of(op_type)}
