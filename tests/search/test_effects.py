"""Which op type gives what: planted truths come out first."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amp_tuner.results.effects_csv import write_effects
from amp_tuner.search.candidates import Candidates
from amp_tuner.search.effects import OWN_WORK, Effect, effects
from amp_tuner.search.evidence import Told
from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.study import TuningStudy
from tests.search.painted_space import PaintedSpace

SLOW, INACCURATE, FAST = "Tanh", "Softmax", "MatMul"
LEASE = {"host": "here", "pid": 1, "started": 0.0, "expires": 0.0}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Effect]:
    """Effects after 150 random settings: one op type made slow on purpose, one inaccurate."""
    painted = PaintedSpace(lists=("allow", "deny"))
    draw = Candidates(painted.space, np.random.default_rng(3))
    noise = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("planted") / "journal"
    study = TuningStudy(
        OneWriterStorage(path), "planted", painted.space, "random", 0, painted.viewer
    )
    told = []
    while len(told) < 150:
        parameters = draw.at_random()
        look = painted.look(parameters)
        if not look.is_16bit:
            continue
        share = {op: painted.share(look, op) for op in painted.viewer.op_types}
        log_time = 0.7 * share[SLOW] - 0.2 * share[FAST] + 0.003 * noise.normal()
        drop = 0.001 * math.exp(3 * share[INACCURATE]) * (1 + 0.02 * noise.normal())
        speedup = math.exp(-log_time)
        told.append(
            Told(
                parameters,
                look,
                speedup,
                drop,
                speedup_interval=(speedup * 0.994, speedup * 1.006),
                drop_interval=(drop * 0.96, drop * 1.04),
            )
        )
        study.enqueue(parameters, f"a{len(told)}")
        study.tell(study.ask(LEASE).number, Objectives(speedup, drop, drop - 1), {})
    found = effects(painted.space, painted.viewer, told, study.importances())
    study.close()
    return found


def own(planted: list[Effect], op_type: str) -> Effect:
    (found,) = [one for one in planted if one.op_type == op_type and one.change == OWN_WORK]
    return found


def test_the_op_type_that_was_made_slow_comes_out_first_by_time(planted: list[Effect]) -> None:
    work = [one for one in planted if one.change == OWN_WORK]
    assert max(work, key=lambda one: one.time_share).op_type == SLOW
    assert max(work, key=lambda one: one.time.value).op_type == SLOW
    slow = own(planted, SLOW).time
    assert slow.low < math.exp(0.7) < slow.high
    assert slow.low > 1.2


def test_the_op_type_that_was_made_inaccurate_comes_out_first_by_error(
    planted: list[Effect],
) -> None:
    work = [one for one in planted if one.change == OWN_WORK]
    assert max(work, key=lambda one: one.error_share).op_type == INACCURATE
    error = own(planted, INACCURATE).error
    assert error.value == pytest.approx(math.exp(3), rel=0.1)
    assert error.low > 15


def test_the_two_are_the_first_rows(planted: list[Effect]) -> None:
    first = list(dict.fromkeys(one.op_type for one in planted))[:2]
    assert set(first) == {SLOW, INACCURATE}


def test_optunas_importance_agrees_without_knowing_the_model(planted: list[Effect]) -> None:
    work = [one for one in planted if one.change == OWN_WORK]
    work.sort(key=lambda one: -(one.importance or 0.0))
    assert {one.op_type for one in work[:3]} == {SLOW, INACCURATE, FAST}


def test_a_list_that_takes_an_op_type_out_of_16_bits_undoes_its_effect(
    planted: list[Effect],
) -> None:
    moves = [one for one in planted if one.op_type == SLOW and one.change != OWN_WORK]
    away = [one for one in moves if "deny" in one.change]
    assert away
    assert all(one.time.high < 0.7 for one in away)


def test_the_table_reads_back(planted: list[Effect], tmp_path: Path) -> None:
    write_effects(tmp_path / "effects.csv", planted, modelled_for=None)
    table = pd.read_csv(tmp_path / "effects.csv")
    assert len(table) == len(planted)
    assert set(table["op_type"][:2]) <= {SLOW, INACCURATE}
    assert (table["time_low"] <= table["time"]).all()
    assert (table["time"] <= table["time_high"]).all()
    assert table["format"].unique().tolist() == [1]


def test_few_trials_tell_nothing() -> None:
    painted = PaintedSpace()
    assert effects(painted.space, painted.viewer, [], {}) == []
