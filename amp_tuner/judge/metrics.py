"""Which metrics there are: name, direction, what they need. Plain data, no arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: The metric of training steps: the mean loss over the last steps of a loss curve.
TRAINING_LOSS = "training_loss"
#: A user's own metric or data: ``package.module:function``.
FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_TOP_K = re.compile(r"top([1-9][0-9]{0,3})", re.ASCII)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as study files write it.
        higher_is_better: the direction.
        needs_labels: False where the FP32 outputs are what a candidate is held against.
        family: how it is computed and how its interval is made: ``decisions`` (right or wrong
            per sample), ``counts`` (from the table of label and decision), ``auc``, ``means``
            (from means of per-sample quantities), ``agreement``, ``sqnr``, ``curves`` (a sample
            is a loss curve), ``function``.
        k: for ``top<k>``, how many classes may hold the label.
    """

    name: str
    higher_is_better: bool
    needs_labels: bool
    family: str
    k: int = 1


def _table(*metrics: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({metric.name: metric for metric in metrics})


METRICS = _table(
    Metric("top1", True, True, "decisions", k=1),
    Metric("top5", True, True, "decisions", k=5),
    Metric("accuracy", True, True, "decisions", k=1),
    Metric("f1", True, True, "counts"),
    Metric("precision", True, True, "counts"),
    Metric("recall", True, True, "counts"),
    Metric("auc", True, True, "auc"),
    Metric("rmse", False, True, "means"),
    Metric("mse", False, True, "means"),
    Metric("mae", False, True, "means"),
    Metric("r2", True, True, "means"),
    Metric("log_loss", False, True, "means"),
    Metric("agreement", True, False, "agreement"),
    Metric("sqnr", True, False, "sqnr"),
    Metric(TRAINING_LOSS, False, False, "curves"),
)


#: Families that turn scores into decisions.
DECIDING = ("decisions", "counts", "agreement")


def metric_names() -> tuple[str, ...]:
    """The built-in names, as a message lists them."""
    return tuple(METRICS)


def samples_word(name: str) -> str:
    """What a metric's samples are called."""
    return "loss curves" if name == TRAINING_LOSS else "samples"


def is_function(name: str) -> bool:
    """Whether ``name`` means a user's own function (``module:function``)."""
    return FUNCTION.fullmatch(name) is not None


def find_metric(name: str, direction: str | None = None) -> Metric | None:
    """The metric called ``name``; None if there is none.

    Args:
        name: a built-in name, ``top<k>``, or ``module:function``.
        direction: ``maximize`` or ``minimize``; for functions only, whose direction is not known.
    """
    if name in METRICS:
        return METRICS[name]
    top_k = _TOP_K.fullmatch(name)
    if top_k is not None:
        return Metric(name, True, True, "decisions", k=int(top_k[1]))
    if is_function(name):
        return Metric(name, direction != "minimize", False, "function")
    return None
