"""The tuner's side of one live worker: a method for each action of the protocol."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from amp_tuner.errors import AmpTunerError, InputError, Problem, TargetError, WorkerFailure
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.text import one_line
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource, Threads
from amp_tuner.worker.supervisor import WorkerProcess

Answer = TypeVar("Answer")
Error = InputError | TargetError | WorkerFailure
#: What reading a reply raises that no worker gives.
_NO_REPLY = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SHOWN = 200


class WorkerClient:
    """One live worker process.

    Each method raises WorkerFailure (a fatal one: the worker is gone and must be replaced),
    InputError (the user's model, data or setting is wrong) or TargetError (cannot be done here).

    Attributes:
        timeout_s: seconds that a request may take before the worker is killed; may be changed
            between requests.
        threads: what each session of this worker runs with.
        dropped_variables: names of the tuner's environment that were kept from the worker.
    """

    def __init__(
        self,
        process: WorkerProcess,
        *,
        threads: Threads,
        scratch: Path,
        timeout_s: float,
        dropped_variables: tuple[str, ...],
    ) -> None:
        self._process = process
        self._scratch = scratch
        self._last_id = 0
        self.threads = threads
        self.timeout_s = timeout_s
        self.dropped_variables = dropped_variables

    @property
    def pid(self) -> int:
        """The worker's process id, which is its process group's too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the worker can be asked; False after a fatal failure and after close()."""
        return self._process.alive

    def hello(self) -> dict[str, Any]:
        """Facts about the target's software: python, executable, tensorflow, numpy, devices."""
        return self._ask("hello", dict)

    def load(
        self, model: ModelSource, data: DataSource | None, runtime: str, device: str
    ) -> LoadedModel:
        """Loads a model; loading the same again with other data keeps the model."""
        return self._ask(
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
        return self._ask("describe", _graphs, rules=list(rules), batch_size=batch_size)

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:
        """Makes a session for a setting and runs it once (with data; else only makes it).

        Returns:
            ``seconds`` it took, ``type_attributes_16bit`` in the graph that runs,
            ``graph_matches``: whether that is what our own rewrite gives, ``differences``: the
            first ten texts on where it is not.
        """
        return self._ask("build", dict, key=key, candidate=candidate.to_json())

    def outputs(
        self, key: str, start: int, stop: int, path: Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """Writes the outputs of samples [start, stop) to ``path``, an ``.npz``, one array a name.

        Returns:
            ``seconds`` that inference took.
        """
        wanted = {"start": start, "stop": stop, "path": str(path), "names": list(names)}
        return {"seconds": self._ask("outputs", _seconds, key=key, **wanted)}

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Seconds of each of ``runs`` runs, cycling through the timing batches."""
        return self._ask("block", _run_times_s, key=key, first_batch=first_batch, runs=runs)

    def drop(self, key: str) -> None:
        """Closes a setting's session and frees what it held."""
        self._ask("drop", dict, key=key)

    def save(self, key: str, path: Path, form: str, *, fold_weights: bool = True) -> None:
        """Writes a built setting's rewritten graph, whole or not at all.

        Args:
            key: a setting that was built.
            path: where to.
            form: ``saved_model`` (a folder), ``pb`` (a GraphDef) or ``log`` (the five files of a
                pass's run, added to a folder).
            fold_weights: store painted weights in 16 bits.
        """
        self._ask("save", dict, key=key, path=str(path), form=form, fold_weights=fold_weights)

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
        return self._ask(
            "read_log",
            _logged,
            path=str(folder),
            rules=rules,
            fetches=list(fetches),
            batch_size=batch_size,
        )

    def last_words(self) -> str:
        """The last 4 KiB that the worker printed."""
        return self._process.last_words()

    def close(self) -> None:
        """Ends the worker and its process group, and removes what it wrote to its scratch."""
        self._process.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, action: str, read: Callable[[dict[str, Any]], Answer], **arguments: Any
    ) -> Answer:
        """What ``read`` makes of the answer; a reply that no worker gives ends the worker."""
        self._last_id += 1
        request = {"id": self._last_id, "action": action, **arguments}
        line = self._process.exchange(json.dumps(request).encode() + b"\n", self.timeout_s)
        try:
            answer = self._answer(line, read)
        except _NO_REPLY as error:
            # A kernel that wrote past its memory may have changed anything in that process.
            what = f"{type(error).__name__}: {error}"
            raise self._process.broken(what[:_SHOWN]) from error
        if isinstance(answer, AmpTunerError):
            raise answer
        return answer

    def _answer(self, line: bytes, read: Callable[[dict[str, Any]], Answer]) -> Answer | Error:
        reply = json.loads(line, parse_constant=_refused)
        if reply["id"] != self._last_id:
            raise ValueError(f"an answer to request {reply['id']!r}, not to {self._last_id}")
        return self._error(**reply["error"]) if "error" in reply else read(reply["ok"])

    def _error(self, kind: str, message: str, problems: Sequence[Sequence[str]] = ()) -> Error:
        if kind == "input":
            return InputError(Problem(str(where), str(text)) for where, text in problems)
        if kind == "target":
            return TargetError(message)
        return WorkerFailure(one_line(message), self._process.last_words(), fatal=False)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _graphs(answer: dict[str, Any]) -> dict[str, TypedGraph]:
    return {name: TypedGraph.from_json(graph) for name, graph in answer["graphs"].items()}


def _logged(answer: dict[str, Any]) -> tuple[TypedGraph, dict[str, Any]]:
    return TypedGraph.from_json(answer.pop("graph")), answer


def _seconds(answer: dict[str, Any]) -> float:
    return _positive(answer["seconds"])


def _run_times_s(answer: dict[str, Any]) -> tuple[float, ...]:
    return tuple(_positive(seconds) for seconds in answer["run_s"])


def _positive(seconds: Any) -> float:
    if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ValueError(f"{seconds!r} is no duration")
    return float(seconds)
