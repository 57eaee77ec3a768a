"""Runtime ``engine``: our own rewrite, baked into the frozen graph.

A training step is no frozen graph: its variables stay variables, in float32, since no pass converts
what reads and updates them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.errors import InputError
from amp_tuner.records import FLOAT32
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.graph_changes import changed_type_attributes, weight_bytes
from amp_tuner.runtime.kernels import KernelTable
from amp_tuner.runtime.loader import FrozenModel, ServedModel, load_model
from amp_tuner.runtime.loader_graph import all_nodes
from amp_tuner.runtime.pass_dumps import write_dump
from amp_tuner.runtime.rewrite_graph import apply_painting
from amp_tuner.runtime.saved_model_writer import write_graph_def, write_saved_model
from amp_tuner.runtime.sessions import Built, first_run, fixed_batch, session_config
from amp_tuner.runtime.shapes import with_shapes
from amp_tuner.runtime.step_session import new_session
from amp_tuner.worker.protocol import Candidate, LoadedModel, ModelSource, Threads

DEFAULT_DEVICES = {"cpu": "CPU", "gpu": "GPU", "xpu": "XPU"}
_NOT_BAKED = (
    "a training step cannot be baked: its variables belong to the program that trains; allowed are "
    "the forms that hold the pass's variables, such as env and python"
)


class EngineRuntime:
    """The model with its weights as constants, or a step with its variables; rewritten.

    Args:
        source: the model.
        device: ``cpu`` or ``gpu``: where nodes run that name no device.
        threads: of each session.
        scratch: an existing folder for weights that one graph cannot hold.

    Raises:
        InputError: the model cannot be loaded.
    """

    def __init__(self, source: ModelSource, device: str, threads: Threads, scratch: str) -> None:
        self._device = device
        self._threads = threads
        self._frozen = load_model(source, scratch)
        self._prepared: dict[str, PreparedGraph] = {}
        self.loaded = loaded_model(self._frozen, self._frozen.graph_def)

    def describe(self, rules: Sequence[str], batch_size: Optional[int]) -> dict[str, Any]:
        """Typed graphs of the frozen graph, as JSON, by rule set name."""
        graphs = {name: self._prepared_for(rule_set(name)).graph for name in rules}
        if batch_size is not None:
            graphs = {
                name: with_shapes(graph, self._frozen.graph_def, batch_size)
                for name, graph in graphs.items()
            }
        return {name: graph.to_json() for name, graph in graphs.items()}

    def build(self, candidate: Candidate, feed: Optional[Feed]) -> Built:
        """A session on the rewritten graph, casts of weights folded."""
        graph_def = self._rewritten(candidate, fold_weights=True)
        config = session_config(self._threads, self._device)
        # It encodes constants anew, which takes seconds for large weights. Both sides of a pair run
        # without it; a test holds that nodes and outputs are the same.
        config.graph_options.rewrite_options.disable_tfg_optimizer = True
        session = new_session(self.served(graph_def), config)
        first_run(session, feed)
        changed = changed_type_attributes(self._frozen.graph_def, graph_def)
        return Built(session, len(changed))

    def served(self, graph_def: graph_pb2.GraphDef) -> ServedModel:
        """A graph with the frozen model's signature, to be opened."""
        return ServedModel(
            folder=None,
            tags=(),
            graph_def=graph_def,
            signature=self._frozen.signature,
            inputs=self._frozen.inputs,
            outputs=self._frozen.outputs,
            feeds=self._frozen.feeds,
            fetches=self._frozen.fetches,
            initializers=self._frozen.initializers,
            weights=self._frozen.weights,
            step=self._frozen.step,
        )

    def save(self, candidate: Candidate, path: str, form: str, *, fold_weights: bool) -> None:
        """Writes the rewritten graph: ``saved_model``, ``pb`` or ``log`` (a pass's log folder).

        Raises:
            InputError: it is a training step, whose variables stay with the program that trains.
        """
        if self._frozen.step is not None:
            raise InputError.one(path, _NOT_BAKED)
        graph_def = self._rewritten(candidate, fold_weights=fold_weights)
        if form == "log":
            family = rule_set(candidate.rules).family
            write_dump(Path(path), family, self._frozen.graph_def, graph_def, candidate.lists)
        elif form == "pb":
            if self._frozen.weights is not None:
                text = "a .pb holds at most 2 GiB, weights included; name a folder: a SavedModel"
                raise InputError.one(path, text)
            write_graph_def(graph_def, Path(path))
        else:
            write_saved_model(graph_def, self._frozen, Path(path))

    def _rewritten(self, candidate: Candidate, *, fold_weights: bool) -> graph_pb2.GraphDef:
        if candidate.data_type == FLOAT32:
            return self._frozen.graph_def
        rules = rule_set(candidate.rules)
        check_data_type(candidate, rules.data_type)
        prepared = self._prepared_for(rules)
        painting = paint(prepared, candidate.lists, candidate.level)
        keep = self._frozen.preserved() if fold_weights else None
        return apply_painting(self._frozen.graph_def, prepared, painting, keep)

    def _prepared_for(self, rules: RuleSet) -> PreparedGraph:
        """The graph as flat arrays: describing it costs far more than painting it."""
        if rules.identifier not in self._prepared:
            device = DEFAULT_DEVICES[self._device]
            preserved = self._frozen.preserved()
            graph = describe(self._frozen.graph_def, rules, preserved, device, self._kernels())
            self._prepared[rules.identifier] = prepare(graph, rules)
        return self._prepared[rules.identifier]

    def _kernels(self) -> Optional[KernelTable]:
        """Which kernels the rewritten graph may use; None: those of the rule set's device."""
        return None


def check_data_type(candidate: Candidate, of_rules: str) -> None:
    """Raises InputError where a rule set is not for the candidate's data type."""
    if candidate.data_type != of_rules:
        message = f"{candidate.rules} is for {of_rules}, not {candidate.data_type}"
        raise InputError.one("$.target.rules", message)


def loaded_model(model: FrozenModel | ServedModel, graph_def: graph_pb2.GraphDef) -> LoadedModel:
    """What the tuner is told about a model; ``graph_def`` is the graph that it runs."""
    return LoadedModel(
        inputs=model.inputs,
        outputs=model.outputs,
        nodes=sum(1 for _ in all_nodes(graph_def)),
        weight_bytes=weight_bytes(graph_def),
        fixed_batch=fixed_batch(model.inputs),
        notices=model.notices,
    )
