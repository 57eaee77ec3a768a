"""A published point as variables of a process, with the words that go with them in any format."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amp_tuner.judge.metrics import TRAINING_LOSS
from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.activation import Activation, activation, baked_activation
from amp_tuner.results.certificate import certificate
from amp_tuner.text import one_line

PREDICTED = "predicted, not measured; weights are not folded this way; check with amp-tune verify"
PREDICTED_STEP = "predicted, not measured: our own rewrite of the step was; see amp-tune verify"
MODELLED = "modelled for {}, not measured: no device has shown this speed-up"
_AROUND_THE_BAKED = [
    "These variables do not rewrite the model. They are for the process that serves the baked one",
    "(amp-tune export --format savedmodel).",
]
_AROUND_THE_COMPILED = [
    "These variables do not rewrite the model. They are for the process that serves the baked one",
    "(amp-tune export --format savedmodel) under tf.function(jit_compile=True), as best.py does.",
    "They replace XLA_FLAGS of your own, which change what was measured.",
]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Variables:
    """What a deployment's environment holds.

    Attributes:
        how: variables to remove and to set; option to switch on in the program.
        comments: lines of plain text: whether it was measured, the certificate, what else to do.
    """

    how: Activation
    comments: tuple[str, ...]


def point_variables(point: Point, *, measured: bool, baked: bool = False) -> Variables:
    """The variables of ``point`` and what is to be said of them.

    Args:
        point: what to run.
        measured: whether the family's own pass was what was measured. A modelled point's first
            comment says that it was not.
        baked: the switches around the baked model instead, which is what runtimes ``engine`` and
            ``xla`` measure.

    Raises:
        InputError: the point names a rule set that is not known.
        ValueError: a variable's name is no name, or its value cannot be a variable's.
    """
    how = baked_activation(point) if baked else activation(point)
    wrong = [name for name in (*how.unset, *how.variables) if not _VARIABLE.fullmatch(name)]
    if wrong:
        raise ValueError(f"not names of variables: {wrong}; letters, digits and _ are allowed")
    if any("\0" in value for value in how.variables.values()):
        raise ValueError("a variable's value holds a zero byte, which no environment can")
    told = measured or baked or point.setting.data_type == FLOAT32
    trains = point.accuracy.metric == TRAINING_LOSS
    predicted = [] if told else [PREDICTED_STEP if trains else PREDICTED]
    if point.modelled_for is not None:
        predicted = [one_line(MODELLED.format(point.modelled_for))]
    what_else = _around_the_baked(point) if baked else _what_else(point, how)
    return Variables(how, (*predicted, *certificate(point), *what_else))


def _around_the_baked(point: Point) -> list[str]:
    return _AROUND_THE_COMPILED if point.runtime == "xla" else _AROUND_THE_BAKED


def _what_else(point: Point, how: Activation) -> list[str]:
    """What these variables alone do not do."""
    if point.setting.data_type == FLOAT32:
        return ["FP32: the program must not switch any mixed-precision pass on."]
    if how.option is None:
        return ["These variables switch the pass on; the program needs no change."]
    lines = [
        "These variables do not switch the pass on. The program must, before its first graph runs:",
        f"  tf.config.optimizer.set_experimental_options({{{how.option!r}: True}})",
        f"or, for sessions, ConfigProto.graph_options.rewrite_options.{how.option} = ON.",
    ]
    if how.option == "auto_mixed_precision_cpu":
        lines[1] = "  best.apply()   (best.py; TensorFlow has no public option for this pass)"
    return lines
