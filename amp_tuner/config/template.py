"""The first study file for a model: every key that matters, with what the model says about it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from amp_tuner.text import one_line
from amp_tuner.worker.protocol import LoadedModel, TensorInfo

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*", re.ASCII)
_WIDTH = 92

_STUDY = """\
# Study of {model}: {nodes} nodes, {weights} of weights.
{notices}#
# Next: make the data file (see below), then
#
#     amp-tune check --config {file}
#     amp-tune --config {file}
#
# Paths are relative to this file.
name: {name}

model:
  path: {path}
{signature}{allow_unsafe}
target:
  runtime: engine                # the rewritten graph is baked into the model; or: tensorflow, itex
  device: cpu
  data_types: [bfloat16, float16]
  # threads: {{intra_op: 2, inter_op: 1}}   # as in production; default: all CPUs, and 1

data:
  # Samples that the model was not trained on, made for instance by
{making}  path: data.npz
  inputs:                        # the signature's argument: the file's array
{inputs}
{batch}
  holdout: 0.5                   # the share that only the final figures see
  # labels: labels               # for metrics that need them

accuracy:
  # agreement and sqnr compare with FP32's outputs; with labels also top1, top5, accuracy, f1,
  # precision, recall, auc, rmse, mse, mae, r2, log_loss; or your own "module:function".
  metric: {metric}
  goal: {goal}
{output}
search:
  trials: 100                    # measured settings
  time_budget: 2h                # wall-clock time in all, the final measurements included
  # Op types that the search moves between the lists; found in this model:
{op_types}  op_types: auto

measure:
  ci_half_width: 0.005           # stop timing a setting when its speed-up is known to 0.5 %
  max_seconds: 20                # or after this long
  processes: 5                   # what is published is timed in so many, one after the other

limits:
  trial_seconds: 300
  worker_memory: 8GiB
  disk: 5GiB
"""


@dataclass(frozen=True)
class Draft:
    """What a study file is drafted from.

    Attributes:
        file: the study file's name.
        model: the model's path, relative to the study file.
        signature: of a SavedModel; ``fetches`` of a GraphDef; each may be empty.
        allow_unsafe: the model needed it to be loaded.
        loaded: its signature and size.
        op_types: those that the search would move.
    """

    file: str
    model: str
    signature: str
    fetches: tuple[str, ...]
    allow_unsafe: bool
    loaded: LoadedModel
    op_types: tuple[str, ...]


def study_name(text: str) -> str:
    """``text`` as a study's name: letters, digits, ``.``, ``_`` and ``-``."""
    return _NOT_IN_A_NAME.sub("-", text).strip("-._")[:100] or "study"


def study_template(draft: Draft) -> str:
    """The study file's text; it is valid as it stands, but for the data, which the user makes."""
    loaded = draft.loaded
    decides = _decides(loaded.outputs)
    # What is decided can agree; of other outputs the error against FP32's can be asked for.
    metric, goal = ("agreement", '"99%"') if decides else ("sqnr", "{min: 40}")
    arrays = {info.name: _array_name(info.name) for info in loaded.inputs}
    return _STUDY.format(
        model=one_line(draft.model),
        nodes=loaded.nodes,
        weights=_megabytes(loaded.weight_bytes),
        notices="".join(_comment(notice, "") for notice in loaded.notices),
        file=one_line(draft.file),
        name=_scalar(study_name(draft.model.rsplit("/", maxsplit=1)[-1])),
        path=_scalar(draft.model),
        signature=_signature(draft),
        allow_unsafe="  allow_unsafe: true\n" if draft.allow_unsafe else "",
        making=_making(loaded.inputs, arrays),
        inputs="\n".join(
            f"    {_scalar(info.name)}: {_scalar(arrays[info.name])}" for info in loaded.inputs
        ),
        batch=_batch(loaded.fixed_batch),
        metric=metric,
        goal=goal,
        output=_output(loaded.outputs),
        op_types=_comment(", ".join(draft.op_types) or "none", "  "),
    )


def _decides(outputs: Sequence[TensorInfo]) -> bool:
    """Whether the first output looks like scores of classes, or one probability, per sample."""
    shape = outputs[0].shape
    return shape is not None and len(shape) == 2


def _signature(draft: Draft) -> str:
    lines = ""
    if draft.signature:
        lines += f"  signature: {_scalar(draft.signature)}\n"
    if draft.fetches:
        lines += f"  fetches: [{', '.join(_scalar(name) for name in draft.fetches)}]\n"
    return lines


def _making(inputs: Sequence[TensorInfo], arrays: dict[str, str]) -> str:
    """A call of ``numpy.savez`` as comments, with types and shapes; n is the number of samples."""
    rows = ["import numpy as np", "np.savez(", '    "data.npz",']
    for info in inputs:
        kind = "str" if info.dtype == "string" else info.dtype
        name = arrays[info.name]
        rows.append(f"    {name}=...,  # {kind}, shape {_shape(info.shape)}")
    return "".join(f"  #     {row}\n" for row in [*rows, ")"])


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "(n, ...)"
    sides = ["n", *("?" if side < 0 else str(side) for side in shape[1:])]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _array_name(name: str) -> str:
    """A keyword of ``numpy.savez``."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "input"
    return f"input_{plain}" if plain[0].isdigit() else plain


def _batch(fixed: int | None) -> str:
    if fixed is None:
        return "  batch_size: 32                 # as in production: the answer depends on it"
    return f"  batch_size: {fixed}                 # the model demands it"


def _output(outputs: Sequence[TensorInfo]) -> str:
    """The key that picks an output where there are several."""
    lines = ""
    if len(outputs) > 1:
        names = ", ".join(one_line(info.name) for info in outputs)
        lines += f"  # outputs: {names}\n  output: {_scalar(outputs[0].name)}\n"
    shape = outputs[0].shape
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        lines += "  threshold: 0.5                 # one probability: yes from here on\n"
    return lines


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _comment(text: str, indent: str) -> str:
    start = f"{indent}# "
    return (
        textwrap.fill(one_line(text), _WIDTH, initial_indent=start, subsequent_indent=start) + "\n"
    )


def _scalar(text: str) -> str:
    """``text`` as YAML has it on one line, inside brackets too; quoted unless a plain word."""
    if _WORD.fullmatch(text) and isinstance(yaml.safe_load(text), str):
        return text
    return yaml.safe_dump(text, width=10**6, default_style='"').removesuffix("\n")
