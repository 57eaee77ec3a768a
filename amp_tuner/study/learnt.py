"""What a study's trials teach beyond its answer: op types' effects, how good predictions were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from amp_tuner.amp.lists import DESTINATIONS, moves_of_nodes
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Trial
from amp_tuner.results.conclusion import modelled_device
from amp_tuner.results.effects_csv import write_effects
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.effects import effects
from amp_tuner.search.evidence import Prediction, Told
from amp_tuner.search.looks import Look, Viewer
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.trust import Calibration, calibration, errors_of_error, errors_of_time
from amp_tuner.study.tuning import Tuning


def write_down(
    space: SearchSpace, folder: RunFolder, log: EventLog, tuning: Tuning
) -> tuple[str, ...]:
    """Writes ``effects.csv`` and the predictions' calibration into the log.

    Returns:
        What the user should know, one sentence each.
    """
    if tuning.viewer is None:
        return ()
    told = told_of(tuning.trials.values(), tuning.viewer, space)
    found = effects(space, tuning.viewer, told, tuning.importances())
    if found:
        measured = (one.measurement for one in tuning.trials.values() if one.measurement)
        timings = (one.timing for one in measured if one.timing)
        write_effects(folder.effects, found, modelled_for=modelled_device(timings))
    kept: dict[str, Any] = {}
    sentences = []
    for name, errors in (("time", errors_of_time(told)), ("error", errors_of_error(told))):
        quality = calibration(errors)
        if quality is not None:
            kept[name] = asdict(quality)
            sentences.append(_sentence(name, quality))
    if kept:
        log.write("calibration", kept)
    return tuple(sentences)


def told_of(trials: Iterable[Trial], viewer: Viewer, space: SearchSpace) -> list[Told]:
    """The trials as the sampler's model sees them; not those that parameters cannot tell."""
    found = []
    for trial in trials:
        setting = trial.setting
        told = setting.level == "default" and not moves_of_nodes(setting.moves)
        if trial.cached_from is not None or not told:
            continue
        parameters = space.parameters(setting)
        # Earlier runs of the study may have proposed other lists, and anchors use any.
        look = viewer.look(parameters, DESTINATIONS)
        if look is not None:
            found.append(_told(trial, parameters, look))
    return found


def _told(trial: Trial, parameters: dict[str, str], look: Look) -> Told:
    measurement = trial.measurement
    if measurement is None:
        return Told(parameters, look, speedup=None, drop=None)
    drop, timing = measurement.accuracy.drop, measurement.timing
    speedup = None if timing is None else timing.speedup
    return Told(
        parameters,
        look,
        speedup=None if speedup is None else speedup.value,
        drop=drop.value,
        speedup_interval=None if speedup is None else (speedup.low, speedup.high),
        drop_interval=(drop.low, drop.high),
        predicted=None if trial.predicted is None else Prediction(**trial.predicted),
    )


def _sentence(name: str, quality: Calibration) -> str:
    ranks = "-" if quality.rank_correlation is None else f"{quality.rank_correlation:.2f}"
    return (
        f"the sampler's predictions of the {name}: {100 * quality.inside:.0f} % of "
        f"{quality.outcomes} outcomes were inside its 80 % intervals, rank correlation {ranks}"
    )
