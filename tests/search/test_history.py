"""What a sampler is shown of a long study."""

from __future__ import annotations

from itertools import pairwise

from optuna.trial import FrozenTrial, create_trial

from amp_tuner.search.history import NEWEST, History


def told(speedup: float, drop: float = 0.0) -> FrozenTrial:
    return create_trial(values=[speedup, drop])


def test_a_short_study_is_shown_whole_and_in_order() -> None:
    history, trials = History(), [told(1.0 + number) for number in range(NEWEST)]
    for trial in trials:
        history.add(trial)
    assert history.trials() == trials


def test_of_old_trials_only_those_stay_that_no_other_old_one_beats() -> None:
    history = History()
    old = [told(1.0, 0.1), told(2.0, 0.2), told(1.5, 0.3), told(2.0, 0.05)]
    new = [told(0.5, 0.5) for _ in range(NEWEST)]
    hidden = [one for trial in [*old, *new] for one in history.add(trial)]
    assert history.trials() == [old[3], *new]
    assert sorted(map(id, hidden)) == sorted(map(id, old[:3]))
    assert all(one is not other for one, other in pairwise(history.trials()))
