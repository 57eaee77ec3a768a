"""Distinct graphs of small spaces."""

from __future__ import annotations

from itertools import product

from amp_tuner.search.enumerating import distinct_graphs
from tests.search.painted_space import PaintedSpace


def test_every_graph_of_a_small_space_is_found() -> None:
    painted = PaintedSpace(("MatMul", "Exp", "Relu") * 2)
    found = distinct_graphs(painted.space, painted.viewer, 1000)
    assert found is not None
    assert found.is_whole
    choices = painted.space.choices()
    settings = (dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values()))
    graphs = {painted.look(one).graph_id for one in settings if one["data_type"] != "float32"}
    assert set(found.settings) == graphs - {"float32"}
    assert "painting every setting" in found.sentence()


def test_each_graph_is_that_of_its_setting() -> None:
    painted = PaintedSpace(("MatMul", "Exp", "Relu") * 2)
    found = distinct_graphs(painted.space, painted.viewer, 1000)
    assert found is not None
    for graph, parameters in found.settings.items():
        assert painted.look(parameters).graph_id == graph


def test_a_larger_space_is_searched_move_by_move() -> None:
    # Op types that always lie behind one another hardly make a difference of their own.
    ops = ("MatMul", *("Relu", "Mul", "Sub", "Neg", "Square", "AddV2", "Minimum"))
    painted = PaintedSpace(ops, lists=("allow", "clear"))
    painted.viewer.paintings = 20
    found = distinct_graphs(painted.space, painted.viewer, 1000)
    assert found is not None
    assert not found.is_whole
    assert "moving one op type at a time" in found.sentence()
    painted.viewer.paintings = 2000
    closed = distinct_graphs(painted.space, painted.viewer, 1000)
    assert closed is not None
    assert closed.is_whole
    assert len(closed.settings) > 1
    assert set(found.settings) == set(closed.settings)


def test_most_graphs_that_only_several_moves_together_give_are_found_too() -> None:
    ops = ("MatMul", "Exp", "Softmax", "Sum", "Pow", "Mean", "Cumsum", "Softplus", "MatMul")
    painted = PaintedSpace(ops, lists=("infer", "clear", "deny"))
    found = distinct_graphs(painted.space, painted.viewer, 1000)
    assert found is not None
    assert not found.is_whole
    painted.viewer.paintings = 2000
    whole = distinct_graphs(painted.space, painted.viewer, 1000)
    assert whole is not None
    assert whole.is_whole
    # Moving one op type at a time alone finds 25 of these 29.
    assert set(found.settings) < set(whole.settings)
    assert len(found.settings) >= 27


def test_more_than_can_be_measured_is_none() -> None:
    painted = PaintedSpace()
    assert distinct_graphs(painted.space, painted.viewer, 20) is None
