"""Which trials are measured again, what is published, and the sentence at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.amp.rules import rule_set
from amp_tuner.config.load import load_study
from amp_tuner.data.samples import open_data
from amp_tuner.files import write_json
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32_GRAPH, Accuracy, Interval, Measurement, Origin, Setting, Trial
from amp_tuner.results.points import read_front
from amp_tuner.study import contending
from amp_tuner.study.contending import Standing, in_doubt, to_confirm, to_minimise
from amp_tuner.study.minimal_settings import Attempt, Minimal, write_minimal
from amp_tuner.study.planning import Planner
from amp_tuner.study.publishing import Answer, answer_of, publish
from amp_tuner.study.session import Session
from amp_tuner.target.bench import Bench
from amp_tuner.worker.protocol import LoadedModel, TensorInfo
from tests import small_study
from tests.results.examples import TIMING

RULES = {"bfloat16": rule_set("tf-cpu-bfloat16"), "float16": rule_set("tf-cpu-float16")}
MODEL = LoadedModel(
    inputs=(TensorInfo("keys", "int32", (-1, 8)),),
    outputs=(TensorInfo("probability", "float32", (-1, 1)),),
    nodes=1,
    weight_bytes=0,
    fixed_batch=None,
    notices=(),
)


def graph(rules: str) -> TypedGraph:
    """One MatMul."""
    node = TypedNode("product", "MatMul", True, True, False, False, False, True)
    return TypedGraph(
        rules, "a test", None, (node,), (Vertex(0, "T", -1, "float32", True, True),), ()
    )


def session(folder: Path, **changes: Any) -> Session:
    """A study's parts as they are once it is open; no worker is started."""
    (folder / "model").mkdir(exist_ok=True)
    data = small_study.make_data(folder)
    plain = small_study.study(folder / "model", data, **changes)
    config = load_study(small_study.write_study(folder, plain))
    opened = open_data(config, MODEL, folder)

    def start(onednn: bool) -> Any:
        raise AssertionError("publishing needs no worker")

    graphs = {name: (rules, graph(rules.identifier)) for name, rules in RULES.items()}
    planner = Planner.of(graphs, served=config.target.runtime != "engine")
    return Session(
        config=config,
        loaded=MODEL,
        data=opened,
        bench=Bench(config, start, opened, MODEL, folder),
        planner=planner,
        space=planner.space("auto", ("allow", "deny")),
        software={"tensorflow": "2.21.0"},
        model_digest="sha256:1",
        notices=(),
    )


@pytest.fixture
def opened(tmp_path: Path) -> Session:
    return session(tmp_path)


def accuracy(drop: float, verdict: str) -> Accuracy:
    score = Interval(1 - drop, 1 - drop - 1e-4, 1 - drop + 1e-4)
    return Accuracy("agreement", score, Interval(drop, drop - 1e-4, drop + 1e-4), verdict, 300)


def measured(speedup: float | None, drop: float = 0.0, verdict: str = "meets") -> Measurement:
    timing = None
    if speedup is not None:
        timing = replace(TIMING, speedup=Interval(speedup, speedup - 0.01, speedup + 0.01))
    return Measurement(FLOAT32_GRAPH, accuracy(drop, verdict), timing)


def trial(number: int, setting: Setting, measurement: Measurement | None, **changes: Any) -> Trial:
    values: dict[str, Any] = {
        "number": number,
        "state": "COMPLETE" if measurement else "FAIL",
        "setting": replace(setting, onednn=True),
        "anchor": None,
        "effective": None,
        "measurement": measurement,
        "cached_from": None,
        "cause": None if measurement else "SIGSEGV",
        "started": "2026-11-24T02:00:00+0000",
        "seconds": 1.0,
        "overhead_s": 0.1,
    }
    return Trial(**{**values, **changes})


def float32_trials() -> dict[int, Trial]:
    exact = replace(TIMING, speedup=Interval(1.0, 1.0, 1.0))
    on = replace(measured(1.0), timing=exact)
    off = Setting("float32", onednn=False)
    return {
        0: replace(trial(0, off, measured(0.9), anchor="FP32, oneDNN off"), setting=off),
        1: trial(1, Setting("float32"), on, anchor="FP32, oneDNN on"),
    }


def trials(*others: Trial) -> dict[int, Trial]:
    return {**float32_trials(), **{one.number: one for one in others}}


def standing(opened: Session, known: dict[int, Trial]) -> tuple[float | None, int]:
    """The best speed-up and the size of the front, after one trial after the other."""
    found = Standing(opened)
    for one in known.values():
        found.add(one)
    best = None if found.best is None else found.best.speedup
    return best and best.value, len(found.front)


DEFAULT = trial(2, Setting("bfloat16"), measured(0.8), anchor="default bfloat16")
FAST = trial(3, Setting("float16", {"MatMul": "deny"}), measured(1.3, 0.01))
FASTER = trial(4, Setting("bfloat16", {"MatMul": "deny"}), measured(1.5, 0.3, "misses"))
SLOW = trial(5, Setting("float16"), measured(0.5, 0.2))
UNTIMED = trial(6, Setting("float16"), measured(None, 0.4, "misses"))
CRASHED = trial(7, Setting("float16"), None)


def confirm(folder: RunFolder, number: int, measurement: Measurement | None) -> None:
    content = None if measurement is None else measurement.to_json()
    cause = None if measurement else "SIGABRT"
    path = folder.confirmation(number)
    write_json(path, {"format": 1, "measurement": content, "cause": cause})


def answer(opened: Session, tmp_path: Path, known: dict[int, Trial]) -> Answer:
    found = answer_of(opened, RunFolder(tmp_path / "run"), known)
    assert found is not None
    return found


def test_the_front_the_references_and_nothing_else_is_measured_again(opened: Session) -> None:
    known = trials(DEFAULT, FAST, FASTER, SLOW, UNTIMED, CRASHED)
    assert sorted(one.number for one in to_confirm(opened, known)) == [1, 2, 3, 4]


def test_the_fp32_that_is_the_baseline_is_measured_again(opened: Session) -> None:
    opened.bench.baseline_state = False
    assert [one.number for one in to_confirm(opened, float32_trials())] == [0]


def test_what_was_told_a_cached_result_stands_for_nothing(opened: Session) -> None:
    copy = replace(FAST, number=9, cached_from=3)
    assert 9 not in [one.number for one in to_confirm(opened, trials(FAST, copy))]


def test_before_anything_was_timed_there_is_no_answer(opened: Session, tmp_path: Path) -> None:
    assert answer_of(opened, RunFolder(tmp_path / "run"), {}) is None
    assert answer_of(opened, RunFolder(tmp_path / "run"), {7: CRASHED}) is None
    assert to_confirm(opened, {7: CRASHED}) == []
    assert standing(opened, {}) == (None, 0)


def test_the_standing_is_the_best_that_meets_the_goal_and_the_fronts_size(opened: Session) -> None:
    assert standing(opened, trials(FAST, FASTER, SLOW)) == (1.3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_standing_kept_up_trial_by_trial_is_that_of_all_trials(
    opened: Session, seed: int
) -> None:
    random = np.random.default_rng(seed)
    known = trials(DEFAULT)
    for number in range(3, 60):
        drop = float(abs(random.normal(0, 0.05)))
        verdict = "meets" if drop < 0.05 else "misses"
        figures = measured(float(random.lognormal(0, 0.3)), drop, verdict)
        known[number] = trial(number, Setting("float16", {"Mul": "allow"}), figures)
    front = contending.front_of(opened, contending._searched(opened, known))
    assert front is not None
    best, size = standing(opened, known)
    assert size == len(front.members())
    timing = None if front.best is None else known[front.best].measurement.timing  # type: ignore[union-attr]
    assert best == (None if timing is None else timing.speedup.value)


@pytest.mark.parametrize(
    ("processes", "told"),
    [
        (1, "timed in 1 of 5 processes (measure.processes): the interval knows nothing of how"),
        (3, "timed in 3 of 5 processes (measure.processes)"),
        (5, None),
        (8, None),
    ],
)
def test_a_point_says_if_it_was_timed_in_fewer_processes_than_asked_for(
    tmp_path: Path, processes: int, told: str | None
) -> None:
    opened = session(tmp_path, measure={"processes": 5})
    known, folder = trials(FAST), RunFolder(tmp_path / "run")
    again = measured(1.2)
    assert again.timing is not None
    speedups = (again.timing.speedup,) * processes if processes > 1 else ()
    confirm(folder, 3, replace(again, timing=replace(again.timing, processes=speedups)))
    for number in (0, 1):
        confirm(folder, number, known[number].measurement)
    point = answer(opened, tmp_path, known).points[3]
    assert len(point.processes) == (processes if processes > 1 else 0)
    found = [one for one in point.notices if "measure.processes" in one]
    assert len(found) == bool(told)
    assert told is None or found[0].startswith(told)


def test_figures_of_the_search_stand_in_until_all_is_confirmed(
    opened: Session, tmp_path: Path
) -> None:
    known, folder = trials(DEFAULT, FAST), RunFolder(tmp_path / "run")
    confirm(folder, 1, measured(1.0))
    found = answer(opened, tmp_path, known)
    assert found.points[3].speedup == Interval(1.3, 1.29, 1.31)
    assert any("not measured again" in notice for notice in found.points[3].notices)
    assert not any("not measured again" in notice for notice in found.points[1].notices)


def test_confirmed_figures_are_published_beside_those_of_the_search(
    opened: Session, tmp_path: Path
) -> None:
    known, folder = trials(DEFAULT, FAST), RunFolder(tmp_path / "run")
    for number, figures in ((1, measured(1.0)), (2, measured(0.8)), (3, measured(1.2, 0.02))):
        confirm(folder, number, figures)
    point = answer(opened, tmp_path, known).points[3]
    assert (point.speedup, point.search_speedup) == (Interval(1.2, 1.19, 1.21), 1.3)
    assert (point.accuracy.score.value, point.search_accuracy) == (0.98, 0.99)


def test_what_fails_when_measured_again_is_out(opened: Session, tmp_path: Path) -> None:
    known, folder = trials(DEFAULT, FAST), RunFolder(tmp_path / "run")
    for number, figures in ((1, measured(1.0)), (2, measured(0.8)), (3, None)):
        confirm(folder, number, figures)
    found = answer(opened, tmp_path, known)
    assert set(found.points) == {1, 2}
    assert found.best is not None
    assert found.best.number == 1


def test_the_conclusion_names_the_best_setting_with_its_interval(
    opened: Session, tmp_path: Path
) -> None:
    text = answer(opened, tmp_path, trials(DEFAULT, FAST, FASTER)).conclusion
    assert text == (
        "Best is trial 3: float16 with MatMul to deny: 1.300 times [1.290, 1.310] as fast as "
        "FP32, and it certainly meets the goal (agreement at most 10 % worse than FP32's)."
    )


def test_the_conclusion_says_plainly_that_fp32_is_best(opened: Session, tmp_path: Path) -> None:
    text = answer(opened, tmp_path, trials(DEFAULT, FASTER)).conclusion
    assert text.startswith("FP32 is best on this machine: no 16-bit setting is certainly faster")


def test_a_goal_that_nothing_meets_is_told_with_the_nearest_miss(
    opened: Session, tmp_path: Path
) -> None:
    known = {
        number: replace(
            one, measurement=replace(one.measurement, accuracy=accuracy(drop, "misses"))
        )
        for (number, one), drop in zip(trials(FAST).items(), (0.3, 0.2, 0.25), strict=True)
        if one.measurement is not None
    }
    found = answer(opened, tmp_path, known)
    assert found.best is None
    assert found.conclusion == (
        "Nothing certainly meets the goal (agreement at most 10 % worse than FP32's), FP32 "
        "included. Nearest: trial 1 (float32), agreement 0.8."
    )


def test_the_table_holds_fp32_default_amp_and_best(opened: Session, tmp_path: Path) -> None:
    twin = trial(8, Setting("float16"), FAST.measurement, anchor="default float16", cached_from=3)
    table = answer(opened, tmp_path, trials(DEFAULT, FAST, twin)).table
    assert [(name, point.number) for name, point in table] == [
        ("FP32", 1),
        ("default bfloat16", 2),
        # Its graph is that of trial 3, whose figures it is told.
        ("default float16", 3),
        ("best", 3),
        *[(name, point.number) for name, point in table[4:]],
    ]
    assert {name for name, _ in table[4:]} <= {"knee"}


def test_exports_of_a_best_that_no_longer_holds_are_removed(
    opened: Session, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    found = answer(opened, tmp_path, trials(DEFAULT, FAST))
    publish(folder, "small", found)
    assert read_front(folder.pareto / "front.yaml").best == 3
    assert (folder.root / "best.env").exists()
    publish(folder, "small", replace(found, front=replace(found.front, best=None), best=None))
    assert not (folder.root / "best.env").exists()
    assert not (folder.root / "best.py").exists()
    assert read_front(folder.pareto / "front.yaml").best is None


def onednn(opened: Session, data_type: str) -> bool | None:
    """The state of oneDNN's switch that a data type runs under."""
    return opened.switched(Setting(data_type)).onednn


@pytest.mark.parametrize("baseline", [True, False])
def test_only_stock_tensorflows_bf16_insists_on_onednn(tmp_path: Path, baseline: bool) -> None:
    engine = session(tmp_path)
    engine.bench.baseline_state = baseline
    assert [onednn(engine, name) for name in ("float32", "bfloat16", "float16")] == [baseline] * 3
    stock = session(tmp_path, target={"runtime": "tensorflow"})
    stock.bench.baseline_state = baseline
    assert onednn(stock, "bfloat16")
    assert onednn(stock, "float16") == baseline


def test_the_identity_holds_the_digests_of_model_and_data(opened: Session) -> None:
    identity = opened.identity()
    assert identity["digests"]["model"] == "sha256:1"
    assert identity["digests"]["data"] == opened.data.digest
    assert identity["op_types"] == ["MatMul"]


def test_fp32_under_the_other_switch_hides_nothing_however_badly_it_is_known(
    opened: Session, tmp_path: Path
) -> None:
    known = trials(FAST)
    off = known[0].measurement
    assert off is not None
    timing = replace(TIMING, speedup=Interval(1.06, 0.5, 2.0))
    known[0] = replace(known[0], measurement=replace(off, timing=timing))
    assert [one.number for one in to_confirm(opened, known)] == [3, 1]
    assert standing(opened, known) == (1.3, 2)
    best = answer(opened, tmp_path, known).best
    assert best is not None
    assert best.number == 3


def test_what_is_in_doubt_is_measured_again_after_the_members(opened: Session) -> None:
    """Faster by its estimate and less accurate, but too badly timed to be told apart."""
    doubtful = replace(FASTER, measurement=measured(1.35, 0.3, "misses"))
    assert doubtful.measurement is not None
    timing = replace(TIMING, speedup=Interval(1.35, 1.0, 1.8))
    doubtful = replace(doubtful, measurement=replace(doubtful.measurement, timing=timing))
    assert [one.number for one in to_confirm(opened, trials(FAST, doubtful))] == [3, 1, 4]


def timed(one: Trial, low: float, high: float, reason: str = "narrow") -> Trial:
    """A trial with another interval of its speed-up."""
    assert one.measurement is not None
    timing = replace(TIMING, speedup=Interval((low + high) / 2, low, high), stop_reason=reason)
    return replace(one, measurement=replace(one.measurement, timing=timing))


def test_the_best_is_made_minimal_first_then_the_knee_and_the_rest_of_the_front(
    opened: Session, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    middle = trial(8, Setting("bfloat16", {"Mul": "allow"}), measured(1.45, 0.02, "misses"))
    known = trials(DEFAULT, FAST, FASTER, middle, UNTIMED)
    assert to_minimise(opened, folder, known) == [3, 8, 4]
    assert to_minimise(opened, folder, float32_trials()) == []
    assert to_minimise(opened, folder, {7: CRASHED}) == []


def test_what_stands_in_for_a_member_is_measured_again_wherever_it_is(opened: Session) -> None:
    slow = replace(SLOW, measurement=measured(0.5))
    assert 5 not in [one.number for one in to_confirm(opened, trials(FAST, slow))]
    assert 5 in [one.number for one in to_confirm(opened, trials(FAST, slow), [5])]


def test_a_doubtful_place_is_one_that_more_exact_figures_could_change(
    opened: Session, tmp_path: Path
) -> None:
    """Trials 3 and 4 cannot be told apart; 5 was not measured again and may be as good."""
    folder = RunFolder(tmp_path / "run")
    twin = timed(replace(FAST, number=4), 1.2, 1.4, "time")
    perhaps = timed(replace(FAST, number=5), 1.1, 1.4, "time")
    known = trials(timed(FAST, 1.25, 1.35, "time"), twin, perhaps)
    for number in (1, 3, 4):
        confirm(folder, number, known[number].measurement)
    assert in_doubt(opened, folder, known) == [5, 3, 4]


def test_what_is_known_as_exactly_as_was_asked_for_or_failed_is_not_measured_once_more(
    opened: Session, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    known = trials(timed(FAST, 1.25, 1.35), timed(replace(FAST, number=4), 1.2, 1.4, "time"))
    confirm(folder, 1, known[1].measurement)
    confirm(folder, 3, known[3].measurement)
    confirm(folder, 4, None)
    assert in_doubt(opened, folder, known) == []


def test_a_certain_front_leaves_nothing_in_doubt(opened: Session, tmp_path: Path) -> None:
    folder, known = RunFolder(tmp_path / "run"), trials(DEFAULT, FAST, FASTER)
    for number in (1, 2, 3, 4):
        confirm(folder, number, known[number].measurement)
    assert in_doubt(opened, folder, known) == []


def test_a_minimal_setting_is_published_in_the_place_of_the_one_it_stands_for(
    opened: Session, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    substitute = trial(8, Setting("float16"), measured(1.295, 0.01), anchor="minimal of 3")
    known = trials(DEFAULT, FAST, substitute)
    against = Attempt(substitute.setting, FLOAT32_GRAPH, None, measured(1.0), 0.4)
    minimal = Minimal(3, FAST.setting, (against,), replaced_by=8, ended=True)
    known[3] = replace(known[3], effective=FLOAT32_GRAPH)
    write_minimal(folder, minimal)
    found = answer(opened, tmp_path, known)
    assert 3 not in found.points
    assert found.best is not None
    assert found.best.number == 8
    assert found.best.minimised_from == Origin(
        3, {"MatMul": "deny"}, "float32", Interval(1.0, 0.99, 1.01), 0.4
    )


def test_a_setting_without_its_idle_moves_keeps_its_number(opened: Session, tmp_path: Path) -> None:
    folder, known = RunFolder(tmp_path / "run"), trials(DEFAULT, FAST)
    known[3] = replace(known[3], effective=FLOAT32_GRAPH)
    write_minimal(folder, Minimal(3, replace(FAST.setting, moves={})))
    best = answer(opened, tmp_path, known).best
    assert best is not None
    assert (best.number, best.setting.moves) == (3, {})
    assert best.minimised_from == Origin(3, {"MatMul": "deny"}, "float32")
