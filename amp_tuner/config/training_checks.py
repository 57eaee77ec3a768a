"""What may be together with ``training``: each combination that makes no sense is one problem."""

from __future__ import annotations

from collections.abc import Iterator

from amp_tuner.config.checks import Sections
from amp_tuner.config.model import AccuracyConfig, ModelConfig, TrainingConfig
from amp_tuner.errors import Problem
from amp_tuner.judge.metrics import FUNCTION, TRAINING_LOSS

#: Runtimes that keep variables: the others run a frozen graph.
RUNTIMES = ("engine", "tensorflow", "itex")
_PYTHON = ".py"
#: Suffixes of models that are no folders.
_FILES = (_PYTHON, ".pb", ".keras", ".h5", ".hdf5")


def problems_in(sections: Sections, *, trains: bool) -> list[Problem]:
    """Every problem between ``training`` and other keys.

    Args:
        sections: those that are right in themselves.
        trains: whether the study file has the section, right or wrong.
    """
    if not trains:
        return list(_of_inference(sections))
    return [*_runtime(sections), *_model(sections), *_judging(sections)]


def _of_inference(sections: Sections) -> Iterator[Problem]:
    if sections.accuracy is not None and TRAINING_LOSS in _metrics(sections.accuracy):
        message = f"{TRAINING_LOSS} is of training steps; it needs the section $.training"
        yield Problem("$.accuracy.metric", message)
    if sections.model is not None and sections.model.path.suffix == _PYTHON:
        message = "a Python file holds a training step; it needs the section $.training"
        yield Problem("$.model.path", message)


def _runtime(sections: Sections) -> Iterator[Problem]:
    target = sections.target
    if target is not None and target.runtime not in RUNTIMES:
        message = f"runtime {target.runtime} does not train; allowed: {', '.join(RUNTIMES)}"
        yield Problem("$.target.runtime", message)


def _model(sections: Sections) -> Iterator[Problem]:
    model, training = sections.model, sections.training
    if model is None:
        return
    if model.signature != ModelConfig.model_fields["signature"].default:
        yield Problem("$.model.signature", "$.training.step names the signature; remove it")
    if model.fetches:
        yield Problem("$.model.fetches", "they are of a .pb, which does not train; remove it")
    if training is None:
        return
    if ":" in training.step:
        yield from _function(model, training)
    elif model.path.suffix in _FILES:
        message = (
            f"signature {training.step!r} is of a SavedModel's folder; found {model.path.name}"
        )
        yield Problem("$.model.path", message)


def _function(model: ModelConfig, training: TrainingConfig) -> Iterator[Problem]:
    """Of a step that is 'module:function': the module is the Python file."""
    module = training.step.partition(":")[0]
    if FUNCTION.fullmatch(training.step) is None or "." in module:
        message = f"found {training.step!r}; allowed: a signature, or 'module:function'"
        yield Problem("$.training.step", message)
    elif model.path.name != f"{module}{_PYTHON}":
        message = (
            f"found {model.path.name}; allowed: {module}{_PYTHON}, the file of {training.step}"
        )
        yield Problem("$.model.path", message)
    if not model.allow_unsafe:
        message = "a Python file runs as it is; set it to true if you trust it"
        yield Problem("$.model.allow_unsafe", message)


def _judging(sections: Sections) -> Iterator[Problem]:
    accuracy, data = sections.accuracy, sections.data
    if accuracy is not None and _metrics(accuracy) != (TRAINING_LOSS,):
        where = "$.accuracy.also" if accuracy.metric == TRAINING_LOSS else "$.accuracy.metric"
        yield Problem(where, f"a training step is judged by its loss alone: metric {TRAINING_LOSS}")
    if data is not None and data.labels is not None:
        message = "labels that the step learns from are among $.data.inputs; remove it"
        yield Problem("$.data.labels", message)


def _metrics(accuracy: AccuracyConfig) -> tuple[str, ...]:
    return (accuracy.metric, *accuracy.also)
