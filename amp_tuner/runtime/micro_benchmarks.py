"""What a device model needs to know of the CPU at hand, from single ops under TensorFlow.

Each benchmark runs copies of one op in a session of its own: the time of a run, less that of an
empty one, over the number of copies. Weights are constants, other inputs variables, as in a model.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from amp_tuner.roofline.work import (
    NORMALISATION_OPERATIONS,
    TRANSCENDENTAL_OPERATIONS,
    Kind,
    Work,
    work_of,
)
from amp_tuner.runtime.sessions import session_config
from amp_tuner.worker.protocol import Threads

DATA_TYPES = ("float32", "bfloat16", "float16")
#: Bytes of a tensor that is read and written; the first fits any cache, the last hardly any.
STREAMED_BYTES = tuple(2**power for power in range(18, 28, 2))
_PICTURE = (4, 56, 56, 64)
_CHANNELS = _PICTURE[-1]
_SMALL_PICTURE = (1, 8, 8, _CHANNELS)
_SIDE = 1024
_FLAT = (2**18,)
_COPIES = 4
_TINY_COPIES = 64
_BYTES = 4
_ROUNDS = 10
_SHORTEST_S = 1e-9


class _Benchmark(NamedTuple):
    """An op of one input.

    Attributes:
        shape: of the input.
        make: the op; given the input and the data type.
        work: of one.
    """

    shape: Sequence[int]
    make: Callable[[Any, str], Any]
    work: Work


def micro_benchmarks(threads: Threads, seconds: float) -> dict[str, Any]:
    """Rates, bandwidths and overheads of this CPU, and what its TensorFlow fuses.

    Args:
        threads: of each session.
        seconds: that each benchmark takes, about.

    Returns:
        ``rates``: kind of work to data type to operations per second. ``convolutions``: for each
        its ``operations``, ``gathered`` and ``window_rows`` (see ``Work``), and data type to
        ``seconds``. ``streams``: pairs of a tensor's bytes and the bytes per second at which it is
        read and written. ``launch_s`` of an op, ``run_s`` of a run beside its ops. ``fused``: the
        data types in which a convolution, its bias and its activation are one kernel.
        ``missing``: data types that are left out, with why.
    """
    timer = _Timer(threads)
    missing = timer.missing(DATA_TYPES)
    data_types = [name for name in DATA_TYPES if name not in missing]
    runs: dict[Hashable, _Run] = {
        (one, data_type): _Run(one.shape, data_type, one.make, _COPIES)
        for one in _BENCHMARKS
        for data_type in data_types
    }
    for size in STREAMED_BYTES:
        runs[size] = _Run((size // _BYTES,), "float32", _negative, _COPIES)
    found = timer.typical_s({"run": _EMPTY, "launch": _TINY, **runs}, seconds)
    empty_s = found["run"]
    launch_s = max(_SHORTEST_S, found["launch"] - empty_s) / _TINY_COPIES

    def op_s(key: Hashable) -> float:
        """Of one op, beside its launch."""
        return max(_SHORTEST_S, (found[key] - empty_s) / _COPIES - launch_s)

    return {
        "rates": {
            one.work.kind.value: {
                name: one.work.operations / op_s((one, name)) for name in data_types
            }
            for one in _BENCHMARKS
            if one.work.kind is not Kind.CONVOLUTION
        },
        "convolutions": [
            {
                "operations": one.work.operations,
                "gathered": one.work.gathered,
                "window_rows": one.work.window_rows,
                "seconds": {name: op_s((one, name)) for name in data_types},
            }
            for one in _BENCHMARKS
            if one.work.kind is Kind.CONVOLUTION
        ],
        "streams": [[size, 2 * size / op_s(size)] for size in STREAMED_BYTES],
        "launch_s": launch_s,
        "run_s": empty_s,
        "fused": [name for name in data_types if timer.fuses(name)],
        "missing": missing,
    }


class _Run(NamedTuple):
    """Copies of an op in one session.

    Attributes:
        shape: of the variable that each reads.
        data_type: of that.
        make: the op.
        copies: how many.
    """

    shape: Sequence[int]
    data_type: str
    make: Callable[[Any, str], Any]
    copies: int


class _Timer:
    """Times copies of an op, each set in a graph and a session of its own."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def missing(self, data_types: Sequence[str]) -> dict[str, str]:
        """Data types in which an op does not run, with why."""
        causes = {data_type: self._cause(data_type) for data_type in data_types}
        return {data_type: cause for data_type, cause in causes.items() if cause is not None}

    def _cause(self, data_type: str) -> Optional[str]:
        try:
            for one in _BENCHMARKS:
                with self._opened(_Run(one.shape, data_type, one.make, 1)) as call:
                    call()
        except (tf.errors.OpError, TypeError, ValueError) as error:
            return str(error).splitlines()[0][:200]
        return None

    def typical_s(self, runs: Mapping[Any, _Run], seconds: float) -> dict[Any, float]:
        """Seconds of each run (median over all rounds).

        What else the machine does comes and goes. Each round goes through all runs, those that are
        compared next to each other, so that a bad time of the machine is a bad time for all: their
        ratios, which settings are told apart by, are steadier than the least times would be.

        Args:
            runs: by any name.
            seconds: that each takes in all rounds, about; 0: one round.
        """
        found: dict[Any, list[float]] = {name: [] for name in runs}
        rounds = _ROUNDS if seconds else 1
        with ExitStack() as opened:
            calls = {name: opened.enter_context(self._opened(run)) for name, run in runs.items()}
            for _ in range(rounds):
                for name, call in calls.items():
                    found[name] += _runs_s(call, seconds / rounds)
        return {name: statistics.median(runs_s) for name, runs_s in found.items()}

    def fuses(self, data_type: str) -> bool:
        """Whether the runtime makes one kernel of a convolution, its bias and its activation."""
        config = session_config(self._threads, "cpu")
        with self._session(_SMALL_PICTURE, data_type, config) as (session, read):
            metadata = config_pb2.RunMetadata()
            bias = _weights((_CHANNELS,), data_type)
            kernel = (3, 3, _CHANNELS, _CHANNELS)
            active = tf.nn.relu(tf.nn.bias_add(_convolution(read, data_type, kernel), bias))
            options = config_pb2.RunOptions(output_partition_graphs=True)
            session.run(active, options=options, run_metadata=metadata)
        return not any(
            node.op == "Relu" for graph in metadata.partition_graphs for node in graph.node
        )

    @contextmanager
    def _opened(self, run: _Run) -> Iterator[Callable[[], Any]]:
        """A call that runs ``run`` once."""
        config = session_config(self._threads, "cpu")
        # Equal ops stay apart, and nothing is worked out in advance.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        config.graph_options.optimizer_options.opt_level = -1
        with self._session(run.shape, run.data_type, config) as (session, read):
            made = [run.make(read, run.data_type) for _ in range(run.copies)]
            # Outputs are not fetched: copying them out is no part of an op.
            yield session.make_callable(tf.group(read.op, *(tensor.op for tensor in made)))

    @contextmanager
    def _session(
        self, shape: Sequence[int], data_type: str, config: config_pb2.ConfigProto
    ) -> Iterator[tuple[Any, Any]]:
        """A session in a graph of its own, and the value of its one variable."""
        with tf.Graph().as_default() as graph:
            # Drawn by the session: a constant would stay in memory beside the variable.
            values = tf.random.stateless_uniform(shape, (0, 1), 0.5, 1.5)
            variable = tf.compat.v1.get_variable(
                "x", initializer=tf.cast(values, data_type), use_resource=True
            )
            with tf.compat.v1.Session(graph=graph, config=config) as session:
                session.run(variable.initializer)
                yield session, variable.read_value()


def _runs_s(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each call, one at least, for so long; the first, which warms up, is left out."""
    call()
    runs: list[float] = []
    began = time.perf_counter()
    while not runs or time.perf_counter() - began < seconds:
        started = time.perf_counter()
        call()
        runs.append(time.perf_counter() - started)
    return runs


def _nothing(x: Any, _: str) -> Any:
    return x


def _negative(x: Any, _: str) -> Any:
    return tf.negative(x)


_EMPTY = _Run((1,), "float32", _nothing, 0)
_TINY = _Run((1,), "float32", _negative, _TINY_COPIES)


def _weights(shape: Sequence[int], data_type: str) -> Any:
    values = np.random.default_rng(1).normal(size=shape)
    return tf.constant(values, data_type)


def _matmul(x: Any, data_type: str) -> Any:
    return tf.matmul(x, _weights((_SIDE, _SIDE), data_type))


def _convolution(x: Any, data_type: str, kernel: Sequence[int], padding: str = "SAME") -> Any:
    return tf.nn.conv2d(x, _weights(kernel, data_type), 1, padding)


def _convolving(
    picture: tuple[int, ...], kernel: tuple[int, ...], padding: str = "SAME"
) -> _Benchmark:
    """A convolution of stride 1. Shapes as TensorFlow has them: of the picture and the filter."""
    places = picture[:-1]
    if padding == "VALID":
        sides = (side - wide + 1 for side, wide in zip(picture[1:], kernel[:-2]))
        places = (picture[0], *sides)
    work = work_of("Conv2D", (picture, kernel), ((*places, kernel[-1]),), {})
    return _Benchmark(picture, partial(_convolution, kernel=kernel, padding=padding), work)


def _depthwise(x: Any, data_type: str) -> Any:
    weights = _weights((3, 3, _CHANNELS, 1), data_type)
    return tf.nn.depthwise_conv2d(x, weights, (1, 1, 1, 1), "SAME")


def _cast(x: Any, data_type: str) -> Any:
    """To the data type: the input is one of the other width."""
    other = "bfloat16" if data_type == "float32" else "float32"
    return tf.cast(tf.cast(x, other), data_type)


def _normalisation(x: Any, _: str) -> Any:
    each = tf.ones(_CHANNELS)
    return tf.compat.v1.nn.fused_batch_norm(x, each, each, each, each, is_training=False)[0]


_PIXELS = math.prod(_PICTURE)
_BENCHMARKS = (
    _Benchmark((_SIDE, _SIDE), _matmul, Work(Kind.MATMUL, 2 * _SIDE**3)),
    _Benchmark(_PICTURE, _depthwise, Work(Kind.DEPTHWISE, 2 * _PIXELS * 9)),
    _Benchmark(_FLAT, lambda x, _: tf.add(x, x), Work(Kind.ELEMENTWISE, _FLAT[0])),
    _Benchmark(
        _PICTURE, _normalisation, Work(Kind.NORMALISATION, NORMALISATION_OPERATIONS * _PIXELS)
    ),
    _Benchmark(
        _FLAT,
        lambda x, _: tf.tanh(x),
        Work(Kind.TRANSCENDENTAL, TRANSCENDENTAL_OPERATIONS * _FLAT[0]),
    ),
    _Benchmark(_PICTURE, lambda x, _: tf.reduce_sum(x, (1, 2)), Work(Kind.REDUCTION, _PIXELS)),
    _Benchmark(
        _PICTURE, lambda x, _: tf.nn.max_pool2d(x, 2, 2, "SAME"), Work(Kind.POOLING, _PIXELS)
    ),
    _Benchmark(_PICTURE, lambda x, _: tf.transpose(x, (0, 2, 1, 3)), Work(Kind.MOVEMENT, _PIXELS)),
    # There and back: the time of one is about half.
    _Benchmark(_FLAT, _cast, Work(Kind.CAST, 2 * _FLAT[0])),
    # What a filter's shape costs beside its operations shows in how these differ: many channels,
    # few, one; one channel as the result; windows that are square, and long ones.
    _convolving(_PICTURE, (3, 3, _CHANNELS, _CHANNELS)),
    _convolving((16, 56, 56, 8), (3, 3, 8, 8)),
    _convolving((64, 28, 28, 1), (3, 3, 1, 32)),
    _convolving((16, 56, 56, 1), (7, 7, 1, 32)),
    _convolving((16, 56, 56, 32), (3, 3, 32, 1)),
    _convolving((16, 28, 28, 16), (5, 5, 16, 32)),
    _convolving((4, 28, 112, 8), (3, 15, 8, 8)),
    _convolving((8, 56, 56, 32), (5, 5, 32, 8)),
    _convolving((4, 1, 20000, 1), (1, 256, 1, 1), "VALID"),
)
