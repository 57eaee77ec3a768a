"""Runtime ``xla``: our own rewrite, lowered to StableHLO for a runner that has the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.artifacts import keep_only
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.engine_runtime import EngineRuntime
from amp_tuner.runtime.graph_changes import changed_type_attributes
from amp_tuner.runtime.kernels import KernelTable, xla_table
from amp_tuner.runtime.lowering import Request, lower
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads


class XlaRuntime(EngineRuntime):
    """The engine's rewritten graphs, written as artifacts; nothing runs here.

    Args and errors: as for the engine. The device is the runner's.
    """

    def __init__(self, source: ModelSource, device: str, threads: Threads, scratch: str) -> None:
        # The runner's accelerator may be one that this TensorFlow would take for itself.
        tf.config.set_visible_devices([], "GPU")
        super().__init__(source, device, threads, scratch)
        self._folder = Path(scratch) / "artifacts"
        self._lowered: dict[str, dict[str, Any]] = {}

    def _kernels(self) -> Optional[KernelTable]:
        return xla_table()

    def lower(
        self, candidate: Candidate, feed: Optional[Feed], *, tf32: bool, stablehlo: str
    ) -> dict[str, Any]:
        """The artifact of a setting; the same setting again costs nothing.

        Args:
            candidate: the setting.
            feed: a batch of the data: shapes are fixed.
            tf32: whether float32 products may be rounded as TF32 does.
            stablehlo: the newest version that the runner reads.

        Returns:
            ``manifest``: its path; ``type_attributes_16bit`` in the graph.

        Raises:
            InputError: XLA cannot compile the graph, or there are no data.
            TargetError: the runner is too old for it.
        """
        if feed is None:
            raise InputError.one("$.data", "shapes are those of the data, and there are none")
        shapes = [[array.shape, array.dtype.name] for array in feed]
        key = json.dumps([candidate.to_json(), shapes, tf32, stablehlo])
        if key not in self._lowered:
            graph_def = self._rewritten(candidate, fold_weights=True)
            request = Request(tf32, stablehlo, self._folder)
            manifest = lower(graph_def, self._frozen, feed, request)
            changed = changed_type_attributes(self._frozen.graph_def, graph_def)
            self._lowered[key] = {
                "manifest": str(manifest),
                "type_attributes_16bit": len(changed),
            }
        return self._lowered[key]

    def forget(self, candidate: Candidate) -> None:
        """Removes the artifacts of a setting; weights that others read stay."""
        own = candidate.to_json()
        for key in [key for key in self._lowered if json.loads(key)[0] == own]:
            del self._lowered[key]
        keep_only(self._folder, {Path(one["manifest"]) for one in self._lowered.values()})
