"""The study file as frozen, strict values. One class per section; a key is an attribute.

Each field says what one value may be. What several values may be together is in ``checks.py``.
The text under a field is what ``amp-tune schema`` says of its key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from amp_tuner.config.fields import (
    CoreSets,
    DataType,
    Duration,
    FilePath,
    FunctionName,
    GoalValue,
    MetricName,
    Name,
    OpTypes,
    Positive,
    Size,
    Storage,
    Text,
    as_tuple,
)
from amp_tuner.config.quantities import parse_duration, parse_size
from amp_tuner.judge.goal import Goal, parse_goal
from amp_tuner.measure.cores import parse_cores, usable_cores

#: Measured settings to proposals, where ``limits.max_proposals`` is not given.
PROPOSALS_PER_TRIAL = 20
#: What a step is called once it is saved that a Python function returned.
STEP_SIGNATURE = "train"


class Section(BaseModel):
    """A mapping of the study file: nothing is coerced, unknown keys are errors."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class ModelConfig(Section):
    """``model``: what is tuned."""

    path: FilePath = Field(examples=["models/my_model"])
    """A SavedModel folder, a .keras or .h5 file, a frozen GraphDef .pb, or a .py that trains."""
    signature: Text = Field(default="serving_default", examples=["predict"])
    """A SavedModel's signature."""
    fetches: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = Field(
        default=(), examples=[["scores", "boxes"]]
    )
    """Of a .pb: the nodes to compute; default: all that nothing reads."""
    allow_unsafe: bool = False
    """Load models that can run any code: Lambda layers, PyFunc, file ops."""


class ThreadsConfig(Section):
    """``target.threads``: TensorFlow's two pools; all CPUs that the tuner may use, and 1."""

    intra_op: int = Field(default_factory=lambda: len(usable_cores()), ge=1, le=4096)
    """Threads within an op; default: as many as target.cores, else all CPUs that the tuner may
    use."""
    inter_op: int = Field(default=1, ge=1, le=4096)
    """Ops at the same time."""


class FleetConfig(Section):
    """``target.fleet``: who may join a study that several machines work on."""

    same: Annotated[
        tuple[Literal["device", "software", "threads", "clock"], ...],
        BeforeValidator(as_tuple),
    ] = ("device", "software", "threads")
    """What a worker must have in common with the study's first: device (the CPU's model and flags,
    or the device's name), software (versions of TensorFlow and what belongs to it), threads (cores
    and CPUs that may be used), clock (governor and turbo)."""
    share_cores: bool = False
    """Whether workers of one machine may be timed on the same cores, as they may be where none are
    pinned; they disturb each other's timing."""


class TargetConfig(Section):
    """``target``: where and how the model runs."""

    runtime: Literal["engine", "tensorflow", "itex", "xla", "roofline"] = "engine"
    """Who rewrites and runs: engine (our rewrite, baked into the graph, weights in 16 bits),
    tensorflow (the stock pass, by its variables), itex (Intel's plug-in and its pass), xla (our
    rewrite, compiled by XLA), roofline (our rewrite, and a device model in place of the clock)."""
    device: Literal["cpu", "gpu", "xpu", "tpu"] = "cpu"
    """Where the model runs."""
    data_types: Annotated[tuple[DataType, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (
        "bfloat16",
        "float16",
    )
    """The 16-bit types to try."""
    rules: dict[str, Text] = Field(
        default_factory=dict, examples=[{"bfloat16": "tf-cpu-bfloat16@2.15"}]
    )
    """Which pass to follow, by data type; default: the runtime's own on that device."""
    profile: FilePath | None = Field(default=None, examples=["configs/devices/nvidia-t4.yaml"])
    """Of runtime roofline: the device model."""
    baseline: Literal["fp32", "tf32"] | None = None
    """Of runtime xla on NVIDIA: what a speed-up is over; default: tf32 where the GPU has it."""
    python: Text | None = Field(default=None, examples=[".environments/itex/bin/python"])
    """The interpreter that has the runtime, TensorFlow 2.15 or newer (for xla: JAX); default: the
    tuner's own."""
    threads: ThreadsConfig = Field(default_factory=ThreadsConfig)
    """TensorFlow's thread pools, as in production."""
    cores: CoreSets = Field(default=None, examples=["0-3", ["0-1", "2-3"]])
    """What a worker is pinned to; default: nothing. Of several sets each worker of a machine has
    one, so that they do not disturb each other's timing; a single one has the first."""
    fleet: FleetConfig = Field(default_factory=FleetConfig)
    """With storage: who may join."""


class TrainingConfig(Section):
    """``training``: the model is a training step, whose time is what is tuned."""

    step: Text
    """A SavedModel's signature, or 'module:function' of model.path, a Python file."""
    steps: int = Field(default=100, ge=10, le=10**7)
    """Steps of a loss curve."""
    curves: int = Field(default=8, ge=2, le=1000)
    """Loss curves, each over the samples in an order of its own."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of those orders."""
    loss_scale: Annotated[float, Field(gt=0, le=2**24)] | None = None
    """What the step's argument loss_scale is in float16; null: not scaled. It is 1 in others."""

    @property
    def function(self) -> str | None:
        """The function of the Python file that returns the step; None: a signature is the step."""
        return self.step.partition(":")[2] or None

    @property
    def signature(self) -> str:
        """The signature that is the step."""
        return STEP_SIGNATURE if self.function else self.step


class DataConfig(Section):
    """``data``: an ``.npz`` file or a function that yields batches; ``path`` or ``function``."""

    path: FilePath | None = Field(default=None, examples=["data/test.npz"])
    """An .npz file; never pickled."""
    function: FunctionName | None = Field(default=None, examples=["my_data:batches"])
    """'module:function' that yields batches, in place of a file."""
    inputs: dict[str, Text] = Field(default_factory=dict, examples=[{"x": "images"}])
    """The signature's argument to the file's array."""
    labels: Text | None = Field(default=None, examples=["labels"])
    """The array of labels, for metrics that need them."""
    batch_size: int = Field(default=1, ge=1, le=2**31)
    """Samples of a run, as in production."""
    holdout: float = Field(default=0.5, ge=0, lt=1)
    """The share of the samples that only the final figures see."""


class AccuracyConfig(Section):
    """``accuracy``: what a setting must keep."""

    metric: MetricName = Field(default="agreement", examples=["top1"])
    """A metric's name, top<k>, or 'module:function'."""
    goal: GoalValue = Field(default="99%", examples=[{"max_drop": 0.01, "kind": "absolute"}])
    """'99%' of FP32, {max_drop: 0.01, kind: relative|absolute}, {min: x} or {max: x}."""
    direction: Literal["maximize", "minimize"] | None = None
    """Of a metric of your own: which way is better."""
    output: Text | None = Field(default=None, examples=["scores"])
    """The signature's output that is scored, where there are several."""
    threshold: float | None = Field(default=None, examples=[0.5])
    """Of a single probability: yes from here on."""
    also: Annotated[tuple[MetricName, ...], BeforeValidator(as_tuple)] = Field(
        default=(), examples=[["auc"]]
    )
    """Metrics that are reported beside it."""

    @property
    def parsed_goal(self) -> Goal:
        """The goal's kind and limit."""
        return parse_goal(self.goal)


class SearchConfig(Section):
    """``search``: how settings are proposed, and for how long."""

    trials: int = Field(default=200, ge=1, le=10**7)
    """Measured settings in all."""
    time_budget: Duration | None = Field(default=None, examples=["8h"])
    """Wall-clock time of all runs together."""
    sampler: Literal["amp", "tpe", "nsga2", "gp", "random"] = "amp"
    """Who proposes settings: amp (ours), or tpe, nsga2, gp (needs PyTorch), random (Optuna's)."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of everything that is drawn."""
    op_types: OpTypes = Field(default="auto", examples=[["AvgPool", "Softmax"]])
    """The op types that are moved; auto: all of the graph whose list matters."""
    granularity: Literal["op_type", "node"] = "op_type"
    """node: half of the search goes on from the front and sets single nodes and name scopes apart
    (runtimes engine, xla and roofline, which bake the model)."""
    stop: Literal["auto", "never"] = "auto"
    """auto: the search ends when another measurement would gain little."""
    lists: Annotated[
        tuple[Literal["allow", "infer", "clear", "deny", "none"], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ] = ("allow", "infer", "clear", "deny")
    """The lists that op types are moved to."""

    @property
    def time_budget_s(self) -> float | None:
        """Seconds that all runs of the study may take together; None: no limit."""
        return None if self.time_budget is None else parse_duration(self.time_budget)


class MeasureConfig(Section):
    """``measure``: when a timing is precise enough."""

    ci_half_width: float = Field(default=0.005, gt=0, lt=1)
    """Timing stops when the speed-up is known to this share."""
    max_seconds: Positive = 20.0
    """Or after this long, in seconds."""
    min_block_ms: Positive = 5.0
    """A block of runs lasts at least this long, in milliseconds."""
    percentiles: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=100)], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ] = (50, 90, 99)
    """Of the latencies that are reported."""
    timing_batches: int = Field(default=16, ge=1, le=10**6)
    """Distinct batches that timing cycles through."""
    processes: int = Field(default=5, ge=1, le=100)
    """What is published is timed in so many processes, one after the other."""


class LimitsConfig(Section):
    """``limits``: past these a trial, or the study, is stopped."""

    trial_seconds: Positive = 300.0
    """A trial that takes longer fails, in seconds."""
    worker_memory: Size = "8GiB"
    """A worker that takes more is ended."""
    disk: Size = "5GiB"
    """What the output folder may take."""
    max_proposals: int | None = Field(default=None, ge=1, le=10**9, examples=[4000])
    """Proposals, measured or not; default: 20 for each of search.trials."""
    lease_seconds: Annotated[float, Field(ge=2, le=86400)] = 180.0
    """With storage: a worker that the database has not heard of for so long is taken for dead, and
    what it was measuring is measured elsewhere."""
    storage_seconds: Annotated[float, Field(ge=1, le=10**6)] = 900.0
    """With storage: for so long a database that is gone is waited for, in seconds."""

    @property
    def worker_memory_bytes(self) -> int:
        """Resident memory that the worker's process group may use."""
        return parse_size(self.worker_memory)

    @property
    def disk_bytes(self) -> int:
        """Bytes that the output folder may take."""
        return parse_size(self.disk)


class ExecutionConfig(Section):
    """``execution``: who places the workers of a study that has several devices."""

    engine: Literal["ray"] = "ray"
    """Ray: pip install 'amp-tuner[ray]' on every machine."""
    address: Text | None = Field(default=None, examples=["auto", "10.0.0.1:6379"])
    """The cluster: auto (the one that this machine is a part of) or host:port of its head; null:
    Ray is started on this machine, for as long as the study runs."""
    workers: int = Field(ge=1, le=4096, examples=[8])
    """Workers in all; amp-tune run itself is the first."""
    resources: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict, examples=[{"CPU": 2, "GPU": 1}]
    )
    """What each worker has to itself, as Ray counts it: CPU (default: as many as
    target.threads.intra_op), GPU, or a resource of the cluster's own."""


class StudyFile(Section):
    """A study file's keys."""

    name: Name = Field(examples=["my-model"])
    """The study's name: letters, digits, '.', '_' and '-'."""
    model: ModelConfig
    target: TargetConfig = Field(default_factory=TargetConfig)
    data: DataConfig
    training: TrainingConfig | None = None
    """The model trains; default: it infers."""
    accuracy: AccuracyConfig = Field(default_factory=AccuracyConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    measure: MeasureConfig = Field(default_factory=MeasureConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    execution: ExecutionConfig | None = None
    """Workers that are placed on several devices; default: this process alone."""
    storage: Storage = Field(default=None, examples=["postgresql://tuner@db.example/tuning"])
    """The database of a study that several machines work on: postgresql://…, mysql://…, or env:NAME
    (an environment variable that holds its address); null: one machine, in the output folder."""
    output: FilePath | None = Field(default=None, examples=["runs/my-model"])
    """The output folder; default: runs/NAME beside the study file."""


class StudyConfig(StudyFile):
    """A study file that was checked: paths absolute, rule sets filled in.

    Attributes:
        study_file: where it was read from.
        core_set: the one of target.cores that this process's workers have; None: the first.
    """

    study_file: Path
    output: Path
    core_set: str | None = None

    @property
    def folder(self) -> Path:
        """The study file's folder: relative paths and ``module:function`` start here."""
        return self.study_file.parent

    @property
    def worker_cores(self) -> tuple[int, ...] | None:
        """The cores that this process's workers are pinned to; None: all that it has itself."""
        if self.target.cores is None:
            return None
        return parse_cores(self.core_set or self.target.cores[0])

    @property
    def processes(self) -> int:
        """In how many processes a published speed-up is timed; one where it is modelled."""
        return self.measure.processes if self.target.profile is None else 1

    @property
    def max_proposals(self) -> int:
        """``limits.max_proposals``, or PROPOSALS_PER_TRIAL x trials."""
        return self.limits.max_proposals or PROPOSALS_PER_TRIAL * self.search.trials

    def to_plain(self) -> dict[str, Any]:
        """The study file's keys, every default filled in, as JSON and YAML can hold them."""
        return self.model_dump(mode="json", exclude={"study_file", "core_set"})

    def identity(self) -> dict[str, Any]:
        """What must not change when a study is resumed; the files' digests are not here.

        Where model, data and device profile lie may change: their digests say whether they are the
        same.
        """
        plain = self.to_plain()
        parts = {
            "model": ("signature", "fetches"),
            "data": ("inputs", "labels", "batch_size", "holdout"),
            "search": ("op_types",),
            "measure": ("timing_batches",),
        }
        picked = {
            section: {key: plain[section][key] for key in keys} for section, keys in parts.items()
        }
        # Who may join says nothing of what is measured.
        left_out = ("profile", "fleet")
        target = {key: value for key, value in plain["target"].items() if key not in left_out}
        # Studies of before there was this section know nothing of it.
        training = {} if self.training is None else {"training": plain["training"]}
        return {**picked, **training, "target": target, "accuracy": plain["accuracy"]}
