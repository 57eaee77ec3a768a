"""The study file as frozen, strict values. One class per section; a key is an attribute.

Each field says what one value may be. What several values may be together is in ``checks.py``.
Comments beside values give the unit; the README's configuration chapter explains each key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from amp_tuner.config.fields import (
    DataType,
    Duration,
    FilePath,
    FunctionName,
    GoalValue,
    MetricName,
    Name,
    OpTypes,
    PlannedNull,
    Positive,
    Size,
    Text,
    as_tuple,
)
from amp_tuner.config.quantities import parse_duration, parse_size
from amp_tuner.judge.goal import Goal, parse_goal

#: Measured settings to proposals, where ``limits.max_proposals`` is not given.
PROPOSALS_PER_TRIAL = 20


class Section(BaseModel):
    """A mapping of the study file: nothing is coerced, unknown keys are errors."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(Section):
    """``model``: what is tuned."""

    path: FilePath
    signature: Text = "serving_default"
    fetches: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = ()
    allow_unsafe: bool = False


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0))


class ThreadsConfig(Section):
    """``target.threads``: TensorFlow's two pools; all CPUs that the tuner may use, and 1."""

    intra_op: int = Field(default_factory=_usable_cpus, ge=1, le=4096)
    inter_op: int = Field(default=1, ge=1, le=4096)


class TargetConfig(Section):
    """``target``: where and how the model runs."""

    runtime: Literal["engine", "tensorflow", "itex", "xla", "roofline"] = "engine"
    device: Literal["cpu", "gpu", "xpu", "tpu"] = "cpu"
    data_types: Annotated[tuple[DataType, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (
        "bfloat16",
        "float16",
    )
    rules: dict[str, Text] = Field(default_factory=dict)
    profile: FilePath | None = None
    baseline: Literal["fp32", "tf32"] | None = None
    python: Text | None = None
    threads: ThreadsConfig = Field(default_factory=ThreadsConfig)


class DataConfig(Section):
    """``data``: an ``.npz`` file or a function that yields batches; ``path`` or ``function``."""

    path: FilePath | None = None
    function: FunctionName | None = None
    inputs: dict[str, Text] = Field(default_factory=dict)
    labels: Text | None = None
    batch_size: int = Field(default=1, ge=1, le=2**31)
    holdout: float = Field(default=0.5, ge=0, lt=1)


class AccuracyConfig(Section):
    """``accuracy``: what a setting must keep."""

    metric: MetricName = "agreement"
    goal: GoalValue = "99%"
    direction: Literal["maximize", "minimize"] | None = None
    output: Text | None = None
    threshold: float | None = None
    also: Annotated[tuple[MetricName, ...], BeforeValidator(as_tuple)] = ()

    @property
    def parsed_goal(self) -> Goal:
        """The goal's kind and limit."""
        return parse_goal(self.goal)


class SearchConfig(Section):
    """``search``: how settings are proposed, and for how long."""

    trials: int = Field(default=200, ge=1, le=10**7)
    time_budget: Duration | None = None
    sampler: Literal["amp", "tpe", "nsga2", "gp", "random"] = "tpe"
    seed: int = Field(default=0, ge=0, lt=2**32)
    op_types: OpTypes = "auto"
    stop: Literal["auto", "never"] = "auto"
    lists: Annotated[
        tuple[Literal["allow", "infer", "clear", "deny", "none"], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ] = ("allow", "infer", "clear", "deny")

    @property
    def time_budget_s(self) -> float | None:
        """Seconds that all runs of the study may take together; None: no limit."""
        return None if self.time_budget is None else parse_duration(self.time_budget)


class MeasureConfig(Section):
    """``measure``: when a timing is precise enough."""

    ci_half_width: float = Field(default=0.005, gt=0, lt=1)
    max_seconds: Positive = 20.0
    min_block_ms: Positive = 100.0
    percentiles: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=100)], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ] = (50, 90, 99)
    timing_batches: int = Field(default=16, ge=1, le=10**6)


class LimitsConfig(Section):
    """``limits``: past these a trial, or the study, is stopped."""

    trial_seconds: Positive = 300.0
    worker_memory: Size = "8GiB"
    disk: Size = "5GiB"
    max_proposals: int | None = Field(default=None, ge=1, le=10**9)

    @property
    def worker_memory_bytes(self) -> int:
        """Resident memory that the worker's process group may use."""
        return parse_size(self.worker_memory)

    @property
    def disk_bytes(self) -> int:
        """Bytes that the output folder may take."""
        return parse_size(self.disk)


class StudyFile(Section):
    """A study file's keys."""

    name: Name
    model: ModelConfig
    target: TargetConfig = Field(default_factory=TargetConfig)
    data: DataConfig
    accuracy: AccuracyConfig = Field(default_factory=AccuracyConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    measure: MeasureConfig = Field(default_factory=MeasureConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    storage: PlannedNull = None
    output: FilePath | None = None


class StudyConfig(StudyFile):
    """A study file that was checked: paths absolute, rule sets filled in.

    Attributes:
        study_file: where it was read from.
    """

    study_file: Path
    output: Path

    @property
    def folder(self) -> Path:
        """The study file's folder: relative paths and ``module:function`` start here."""
        return self.study_file.parent

    @property
    def max_proposals(self) -> int:
        """``limits.max_proposals``, or PROPOSALS_PER_TRIAL x trials."""
        return self.limits.max_proposals or PROPOSALS_PER_TRIAL * self.search.trials

    def to_plain(self) -> dict[str, Any]:
        """The study file's keys, every default filled in, as JSON and YAML can hold them."""
        return self.model_dump(mode="json", exclude={"study_file"})

    def identity(self) -> dict[str, Any]:
        """What must not change when a study is resumed; the files' digests are not here.

        Where model and data lie may change: their digests say whether they are the same.
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
        return {**picked, "target": plain["target"], "accuracy": plain["accuracy"]}
