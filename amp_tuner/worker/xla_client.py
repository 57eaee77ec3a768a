"""Two processes that are asked as one worker: TensorFlow lowers, JAX runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.records import FLOAT32
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.conversation import Conversation, duration_s, run_times_s, seconds
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource

#: Artifacts of so many settings stay when they are dropped: the next ones often include them.
_KEPT = 4


class XlaClient:
    """A worker that lowers settings, and a runner that compiles and runs them on the device.

    Methods, and what they raise, are those of :class:`WorkerClient`; where one of the two
    processes is gone, so is the whole.

    Args:
        lowering: a worker.
        runner: a live runner.
        facts: what the runner says of itself.
        tf32: whether float32 products may be rounded as TF32 does.
    """

    def __init__(
        self, lowering: WorkerClient, runner: Conversation, facts: dict[str, Any], *, tf32: bool
    ) -> None:
        self._lowering = lowering
        self._runner = runner
        self._facts = facts
        self._tf32 = tf32
        self._built: dict[str, Candidate] = {}
        self._dropped: list[Candidate] = []
        self.dropped_variables = lowering.dropped_variables

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
        return self._runner.process.pid

    @property
    def alive(self) -> bool:
        """Whether both can be asked."""
        return self._lowering.alive and self._runner.process.alive

    def hello(self) -> dict[str, Any]:
        """Facts about the software of both, and the device."""
        return {**self._lowering.hello(), **self._facts}

    def load(
        self, model: ModelSource, data: DataSource | None, runtime: str, device: str
    ) -> LoadedModel:
        """Loads a model for lowering, and its data on the device."""
        loaded = self._lowering.load(model, data, runtime, device)
        if data is not None:
            batch_size = loaded.fixed_batch or data.batch_size
            source = asdict(replace(data, batch_size=batch_size))
            names = [info.name for info in loaded.inputs]
            self._runner.ask("load", dict, data=source, inputs=names)
        return loaded

    def describe(
        self, rules: Sequence[str], batch_size: int | None = None
    ) -> dict[str, TypedGraph]:
        """The loaded model's graph as each rule set's pass sees it, with XLA's kernels."""
        return self._lowering.describe(rules, batch_size)

    def prepare(self, candidates: Iterable[Candidate]) -> None:
        """Lowers settings, so that what XLA cannot compile is known before anything is run.

        Raises:
            InputError: what it cannot, by node and op type.
        """
        for candidate in candidates:
            self._lower(candidate)

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:
        """Lowers and compiles a setting and runs it once; see :meth:`WorkerClient.build`.

        Raises:
            InputError: the FP32 model itself is nothing that XLA can compile.
        """
        try:
            lowered = self._lower(candidate)
        except InputError as error:
            if candidate.data_type == FLOAT32:
                raise
            raise WorkerFailure(str(error.problems[0].message), fatal=False) from error
        self._built[key] = candidate
        request = {"key": key, "manifest": lowered["manifest"]}
        run_s, compile_s = self._runner.ask("build", _build_times_s, **request)
        return {
            "seconds": lowered["seconds"] + run_s,
            "steps_s": {"lower": lowered["seconds"], "compile": compile_s},
            "type_attributes_16bit": lowered["type_attributes_16bit"],
            "graph_matches": True,
            "differences": [],
        }

    def _lower(self, candidate: Candidate) -> dict[str, Any]:
        return self._lowering.lower(candidate, tf32=self._tf32, stablehlo=self._facts["stablehlo"])

    def outputs(
        self, key: str, start: int, stop: int, path: Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """Writes the outputs of samples [start, stop); see :meth:`WorkerClient.outputs`."""
        where = str(path.absolute())
        wanted = {"start": start, "stop": stop, "path": where, "names": list(names)}
        return {"seconds": self._runner.ask("outputs", seconds, key=key, **wanted)}

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Seconds of each of ``runs`` runs, awaited on the device."""
        request = {"key": key, "first_batch": first_batch, "runs": runs}
        return self._runner.ask("block", run_times_s, **request)

    def drop(self, key: str) -> None:
        """Frees a setting's program and its weights at once, its files some settings later."""
        self._runner.ask("drop", dict, key=key)
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
        return self._runner.process.last_words()

    def close(self) -> None:
        """Ends both processes, and removes what they wrote to their scratch."""
        self._runner.process.kill()
        self._lowering.close()


def _build_times_s(answer: dict[str, Any]) -> tuple[float, float]:
    """Of a build, all of it and compiling."""
    return seconds(answer), duration_s(answer["compile_s"])
