"""What values of a study file may be together, and what is planned but not there yet.

Each check sees the sections that are right in themselves (the others are None) and gives its
problems, so that one run reports all that can be known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from amp_tuner.amp.rules import ITEX, TENSORFLOW, default_rules, rule_set
from amp_tuner.config.fields import DataType
from amp_tuner.config.model import (
    AccuracyConfig,
    DataConfig,
    ModelConfig,
    SearchConfig,
    TargetConfig,
    ThreadsConfig,
    TrainingConfig,
)
from amp_tuner.errors import InputError, Problem
from amp_tuner.judge.goal import goal_problem
from amp_tuner.judge.metrics import DECIDING, Metric, find_metric
from amp_tuner.measure.cores import cores_text, disturbance, parse_cores, usable_cores
from amp_tuner.records import BAKED
from amp_tuner.roofline.device import load_profile

ROOFLINE = "roofline"

#: What runs in this version, by key; other values that a study file may have are planned.
AVAILABLE = {
    "runtime": ("engine", "tensorflow", "itex", "xla", "roofline"),
    "device": ("cpu", "gpu", "xpu"),
    "sampler": ("amp", "tpe", "nsga2", "gp", "random"),
}


@dataclass(frozen=True)
class Sections:
    """The sections that are right in themselves; paths are absolute."""

    model: ModelConfig | None
    target: TargetConfig | None
    data: DataConfig | None
    accuracy: AccuracyConfig | None
    search: SearchConfig | None
    training: TrainingConfig | None = None


def problems_in(sections: Sections, *, check_files: bool) -> list[Problem]:
    """Every problem between and beyond single values; ``check_files``: of this machine, too."""
    checks = (*CHECKS, _files, _profile_file, _cores_here) if check_files else CHECKS
    return [problem for check in checks for problem in check(sections)]


def filled_rules(target: TargetConfig) -> dict[str, str]:
    """``target.rules`` with the default of every data type that has none."""
    rules = {**default_rules(target.runtime, target.device), **target.rules}
    return {data_type: rules[data_type] for data_type in target.data_types}


def filled_data_types(target: TargetConfig) -> tuple[DataType, ...]:
    """``target.data_types``; where the file names none, only those that the runtime has."""
    possible = default_rules(target.runtime, target.device)
    if "data_types" in target.model_fields_set or not possible:
        return target.data_types
    return tuple(name for name in target.data_types if name in possible)


def filled_threads(target: TargetConfig) -> ThreadsConfig:
    """``target.threads``; where the file does not say, within an op as many as there are cores."""
    threads = target.threads
    if target.cores is None or "intra_op" in threads.model_fields_set:
        return threads
    return threads.model_copy(update={"intra_op": len(parse_cores(target.cores[0]))})


def _availability(sections: Sections) -> Iterator[Problem]:
    values: list[tuple[str, str, str]] = []
    if sections.target is not None:
        values += [("target", "runtime", sections.target.runtime)]
        values += [("target", "device", sections.target.device)]
    if sections.search is not None:
        values += [("search", "sampler", sections.search.sampler)]
    for section, key, value in values:
        if value not in AVAILABLE[key]:
            message = (
                f"{value} is planned but not available in this version; "
                f"allowed: {', '.join(AVAILABLE[key])}"
            )
            yield Problem(f"$.{section}.{key}", message)
    target = sections.target
    if target is not None and (target.runtime, target.device) == (ITEX, "gpu"):
        message = "runtime itex on gpu is planned but not available in this version; allowed: cpu"
        yield Problem("$.target.device", message)
    if target is not None and target.device == "xpu" and target.runtime != ROOFLINE:
        message = f"runtime {target.runtime} on xpu is planned but not available in this version"
        yield Problem("$.target.device", f"{message}; allowed: cpu, gpu")


def _data_types(sections: Sections) -> Iterator[Problem]:
    target = sections.target
    if target is None:
        return
    possible = default_rules(target.runtime, target.device)
    if not possible:
        # A device that is not available: reported as such.
        return
    for position, data_type in enumerate(target.data_types):
        if data_type not in possible:
            message = (
                f"{target.runtime} on {target.device} has no {data_type} pass; "
                f"allowed: {', '.join(possible)}"
            )
            yield Problem(f"$.target.data_types[{position}]", message)


def _rules(sections: Sections) -> Iterator[Problem]:
    target = sections.target
    if target is None:
        return
    if target.runtime in (TENSORFLOW, ITEX):
        # A finished study's own file names them.
        if not target.rules.items() <= default_rules(target.runtime, target.device).items():
            message = (
                f"runtime {target.runtime} has rules of its own, which cannot be changed; remove it"
            )
            yield Problem("$.target.rules", message)
        return
    for data_type, name in target.rules.items():
        yield from _rule(f"$.target.rules.{data_type}", target, data_type, name)


def _rule(where: str, target: TargetConfig, data_type: str, name: str) -> Iterator[Problem]:
    if data_type not in target.data_types:
        allowed = ", ".join(target.data_types)
        yield Problem(where, f"{data_type} is not in $.target.data_types; allowed: {allowed}")
        return
    try:
        rules = rule_set(name)
    except InputError as error:
        yield from (Problem(where, problem.message) for problem in error.problems)
        return
    if rules.data_type != data_type:
        yield Problem(where, f"rule set {name!r} is for {rules.data_type}, not for {data_type}")


def _profile(sections: Sections) -> Iterator[Problem]:
    target = sections.target
    if target is None:
        return
    if target.profile is not None and target.runtime != ROOFLINE:
        yield Problem("$.target.profile", "only runtime roofline has a device profile; remove it")
    elif target.profile is None and target.runtime == ROOFLINE:
        message = (
            "runtime roofline needs it: a device profile, such as configs/devices/nvidia-t4.yaml"
        )
        yield Problem("$.target.profile", message)


def _profile_file(sections: Sections) -> Iterator[Problem]:
    """The device profile itself, and whether it is of the study's device and data types."""
    target = sections.target
    if target is None or target.profile is None or target.runtime != ROOFLINE:
        return
    if not target.profile.is_file():
        yield _missing("$.target.profile", target.profile, "a device profile (.yaml)")
        return
    try:
        profile = load_profile(target.profile)
    except InputError as error:
        yield from error.problems
        return
    if profile.device != target.device:
        message = f"{profile.name} is a {profile.device}, the study's device is {target.device}"
        yield Problem("$.target.profile", f"{message}; set $.target.device: {profile.device}")
    for position, data_type in enumerate(target.data_types):
        if data_type not in profile.data_types:
            message = f"{profile.name} has no rates for {data_type}"
            halves = ", ".join(name for name in profile.data_types if name != "float32")
            yield Problem(f"$.target.data_types[{position}]", f"{message}; allowed: {halves}")


def _baseline(sections: Sections) -> Iterator[Problem]:
    target = sections.target
    if target is None or target.baseline is None:
        return
    if target.runtime != "xla":
        message = "only runtime xla has a choice of FP32 baselines; remove it"
        yield Problem("$.target.baseline", message)
    elif target.baseline == "tf32" and target.device == "cpu":
        yield Problem("$.target.baseline", "cpu has no tf32; allowed: fp32")


def _cores(sections: Sections) -> Iterator[Problem]:
    """Threads within an op wait for each other: with fewer cores each op takes as long as two."""
    target = sections.target
    if target is None or target.cores is None:
        return
    cores, threads = len(parse_cores(target.cores[0])), filled_threads(target).intra_op
    if threads > cores:
        message = f"found {threads} for {cores} of $.target.cores; allowed: at most as many"
        yield Problem("$.target.threads.intra_op", message)


def _cores_here(sections: Sections) -> Iterator[Problem]:
    """Cores that this machine lacks, and sets that two workers would disturb each other on."""
    target = sections.target
    if target is None or target.cores is None:
        return
    sets, usable = [parse_cores(text) for text in target.cores], usable_cores()
    lacking = {core for cores in sets for core in cores} - usable
    if lacking:
        message = f"found {cores_text(lacking)}, which cannot be used here"
        yield Problem("$.target.cores", f"{message}; allowed: {cores_text(usable)}")
        return
    for one, other in combinations(sets, 2):
        why = disturbance(one, other)
        if why is not None:
            message = f"{why}, so two workers would disturb each other's timing"
            yield Problem("$.target.cores", message)


def _data(sections: Sections) -> Iterator[Problem]:
    data = sections.data
    if data is not None and (data.path is None) == (data.function is None):
        found = "neither" if data.path is None else "both"
        yield Problem("$.data", f"found {found} of path and function; allowed: exactly one")


def _granularity(sections: Sections) -> Iterator[Problem]:
    search, target = sections.search, sections.target
    if search is None or target is None or search.granularity != "node":
        return
    where, keep = "$.search.granularity", "allowed: op_type"
    if target.runtime not in BAKED:
        message = f"node needs a runtime that rewrites the graph itself ({', '.join(BAKED)})"
        yield Problem(where, f"{message}: the pass of {target.runtime} knows op types only; {keep}")
    elif sections.training is not None:
        message = "a training step is not baked, and variables know op types only"
        yield Problem(where, f"{message}; {keep}")


def _goal(sections: Sections) -> Iterator[Problem]:
    accuracy = sections.accuracy
    if accuracy is None:
        return
    metric = _metric(accuracy)
    if metric.family == "function" and accuracy.direction is None:
        message = f"a metric of your own ({metric.name}) needs it; allowed: maximize, minimize"
        yield Problem("$.accuracy.direction", message)
        return
    if metric.family != "function" and accuracy.direction is not None:
        direction = "maximize" if metric.higher_is_better else "minimize"
        message = f"{metric.name} has its own ({direction}); only 'module:function' needs it"
        yield Problem("$.accuracy.direction", message)
    message_or_none = goal_problem(accuracy.parsed_goal, metric)
    if message_or_none is not None:
        yield Problem("$.accuracy.goal", message_or_none)


def _also(sections: Sections) -> Iterator[Problem]:
    accuracy = sections.accuracy
    if accuracy is None:
        return
    for position, name in enumerate(accuracy.also):
        where = f"$.accuracy.also[{position}]"
        if ":" in name:
            yield Problem(where, f"found {name!r}; allowed: built-in metrics")
        if name == accuracy.metric:
            yield Problem(where, f"{name} is $.accuracy.metric already")


def _threshold(sections: Sections) -> Iterator[Problem]:
    accuracy = sections.accuracy
    if accuracy is None or accuracy.threshold is None:
        return
    found = [find_metric(name) for name in (accuracy.metric, *accuracy.also)]
    if not any(metric and metric.family in DECIDING for metric in found):
        message = f"{accuracy.metric} decides nothing by a threshold; remove it"
        yield Problem("$.accuracy.threshold", message)


def _labels(sections: Sections) -> Iterator[Problem]:
    accuracy, data = sections.accuracy, sections.data
    if accuracy is None or data is None or data.labels is not None:
        return
    names = (accuracy.metric, *accuracy.also)
    needing = [name for name in names if (metric := find_metric(name)) and metric.needs_labels]
    if needing:
        message = (
            f"metric {', '.join(needing)} needs labels: give the name of their array "
            "(without labels: agreement, sqnr)"
        )
        yield Problem("$.data.labels", message)


def _files(sections: Sections) -> Iterator[Problem]:
    if sections.model is not None and not sections.model.path.exists():
        yield _missing("$.model.path", sections.model.path, "a SavedModel folder, .keras, .h5, .pb")
    data = sections.data
    if data is not None and data.path is not None and not data.path.is_file():
        yield _missing("$.data.path", data.path, "an .npz file")


def _missing(where: str, path: Path, allowed: str) -> Problem:
    return Problem(where, f"no such file: {path}; allowed: {allowed}")


def _metric(accuracy: AccuracyConfig) -> Metric:
    metric = find_metric(accuracy.metric, accuracy.direction)
    assert metric is not None, "fields.MetricName admits known metrics only"
    return metric


CHECKS: tuple[Callable[[Sections], Iterator[Problem]], ...] = (
    _availability,
    _data_types,
    _rules,
    _profile,
    _baseline,
    _cores,
    _data,
    _granularity,
    _goal,
    _also,
    _threshold,
    _labels,
)
