"""What a process needs, besides the model, to run a published point: variables and an option.

The list variables of stock TensorFlow do not switch its pass on. An option in the program does,
and each pass needs switches of the process around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amp_tuner.amp.environment import family_variables, itex_switches
from amp_tuner.amp.rules import ITEX, rule_set
from amp_tuner.errors import InputError
from amp_tuner.judge.metrics import TRAINING_LOSS
from amp_tuner.records import BAKED, FLOAT32, Point

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
XLA_VARIABLES = {"XLA_FLAGS": "--xla_allow_excess_precision=false"}
#: Why no variables can have what a point's moves of nodes have.
NODES_ARE_BAKED = (
    "this point moves single nodes, which no pass's variables can; allowed: --format savedmodel "
    "(python, docker, kubernetes and tf-serving go with it), and yaml, which amp-tune rewrite reads"
)
_TF_PREFIX = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
_ITEX_PREFIX = "ITEX_AUTO_MIXED_PRECISION"

#: Fields of RewriterConfig that switch a stock pass on, by device and data type.
_OPTIONS = {
    ("cpu", "bfloat16"): "auto_mixed_precision_onednn_bfloat16",
    ("cpu", "float16"): "auto_mixed_precision_cpu",
    ("gpu", "float16"): "auto_mixed_precision",
}


@dataclass(frozen=True)
class Activation:
    """How a point's family is switched on in a fresh process.

    Attributes:
        unset: variables to remove first: the whole family, legacy names too.
        variables: variables to set then, before TensorFlow is imported.
        option: the optimizer option that the program itself must switch on; None where
            variables do it all, and for FP32.
    """

    unset: tuple[str, ...]
    variables: Mapping[str, str]
    option: str | None


def is_baked(point: Point) -> bool:
    """Whether the baked model was what was measured; a training step keeps its variables."""
    return point.runtime in BAKED and point.accuracy.metric != TRAINING_LOSS


def activation(point: Point) -> Activation:
    """How ``point`` is switched on where its family's own pass does the rewriting.

    Raises:
        InputError: the point names a rule set that is not known, or moves single nodes.
    """
    if point.lists.nodes:
        raise InputError.one(f"moves.{min(point.lists.nodes)}", NODES_ARE_BAKED)
    return _switched_on(point)


def _switched_on(point: Point) -> Activation:
    unset = family_variables(point.family)
    variables = onednn_switch(point)
    if point.setting.data_type == FLOAT32:
        if point.family == ITEX:
            variables[_ITEX_PREFIX] = "0"
        return Activation(unset, variables, None)
    rules = rule_set(point.rules)
    if rules.family == ITEX:
        switches = itex_switches(rules)
        return Activation(unset, {**variables, **switches, **point.environment}, None)
    option = _OPTIONS[rules.device, rules.data_type]
    if option == "auto_mixed_precision_onednn_bfloat16":
        # Without oneDNN this pass does not exist, and its name is ignored without a word.
        variables[ONEDNN] = "1"
    if option == "auto_mixed_precision_cpu":
        # By default it wraps FP32 kernels in casts and computes nothing in 16 bits.
        variables[f"{_TF_PREFIX}EMULATE_FP16"] = "0"
    return Activation(unset, {**variables, **point.environment}, option)


def baked_activation(point: Point) -> Activation:
    """What the process that serves ``point``'s baked model needs.

    The family's pass must not rewrite again what is baked already: its variables are removed. XLA
    must not keep more precision than the graph asks for, as it did not when it was measured.

    Raises:
        InputError: the point names a rule set that is not known.
    """
    variables = XLA_VARIABLES if point.runtime == "xla" else onednn_switch(point)
    return Activation(_switched_on(point).unset, variables, None)


def onednn_switch(point: Point) -> dict[str, str]:
    """TensorFlow's process-wide switch as it was measured; empty where there is none."""
    onednn = point.setting.onednn
    return {} if onednn is None else {ONEDNN: str(int(onednn))}
