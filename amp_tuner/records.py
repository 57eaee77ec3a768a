"""The values that flow through a study: settings, measurements, trials.

Plain frozen data, readable by every layer, JSON in and out. Times are seconds, speed-ups are
baseline time divided by candidate time (above 1 is faster), intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from amp_tuner.amp.lists import AmpLists

FLOAT32 = "float32"
#: Levels that a pass accepts besides its lists.
LEVELS = ("default", "treat_infer_as_deny", "tensor_cores_only", "unsafe_force_all")
#: Runtimes that apply our own rewrite: what is deployed is the baked model.
BAKED = ("engine", "xla", "roofline")
#: How a trial can end; each is counted apart.
OUTCOMES = ("measured", "cached", "refused", "quarantined", "failed")
MEASURED, CACHED, REFUSED, QUARANTINED, FAILED = OUTCOMES


@dataclass(frozen=True)
class Setting:
    """What one trial runs: a data type and moves against the rule set's default lists.

    Attributes:
        data_type: ``float32``, ``bfloat16`` or ``float16``.
        moves: op type, or ``node:NAME``, to destination list; empty is the default lists.
        level: one of LEVELS.
        onednn: TensorFlow's process-wide oneDNN switch; None where the runtime has none.
        tf32: whether float32 products may be rounded as TF32 does; None: no such switch.
    """

    data_type: str
    moves: Mapping[str, str] = field(default_factory=dict)
    level: str = "default"
    onednn: bool | None = None
    tf32: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        return {**asdict(self), "moves": dict(sorted(self.moves.items()))}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Setting:
        """A setting from what :meth:`to_json` gave."""
        return cls(**value)


def baseline_name(setting: Setting) -> str:
    """What a setting's speed-up is over, as people call it."""
    return "TF32" if setting.tf32 else "FP32"


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def inverse(self) -> Interval:
        """Of one over it, where it is above 0."""
        return Interval(1 / self.value, 1 / self.high, 1 / self.low)


@dataclass(frozen=True)
class Block:
    """One timed block of runs of one side.

    Attributes:
        side: ``baseline`` or ``candidate``.
        phase: ``warmup`` or ``timed`` or ``repeated`` (replaced by a later block: drift).
        started_s: seconds since the measurement began.
        run_s: seconds of each run in the block.
    """

    side: str
    phase: str
    started_s: float
    run_s: tuple[float, ...]


@dataclass(frozen=True)
class Timing:
    """The paired timing of a candidate against the baseline.

    Attributes:
        speedup: median ratio of baseline to candidate block times (each the median of its runs),
            bootstrap interval.
        stop_reason: ``narrow``, ``dominated`` or ``time``; ``modelled`` where no clock ran.
        blocks: every block, warm-ups included, in the order in which they ran.
        latency_ms: per side, percentile label (``p50``) to milliseconds; only percentiles that
            the number of runs supports.
        runs: timed runs per side.
        throughput: samples per second, per side.
        drift: largest relative move of the baseline between neighbouring pairs.
        notices: what a reader must know (drifting baseline, too noisy for 1 %).
        inputs: the distinct ``batches`` that both sides cycle through, and their ``bytes``.
        modelled_for: the device whose model gave all figures; None where they were measured.
        processes: the speed-up in each of several; ``speedup`` is then over these.
    """

    speedup: Interval
    stop_reason: str
    blocks: tuple[Block, ...]
    latency_ms: Mapping[str, Mapping[str, float]]
    runs: Mapping[str, int]
    throughput: Mapping[str, float]
    drift: float
    notices: tuple[str, ...] = ()
    inputs: Mapping[str, int] = field(default_factory=dict)
    modelled_for: str | None = None
    processes: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class ClassFlips:
    """Samples of one class: how many there are, FP32 alone had right, the candidate alone has."""

    label: int
    samples: int
    lost: int
    won: int


@dataclass(frozen=True)
class Accuracy:
    """How good a candidate's outputs are, against the goal.

    Attributes:
        metric: the metric's name.
        score: the metric on the candidate's outputs, with interval.
        drop: loss against FP32 as the goal counts it (relative or absolute), with interval;
            positive is worse than FP32.
        verdict: ``meets`` or ``misses`` where the whole interval of the drop says so, else
            ``uncertain``.
        samples: how many samples the figures come from.
        also: other metrics reported beside it, by name.
        paired_test: the exact test of whether it is worse than FP32 at all (``mcnemar``,
            ``wilcoxon``); None where none fits the metric.
        p_worse: that test's one-sided probability.
        stopped_at: samples after which the ladder gave it up. With more ``samples`` than that it
            was run to the end all the same.
        batch_error: root mean square difference from FP32's outputs on the first batch,
            relative to theirs; None where no candidate was judged.
        flips: classes of which a decision flipped; None without class labels or decisions.
    """

    metric: str
    score: Interval
    drop: Interval
    verdict: str
    samples: int
    also: Mapping[str, float] = field(default_factory=dict)
    paired_test: str | None = None
    p_worse: float | None = None
    stopped_at: int | None = None
    batch_error: float | None = None
    flips: tuple[ClassFlips, ...] | None = None


@dataclass(frozen=True)
class EffectiveGraph:
    """The identity of a rewritten graph, and what is in it.

    Attributes:
        graph_id: equal for equal effective graphs of one model and data type.
        nodes_16bit: nodes with at least one 16-bit type attribute.
        casts: Casts inserted (folded ones included).
    """

    graph_id: str
    nodes_16bit: int
    casts: int


#: The effective graph of the FP32 model.
FLOAT32_GRAPH = EffectiveGraph(FLOAT32, 0, 0)


@dataclass(frozen=True)
class Measurement:
    """What measuring one setting gave.

    Attributes:
        effective: the graph that ran.
        accuracy: against the goal.
        timing: None where accuracy ended it early.
        notices: what a reader must know.
        machine: its state just before the measurement (load, governor, turbo, flags of the CPU).
        build_s: seconds of the steps before anything was timed, where they are known: ``lower``,
            ``compile``.
    """

    effective: EffectiveGraph
    accuracy: Accuracy
    timing: Timing | None
    notices: tuple[str, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    build_s: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measurement:
        """A measurement from what :meth:`to_json` gave, through JSON."""
        timing = value["timing"]
        return cls(
            EffectiveGraph(**value["effective"]),
            _accuracy(value["accuracy"]),
            None if timing is None else _timing(timing),
            tuple(value["notices"]),
            value.get("machine", {}),
            value.get("build_s", {}),
        )


def _plain(value: Any) -> Any:
    """Dataclasses as JSON objects; in a tenth of ``asdict``'s time, which copies every number."""
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return [_plain(item) for item in value]
    return value


def _accuracy(value: Mapping[str, Any]) -> Accuracy:
    intervals = {key: Interval(**value[key]) for key in ("score", "drop")}
    flips = value.get("flips")
    by_class = None if flips is None else tuple(ClassFlips(**one) for one in flips)
    return Accuracy(**{**value, **intervals, "flips": by_class})


def _timing(value: Mapping[str, Any]) -> Timing:
    blocks = (Block(**{**block, "run_s": tuple(block["run_s"])}) for block in value["blocks"])
    made = {
        "speedup": Interval(**value["speedup"]),
        "blocks": tuple(blocks),
        "notices": tuple(value["notices"]),
        "processes": tuple(Interval(**one) for one in value.get("processes", ())),
    }
    return Timing(**{**value, **made})


@dataclass(frozen=True)
class Trial:
    """One trial of a study, however it ended.

    Attributes:
        number: Optuna's number.
        state: Optuna's: ``COMPLETE`` or ``FAIL``.
        setting: what was run, moves made legal.
        anchor: the anchor's name (``FP32, oneDNN on``, ``default bfloat16``), if it is one.
        effective: the effective graph; None where painting itself failed.
        measurement: None where the trial failed.
        cached_from: the trial whose result this one was told, because its graph is the same.
        cause: why it failed.
        started: ISO 8601 with offset.
        seconds: wall time of the whole trial.
        overhead_s: wall time less timed blocks and accuracy inference.
        predicted: what the sampler expected of it, if anything (``Prediction`` in ``search/``).
        search: who proposed from what (``Session.search``); None in files of earlier versions.
    """

    number: int
    state: str
    setting: Setting
    anchor: str | None
    effective: EffectiveGraph | None
    measurement: Measurement | None
    cached_from: int | None
    cause: str | None
    started: str
    seconds: float
    overhead_s: float
    predicted: Mapping[str, Any] | None = None
    search: str | None = None

    @property
    def is_timed(self) -> bool:
        """Whether it has a speed-up: a trial that failed or that accuracy ended early has none."""
        return self.measurement is not None and self.measurement.timing is not None

    @property
    def outcome(self) -> str:
        """One of OUTCOMES: how it ended."""
        if self.cached_from is not None:
            return CACHED
        if self.measurement is not None:
            return MEASURED
        kind, _, _ = (self.cause or "").partition(": ")
        return kind if kind in (REFUSED, QUARANTINED) else FAILED

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        return {**_plain(self), "setting": self.setting.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trial:
        """A trial from what :meth:`to_json` gave, through JSON."""
        effective, measurement = value["effective"], value["measurement"]
        made = {
            "setting": Setting.from_json(value["setting"]),
            "effective": None if effective is None else EffectiveGraph(**effective),
            "measurement": None if measurement is None else Measurement.from_json(measurement),
        }
        return cls(**{**value, **made})


@dataclass(frozen=True)
class Origin:
    """The setting that a minimal one stands for, and why it may.

    Attributes:
        number: its trial.
        moves: its moves.
        graph_id: its effective graph. Where it is the minimal one's too, the moves that were
            dropped do nothing, and nothing had to be compared.
        speed: the minimal setting's speed as a share of this one's, paired.
        p_worse: of the one-sided paired test of their accuracy; None where none fits.
    """

    number: int
    moves: Mapping[str, str]
    graph_id: str
    speed: Interval | None = None
    p_worse: float | None = None


@dataclass(frozen=True)
class Point:
    """One published setting with all that is needed to deploy and to check it.

    Attributes:
        study: the study's name.
        number: the trial's.
        runtime, device: where it was measured (``engine``, ``cpu``).
        setting: data type, moves, level, oneDNN, TF32.
        family: whose variables apply: ``tensorflow`` or ``itex``.
        rules: the rule set, version included; empty for FP32.
        lists: the full lists; all empty for FP32.
        environment: the family's list and level variables.
        speedup: over the FP32 baseline; None for a reference that was never timed.
        search_speedup: what the search saw, before the published measurement.
        accuracy: of the published measurement.
        search_accuracy: the score that the search saw.
        latency_ms: per side, percentile label to milliseconds.
        runs, throughput: timed runs and samples per second, per side.
        stop_reason: why timing ended (``narrow``, ``time``); None where it was never timed.
        effective: the effective graph.
        tied_with: numbers of points that cannot be told apart from this one.
        model_digest, data_digest: of the files.
        threads: ``intra_op`` and ``inter_op``.
        batch_size: samples per run.
        software, hardware: facts, flat.
        notices: what a reader must know.
        minimised_from: the setting that it stands for, if another.
        modelled_for: the device whose model gave all figures of speed, if they are modelled.
        processes: the speed-up in each of several processes; ``speedup`` is then over these.
    """

    study: str
    number: int
    runtime: str
    device: str
    setting: Setting
    family: str
    rules: str
    lists: AmpLists
    environment: Mapping[str, str]
    speedup: Interval | None
    search_speedup: float | None
    accuracy: Accuracy
    search_accuracy: float | None
    latency_ms: Mapping[str, Mapping[str, float]]
    effective: EffectiveGraph
    tied_with: tuple[int, ...]
    model_digest: str
    data_digest: str
    threads: Mapping[str, int]
    batch_size: int
    software: Mapping[str, Any]
    hardware: Mapping[str, Any]
    notices: tuple[str, ...] = ()
    minimised_from: Origin | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    throughput: Mapping[str, float] = field(default_factory=dict)
    stop_reason: str | None = None
    modelled_for: str | None = None
    processes: tuple[float, ...] = ()
