"""Planted costs of nodes are found again."""

from __future__ import annotations

import numpy as np

from amp_tuner.search.additive import Additive, Graphs

NODES = 24
WORK = np.full(NODES, 1 / NODES)
GROUP = np.arange(NODES) % 3
BAD = 7


def graphs(count: int, seed: int) -> Graphs:
    random = np.random.default_rng(seed)
    painted = (random.random((count, NODES)) < 0.5).astype(float)
    return Graphs(painted, random.random((count, 4)))


def figures(measured: Graphs) -> np.ndarray:
    """Every node adds 0.01, the bad one 1 more; a Cast of the first kind 0.1."""
    found: np.ndarray = measured.painted @ (0.01 + (np.arange(NODES) == BAD))
    return found + 0.1 * measured.casts[:, 0]


def model(measured: Graphs) -> Additive:
    values = figures(measured)
    return Additive(WORK, GROUP, measured, values, np.full(len(values), 0.001))


def test_one_bad_node_among_many_is_found_with_fewer_graphs_than_nodes() -> None:
    weights = model(graphs(18, 0)).mean()
    assert int(np.argmax(weights.nodes)) == BAD
    assert weights.nodes[BAD] > 3 * np.delete(weights.nodes, BAD).max()


def test_what_was_measured_is_predicted_as_it_was() -> None:
    measured = graphs(12, 1)
    predicted = model(measured).mean().figures(measured)
    np.testing.assert_allclose(predicted, figures(measured), atol=0.02)


def test_with_many_graphs_new_ones_are_predicted() -> None:
    fresh = graphs(20, 3)
    predicted = model(graphs(80, 2)).mean().figures(fresh)
    np.testing.assert_allclose(predicted, figures(fresh), atol=0.05)


def test_nodes_that_nothing_tells_apart_share_by_their_work() -> None:
    measured = Graphs(np.ones((1, NODES)), np.zeros((1, 4)))
    work = np.arange(1, NODES + 1) / np.arange(1, NODES + 1).sum()
    model = Additive(work, np.zeros(NODES, np.int64), measured, np.array([2.0]), np.array([0.01]))
    nodes = model.mean().nodes
    assert (np.diff(nodes) > 0).all()
    assert abs(nodes.sum() - 2.0) < 0.05


def test_draws_scatter_around_the_mean_where_little_is_known_and_agree_with_what_was_seen() -> None:
    measured = graphs(10, 4)
    fitted, random = model(measured), np.random.default_rng(5)
    draws = [fitted.draw(random) for _ in range(200)]
    mean = np.mean([one.nodes for one in draws], axis=0)
    scatter = np.std([one.nodes for one in draws], axis=0)
    assert (np.abs(mean - fitted.mean().nodes) < 5 * scatter / np.sqrt(200)).all()
    seen = np.array([one.figures(measured) for one in draws])
    assert (seen.std(axis=0) < 0.1 * scatter.max()).all()
    assert (
        fitted.draw(np.random.default_rng(9)).nodes == fitted.draw(np.random.default_rng(9)).nodes
    ).all()
