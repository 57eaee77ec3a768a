"""The tuner's side of one live worker: a method for each action of the protocol."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amp_tuner.graph.traced_run import TracedRun
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.worker.conversation import Conversation, seconds
from amp_tuner.worker.process_client import ProcessClient
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource, Threads


class WorkerClient(ProcessClient):
    """One live worker process.

    Each method raises WorkerFailure (a fatal one: the worker is gone and must be replaced),
    InputError (the user's model, data or setting is wrong) or TargetError (cannot be done here).

    Attributes:
        threads: what each session of this worker runs with.
        dropped_variables: names of the tuner's environment that were kept from the worker.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        threads: Threads,
        scratch: Path,
        dropped_variables: tuple[str, ...],
    ) -> None:
        super().__init__(conversation)
        self._scratch = scratch
        self.threads = threads
        self.dropped_variables = dropped_variables

    def hello(self) -> dict[str, Any]:
        """Facts about the target's software: python, executable, tensorflow, numpy, devices."""
        return self._conversation.ask("hello", dict)

    def load(
        self, model: ModelSource, data: DataSource | None, runtime: str, device: str
    ) -> LoadedModel:
        """Loads a model; loading the same again with other data keeps the model."""
        return self._conversation.ask(
            "load",
            LoadedModel.from_json,
            model=model.to_json(),
            data=None if data is None else asdict(data),
            runtime=runtime,
            device=device,
            threads=asdict(self.threads),
            scratch=str(self._scratch),
        )

    def describe(
        self, rules: Sequence[str], batch_size: int | None = None
    ) -> dict[str, TypedGraph]:
        """The loaded model's graph as each rule set's pass sees it, by rule set name.

        Args:
            rules: names of rule sets.
            batch_size: also infer shapes, with this where an input's first dimension is free.
        """
        request = {"rules": list(rules), "batch_size": batch_size}
        return self._conversation.ask("describe", _graphs, **request)

    def prepare(self, candidates: Iterable[Candidate]) -> None:
        """Finds out whether settings can be built at all; here every setting can be tried."""

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:
        """Makes a session for a setting and runs it once (with data; else only makes it).

        Returns:
            ``seconds`` it took, ``steps_s``: those of its steps that are known,
            ``type_attributes_16bit`` in the graph that runs, ``graph_matches``: whether that is
            what our own rewrite gives, ``differences``: the first ten texts on where it is not.
        """
        return self._conversation.ask("build", dict, key=key, candidate=candidate.to_json())

    def lower(self, candidate: Candidate, *, tf32: bool, stablehlo: str) -> dict[str, Any]:
        """Writes a setting as an artifact for a runner, with a model loaded for runtime ``xla``.

        Args:
            candidate: the setting.
            tf32: whether float32 products may be rounded as TF32 does.
            stablehlo: the newest version that the runner reads.

        Returns:
            ``manifest``: the artifact's path, ``seconds`` it took, ``type_attributes_16bit``.
        """
        request = {"candidate": candidate.to_json(), "tf32": tf32, "stablehlo": stablehlo}
        return self._conversation.ask("lower", _lowered, **request)

    def traced_run(self) -> TracedRun:
        """One FP32 run on the first timing batch, of a model loaded for runtime ``roofline``."""
        return self._conversation.ask("traced_run", TracedRun.from_json)

    def micro_benchmarks(self, seconds: float) -> dict[str, Any]:
        """Rates, bandwidths and overheads of the CPU; no model is needed.

        Args:
            seconds: that each of some sixty benchmarks takes, about.

        Returns:
            See ``amp_tuner.runtime.micro_benchmarks``.
        """
        arguments = {"threads": asdict(self.threads), "seconds": seconds}
        return self._conversation.ask("micro_benchmarks", dict, **arguments)

    def forget(self, candidate: Candidate) -> None:
        """Removes the artifacts of a lowered setting; it can be lowered again."""
        self._conversation.ask("forget", dict, candidate=candidate.to_json())

    def outputs(
        self, key: str, start: int, stop: int, path: Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """Writes the outputs of samples [start, stop) to ``path``, an ``.npz``, one array a name.

        A training step's samples are loss curves: the arrays have the shape (curves, steps).

        Returns:
            ``seconds`` that running took.
        """
        wanted = {"start": start, "stop": stop, "path": str(path), "names": list(names)}
        return {"seconds": self._conversation.ask("outputs", seconds, key=key, **wanted)}

    def save(self, key: str, path: Path, form: str, *, fold_weights: bool = True) -> None:
        """Writes a built setting's rewritten graph, whole or not at all.

        Args:
            key: a setting that was built.
            path: where to.
            form: ``saved_model`` (a folder), ``pb`` (a GraphDef) or ``log`` (the five files of a
                pass's run, added to a folder).
            fold_weights: store painted weights in 16 bits.
        """
        request = {"key": key, "path": str(path), "form": form, "fold_weights": fold_weights}
        self._conversation.ask("save", dict, **request)

    def read_log(
        self,
        folder: Path,
        rules: str | None,
        fetches: Sequence[str],
        batch_size: int | None = None,
    ) -> tuple[TypedGraph, dict[str, Any]]:
        """The largest graph in a pass's log folder, as the pass saw it, and what it did.

        Args:
            folder: the log folder.
            rules: the rule set; None: found from what is logged.
            fetches: nodes that the pass had to keep; empty: those that nobody reads.
            batch_size: as for :meth:`describe`.

        Returns:
            The graph, and ``rules`` (identifier), ``lists`` and ``changed`` (None where nothing
            was converted), ``file``, ``runs``.
        """
        return self._conversation.ask(
            "read_log",
            _logged,
            path=str(folder),
            rules=rules,
            fetches=list(fetches),
            batch_size=batch_size,
        )

    def close(self) -> None:
        """Ends the worker and its process group, and removes what it wrote to its scratch."""
        self._conversation.process.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _graphs(answer: dict[str, Any]) -> dict[str, TypedGraph]:
    return {name: TypedGraph.from_json(graph) for name, graph in answer["graphs"].items()}


def _lowered(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "manifest": str(answer["manifest"]), "seconds": seconds(answer)}


def _logged(answer: dict[str, Any]) -> tuple[TypedGraph, dict[str, Any]]:
    return TypedGraph.from_json(answer.pop("graph")), answer
