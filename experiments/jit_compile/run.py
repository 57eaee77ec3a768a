"""TensorFlow's own ``jit_compile=True`` against runtime ``xla``, on this CPU, in one run.

Both run the same graphs, FP32's and default AMP's in BF16, with XLA's flags as ``best.py`` sets
them: TensorFlow compiles the baked SavedModel in this process, a runner under JAX the artifact.
Printed are TensorFlow's time over ours, from blocks in turn over the same batches, and how far the
outputs are apart.

    .venv/bin/python experiments/jit_compile/run.py [--config F ...] [--batch-size N] [--untimed]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import JAX, XLA_STUDIES, print_machine

from amp_tuner.config.load import load_study
from amp_tuner.data.samples import Slice
from amp_tuner.measure.timing import TimingRules, time_pair
from amp_tuner.records import FLOAT32, Interval
from amp_tuner.runner.xla_runner import OPTIONS
from amp_tuner.search.anchors import default_anchor
from amp_tuner.study.session import Session, open_session
from amp_tuner.target.workers import model_source
from amp_tuner.worker.lowering_client import LoweringClient
from amp_tuner.worker.protocol import Candidate, Threads

# TensorFlow reads these when it is imported.
os.environ["TF_NUM_INTRAOP_THREADS"] = str(len(os.sched_getaffinity(0)))
os.environ["XLA_FLAGS"] = " ".join(f"--{name}={str(on).lower()}" for name, on in OPTIONS.items())
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_call_module

from amp_tuner.runtime.batches import Batches
from amp_tuner.runtime.xla_runtime import XlaRuntime

BFLOAT16 = "bfloat16"
THREADS = len(os.sched_getaffinity(0))
#: FP32 outputs may differ by this much, or by this share of a largest value that is above 1.
TOLERANCE = 1e-6
#: The FP32 model as it was saved, whose weights are no constants.
VARIABLES = "variables"
#: The newest calling convention of modules in a graph.
CALL_VERSION = 9

Outputs = dict[str, Any]
Run = Callable[..., Mapping[str, tf.Tensor]]


class TensorFlowSide:
    """The baked model of each setting in this process, compiled by TensorFlow and as it is."""

    def __init__(self, session: Session, candidates: Mapping[str, Candidate], work: Path) -> None:
        config = session.config
        threads = Threads(THREADS, 1)
        runtime = XlaRuntime(model_source(config), "cpu", threads, str(work))
        inputs = runtime.loaded.inputs
        self._names = [info.name for info in inputs]
        source = session.data.source(session.data.batch_size, config.measure.timing_batches)
        self._batches = Batches(source, inputs, runtime.loaded.fixed_batch)
        self._timing = [self._fed(feed) for feed in self._batches.timing]
        self._served: dict[str, Any] = {}
        self._compiled: dict[str, Run] = {}
        self._models = []
        for name, candidate in candidates.items():
            folder = work / name
            runtime.save(candidate, str(folder), "saved_model", fold_weights=True)
            model = tf.saved_model.load(str(folder))
            self._models.append(model)  # weights live as long as their model
            (self._served[name],) = model.signatures.values()
            self._compiled[name] = tf.function(self._served[name], jit_compile=True)
        if config.model.path.is_dir():
            saved = tf.saved_model.load(str(config.model.path))
            self._models.append(saved)
            serve = saved.signatures[config.model.signature]
            self._compiled[VARIABLES] = tf.function(serve, jit_compile=True)

    def outputs(self, name: str, samples: int, *, compiled: bool) -> Outputs:
        """Every output of the first samples, by name."""
        run = (self._compiled if compiled else self._served)[name]
        parts = [run(**self._fed(feed)) for feed, _ in self._batches.feeds(0, samples)]
        return _joined(parts)

    def artifact_outputs(self, manifest: Path, samples: int) -> Outputs:
        """Every output of an FP32 artifact of ours, by TensorFlow's own version of XLA."""
        described = json.loads(manifest.read_text(encoding="utf-8"))
        module = (manifest.parent / described["module"]).read_bytes()
        files = [manifest.parent / weight["file"] for weight in described["weights"]]
        weights = [tf.Variable(np.load(file, allow_pickle=False)) for file in files]
        feeds = [feed for feed, _ in self._batches.feeds(0, samples)]
        served = self._served[FLOAT32].structured_outputs
        outputs = {
            name: [feeds[0][0].shape[0], *served[name].shape[1:]] for name in described["outputs"]
        }

        @tf.function(jit_compile=True, autograph=False)
        def run(*feed: tf.Tensor) -> Sequence[tf.Tensor]:
            return xla_call_module(
                args=[*feed, *weights],
                version=CALL_VERSION,
                module=module,
                Sout=list(outputs.values()),
                Tout=[served[name].dtype for name in outputs],
                platforms=["CPU"],
            )

        results = [run(*map(tf.constant, feed)) for feed in feeds]
        return _joined([dict(zip(outputs, result)) for result in results])

    @property
    def has_variables(self) -> bool:
        """Whether the model as it was saved is there, too."""
        return VARIABLES in self._compiled

    def block(self, name: str, first_batch: int, runs: int) -> Sequence[float]:
        """Seconds of each run; TensorFlow gives a CPU's outputs when they are computed."""
        run, seconds = self._compiled[name], []
        for number in range(first_batch, first_batch + runs):
            feed = self._timing[number % len(self._timing)]
            started = perf_counter()
            run(**feed)
            seconds.append(perf_counter() - started)
        return seconds

    def _fed(self, feed: Sequence[Any]) -> dict[str, tf.Tensor]:
        return dict(zip(self._names, map(tf.constant, feed)))


def _joined(parts: Sequence[Mapping[str, tf.Tensor]]) -> Outputs:
    return {
        output: np.concatenate([part[output].numpy().astype(np.float64) for part in parts])
        for output in parts[0]
    }


def our_outputs(session: Session, name: str, samples: int, work: Path) -> Outputs:
    """Every output of the first samples from the runner, by name."""
    path = work / "outputs.npz"
    names = [info.name for info in session.loaded.outputs]
    session.bench.worker(False).outputs(name, 0, samples, path, names)
    with np.load(path, allow_pickle=False) as arrays:
        return {output: arrays[output].astype(np.float64) for output in names}


def difference(left: Outputs, right: Outputs, least: float) -> float:
    """Largest difference of an output, over that output's largest value; the worst output's.

    Args:
        left: every output, by name.
        right: the same of another side.
        least: an output whose largest value is smaller is taken to have this one.
    """
    return max(
        float(np.abs(left[name] - right[name]).max() / max(least, np.abs(right[name]).max()))
        for name in right
    )


def judged(session: Session, reference: Outputs, outputs: Outputs) -> Interval:
    """Score of the output that the study judges."""
    chosen = session.config.accuracy.output or session.loaded.outputs[0].name
    count = len(reference[chosen])
    labels = session.data.labels
    seen = Slice(0, count, reference[chosen], None if labels is None else labels[:count])
    return session.bench.judging.candidate(seen, outputs[chosen]).score


class Comparison:
    """One model on both sides; FP32 and default AMP in BF16 are built."""

    def __init__(self, session: Session, samples: int, work: Path) -> None:
        plan = session.planner.plan(session.switched(default_anchor(BFLOAT16).setting))
        self._session = session
        self._samples = samples
        self._work = work
        ours = session.bench.worker(False)
        assert isinstance(ours, LoweringClient), "launched for another runtime"
        self._ours = ours
        self._ours.build(BFLOAT16, plan.candidate)
        settings = {FLOAT32: Candidate(FLOAT32), BFLOAT16: plan.candidate}
        self._theirs = TensorFlowSide(session, settings, work)

    def ratio(self, name: str) -> Interval:
        """TensorFlow's time over ours."""
        measure = self._session.config.measure
        return time_pair(
            lambda first, runs: self._theirs.block(name, first, runs),
            lambda first, runs: self._ours.block(name, first, runs),
            TimingRules(measure.ci_half_width, measure.max_seconds, measure.min_block_ms),
            batch_size=self._session.data.batch_size,
        ).speedup

    def print_outputs(self) -> None:
        """How far they are apart; FP32 by the value, BF16 by the study's metric."""
        samples = self._samples
        exact = self._theirs.outputs(FLOAT32, samples, compiled=True)
        others = {
            "ours": our_outputs(self._session, FLOAT32, samples, self._work),
            "TensorFlow's, not compiled": self._theirs.outputs(FLOAT32, samples, compiled=False),
        }
        manifest = Path(self._ours.artifact(Candidate(FLOAT32), tf32=False))
        print_size(manifest)
        same_xla = self._theirs.artifact_outputs(manifest, samples)
        others["ours, compiled by TensorFlow"] = same_xla
        if self._theirs.has_variables:
            saved = self._theirs.outputs(VARIABLES, samples, compiled=True)
            others["TensorFlow's, compiled, weights as variables"] = saved
        for whose, outputs in others.items():
            print_apart(whose, outputs, exact)
        if self._theirs.has_variables:
            print_apart("ours, compiled by TensorFlow, against the last", same_xla, saved)
        halves = (
            our_outputs(self._session, BFLOAT16, samples, self._work),
            self._theirs.outputs(BFLOAT16, samples, compiled=True),
        )
        ours_bf16, theirs_bf16 = (
            shown(judged(self._session, exact, outputs)) for outputs in halves
        )
        metric = self._session.config.accuracy.metric
        print(f"  BF16 {metric}: ours {ours_bf16}, TensorFlow's {theirs_bf16}", flush=True)


def print_size(manifest: Path) -> None:
    """What an artifact takes, and what its weights take beside it."""
    described = json.loads(manifest.read_text(encoding="utf-8"))
    folder = manifest.parent
    module_bytes = (folder / described["module"]).stat().st_size
    files = {folder / weight["file"] for weight in described["weights"]}
    weights_bytes = sum(file.stat().st_size for file in files)
    print(
        f"  artifact: {module_bytes / 1e3:.0f} kB; {len(files)} weights beside it: "
        f"{weights_bytes / 1e6:.1f} MB"
    )


def print_apart(whose: str, outputs: Outputs, others: Outputs) -> None:
    apart, share = (difference(outputs, others, least) for least in (1.0, 0.0))
    within = "within" if apart <= TOLERANCE else "NOT within"
    print(
        f"  FP32 outputs, {whose}: {within} {TOLERANCE:g}: {apart:.1e}; "
        f"{share:.1e} of the largest value"
    )


def shown(interval: Interval) -> str:
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def compare(path: Path, options: argparse.Namespace, work: Path) -> None:
    """Prints what one study's model gives."""
    target: dict[str, Any] = {
        "runtime": "xla",
        "python": str(options.python),
        "data_types": [BFLOAT16],
    }
    target["threads"] = {"intra_op": THREADS, "inter_op": 1}
    overrides = {"target": target, "data.batch_size": options.batch_size}
    session = open_session(load_study(path, overrides=overrides), work)
    try:
        size = session.data.batch_size
        samples = size * (min(options.samples, len(session.data.search)) // size)
        print(f"\n{path.stem}, batches of {size}, {samples} samples", flush=True)
        comparison = Comparison(session, samples, work)
        comparison.print_outputs()
        for name in () if options.untimed else (FLOAT32, BFLOAT16):
            ratio = shown(comparison.ratio(name))
            print(f"  {name}: TensorFlow's time / ours {ratio}", flush=True)
    finally:
        session.bench.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=XLA_STUDIES)
    parser.add_argument("--python", default=JAX, help="an interpreter with JAX")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--samples", type=int, default=64, help="at most, for the outputs")
    parser.add_argument("--untimed", action="store_true", help="compare outputs alone")
    options = parser.parse_args()
    print_machine()
    print(f"TensorFlow {tf.__version__}, {THREADS} threads a side, {os.environ['XLA_FLAGS']}")
    for path in options.config:
        with tempfile.TemporaryDirectory() as work:
            compare(path, options, Path(work))


if __name__ == "__main__":
    main()
