"""From trials to the answer: the front, its points, the files, one sentence.

Figures that were measured again are what is published; those of the search stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amp_tuner.amp.environment import to_environment
from amp_tuner.confirming import read_confirmations
from amp_tuner.files import write_text
from amp_tuner.folder import RunFolder
from amp_tuner.judge.front import CANDIDATE, DEFAULT_AMP, Contender, Front, front_of, left_by_a_tie
from amp_tuner.judge.front import FLOAT32 as FLOAT32_ROLE
from amp_tuner.measure.hardware import hardware_facts
from amp_tuner.records import (
    BAKED,
    FLOAT32,
    Interval,
    Measurement,
    Point,
    Trial,
    baseline_name,
)
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.points import write_pareto
from amp_tuner.results.python_snippet import python_text
from amp_tuner.search.anchors import default_anchor, float32_anchor
from amp_tuner.session import Session

#: So many settings in doubt are measured again beside the front.
DOUBTFUL = 3


@dataclass(frozen=True)
class Published:
    """One trial with the figures that stand for it.

    Attributes:
        trial: as the search saw it.
        measurement: the confirmed one, or the search's where it was not measured again.
        confirmed: whether it was.
    """

    trial: Trial
    measurement: Measurement
    confirmed: bool


@dataclass(frozen=True)
class Answer:
    """What a study says.

    Attributes:
        front: entries and named points, by trial number.
        points: every entry's point, by trial number.
        best: the point to deploy; None if nothing certainly meets the goal.
        table: names and points of the closing table.
        conclusion: one plain sentence or two.
    """

    front: Front
    points: Mapping[int, Point]
    best: Point | None
    table: tuple[tuple[str, Point], ...]
    conclusion: str


def answer_of(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> Answer | None:
    """The answer as far as it is known; None before anything was timed."""
    published = final(session, folder, trials)
    front = _front(session, published)
    if front is None:
        return None
    by_number = {one.trial.number: one for one in published}
    facts = hardware_facts()
    points = {
        entry.number: _point(session, by_number[entry.number], entry.tied_with, facts)
        for entry in front.entries
    }
    best = None if front.best is None else points[front.best]
    table = _table(session, trials, front, points)
    return Answer(front, points, best, table, _conclusion(session, front, points))


def publish(folder: RunFolder, study: str, answer: Answer) -> None:
    """Writes the front, its points and the best one's exports, each whole or not at all."""
    write_pareto(folder.pareto, study, answer.front, answer.points)
    environment, snippet = folder.root / "best.env", folder.root / "best.py"
    if answer.best is None:
        # An earlier run's best no longer holds.
        environment.unlink(missing_ok=True)
        snippet.unlink(missing_ok=True)
        return
    measured = answer.best.runtime == answer.best.family
    compiled = answer.best.runtime == "xla"
    write_text(environment, environment_text(answer.best, measured=measured, compiled=compiled))
    write_text(snippet, python_text(answer.best, baked=answer.best.runtime in BAKED))


def standing(session: Session, trials: Mapping[int, Trial]) -> tuple[float | None, int]:
    """The best speed-up that certainly meets the goal so far, and the size of the front."""
    front = _front(session, _searched(session, trials))
    if front is None:
        return None, 0
    best = None
    if front.best is not None:
        measurement = trials[front.best].measurement
        assert measurement is not None
        assert measurement.timing is not None
        best = measurement.timing.speedup.value
    return best, len(front.members())


def to_confirm(session: Session, trials: Mapping[int, Trial]) -> list[Trial]:
    """The trials that are measured again, the most important first.

    The front's members, the references, the best; then up to DOUBTFUL others, the fastest first,
    that left the front by a tie: measured more precisely they may belong there.
    """
    listed = _listed(session, trials)
    contenders = _contenders(session, _searched(session, trials))
    left = [number for number in left_by_a_tie(contenders) if number not in listed]
    return [trials[number] for number in (*listed, *left[:DOUBTFUL])]


def _listed(session: Session, trials: Mapping[int, Trial]) -> list[int]:
    """Numbers of what the search's own figures would publish."""
    front = _front(session, _searched(session, trials))
    if front is None:
        return []
    return [entry.number for entry in front.entries if trials[entry.number].is_timed]


def _searched(session: Session, trials: Mapping[int, Trial]) -> list[Published]:
    """Every setting that was measured itself, with the search's figures.

    FP32 in its other form is left out: it is not what settings are compared with, and as an equally
    accurate setting whose speed is less well known it would tie with what beats FP32.
    """
    others = {
        float32_anchor(session.switch, state).name
        for state in session.switch.states
        if state != session.bench.baseline_state
    }
    return [
        Published(trial, trial.measurement, confirmed=False)
        for trial in trials.values()
        if trial.measurement is not None
        and trial.cached_from is None
        and trial.anchor not in others
    ]


def _front(session: Session, published: Sequence[Published]) -> Front | None:
    contenders = _contenders(session, published)
    if not any(contender.speedup for contender in contenders):
        return None
    return front_of(contenders)


def _contenders(session: Session, published: Sequence[Published]) -> list[Contender]:
    defaults = {default_anchor(rules.data_type).name for rules in session.rules()}
    return [_contender(one, defaults) for one in published]


def _contender(one: Published, defaults: set[str]) -> Contender:
    timing, accuracy = one.measurement.timing, one.measurement.accuracy
    role = DEFAULT_AMP if one.trial.anchor in defaults else CANDIDATE
    return Contender(
        number=one.trial.number,
        speedup=None if timing is None else timing.speedup,
        drop=accuracy.drop,
        verdict=accuracy.verdict,
        role=FLOAT32_ROLE if one.trial.setting.data_type == FLOAT32 else role,
    )


def final(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> list[Published]:
    """What the published front is made of.

    Where anything was confirmed: the confirmed settings, since figures of the search cannot be
    compared with fresh ones. Settings that failed when measured again are out.
    """
    again = read_confirmations(folder)
    confirmed = [
        Published(trials[number], measurement, confirmed=True)
        for number, measurement in again.items()
        if number in trials and isinstance(measurement, Measurement)
    ]
    if set(_listed(session, trials)) <= again.keys():
        return confirmed
    # The time budget ended confirmation early, or the study was interrupted before it.
    done = {one.trial.number for one in confirmed} | again.keys()
    return confirmed + [one for one in _searched(session, trials) if one.trial.number not in done]


def _point(
    session: Session, one: Published, tied_with: tuple[int, ...], hardware: Mapping[str, Any]
) -> Point:
    config, setting = session.config, one.trial.setting
    searched = one.trial.measurement
    assert searched is not None
    timing = one.measurement.timing
    plan = session.planner.plan(setting)
    painter = session.planner.painters.get(setting.data_type)
    environment: dict[str, str] = {}
    if painter is not None:
        environment = to_environment(painter.rules, plan.lists, setting.level)
    return Point(
        study=config.name,
        number=one.trial.number,
        runtime=config.target.runtime,
        device=config.target.device,
        setting=setting,
        family=session.rules()[0].family,
        rules="" if painter is None else painter.rules.identifier,
        lists=plan.lists,
        environment=environment,
        speedup=None if timing is None else timing.speedup,
        search_speedup=None if searched.timing is None else searched.timing.speedup.value,
        accuracy=one.measurement.accuracy,
        search_accuracy=searched.accuracy.score.value,
        latency_ms={} if timing is None else timing.latency_ms,
        effective=one.measurement.effective,
        tied_with=tied_with,
        model_digest=session.model_digest,
        data_digest=session.data.digest,
        threads=config.target.threads.model_dump(),
        batch_size=session.data.batch_size,
        software=session.software,
        hardware=hardware,
        notices=_notices(one),
    )


def _notices(one: Published) -> tuple[str, ...]:
    timing = one.measurement.timing
    unsure = () if one.confirmed else ("not measured again: the figures are the search's",)
    return (*one.measurement.notices, *(timing.notices if timing else ()), *unsure)


def _table(
    session: Session,
    trials: Mapping[int, Trial],
    front: Front,
    points: Mapping[int, Point],
) -> tuple[tuple[str, Point], ...]:
    """FP32, each default AMP, best, knee; a default that shares a graph shows its twin's."""
    baseline = float32_anchor(session.switch, session.bench.baseline_state)
    named = {baseline_name(baseline.setting): baseline.name}
    defaults = (default_anchor(rules.data_type).name for rules in session.rules())
    named.update({name: name for name in defaults})
    rows = []
    for name, anchor in named.items():
        trial = next((one for one in trials.values() if one.anchor == anchor), None)
        number = None if trial is None else trial.number
        if trial is not None and trial.cached_from is not None:
            number = trial.cached_from
        if number is not None and number in points:
            rows.append((name, points[number]))
    if front.best is not None:
        rows.append(("best", points[front.best]))
    if front.knee != front.best:
        rows.append(("knee", points[front.knee]))
    return tuple(rows)


def _conclusion(session: Session, front: Front, points: Mapping[int, Point]) -> str:
    accuracy = session.config.accuracy
    goal = f"{accuracy.metric} {accuracy.parsed_goal}"
    if front.best is None:
        nearest = min(points.values(), key=lambda point: point.accuracy.drop.value)
        return (
            f"Nothing certainly meets the goal ({goal}), FP32 included. Nearest: trial "
            f"{nearest.number} ({nearest.setting.data_type}), {accuracy.metric} "
            f"{nearest.accuracy.score.value:.6g}."
        )
    best = points[front.best]
    baseline = baseline_name(best.setting)
    if best.setting.data_type == FLOAT32:
        return (
            f"{baseline} is best on this machine: no 16-bit setting is certainly faster and "
            f"certainly meets the goal ({goal})."
        )
    assert best.speedup is not None
    return (
        f"Best is trial {best.number}: {best.setting.data_type} with {_moves(best)}: "
        f"{_times(best.speedup)} as fast as {baseline}, and it certainly meets the goal ({goal})."
    )


def _moves(point: Point) -> str:
    moves = [f"{op_type} to {place}" for op_type, place in point.setting.moves.items()]
    shown = ", ".join(moves[:6]) + (f" and {len(moves) - 6} more" if len(moves) > 6 else "")
    return shown or "the default lists"


def _times(speedup: Interval) -> str:
    return f"{speedup.value:.3f} times [{speedup.low:.3f}, {speedup.high:.3f}]"
