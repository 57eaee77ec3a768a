"""Several studies on one page: models or machines side by side; it needs no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amp_tuner.judge.front import Front
from amp_tuner.records import FLOAT32, Point
from amp_tuner.report import charts
from amp_tuner.report.rendering import page
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.study_rows import plotted
from amp_tuner.report.words import (
    VERDICTS,
    AccuracyAxis,
    all_moves,
    setting_in_words,
    significant,
    speed_in_words,
)
from amp_tuner.results.conclusion import conclusion

#: Columns of the table of outcomes; one row a study.
OUTCOME_COLUMNS = ("Study", "Outcome", "Time", "Cause")
#: Columns of the table of figures; one row a study.
COLUMNS = (
    "Study",
    "Machine",
    "Target",
    "Goal",
    "FP32, ms a batch",
    "Default AMP",
    "Best",
    "Speed-up",
    "Accuracy",
    "Loss",
    "Trials",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one study of a batch.

    Attributes:
        name: the study's.
        report: where its own page is, relative to this one, as an address; empty: nowhere.
        state: ended, failed, …
        time: what it took, of what it was given.
        cause: why it failed.
    """

    name: str
    report: str
    state: str
    time: str
    cause: str


def runs_page(studies: Sequence[StudyFolder], outcomes: Sequence[Outcome] = ()) -> str:
    """The page as text; studies stay in their order, and may have any metrics and goals.

    Args:
        studies: those that have figures.
        outcomes: of a batch: of all its studies, those without figures included.
    """
    rows = [plotted(study) for study in studies]
    span = _span(rows)
    data = {
        "specs": {str(index): _spec(study, span) for index, study in enumerate(studies)},
        "charts": [
            {"id": f"front-{index}", "spec": str(index), "rows": {"trials": trials}}
            for index, trials in enumerate(rows)
        ],
    }
    values = {
        "headline": _headline(len(studies), outcomes),
        "outcome_columns": OUTCOME_COLUMNS,
        "outcomes": outcomes,
        "columns": COLUMNS,
        "rows": [_cells(study) for study in studies],
        "studies": [
            {
                "title": _title(study),
                "conclusion": conclusion(study.accuracy, study.front, study.points),
                "axis": AccuracyAxis.of(study.accuracy).title,
                "folder": str(study.root),
            }
            for study in studies
        ],
    }
    return page("runs.html", data, values)


def _headline(studies: int, outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return f"{studies} studies side by side"
    counts = Counter(outcome.state for outcome in outcomes)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"A batch of {len(outcomes)} {'study' if len(outcomes) == 1 else 'studies'}: {told}"


def _spec(study: StudyFolder, span: tuple[float, float]) -> dict[str, Any]:
    axis = AccuracyAxis.of(study.accuracy)
    return charts.front_chart(
        axis.title,
        upwards=axis.upwards,
        limit=axis.limit,
        modelled=study.modelled_for is not None,
        speeds=span,
    )


def _span(studies: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[float, float]:
    """One range of speed-ups for all plots, so that they can be compared: of what they show."""
    shown = [row for rows in studies for row in rows if row["layer"] in ("front", "other")]
    ends = [row[end] for row in shown for end in ("x0", "x1") if row["layer"] == "front"]
    every = [*ends, *(row["x"] for row in shown)] or [1.0]
    return min(every), max(every)


def _cells(study: StudyFolder) -> tuple[Any, ...]:
    front = study.front
    best = study.points[front.knee if front.best is None else front.best]
    axis = AccuracyAxis.of(study.accuracy)
    outcomes = Counter(trial.outcome for trial in study.trials.values())
    unit = " %" if axis.goal.relative else ""
    return (
        _title(study),
        _machine(best),
        _target(best),
        f"{study.accuracy.metric} {study.accuracy.parsed_goal}",
        _float32_ms(study),
        _defaults(study),
        _best(front, best),
        speed_in_words(best.speedup, best.modelled_for),
        f"{significant(best.accuracy.score)} ({VERDICTS[best.accuracy.verdict]})",
        significant(axis.loss(best.accuracy)) + unit,
        ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()),
    )


def _title(study: StudyFolder) -> str:
    return f"{study.name} ({study.root.name})" if study.root.name != study.name else study.name


def _machine(point: Point) -> str:
    cpu = point.hardware.get("cpu") or "unknown"
    return cpu if point.modelled_for is None else f"{point.modelled_for}, modelled on {cpu}"


def _target(point: Point) -> str:
    version = point.software.get("tensorflow")
    software = f", TensorFlow {version}" if version else ""
    threads = ", ".join(f"{name} {size}" for name, size in point.threads.items())
    return (
        f"{point.runtime} on {point.device}{software}, batches of {point.batch_size}, "
        f"threads: {threads}"
    )


def _float32_ms(study: StudyFolder) -> str:
    """FP32's median, as the fastest point's own paired timing saw it, or its modelled time."""
    fastest = study.points[study.front.fastest].latency_ms.get("baseline", {})
    if "modelled" in fastest:
        return f"modelled {fastest['modelled']:.4g}"
    return f"{fastest['p50']:.4g}" if "p50" in fastest else "unknown"


def _defaults(study: StudyFolder) -> str:
    found = []
    for number, names in study.names().items():
        point = study.points[number]
        speed = speed_in_words(point.speedup, point.modelled_for) or "never timed"
        defaults = [name.removeprefix("default ") for name in names if name.startswith("default ")]
        found += [f"{name} {speed}" for name in defaults]
    return "; ".join(sorted(found)) or "failed"


def _best(front: Front, best: Point) -> str:
    moves = all_moves(best.setting.moves)
    words = setting_in_words(best.setting) + (f": {moves}" if moves else "")
    if front.best is None:
        return f"nothing meets the goal; the knee is {best.number}, {words}"
    return words if best.setting.data_type == FLOAT32 else f"{best.number}, {words}"
