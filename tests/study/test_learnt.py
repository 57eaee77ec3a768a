"""What trials teach is about the graphs that ran."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from amp_tuner.records import Trial
from amp_tuner.search.candidates import Candidates
from amp_tuner.study.learnt import told_of
from tests.search.painted_space import PaintedSpace
from tests.study.test_publishing import FAST


def test_trials_of_other_lists_are_seen_as_the_graphs_that_ran() -> None:
    wide, narrow = PaintedSpace(), PaintedSpace(lists=("allow", "deny"))
    draw = Candidates(wide.space, np.random.default_rng(3))
    trials: list[Trial] = []
    ran = []
    for number in range(20):
        parameters = draw.at_random()
        trials.append(replace(FAST, number=number, setting=wide.space.setting(parameters)))
        ran.append(wide.look(parameters).graph_id)
    for painted in (wide, narrow):
        told = told_of(trials, painted.viewer, painted.space)
        assert [one.look.graph_id for one in told] == ran
