from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.report.columns import LAYER_HEIGHT
from amp_tuner.report.layered_layout import GAP, layered_layout

BOX = (30.0, 20.0)


def layout(count, edges):
    return layered_layout([BOX] * count, edges)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 40))
    node = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(node, node), max_size=80))


@settings(max_examples=150)
@given(graphs())
def test_no_two_boxes_overlap_and_all_are_inside(graph):
    count, edges = graph
    found = layout(count, edges)
    boxes = [(x - 30, x + 20, y - 15, y + 15) for x, y in found.places]
    for left, right, top, bottom in boxes:
        assert left >= 0
        assert right <= found.width
        assert top >= 0
        assert bottom <= found.height
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            apart = one[0] >= other[1] - 1e-6 or other[0] >= one[1] - 1e-6
            assert apart or one[2] >= other[3] or other[2] >= one[3]


@settings(max_examples=150)
@given(graphs())
def test_every_edge_has_a_route(graph):
    count, edges = graph
    found = layout(count, edges)
    assert len(found.routes) == len(edges)
    for route in found.routes:
        for x, y in route:
            assert 0 <= x <= found.width
            assert 0 <= y <= found.height


def test_a_short_chain_is_a_straight_line_downwards():
    found = layout(4, [(2, 0), (0, 3), (3, 1)])
    order = sorted(range(4), key=lambda node: found.places[node][1])
    assert order == [2, 0, 3, 1]
    assert len({x for x, _ in found.places}) == 1
    assert found.places[0][1] - found.places[2][1] == pytest.approx(LAYER_HEIGHT)


def test_a_diamond_does_not_cross_itself():
    found = layout(4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    places = found.places
    assert places[1][1] == places[2][1]
    assert abs(places[1][0] - places[2][0]) >= sum(BOX) + GAP - 1e-6
    assert places[0][0] == pytest.approx(places[3][0], abs=1.0)


def test_two_chains_that_were_given_crosswise_are_untangled():
    # Two chains side by side, their nodes named in opposite orders from layer to layer.
    edges = [(0, 3), (1, 2), (3, 4), (2, 5), (4, 7), (5, 6)]
    places = layout(8, edges).places
    first, second = (0, 3, 4, 7), (1, 2, 5, 6)
    sides = {places[a][0] < places[b][0] for a, b in zip(first, second, strict=True)}
    assert len(sides) == 1


def test_a_loop_goes_down_and_its_last_edge_back():
    found = layout(4, [(0, 1), (1, 2), (2, 1), (2, 3)])
    heights = [y for _, y in found.places]
    assert heights == sorted(heights)


def test_an_edge_past_nodes_bends_around_them():
    found = layout(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    bends = found.routes[3]
    assert len(bends) == 2
    for (x, y), node in zip(bends, (1, 2), strict=True):
        place = found.places[node]
        assert y == place[1]
        assert x <= place[0] - BOX[0] or x >= place[0] + BOX[1]


def test_what_is_long_is_folded_into_columns():
    count = 400
    found = layout(count, [(node, node + 1) for node in range(count - 1)])
    assert 0.8 < found.width / found.height < 3
    assert len({round(x) for x, _ in found.places}) > 5
    turns = [route for route in found.routes if route]
    assert len(turns) == len({round(x) for x, _ in found.places}) - 1


def test_columns_are_cut_where_few_edges_cross():
    # Twenty blocks of ten layers; within a block each node also feeds the block's last.
    edges = []
    for block in range(20):
        first = block * 10
        edges += [(first + step, first + step + 1) for step in range(10)]
        edges += [(first + step, first + 9) for step in range(8)]
    found = layout(201, edges)
    cut = [
        (source, target)
        for (source, target), route in zip(edges, found.routes, strict=True)
        if target == source + 1 and route
    ]
    assert cut
    assert all(source % 10 == 9 for source, _ in cut)


def test_nothing_and_one_node_have_a_layout():
    assert layout(0, []).places == ()
    found = layout(1, [(0, 0)])
    assert len(found.places) == 1
    assert found.routes == ((),)


def test_several_thousand_nodes_are_placed():
    chance = random.Random(1)
    edges = [(max(0, node - chance.randint(1, 6)), node) for node in range(1, 4000)]
    found = layout(4000, edges)
    assert len(set(found.places)) == 4000
