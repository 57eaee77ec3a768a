"""Planted costs of nodes are found again."""

from __future__ import annotations

import numpy as np

from amp_tuner.search.additive import Additive, Graphs, Weights

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


def draws(fitted: Additive, count: int = 20) -> list[Weights]:
    return fitted.draws(count, np.random.default_rng(8))


def mean(fitted: Additive, count: int = 200) -> np.ndarray:
    found: np.ndarray = np.mean([one.nodes for one in draws(fitted, count)], axis=0)
    return found


def test_one_bad_node_among_many_is_found_with_fewer_graphs_than_nodes() -> None:
    nodes = mean(model(graphs(18, 0)))
    assert int(np.argmax(nodes)) == BAD
    assert nodes[BAD] > 3 * np.delete(nodes, BAD).max()


def test_what_was_measured_is_predicted_as_it_was() -> None:
    measured = graphs(12, 1)
    for drawn in draws(model(measured)):
        np.testing.assert_allclose(drawn.figures(measured), figures(measured), atol=0.02)


def test_with_many_graphs_new_ones_are_predicted() -> None:
    fresh = graphs(20, 3)
    for drawn in draws(model(graphs(80, 2))):
        np.testing.assert_allclose(drawn.figures(fresh), figures(fresh), atol=0.05)


def test_nodes_that_nothing_tells_apart_share_by_their_work() -> None:
    measured = Graphs(np.ones((1, NODES)), np.zeros((1, 4)))
    work = np.arange(1, NODES + 1) / np.arange(1, NODES + 1).sum()
    model = Additive(work, np.zeros(NODES, np.int64), measured, np.array([2.0]), np.array([0.01]))
    nodes = mean(model, 4000)
    assert np.corrcoef(nodes, work)[0, 1] > 0.9
    assert abs(nodes.sum() - 2.0) < 0.05


def test_draws_agree_with_what_was_seen_and_differ_where_little_is_known() -> None:
    measured = graphs(6, 4)
    found = draws(model(measured), 200)
    seen = np.array([one.figures(measured) for one in found])
    unseen = np.array([one.figures(graphs(6, 5)) for one in found])
    assert seen.std(axis=0).max() < 0.01
    assert unseen.std(axis=0).min() > 0.05


def test_the_same_chance_gives_the_same_draws() -> None:
    one, other = (draws(model(graphs(6, 4))) for _ in range(2))
    assert all((left.nodes == right.nodes).all() for left, right in zip(one, other, strict=True))
