"""A session of a training step: every run updates its variables, and they can be set back.

Both sides of a pair are blocks of steps. Each block begins with the variables as the model has
them, and with a step that no clock sees: the first one after a change finds other data in the
caches. So both sides train the same steps from the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.runtime.batches import Array, Batches, Feed
from amp_tuner.runtime.loader_graph import node_name, pruned
from amp_tuner.runtime.loader_model import ServedModel, Step
from amp_tuner.runtime.sessions import ModelSession
from amp_tuner.worker.protocol import Candidate

_FLOAT16 = "float16"


def new_session(model: ServedModel, config: config_pb2.ConfigProto) -> ModelSession:
    """A session of a model that infers, or of a training step.

    Raises:
        InputError: variables or assets are broken.
    """
    if model.step is None:
        return ModelSession(model, config)
    return StepSession(model, model.step, config)


class StepSession(ModelSession):
    """An open session of a training step.

    Args:
        model: what to open.
        step: what it has as a training step.
        config: this session's own.

    Raises:
        InputError: its variables or assets are broken.
    """

    def __init__(self, model: ServedModel, step: Step, config: config_pb2.ConfigProto) -> None:
        super().__init__(model, config)
        self._training = step.training
        self._takes_scale = step.loss_scale is not None
        self._scale = np.float32(1)
        tensors = (*model.feeds.values(), *model.fetches.values(), *step.targets)
        self._state = _State(self._session, [node_name(tensor) for tensor in tensors])

    def scale_loss(self, candidate: Candidate) -> None:
        """What is fed as the loss scale from now on: the study's, for a setting in float16."""
        scale = self._training.loss_scale
        scales = candidate.data_type == _FLOAT16 and candidate.scales_loss and scale is not None
        self._scale = np.float32(scale if scales else 1)

    def run(self, feed: Feed) -> list[Array]:
        """One step: an array per output."""
        return super().run((*feed, self._scale) if self._takes_scale else feed)

    def begin_block(self, feed: Feed) -> None:
        """The model's own state again, and one step before the clock runs."""
        self._state.restore()
        self.run(feed)

    def loss_curves(
        self, batches: Batches, start: int, stop: int, names: Sequence[str]
    ) -> dict[str, Array]:
        """The values of outputs over loss curves [start, stop), each from the model's own state.

        Returns:
            By name, shape (curves, steps).

        Raises:
            InputError: there is no such output or curve.
            WorkerFailure: an output is not one number.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            allowed = ", ".join(self.names)
            raise InputError.one("$.accuracy.output", f"no output {', '.join(unknown)}: {allowed}")
        length = self._training.steps * batches.batch_size
        if not 0 <= start < stop <= batches.samples // length:
            held = batches.samples // length
            raise InputError.one("$.data", f"no loss curves [{start}, {stop}) in {held}")
        curves = [
            self._curve(batches, curve * length, (curve + 1) * length, names)
            for curve in range(start, stop)
        ]
        return {name: np.stack([curve[name] for curve in curves]) for name in names}

    def _curve(
        self, batches: Batches, first: int, last: int, names: Sequence[str]
    ) -> dict[str, Array]:
        self._state.restore()
        values: dict[str, list[float]] = {name: [] for name in names}
        for feed, _ in batches.feeds(first, last):
            outputs = dict(zip(self.names, self.run(feed)))
            for name in names:
                values[name].append(_number(name, outputs[name]))
        return {name: np.asarray(found, np.float32) for name, found in values.items()}


class _State:
    """The variables that nodes read or write, with the values that they have now."""

    def __init__(self, session: tf.compat.v1.Session, nodes: Sequence[str]) -> None:
        graph = session.graph
        used = pruned(graph.as_graph_def(), nodes)
        handles = [node for node in used.node if node.op == "VarHandleOp"]
        with graph.as_default():
            resources = [graph.get_tensor_by_name(f"{node.name}:0") for node in handles]
            dtypes = [tf.as_dtype(node.attr["dtype"].type) for node in handles]
            pairs = list(zip(resources, dtypes))
            reads = [tf.raw_ops.ReadVariableOp(resource=one, dtype=dtype) for one, dtype in pairs]
            self._given = [tf.compat.v1.placeholder(dtype) for dtype in dtypes]
            self._assign = [
                tf.raw_ops.AssignVariableOp(resource=one, value=value)
                for one, value in zip(resources, self._given)
            ]
        self._session = session
        self._values: list[Any] = session.run(reads)

    def restore(self) -> None:
        """Gives each variable its value again."""
        self._session.run(self._assign, dict(zip(self._given, self._values)))


def _number(name: str, output: Array) -> float:
    if np.size(output) != 1:
        cause = f"output {name} has shape {np.shape(output)}: a step's loss is one number"
        raise WorkerFailure(cause, fatal=False)
    return float(np.reshape(output, ()))
