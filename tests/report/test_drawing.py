from __future__ import annotations

import pytest

from amp_tuner.report.drawing import DOT, DOT_ROWS, draw


def test_constants_stand_at_the_left_of_who_reads_them():
    # A weight and its scale lead to node 1.
    found = draw([50.0, 80.0, DOT, DOT], [(0, 1), (2, 1), (3, 2)], {2, 3})
    left = found.centres[1][0] - 40
    assert found.centres[2][0] == pytest.approx(left - 6)
    assert found.centres[3][0] == pytest.approx(left - 6)
    assert found.centres[2][1] < found.centres[1][1] < found.centres[3][1]


def test_many_constants_go_on_to_the_left():
    count = 2 * DOT_ROWS + 1
    found = draw(
        [80.0] + [DOT] * count, [(one, 0) for one in range(1, count + 1)], set(range(1, 8))
    )
    lefts = sorted({round(x) for x, _ in found.centres[1:]})
    assert len(lefts) == 3
    assert lefts[0] > 0


def test_a_constant_that_several_read_stands_once():
    found = draw([50.0, 50.0, DOT], [(0, 1), (2, 0), (2, 1)], {2})
    assert abs(found.centres[2][1] - found.centres[0][1]) < 20


def test_a_constant_that_nobody_reads_has_a_place_of_its_own():
    found = draw([50.0, DOT], [], {1})
    assert found.centres[0] != found.centres[1]


def test_every_edge_has_a_route():
    found = draw([50.0, 50.0, DOT], [(0, 1), (2, 1)], {2})
    assert len(found.routes) == 2
