"""The device model against published figures: default AMP's speed-up of ResNet50.

    python experiments/roofline/published.py

NVIDIA's table of inference without XLA (DeepLearningExamples, TensorFlow, ResNet50 v1.5) gives
default AMP over FP32 on T4 and V100, and over TF32 on A100. Here Keras' ResNet50 (random weights)
is rewritten with the rule set of TensorFlow's CUDA pass, its shapes are taken from FP32 runs at
those batch sizes on this CPU, and both graphs are priced with the profiles in ``configs/devices/``.
Nothing is fitted to these rows.

Their program runs TensorFlow 1 and keeps weights in variables: Casts of weights on every run and
changes of layout for tensor cores are priced.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.traced_run import TracedRun
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.roofline.cost import CostModel
from amp_tuner.roofline.device import load_profile
from amp_tuner.worker.launch import launch
from amp_tuner.worker.protocol import DataSource, ModelSource, Threads

DEVICES = Path(__file__).parents[2] / "configs" / "devices"
RULES = rule_set("tf-cuda-float16")
PIXELS = 224
#: Profile, batch size, published speed-up of default AMP.
ROWS = (
    ("nvidia-t4", 1, 1.55),
    ("nvidia-t4", 128, 2.32),
    ("nvidia-v100", 1, 1.37),
    ("nvidia-v100", 128, 2.09),
    ("nvidia-a100", 1, 1.17),
    ("nvidia-a100", 64, 1.99),
)


class FusedNorm(tf.keras.layers.Layer):
    """Batch norm as one op, as TensorFlow 1 has it; Keras 3 takes it apart."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)

    def call(self, x: tf.Tensor, mask: object = None) -> tf.Tensor:  # noqa: ARG002
        """Normalises with a mean of 0 and a variance of 1, as before any training."""
        ones = np.ones(x.shape[-1], np.float32)
        normed, *_ = tf.compat.v1.nn.fused_batch_norm(
            x, ones, 0 * ones, mean=0 * ones, variance=ones, is_training=False
        )
        return normed


def save_resnet50(folder: Path) -> None:
    def layer(one: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(one, tf.keras.layers.BatchNormalization):
            return FusedNorm(name=one.name)
        return one.__class__.from_config(one.get_config())

    original = tf.keras.applications.ResNet50(weights=None)
    tf.keras.models.clone_model(original, clone_function=layer).export(str(folder), verbose=False)


def described(model: Path, batch_size: int, work: Path) -> tuple[TypedGraph, TracedRun]:
    """The graph as the CUDA pass sees it, and a run at that batch size."""
    np.savez(work / "data.npz", x=np.ones((batch_size, PIXELS, PIXELS, 3), np.float32))
    np.save(work / "order.npy", np.arange(batch_size))
    scratch = work / f"worker-{batch_size}"
    scratch.mkdir()
    with launch(
        None,
        threads=Threads(len(os.sched_getaffinity(0)), 1),
        onednn=True,
        worker_memory_bytes=16 * 2**30,
        scratch=scratch,
        timeout_s=1800,
    ) as worker:
        source = ModelSource(str(model))
        (tensor,) = worker.load(source, None, "roofline", "gpu").inputs
        data = DataSource(
            str(work / "data.npz"), {tensor.name: "x"}, str(work / "order.npy"), batch_size, 1
        )
        worker.load(source, data, "roofline", "gpu")
        return worker.describe([RULES.identifier])[RULES.identifier], worker.traced_run()


def main() -> None:
    errors = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "resnet50"
        save_resnet50(model)
        runs = {size: described(model, size, Path(folder)) for size in (1, 64, 128)}
    print("device, batch: FP32 ms, AMP ms, modelled speed-up, published, error")
    for name, batch_size, published in ROWS:
        graph, run = runs[batch_size]
        profile = replace(load_profile(DEVICES / f"{name}.yaml"), fusion="tensorflow-1-cuda")
        prepared = prepare(graph, RULES)
        model_of = CostModel(prepared, run, profile, folded=False)
        painting = paint(prepared, RULES.lists)
        full, half = model_of.float32_price(), model_of.price(painting)
        speedup = full.seconds / half.seconds
        errors.append(abs(speedup / published - 1))
        print(
            f"{profile.name}, {batch_size}: {1000 * full.seconds:.2f}, {1000 * half.seconds:.2f}, "
            f"{speedup:.2f}, {published}, {speedup / published - 1:+.0%}"
        )
        if "--parts" in sys.argv[1:]:
            print(" ", full)
            print(" ", half)
    print(f"median error: {statistics.median(errors):.0%}")


if __name__ == "__main__":
    main()
