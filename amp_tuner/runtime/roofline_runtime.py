"""Runtime ``roofline``: the engine's rewritten graphs, run on this CPU for their accuracy alone."""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.graph.traced_run import TracedRun
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.engine_runtime import EngineRuntime
from amp_tuner.runtime.sessions import session_config
from amp_tuner.runtime.traced_run import traced_run
from amp_tuner.worker.protocol import ModelSource, Threads


class RooflineRuntime(EngineRuntime):
    """Graphs are rewritten for the modelled device; what runs, runs on the CPU.

    Args and errors: as for the engine; ``device`` is the modelled one.
    """

    def __init__(self, source: ModelSource, device: str, threads: Threads, scratch: str) -> None:
        tf.config.set_visible_devices([], "GPU")
        super().__init__(source, device, threads, scratch)

    def traced_run(self, feed: Optional[Feed]) -> TracedRun:
        """One FP32 run on ``feed``.

        Raises:
            InputError: there are no data.
        """
        if feed is None:
            raise InputError.one("$.data", "shapes are those of a run, and there are no data")
        return traced_run(
            self.served(self._frozen.graph_def), feed, session_config(self._threads, "cpu")
        )
