"""A worker that lowers settings for a device that is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.records import FLOAT32
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource

_NO_DEVICE = "the device is elsewhere: nothing runs here"


class LoweringClient:
    """Lowers settings to artifacts and runs none of them.

    Methods, and what they raise, are those of :class:`WorkerClient`.

    Args:
        lowering: a worker.
        facts: what is known of the device and its software; ``stablehlo`` is the newest version
            that is read there.
        tf32: whether float32 products may be rounded as TF32 does.
    """

    def __init__(self, lowering: WorkerClient, facts: Mapping[str, Any], *, tf32: bool) -> None:
        self._lowering = lowering
        self._facts = facts
        self.tf32 = tf32
        self.dropped_variables = lowering.dropped_variables

    @property
    def timeout_s(self) -> float:
        """Seconds that a request may take before the worker is killed."""
        return self._lowering.timeout_s

    @timeout_s.setter
    def timeout_s(self, seconds: float) -> None:
        self._lowering.timeout_s = seconds

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._lowering.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._lowering.alive

    def hello(self) -> dict[str, Any]:
        """Facts about the software, and about the device as far as it is known."""
        return {**self._lowering.hello(), **self._facts}

    def load(
        self, model: ModelSource, data: DataSource | None, runtime: str, device: str
    ) -> LoadedModel:
        """Loads a model; the data's shapes are the artifacts'."""
        return self._lowering.load(model, data, runtime, device)

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
            self._lower(candidate, tf32=self.tf32)

    def artifact(self, candidate: Candidate, *, tf32: bool) -> Path:
        """The path of a setting's artifact (its manifest).

        Raises:
            InputError: the FP32 model itself is nothing that XLA can compile.
            WorkerFailure: this setting is not.
        """
        return Path(self._lowered(candidate, tf32=tf32)["manifest"])

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:  # noqa: ARG002
        """Lowers a setting; see :meth:`WorkerClient.build`, and ``manifest``, its path.

        Raises:
            InputError: the FP32 model itself is nothing that XLA can compile.
        """
        lowered = self._lowered(candidate, tf32=self.tf32)
        return {
            "manifest": lowered["manifest"],
            "seconds": lowered["seconds"],
            "steps_s": {"lower": lowered["seconds"]},
            "type_attributes_16bit": lowered["type_attributes_16bit"],
            "graph_matches": True,
            "differences": [],
        }

    def outputs(
        self, key: str, start: int, stop: int, path: Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """Nothing computes outputs here."""
        raise WorkerFailure(f"{_NO_DEVICE}: {(key, start, stop, path, names)}", fatal=False)

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Nothing is timed here."""
        raise WorkerFailure(f"{_NO_DEVICE}: {(key, first_batch, runs)}", fatal=False)

    def drop(self, key: str) -> None:
        """Nothing is held for a setting."""

    def last_words(self) -> str:
        """The last 4 KiB that the worker printed."""
        return self._lowering.last_words()

    def close(self) -> None:
        """Ends the worker, and removes what it wrote to its scratch."""
        self._lowering.close()

    def _lowered(self, candidate: Candidate, *, tf32: bool) -> dict[str, Any]:
        try:
            return self._lower(candidate, tf32=tf32)
        except InputError as error:
            if candidate.data_type == FLOAT32:
                raise
            raise WorkerFailure(str(error.problems[0].message), fatal=False) from error

    def _lower(self, candidate: Candidate, *, tf32: bool) -> dict[str, Any]:
        return self._lowering.lower(candidate, tf32=tf32, stablehlo=self._facts["stablehlo"])
