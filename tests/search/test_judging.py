"""What candidates are worth, and what each op type adds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from amp_tuner.search.candidates import Candidates
from amp_tuner.search.evidence import Evidence, Told
from amp_tuner.search.judging import Judge
from tests.search.painted_space import OP_TYPES, PaintedSpace

#: Of FP32's time what each op type's work in 16 bits saves, and what it adds to the square of
#: the error.
SAVED = {"Conv2D": 0.3, "MatMul": 0.2, "Tanh": -0.1}
ADDED = {"Exp": 4.0, "Softmax": 2.0, "Conv2D": 0.1}
LIMIT = 1.5


@pytest.fixture(scope="module")
def painted() -> PaintedSpace:
    return PaintedSpace()


def told(painted: PaintedSpace, count: int) -> list[Told]:
    draw = Candidates(painted.space, np.random.default_rng(0))
    found = []
    for _ in range(count):
        parameters = draw.at_random()
        look = painted.look(parameters)
        time = 1 - sum(saved * painted.share(look, op) for op, saved in SAVED.items())
        nodes = {op: painted.share(look, op, by_nodes=True) for op in ADDED}
        square = sum(added * nodes[op] for op, added in ADDED.items())
        found.append(Told(parameters, look, 1 / time, math.sqrt(square), LIMIT))
    return found


def judge(painted: PaintedSpace, count: int = 30) -> Judge:
    return Judge(painted.space, painted.viewer, Evidence.of(told(painted, count)))


def test_what_each_op_type_adds_is_learnt(painted: PaintedSpace) -> None:
    added = judge(painted).additions("bfloat16")
    assert added is not None
    places = [painted.viewer.op_types.index(op) for op in OP_TYPES]
    time = np.array([-SAVED.get(op, 0.0) for op in OP_TYPES])
    error = np.array([ADDED.get(op, 0.0) for op in OP_TYPES])
    assert np.abs(added.mean[0][places] - time).max() < 0.05
    assert np.abs(added.mean[1][places] - error).max() < 0.5


def test_before_anything_is_known_op_types_add_nothing(painted: PaintedSpace) -> None:
    assert judge(painted, 0).additions("bfloat16") is None


def test_what_misses_the_goal_gains_nothing(painted: PaintedSpace) -> None:
    draw = Candidates(painted.space, np.random.default_rng(1))
    good, bad = draw.just("bfloat16", {"Conv2D"}), draw.just("bfloat16", {"Conv2D", "Exp"})
    scores = judge(painted).scores([painted.look(good), painted.look(bad)])
    assert scores.chance[0] > 0.9
    assert scores.chance[1] < 0.1
    assert scores.gain[1] < 0.05 * max(scores.gain[0], 0.01)


def test_what_runs_is_not_gained_twice_and_makes_no_prediction_more_certain(
    painted: PaintedSpace,
) -> None:
    draw, found = Candidates(painted.space, np.random.default_rng(1)), told(painted, 10)
    parameters = draw.just("bfloat16", {"Conv2D", "MatMul"})
    running = Told(parameters, painted.look(parameters), None, None)
    looks = [running.look, painted.look(draw.just("bfloat16", {"Conv2D", "MatMul", "Relu"}))]
    alone = Judge(painted.space, painted.viewer, Evidence.of(found))
    beside = Judge(painted.space, painted.viewer, Evidence.of(found), [running])
    before, after = (one.scores(looks) for one in (alone, beside))
    assert (after.gain < 0.5 * before.gain).all()
    assert (after.deviation[:, 0] < before.deviation[:, 0]).all()
    predicted = [
        one.prediction(scores, 1, looks[1], explores=False)
        for one, scores in ((alone, before), (beside, after))
    ]
    assert predicted[1].log_time_deviation == pytest.approx(predicted[0].log_time_deviation)
    assert predicted[1].log_error == pytest.approx(predicted[0].log_error)
    assert running in beside.front_members()


def test_what_fails_in_one_data_type_is_not_dreaded_in_the_other() -> None:
    both = PaintedSpace(rules=("tf-cpu-bfloat16", "tf-cpu-float16"))
    draw = Candidates(both.space, np.random.default_rng(0))
    found = []
    for _ in range(32):
        parameters = draw.at_random()
        look = both.look(parameters)
        fails = look.data_type == "float16" and both.share(look, "Relu") > 0
        found.append(Told(parameters, look, None if fails else 1.2, None if fails else 0.1, LIMIT))
    assert {one.drop is None for one in found} == {False, True}
    relu = [both.look(draw.just(name, {"Conv2D", "Relu"})) for name in ("bfloat16", "float16")]
    chance = Judge(both.space, both.viewer, Evidence.of(found)).scores(relu).chance
    assert chance[0] > 0.8
    assert chance[1] < 0.2


def test_what_may_fail_is_not_tried_twice_at_once(painted: PaintedSpace) -> None:
    draw = Candidates(painted.space, np.random.default_rng(1))
    found = [one for one in told(painted, 20) if painted.share(one.look, "Relu") == 0]
    failed = draw.just("bfloat16", {"MatMul", "Relu"})
    found.append(Told(failed, painted.look(failed), None, None))
    suspect = draw.just("bfloat16", {"Conv2D", "Relu"})
    running = Told(suspect, painted.look(suspect), None, None)
    looks = [
        painted.look(draw.just("bfloat16", chosen))
        for chosen in ({"Tanh", "Relu"}, {"Tanh", "Conv2D"})
    ]
    alone, beside = (
        Judge(painted.space, painted.viewer, Evidence.of(found), pending).scores(looks).chance
        for pending in ([], [running])
    )
    assert beside[0] < 0.7 * alone[0]
    assert beside[1] > 0.9 * alone[1]


def test_what_has_run_well_is_not_dreaded_because_it_runs_elsewhere(painted: PaintedSpace) -> None:
    draw = Candidates(painted.space, np.random.default_rng(1))
    everything = draw.just("bfloat16", OP_TYPES)
    found = [Told(everything, painted.look(everything), 1.2, 0.1, LIMIT)]
    most = [draw.just("bfloat16", set(OP_TYPES) - {op_type}) for op_type in OP_TYPES]
    running = [Told(one, painted.look(one), None, None) for one in most[1:]]
    look = painted.look(most[0])
    alone, beside = (
        Judge(painted.space, painted.viewer, Evidence.of(found), pending).scores([look]).chance
        for pending in ([], running)
    )
    assert beside[0] > 0.95 * alone[0]


def test_the_more_runs_the_less_is_hoped_for_of_the_uncertain(painted: PaintedSpace) -> None:
    draw, found = Candidates(painted.space, np.random.default_rng(1)), told(painted, 3)
    others = [draw.just("bfloat16", {op_type}) for op_type in ("Relu", "Tanh", "Softmax")]
    running = [Told(one, painted.look(one), None, None) for one in others]
    look = painted.look(draw.just("bfloat16", {"Conv2D", "MatMul"}))
    deviations = [
        Judge(painted.space, painted.viewer, Evidence.of(found), running[:count])
        .scores([look])
        .deviation[0]
        for count in range(4)
    ]
    for fewer, more in itertools.pairwise(deviations):
        assert (more < fewer).all()
    known = len({one.look.graph_id for one in found}) + 1
    assert (deviations[3] <= deviations[0] * math.sqrt(known / (known + 3)) + 1e-9).all()
