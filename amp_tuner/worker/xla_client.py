"""Two processes that are asked as one worker: TensorFlow lowers, JAX runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.lowering_client import LoweringClient
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource
from amp_tuner.worker.runner_client import RunnerClient

#: Artifacts of so many settings stay when they are dropped: the next ones often include them.
_KEPT = 4


class XlaClient(LoweringClient):
    """A worker that lowers settings, and a runner that compiles and runs them on the device.

    Methods, and what they raise, are those of :class:`WorkerClient`; where one of the two
    processes is gone, so is the whole.

    Args:
        lowering: a worker.
        runner: a live runner.
        tf32: whether float32 products may be rounded as TF32 does.
    """

    def __init__(self, lowering: WorkerClient, runner: RunnerClient, *, tf32: bool) -> None:
        super().__init__(lowering, runner.facts, tf32=tf32)
        self._runner = runner
        self._built: dict[str, Candidate] = {}
        self._dropped: list[Candidate] = []

    @property
    def timeout_s(self) -> float:
        """Seconds that a request may take before the process that it went to is killed."""
        return self._runner.timeout_s

    @timeout_s.setter
    def timeout_s(self, seconds: float) -> None:
        self._lowering.timeout_s = self._runner.timeout_s = seconds

    @property
    def pid(self) -> int:
        """The runner's process id, which is its process group's too."""
        return self._runner.pid

    @property
    def alive(self) -> bool:
        """Whether both can be asked."""
        return self._lowering.alive and self._runner.alive

    def load(
        self, model: ModelSource, data: DataSource | None, runtime: str, device: str
    ) -> LoadedModel:
        """Loads a model for lowering, and its data on the device."""
        loaded = super().load(model, data, runtime, device)
        if data is not None:
            batch_size = loaded.fixed_batch or data.batch_size
            source = asdict(replace(data, batch_size=batch_size))
            self._runner.load(source, [info.name for info in loaded.inputs])
        return loaded

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:
        """Lowers and compiles a setting and runs it once; see :meth:`WorkerClient.build`.

        Raises:
            InputError: the FP32 model itself is nothing that XLA can compile.
        """
        built = super().build(key, candidate)
        self._built[key] = candidate
        run_s, compile_s = self._runner.build(key, Path(built["manifest"]))
        steps_s = {**built["steps_s"], "compile": compile_s}
        return {**built, "seconds": built["seconds"] + run_s, "steps_s": steps_s}

    def outputs(
        self, key: str, start: int, stop: int, path: Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """Writes the outputs of samples [start, stop); see :meth:`WorkerClient.outputs`."""
        return {"seconds": self._runner.outputs(key, start, stop, path, names)}

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Seconds of each of ``runs`` runs, awaited on the device."""
        return self._runner.block(key, first_batch, runs)

    def drop(self, key: str) -> None:
        """Frees a setting's program and its weights at once, its files some settings later."""
        self._runner.drop(key)
        candidate = self._built.pop(key, None)
        if candidate is None:
            return
        self._dropped = [*(one for one in self._dropped if one != candidate), candidate]
        while len(self._dropped) > _KEPT:
            oldest = self._dropped.pop(0)
            if oldest not in self._built.values():
                self._lowering.forget(oldest)

    def last_words(self) -> str:
        """The last 4 KiB that the runner printed."""
        return self._runner.last_words()

    def close(self) -> None:
        """Ends both processes, and removes what they wrote to their scratch."""
        self._runner.close()
        super().close()
