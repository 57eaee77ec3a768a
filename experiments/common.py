"""What the experiments share: a worker with a study's model, a journal, intervals, facts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.data.samples import DataSet, open_data
from amp_tuner.judge.intervals import share
from amp_tuner.measure.hardware import hardware_facts
from amp_tuner.measure.timing import TimingRules
from amp_tuner.records import FLOAT32
from amp_tuner.target.workers import model_source, starter
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate

ROOT = Path(__file__).parents[1]
#: Ignored by git.
RESULTS = ROOT / "runs" / "experiments"
#: The studies of runtime ``xla``, and the interpreter that they name.
XLA_STUDIES = sorted((ROOT / "configs").glob("xla_*.yaml"))
JAX = ROOT / ".environments" / "jax" / "bin" / "python"


class Journal:
    """Finished units of an experiment, one JSON object a line; the same command goes on from it."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # A kill may have left half a line behind.
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        path.write_text("".join(whole), encoding="utf-8")
        self.units: list[dict[str, Any]] = [json.loads(line) for line in whole]

    def add(self, unit: dict[str, Any]) -> None:
        """Keeps a unit; it is on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(unit) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.units.append(unit)


@dataclass(frozen=True)
class Target:
    """A live worker that holds the FP32 model of a study twice: as baseline and as candidate."""

    config: StudyConfig
    worker: WorkerClient
    data: DataSet
    output: str

    @property
    def batch_size(self) -> int:
        """Samples of a run."""
        return self.data.batch_size

    def side(self, key: str) -> Callable[[int, int], Sequence[float]]:
        """Runs a side as a study does: (first batch, runs) to the seconds of each run."""
        return lambda first_batch, runs: self.worker.block(key, first_batch, runs)

    def rules(
        self, *, ci_half_width: float | None = None, max_seconds: float | None = None
    ) -> TimingRules:
        """The study's own rules of timing, changed where something else is asked for."""
        measure = self.config.measure
        return TimingRules(
            ci_half_width=measure.ci_half_width if ci_half_width is None else ci_half_width,
            max_seconds=measure.max_seconds if max_seconds is None else max_seconds,
            min_block_ms=measure.min_block_ms,
        )


@contextlib.contextmanager
def same_model_twice(study: Path, overrides: Mapping[str, Any] | None = None) -> Iterator[Target]:
    """A worker with the study's FP32 model under the keys ``float32`` and ``candidate``."""
    config = load_study(study, overrides=overrides)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        started = starter(config, work)(True)
        assert isinstance(started, WorkerClient), "launched for another runtime"
        with started as worker:
            source = model_source(config)
            loaded = worker.load(source, None, "engine", config.target.device)
            data = open_data(config, loaded, work)
            batches = data.source(data.batch_size, config.measure.timing_batches)
            worker.load(source, batches, "engine", config.target.device)
            for key in (FLOAT32, "candidate"):
                worker.build(key, Candidate(FLOAT32))
            yield Target(config, worker, data, loaded.outputs[0].name)


def exact_share(successes: int, cases: int) -> str:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    found = share(successes, cases)
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def ratio_of_sums(left: Sequence[float], right: Sequence[float], seed: int = 0) -> str:
    """Left's total over right's, the two paired, with a bootstrap interval of 95 %."""
    one, other = np.asarray(left, float), np.asarray(right, float)
    rows = np.random.default_rng(seed).integers(len(one), size=(4000, len(one)))
    low, high = np.quantile(one[rows].sum(axis=1) / other[rows].sum(axis=1), (0.025, 0.975))
    return f"{one.sum() / other.sum():.2f} [{low:.2f}, {high:.2f}]"


def print_machine() -> None:
    """The facts that figures depend on."""
    facts = hardware_facts()
    named = ("cpu", "cpu_flags", "usable_threads", "virtual", "governor", "load_average", "python")
    print("; ".join(f"{name} {facts[name]}" for name in named))
