"""What loading a model gives: the frozen model, and the model as it is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

import tensorflow as tf

from amp_tuner.runtime.outside_weights import OutsideWeights
from amp_tuner.worker.protocol import TensorInfo, Training


@dataclass(frozen=True)
class Step:
    """What a model has besides that is a training step.

    Attributes:
        training: how it is trained.
        loss_scale: the tensor that is fed with the loss scale; None: it takes none.
        targets: nodes that are run besides the fetches: they wait for all updates of variables.
    """

    training: Training
    loss_scale: Optional[str] = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrozenModel:
    """A model as one GraphDef without variables.

    Attributes:
        graph_def: weights are Consts, functions are inlined as TensorFlow's freezer does it
            (control flow is lowered to Switch and Merge), only what the signature needs.
        signature: the signature's key (``serving_default`` for files without signatures).
        inputs, outputs: the signature; a shape's first dimension is -1 unless the model fixes it.
        feeds: argument to the tensor that is fed.
        fetches: output to the tensor that is fetched.
        initializers: ops that a session must run once, before anything else: they fill lookup
            tables. Like feeds and fetches they must survive a rewrite.
        notices: what the user should know, one sentence each.
        weights: the values of weights that lie outside the graph; None: it holds them all. Of a
            training step: those of its variables, which the graph still has.
        step: it is a training step; None: it infers.
    """

    graph_def: tf.compat.v1.GraphDef
    signature: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    initializers: tuple[str, ...] = ()
    notices: tuple[str, ...] = field(default=())
    weights: Optional[OutsideWeights] = None
    step: Optional[Step] = None

    def preserved(self) -> frozenset[str]:
        """Names of the nodes that a rewrite must keep: feeds, fetches, initializers, targets."""
        tensors = (*self.feeds.values(), *self.fetches.values())
        others = (*self.initializers, *(self.step.targets if self.step else ()))
        return frozenset(name.split(":")[0] for name in (*tensors, *others))


@dataclass(frozen=True)
class ServedModel:
    """A model in the form in which a server runs it: variables stay variables.

    Exactly one of ``folder`` and ``graph_def`` is given.

    Attributes:
        folder: a SavedModel.
        tags: the tags of its meta graph.
        graph_def: a frozen GraphDef.
        signature, inputs, outputs, feeds, fetches, initializers, notices, weights, step: as in
            FrozenModel, for the graph that :func:`amp_tuner.runtime.loader.open_served` makes.
    """

    folder: Optional[str]
    tags: tuple[str, ...]
    graph_def: Optional[tf.compat.v1.GraphDef]
    signature: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    initializers: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    weights: Optional[OutsideWeights] = None
    step: Optional[Step] = None
