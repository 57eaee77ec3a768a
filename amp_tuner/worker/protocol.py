"""What tuner and worker say to each other.

The worker is started as ``python -m amp_tuner.worker.main REQUEST_FD REPLY_FD TUNER_PID`` by the
tuner, under the target's own interpreter, with ``amp_tuner`` on its path (never installed there).
Each request and each reply is one line of JSON:

    {"id": 7, "action": "block", ...arguments}
    {"id": 7, "ok": {...}}
    {"id": 7, "error": {"kind": ..., "message": ..., "problems": [...]}}

Arrays travel as ``.npz`` files (never pickled) whose paths are in the messages. Error kinds:
``input`` (the user's model or data is wrong: problems, exit code 2), ``target`` (it cannot be done
here: exit code 3), ``failed`` (this setting failed: the trial's cause). A worker that dies
closes the pipe; the tuner reads its exit status and its last words from what it printed.

A runner (``amp_tuner/runner``) is started and speaks in the same way, with fewer actions: for
runtime ``xla`` a worker lowers a setting to files (``lower``), which the runner builds and runs.

This module runs on both sides: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from amp_tuner.amp.lists import AmpLists

PROTOCOL_VERSION = 1
ACTIONS = (
    "hello",
    "load",
    "describe",
    "build",
    "lower",
    "traced_run",
    "micro_benchmarks",
    "forget",
    "outputs",
    "block",
    "drop",
    "save",
    "read_log",
    "exit",
)


@dataclass(frozen=True)
class Training:
    """How a model that is a training step is trained; the study file's ``training`` section.

    Attributes:
        steps: of a loss curve, a batch each.
        function: of the Python file that the model is: it returns the step; None: the model's
            signature is the step.
        loss_scale: what settings in float16 are fed as the step's ``loss_scale``; None: 1, which
            all others are fed.
    """

    steps: int
    function: Optional[str] = None
    loss_scale: Optional[float] = None


@dataclass(frozen=True)
class ModelSource:
    """Which model: the study file's ``model`` section, path resolved.

    Attributes:
        path, signature, fetches, allow_unsafe: the section's keys.
        training: the model is a training step; None: it infers.
    """

    path: str
    signature: str = "serving_default"
    fetches: tuple[str, ...] = ()
    allow_unsafe: bool = False
    training: Optional[Training] = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "fetches": list(self.fetches)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelSource:
        """From what :meth:`to_json` gave."""
        training = value["training"] and Training(**value["training"])
        return cls(**{**value, "fetches": tuple(value["fetches"]), "training": training})


@dataclass(frozen=True)
class Threads:
    """TensorFlow's thread pools; 0 leaves the size to TensorFlow."""

    intra_op: int = 0
    inter_op: int = 0


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        name: the signature's argument or output (for ``.pb``: the node).
        dtype: NumPy's name (``float32``), ``string`` for strings.
        shape: -1 where a dimension is free; None where even the rank is unknown.
    """

    name: str
    dtype: str
    shape: Optional[tuple[int, ...]]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TensorInfo:
        """From ``asdict`` through JSON."""
        shape = value["shape"]
        return cls(value["name"], value["dtype"], None if shape is None else tuple(shape))


@dataclass(frozen=True)
class DataSource:
    """Which samples: arrays of an ``.npz`` with a shared first dimension.

    Attributes:
        path: the ``.npz`` file.
        inputs: the signature's argument to the array's name.
        order: an ``.npy`` file, int64, shape (samples,): positions in the arrays. The worker's
            sample i is row ``order[i]``.
            Of a training step these are the samples of each step of each loss curve, in turn.
        batch_size: samples per batch; batch b holds samples [b * batch_size, (b + 1) * batch_size).
        timing_batches: how many distinct whole batches timing cycles through.
    """

    path: str
    inputs: Mapping[str, str]
    order: str
    batch_size: int
    timing_batches: int


@dataclass(frozen=True)
class LoadedModel:
    """What ``load`` found.

    Attributes:
        inputs, outputs: the signature.
        nodes: nodes of the (frozen) graph.
        weight_bytes: bytes of its constants and variables.
        fixed_batch: the first dimension that the model itself demands, or None.
        notices: what the user should know, one sentence each.
        timing_batches: distinct batches that timing cycles through; 0 without data.
        timing_bytes: of their inputs.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    nodes: int
    weight_bytes: int
    fixed_batch: Optional[int]
    notices: tuple[str, ...]
    timing_batches: int = 0
    timing_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LoadedModel:
        """From what :meth:`to_json` gave."""
        return cls(
            tuple(TensorInfo.from_json(item) for item in value["inputs"]),
            tuple(TensorInfo.from_json(item) for item in value["outputs"]),
            value["nodes"],
            value["weight_bytes"],
            value["fixed_batch"],
            tuple(value["notices"]),
            value["timing_batches"],
            value["timing_bytes"],
        )


@dataclass(frozen=True)
class Candidate:
    """A setting with everything the worker needs to run it.

    Attributes:
        data_type: ``float32``: the model as it is; lists and rules are ignored.
        rules: the rule set's name, version included (``tf-cpu-bfloat16@2.21``).
        lists: the four full lists.
        level: see ``amp_tuner.records.LEVELS``.
        environment: the family's list variables for runtimes ``tensorflow`` and ``itex``.
        expects_16bit: type attributes that painting says become 16-bit; the real passes' dump
            must show that something was converted if this is not 0.
        scales_loss: a training step in float16 is fed the study's loss scale, and not 1.
    """

    data_type: str
    rules: str = ""
    lists: AmpLists = field(default_factory=AmpLists)
    level: str = "default"
    environment: Mapping[str, str] = field(default_factory=dict)
    expects_16bit: int = 0
    scales_loss: bool = True

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "data_type": self.data_type,
            "rules": self.rules,
            "lists": self.lists.to_json(),
            "level": self.level,
            "environment": dict(self.environment),
            "expects_16bit": self.expects_16bit,
            "scales_loss": self.scales_loss,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Candidate:
        """From what :meth:`to_json` gave."""
        return cls(**{**value, "lists": AmpLists.from_json(value["lists"])})
