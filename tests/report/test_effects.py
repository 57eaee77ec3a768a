from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from amp_tuner.records import EffectiveGraph, Interval, Measurement, Setting, Trial
from amp_tuner.report.effects import Effect, single_moves
from tests.results.examples import ACCURACY, TIMING, trial


def graph_of(setting: Setting) -> str | None:
    """Op types called Idle change nothing, those called Fails are refused."""
    moves = {op: place for op, place in setting.moves.items() if op != "Idle"}
    return None if "Fails" in moves else f"{setting.data_type} {sorted(moves.items())}"


def measured(number: int, moves: dict[str, str], speed: float, drop: float = 0.0) -> Trial:
    setting = Setting("float16", moves, onednn=True)
    effective = EffectiveGraph(str(graph_of(setting)), 1, 1)
    timing = replace(TIMING, speedup=Interval(speed, speed / 1.01, speed * 1.01))
    accuracy = replace(ACCURACY, drop=Interval(drop, drop - 0.001, drop + 0.001))
    return trial(number, setting=setting, measurement=Measurement(effective, accuracy, timing))


def effect_of(found: tuple[Effect, ...], op_type: str) -> Effect:
    (one,) = (effect for effect in found if effect.op_type == op_type)
    return one


def test_one_pair_gives_the_ratio_with_both_sides_uncertainty() -> None:
    found = single_moves(
        [measured(0, {}, 1.0), measured(1, {"Sum": "allow"}, 1.2, 0.004)], graph_of
    )
    one = effect_of(found, "Sum")
    assert (one.data_type, one.place, one.pairs) == ("float16", "allow", 1)
    assert one.speed.value == pytest.approx(1.2)
    half = math.hypot(math.log(1.01), math.log(1.01))
    assert math.log(one.speed.high / one.speed.value) == pytest.approx(half)
    assert one.drop.value == pytest.approx(0.004)
    assert one.drop.high == pytest.approx(0.004 + math.hypot(0.001, 0.001))


def test_several_pairs_give_their_mean_with_students_interval() -> None:
    found = single_moves(
        [
            measured(0, {}, 1.0),
            measured(1, {"Sum": "allow"}, 1.2),
            measured(2, {"Mul": "allow"}, 1.0),
            measured(3, {"Mul": "allow", "Sum": "allow"}, 1.3),
        ],
        graph_of,
    )
    one = effect_of(found, "Sum")
    assert one.pairs == 2
    assert one.speed.value == pytest.approx(math.sqrt(1.2 * 1.3))
    half = 12.7062 * abs(math.log(1.3) - math.log(1.2)) / 2
    assert math.log(one.speed.high / one.speed.value) == pytest.approx(half, rel=1e-4)


def test_idle_moves_neither_hide_a_pair_nor_make_one() -> None:
    found = single_moves(
        [
            measured(0, {"Idle": "deny"}, 1.0),
            measured(1, {"Idle": "allow", "Sum": "allow"}, 1.2),
        ],
        graph_of,
    )
    assert [one.op_type for one in found] == ["Sum"]


def test_an_equal_graphs_result_is_no_second_pair() -> None:
    twin = replace(measured(2, {"Idle": "allow", "Sum": "allow"}, 1.2), cached_from=1)
    found = single_moves([measured(0, {}, 1.0), measured(1, {"Sum": "allow"}, 1.2), twin], graph_of)
    assert effect_of(found, "Sum").pairs == 1


@pytest.mark.parametrize(
    "other",
    [
        trial(1, measurement=None, state="FAIL", cause="SIGSEGV"),
        measured(1, {"Fails": "allow", "Sum": "allow"}, 1.2),
        measured(1, {"Mul": "allow", "Sum": "allow"}, 1.2),
        replace(measured(1, {"Sum": "allow"}, 1.2), setting=Setting("float16", {"Sum": "allow"})),
    ],
    ids=["failed", "refused without it", "two moves apart", "another switch"],
)
def test_what_is_no_pair_says_nothing(other: Any) -> None:
    assert single_moves([measured(0, {}, 1.0), other], graph_of) == ()


def test_the_largest_changes_come_first() -> None:
    found = single_moves(
        [
            measured(0, {}, 1.0),
            measured(1, {"Sum": "allow"}, 1.1),
            measured(2, {"Mul": "deny"}, 0.8),
        ],
        graph_of,
    )
    assert [one.op_type for one in found] == ["Mul", "Sum"]
