"""``best.env``: a point's variables, to be sourced by any POSIX shell before the program starts."""

from __future__ import annotations

import re
import shlex

from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.activation import Activation, activation, baked_activation
from amp_tuner.results.certificate import certificate
from amp_tuner.text import one_line

PREDICTED = "predicted, not measured; weights are not folded this way; check with amp-tune verify"
MODELLED = "modelled for {}, not measured: no device has shown this speed-up"
_AROUND_THE_BAKED = [
    "These variables do not rewrite the model. They are for the process that serves the baked one",
    "(amp-tune export --format savedmodel) under tf.function(jit_compile=True), as best.py does.",
    "They replace XLA_FLAGS of your own, which change what was measured.",
]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment_text(point: Point, *, measured: bool, compiled: bool = False) -> str:
    """The file's text: comments, ``unset`` of the whole family, then one ``export`` a variable.

    Args:
        point: what to run; its family's variables are written.
        measured: whether the family's own pass was what was measured. For runtime ``engine``,
            and for a family other than the measured one, it was not, and the first line says so.
            A modelled point's first line says that.
        compiled: write the switches around the baked model instead, which XLA compiles: that is
            what runtime ``xla`` measures.

    Raises:
        InputError: the point names a rule set that is not known.
        ValueError: a variable's name is no name, or its value cannot be a variable's.
    """
    how = baked_activation(point) if compiled else activation(point)
    wrong = [name for name in (*how.unset, *how.variables) if not _VARIABLE.fullmatch(name)]
    if wrong:
        raise ValueError(f"not names of variables: {wrong}; letters, digits and _ are allowed")
    if any("\0" in value for value in how.variables.values()):
        raise ValueError("a variable's value holds a zero byte, which no environment can")
    told = measured or compiled or point.setting.data_type == FLOAT32
    predicted = [] if told else [PREDICTED]
    if point.modelled_for is not None:
        predicted = [one_line(MODELLED.format(point.modelled_for))]
    what_else = _AROUND_THE_BAKED if compiled else _what_else(point, how)
    comments = [*predicted, *certificate(point), *what_else]
    lines = [
        *(f"# {comment}" for comment in comments),
        *(f"unset {name}" for name in how.unset),
        *(f"export {name}={shlex.quote(value)}" for name, value in how.variables.items()),
    ]
    return "\n".join(lines) + "\n"


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
