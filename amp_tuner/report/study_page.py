"""``report.html``: one study as a page for people; it needs no network."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from amp_tuner.errors import RewriteError
from amp_tuner.records import MEASURED, OUTCOMES, Point, Setting
from amp_tuner.report import charts
from amp_tuner.report.effects import Effect, single_moves
from amp_tuner.report.layers import Layers, layers_of, shown_nodes
from amp_tuner.report.rendering import page
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.study_rows import (
    blocks,
    card,
    effect_rows,
    failures,
    plotted,
    unplaced,
)
from amp_tuner.report.study_tables import (
    MODELLED_COLUMNS,
    TIMING_COLUMNS,
    accuracy_cells,
    details,
    effect_cells,
    failure_cells,
    point_cells,
    timing_rows,
)
from amp_tuner.report.words import AccuracyAxis
from amp_tuner.results.conclusion import conclusion
from amp_tuner.study.planning import Painter
from amp_tuner.text import duration

#: The plot shows the largest effects, the table all.
_EFFECTS_DRAWN = 25


@dataclass(frozen=True)
class _Content:
    """What both the template and the script show.

    Attributes:
        study: the study.
        axis: how its accuracy is drawn.
        first: the point that is chosen at first: the best, or the knee where nothing is.
        names: of points, by number.
        layers: of each 16-bit point whose graph the folder holds.
        effects: of single moves.
        rows: of the front's plot.
        without: of the trials that it cannot show.
    """

    study: StudyFolder
    axis: AccuracyAxis
    first: int
    names: Mapping[int, list[str]]
    layers: Mapping[int, Layers]
    effects: Sequence[Effect]
    rows: Sequence[Mapping[str, Any]]
    without: Sequence[Mapping[str, Any]]


def study_page(study: StudyFolder) -> str:
    """The page as text.

    Raises:
        RewriteError: a point's lists are such that the real pass fails.
    """
    front = study.front
    content = _Content(
        study=study,
        axis=AccuracyAxis.of(study.accuracy),
        first=front.knee if front.best is None else front.best,
        names=study.names(),
        layers={
            number: layers_of(point, study.graphs[point.setting.data_type])
            for number, point in study.points.items()
            if point.setting.data_type in study.graphs
        },
        effects=single_moves(study.trials.values(), _Painting(study)),
        rows=plotted(study),
        without=unplaced(study),
    )
    return page("study.html", _data(content), _values(content))


class _Painting:
    """Effective graphs of settings, as far as the folder holds what they are painted on."""

    def __init__(self, study: StudyFolder) -> None:
        self._painters = {name: Painter(graph.rules, graph) for name, graph in study.graphs.items()}

    def __call__(self, setting: Setting) -> str | None:
        painter = self._painters.get(setting.data_type)
        if painter is None:
            return None
        try:
            return painter.plan(setting, served=False).effective.graph_id
        except RewriteError:
            return None


def _data(content: _Content) -> dict[str, Any]:
    """What the script reads."""
    study, axis = content.study, content.axis
    modelled = study.modelled_for is not None
    return {
        "first": content.first,
        "points": list(study.points),
        "trials": content.rows,
        "unplaced": content.without,
        "cards": [card(study, trial, content.names) for trial in study.trials.values()],
        "effects": effect_rows(content.effects[:_EFFECTS_DRAWN]),
        "layers": {
            number: {"data_type": study.points[number].setting.data_type, **layers.to_json()}
            for number, layers in content.layers.items()
        },
        "graphs": {name: shown_nodes(prepared) for name, prepared in study.graphs.items()},
        "blocks": _blocks(study),
        "specs": {
            "front": charts.front_chart(
                axis.title, upwards=axis.upwards, limit=axis.limit, modelled=modelled
            ),
            "unplaced": charts.unplaced_chart(),
            "effects": charts.effects_chart(modelled=modelled),
            "blocks": charts.blocks_chart(),
        },
    }


def _values(content: _Content) -> dict[str, Any]:
    """What the template reads."""
    study, names, axis = content.study, content.names, content.axis
    points, first = study.points, study.points[content.first]
    layers = Counter(row["layer"] for row in content.rows)
    notices = dict.fromkeys(notice for point in points.values() for notice in point.notices)
    return {
        "study": study,
        "axis": axis,
        "first": content.first,
        "conclusion": conclusion(study.accuracy, study.front, points),
        "counts": _counts(study),
        "spent": None if study.spent_s is None else duration(study.spent_s),
        "machine": _machine(first),
        "hidden": {**layers, "unplaced": len(content.without)},
        "points": [(number, point_cells(point, names[number])) for number, point in points.items()],
        "effects": [effect_cells(one, axis) for one in content.effects],
        "details": [
            details(study, point, names[number], content.layers.get(number))
            for number, point in points.items()
        ],
        "accuracies": [
            accuracy_cells(point, names[number], axis) for number, point in points.items()
        ],
        "modelled_for": study.modelled_for,
        "timing_columns": TIMING_COLUMNS if study.modelled_for is None else MODELLED_COLUMNS,
        "timings": timing_rows(study, names),
        "failures": [failure_cells(trial) for trial in failures(study)],
        "not_confirmed": [
            (n, cause) for n, cause in study.confirmed.items() if isinstance(cause, str)
        ],
        "machine_facts": _facts(first),
        "notices": list(notices),
        "commands": _commands(study),
        "study_file": yaml.safe_dump(dict(study.config), sort_keys=False, allow_unicode=True),
        "identity": [("Model", first.model_digest), ("Data", first.data_digest)],
    }


def _blocks(study: StudyFolder) -> dict[int, Any]:
    found = {}
    for number in study.points:
        measured = study.measured(number)
        if measured is not None and measured.timing is not None and measured.timing.blocks:
            found[number] = blocks(measured.timing)
    return found


def _counts(study: StudyFolder) -> str:
    outcomes = Counter(trial.outcome for trial in study.trials.values())
    parts = [f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name] or name == MEASURED]
    return f"{len(study.trials)} trials: {', '.join(parts)}"


def _machine(point: Point) -> str:
    cpu = point.hardware.get("cpu") or point.device
    version = point.software.get("tensorflow")
    software = f"TensorFlow {version}, " if version else ""
    modelled = "" if point.modelled_for is None else f" (speed modelled for {point.modelled_for})"
    return f"{software}runtime {point.runtime}{modelled}, {cpu}, batches of {point.batch_size}"


def _facts(point: Point) -> list[tuple[str, Any]]:
    """Everything that the figures depend on, flat."""
    own = {
        "runtime": point.runtime,
        "device": point.device,
        "speed modelled for": point.modelled_for,
        "batch_size": point.batch_size,
        **{f"threads, {name}": size for name, size in point.threads.items()},
    }
    facts = {**own, **point.hardware, **{f"software: {k}": v for k, v in point.software.items()}}
    return [
        (name.replace("_", " "), value) for name, value in facts.items() if value not in (None, "")
    ]


def _commands(study: StudyFolder) -> list[tuple[str, str]]:
    folder, file = shlex.quote(str(study.root)), shlex.quote(study.study_file)
    holds = ("Does the best setting still hold, here or elsewhere?", f"amp-tune verify {folder}")
    return [
        ("The same study once more, in another folder:", f"amp-tune --config {file} --output NEW"),
        ("More trials in this one: raise search.trials, then", f"amp-tune --config {file}"),
        # A device model says the same again.
        *([holds] if study.modelled_for is None else []),
        ("The best setting for deployment:", f"amp-tune export {folder} --format savedmodel"),
        ("This page again:", f"amp-tune report {folder}"),
    ]
