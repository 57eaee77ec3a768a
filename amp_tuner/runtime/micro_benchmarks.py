"""What a device model needs to know of the CPU at hand, from single ops under TensorFlow.

Each benchmark runs copies of one op in a session of its own: the time of a run, less that of an
empty one, over the number of copies. Weights are constants, other inputs variables, as in a model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow as tf

from amp_tuner.roofline.work import TRANSCENDENTAL_OPERATIONS, Kind
from amp_tuner.runtime.sessions import session_config
from amp_tuner.worker.protocol import Threads

DATA_TYPES = ("float32", "bfloat16", "float16")
#: Bytes of a tensor that is read and written; the first fits any cache, the last hardly any.
STREAMED_BYTES = tuple(2**power for power in range(18, 28, 2))
_PICTURE = (4, 56, 56, 64)
_CHANNELS = _PICTURE[-1]
_SIDE = 1024
_FLAT = (2**18,)
_COPIES = 4
_TINY_COPIES = 64
_LEAST_RUNS = 3
_SHORTEST_S = 1e-9


class _Benchmark(NamedTuple):
    """An op of one input, and how many operations it is.

    Attributes:
        shape: of the input.
        operations: of one op.
        make: the op; given the input and the data type.
    """

    shape: Sequence[int]
    operations: float
    make: Callable[[Any, str], Any]


def micro_benchmarks(threads: Threads, seconds: float) -> dict[str, Any]:
    """Rates, bandwidths and overheads of this CPU.

    Args:
        threads: of each session.
        seconds: that each benchmark takes, about.

    Returns:
        ``rates``: kind of work to data type to operations per second. ``streams``: pairs of a
        tensor's bytes and the bytes per second at which it is read and written. ``launch_s`` of an
        op, ``run_s`` of a run beside its ops. ``missing``: data types that are left out, with why.
    """
    timer = _Timer(threads, seconds)
    empty_s = timer.run_s((1,), "float32", _nothing, copies=0)
    launch_s = timer.op_s((1,), "float32", _negative, empty_s, copies=_TINY_COPIES)
    rates: dict[str, dict[str, float]] = {}
    missing = {}
    for data_type in DATA_TYPES:
        try:
            found = {
                kind.value: one.operations
                / max(timer.op_s(one.shape, data_type, one.make, empty_s) - launch_s, _SHORTEST_S)
                for kind, one in _BENCHMARKS.items()
            }
        except (tf.errors.OpError, TypeError, ValueError) as error:
            missing[data_type] = str(error).splitlines()[0][:200]
            continue
        for kind_name, rate in found.items():
            rates.setdefault(kind_name, {})[data_type] = rate
    streams = [
        [
            size,
            2
            * size
            / max(timer.op_s((size // 4,), "float32", _negative, empty_s) - launch_s, _SHORTEST_S),
        ]
        for size in STREAMED_BYTES
    ]
    return {
        "rates": rates,
        "streams": streams,
        "launch_s": launch_s,
        "run_s": empty_s,
        "missing": missing,
    }


class _Timer:
    """Times copies of an op, each set in a graph and a session of its own."""

    def __init__(self, threads: Threads, seconds: float) -> None:
        self._seconds = seconds
        self._config = session_config(threads, "cpu")
        # Equal ops stay apart, and nothing is worked out in advance.
        self._config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._config.graph_options.optimizer_options.opt_level = -1

    def op_s(
        self,
        shape: Sequence[int],
        data_type: str,
        make: Callable[[Any, str], Any],
        empty_s: float,
        copies: int = _COPIES,
    ) -> float:
        """Seconds of one op; see :meth:`run_s`."""
        run_s = self.run_s(shape, data_type, make, copies)
        return max(_SHORTEST_S, run_s - empty_s) / copies

    def run_s(
        self,
        shape: Sequence[int],
        data_type: str,
        make: Callable[[Any, str], Any],
        copies: int,
    ) -> float:
        """Seconds of a run (median): ``copies`` ops that read one variable of that shape."""
        with tf.Graph().as_default() as graph:
            values = np.random.default_rng(0).uniform(0.5, 1.5, shape)
            variable = tf.compat.v1.get_variable(
                "x", initializer=tf.constant(values, data_type), use_resource=True
            )
            read = variable.read_value()
            made = [make(read, data_type) for _ in range(copies)]
            # Outputs are not fetched: copying them out is no part of an op.
            run = tf.group(read.op, *(tensor.op for tensor in made))
            with tf.compat.v1.Session(graph=graph, config=self._config) as session:
                session.run(variable.initializer)
                return self._median_s(session.make_callable(run))

    def _median_s(self, call: Callable[[], Any]) -> float:
        call()
        runs: list[float] = []
        began = time.perf_counter()
        while len(runs) < _LEAST_RUNS or time.perf_counter() - began < self._seconds:
            started = time.perf_counter()
            call()
            runs.append(time.perf_counter() - started)
        return statistics.median(runs)


def _nothing(x: Any, _: str) -> Any:
    return x


def _negative(x: Any, _: str) -> Any:
    return tf.negative(x)


def _weights(shape: Sequence[int], data_type: str) -> Any:
    values = np.random.default_rng(1).normal(size=shape)
    return tf.constant(values, data_type)


def _matmul(x: Any, data_type: str) -> Any:
    return tf.matmul(x, _weights((_SIDE, _SIDE), data_type))


def _convolution(x: Any, data_type: str) -> Any:
    return tf.nn.conv2d(x, _weights((3, 3, _CHANNELS, _CHANNELS), data_type), 1, "SAME")


def _depthwise(x: Any, data_type: str) -> Any:
    weights = _weights((3, 3, _CHANNELS, 1), data_type)
    return tf.nn.depthwise_conv2d(x, weights, (1, 1, 1, 1), "SAME")


def _cast(x: Any, data_type: str) -> Any:
    """To the data type: the input is one of the other width."""
    other = "bfloat16" if data_type == "float32" else "float32"
    return tf.cast(tf.cast(x, other), data_type)


_PIXELS = int(np.prod(_PICTURE))
_BENCHMARKS: Mapping[Kind, _Benchmark] = {
    Kind.MATMUL: _Benchmark((_SIDE, _SIDE), 2 * _SIDE**3, _matmul),
    Kind.CONVOLUTION: _Benchmark(_PICTURE, 2 * _PIXELS * 9 * _CHANNELS, _convolution),
    Kind.DEPTHWISE: _Benchmark(_PICTURE, 2 * _PIXELS * 9, _depthwise),
    Kind.ELEMENTWISE: _Benchmark(_FLAT, _FLAT[0], lambda x, _: tf.add(x, x)),
    Kind.TRANSCENDENTAL: _Benchmark(
        _FLAT, TRANSCENDENTAL_OPERATIONS * _FLAT[0], lambda x, _: tf.tanh(x)
    ),
    Kind.REDUCTION: _Benchmark(_PICTURE, _PIXELS, lambda x, _: tf.reduce_sum(x, (1, 2))),
    Kind.POOLING: _Benchmark(_PICTURE, _PIXELS, lambda x, _: tf.nn.max_pool2d(x, 2, 2, "SAME")),
    Kind.MOVEMENT: _Benchmark(_PICTURE, _PIXELS, lambda x, _: tf.transpose(x, (0, 2, 1, 3))),
    # There and back: the time of one is about half.
    Kind.CAST: _Benchmark(_FLAT, 2 * _FLAT[0], _cast),
}
