"""From trials to the answer: the front, its points, the files, one sentence.

Figures that were measured again are what is published; those of the search stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from amp_tuner.files import write_text
from amp_tuner.judge.front import Front
from amp_tuner.measure.processes import of_processes
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Point, Trial, baseline_name
from amp_tuner.results.activation import is_baked
from amp_tuner.results.conclusion import conclusion
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.points import write_pareto
from amp_tuner.results.python_snippet import python_text
from amp_tuner.search.anchors import default_anchor, float32_anchor
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.contending import Published, final, front_of
from amp_tuner.study.minimal_settings import minimised, origins, read_minimal
from amp_tuner.study.progress import figures
from amp_tuner.study.session import Session


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
    known = read_minimal(folder)
    shown = minimised(trials, known, read_confirmations(folder))
    published = final(session, folder, shown)
    front = front_of(session, published)
    if front is None:
        return None
    by_number = {one.trial.number: one for one in published}
    facts = session.hardware_here()
    made_from = origins(trials, known)
    points = {
        entry.number: replace(
            _point(session, by_number[entry.number], entry.tied_with, facts),
            minimised_from=made_from.get(entry.number),
        )
        for entry in front.entries
    }
    best = None if front.best is None else points[front.best]
    table = _table(session, trials, front, points)
    return Answer(front, points, best, table, conclusion(session.config.accuracy, front, points))


def publish(folder: RunFolder, study: str, answer: Answer) -> None:
    """Writes the front, its points and the best one's exports, each whole or not at all."""
    # An earlier end's page shows an earlier answer.
    folder.report.unlink(missing_ok=True)
    write_pareto(folder.pareto, study, answer.front, answer.points)
    environment, snippet = folder.root / "best.env", folder.root / "best.py"
    if answer.best is None:
        # An earlier run's best no longer holds.
        environment.unlink(missing_ok=True)
        snippet.unlink(missing_ok=True)
        return
    measured = answer.best.runtime == answer.best.family
    compiled = answer.best.runtime == "xla"
    if answer.best.lists.nodes and not compiled:
        # No variables have what it is; best.py loads the baked model.
        environment.unlink(missing_ok=True)
    else:
        write_text(environment, environment_text(answer.best, measured=measured, baked=compiled))
    write_text(snippet, python_text(answer.best, baked=is_baked(answer.best)))


def answer_facts(answer: Answer) -> dict[str, Any]:
    """The facts of the event ``published``."""
    front = answer.front
    named = {name: getattr(front, name) for name in ("best", "knee", "fastest", "safest")}
    entries = []
    for entry in front.entries:
        point = answer.points[entry.number]
        place = {"trial": entry.number, "member": entry.member, "reference": entry.reference}
        told = figures(point.speedup, point.accuracy, point.modelled_for)
        entries.append({**place, "data_type": point.setting.data_type, **told})
    return {**named, "conclusion": answer.conclusion, "front": entries}


def _point(
    session: Session, one: Published, tied_with: tuple[int, ...], hardware: Mapping[str, Any]
) -> Point:
    config, setting = session.config, one.trial.setting
    searched = one.trial.measurement
    assert searched is not None
    timing = one.measurement.timing
    plan = session.planner.plan(setting)
    painter = session.planner.painters.get(setting.data_type)
    return Point(
        study=config.name,
        number=one.trial.number,
        runtime=config.target.runtime,
        device=config.target.device,
        setting=setting,
        family=session.rules()[0].family,
        rules="" if painter is None else painter.rules.identifier,
        lists=plan.lists,
        environment={} if painter is None else painter.variables(plan),
        speedup=None if timing is None else timing.speedup,
        search_speedup=None if searched.timing is None else searched.timing.speedup.value,
        accuracy=one.measurement.accuracy,
        search_accuracy=searched.accuracy.score.value,
        latency_ms={} if timing is None else timing.latency_ms,
        runs={} if timing is None else timing.runs,
        throughput={} if timing is None else timing.throughput,
        stop_reason=None if timing is None else timing.stop_reason,
        modelled_for=None if timing is None else timing.modelled_for,
        processes=() if timing is None else tuple(one.value for one in timing.processes),
        effective=one.measurement.effective,
        tied_with=tied_with,
        model_digest=session.model_digest,
        data_digest=session.data.digest,
        threads=config.target.threads.model_dump(),
        batch_size=session.data.batch_size,
        software=session.software,
        hardware=hardware,
        notices=_notices(one, config.processes, held_back=len(session.data.holdout) > 0),
    )


def _notices(one: Published, processes: int, *, held_back: bool) -> tuple[str, ...]:
    timing = one.measurement.timing
    told = (*one.measurement.notices, *(timing.notices if timing else ()))
    if not one.confirmed:
        return (*told, "not measured again: the figures are the search's")
    if not held_back:
        message = "no samples were held back: its accuracy is of those that chose it (data.holdout)"
        told = (*told, message)
    if timing is None or one.trial.setting.data_type == FLOAT32:
        return told
    count = len(of_processes(timing))
    if count >= processes:
        return told
    alone = ": the interval knows nothing of how processes differ" if count == 1 else ""
    return (*told, f"timed in {count} of {processes} processes (measure.processes){alone}")


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
