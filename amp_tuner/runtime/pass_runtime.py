"""What runtimes have in common whose graphs a real pass rewrites, on the model as it is served.

A pass reads its lists from environment variables while a session optimises its graph, and tells of
a failure only in a log: a session whose pass failed runs pure FP32. So each setting has a session
of its own, the variables are set only until that session has run once, and what the pass did is
read from its dumps.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Optional

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2

from amp_tuner.amp.environment import from_environment, log_variable
from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.errors import InputError, RewriteError, WorkerFailure
from amp_tuner.records import FLOAT32
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.engine_runtime import check_data_type, loaded_model
from amp_tuner.runtime.graph_changes import TypeAttribute, changed_type_attributes, differences_of
from amp_tuner.runtime.loader import served_model
from amp_tuner.runtime.loader_graph import all_nodes, node_name, pruned
from amp_tuner.runtime.pass_dumps import CAST_SUFFIX, PassDump, read_dumps
from amp_tuner.runtime.pass_runs import PassRuns, is_lost
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from amp_tuner.runtime.sessions import Built, ModelSession, first_run, session_config
from amp_tuner.runtime.shapes import with_shapes
from amp_tuner.runtime.step_session import new_session
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads

#: So often a session is made until its dumps are whole.
_ATTEMPTS = 3


class PassRuntime(ABC):
    """The model as it is served; a candidate is a session whose graph a real pass has rewritten.

    Args:
        source: the model.
        device: ``cpu`` or ``gpu``.
        threads: of each session.
        scratch: an existing folder for the pass's dumps and for exported models.

    Raises:
        InputError: the model cannot be loaded.
    """

    #: As in a study file's ``target.runtime``; it is the pass's family, too.
    name: ClassVar[str]

    def __init__(self, source: ModelSource, device: str, threads: Threads, scratch: str) -> None:
        self._device = device
        self._threads = threads
        self._scratch = scratch
        self._served = served_model(source, tempfile.mkdtemp(prefix="served-", dir=scratch))
        session = new_session(self._served, session_config(threads, device))
        graph_def = self._used(session)
        session.close()
        self.loaded = loaded_model(self._served, graph_def)
        nodes = [node for _, node in all_nodes(graph_def)]
        self._op_types = frozenset(node.op for node in nodes)
        #: Whether the model itself holds Casts of an earlier rewrite.
        self._has_casts = any(node.name.endswith(CAST_SUFFIX) for node in nodes)

    @abstractmethod
    def _session_config(self, rules: RuleSet) -> config_pb2.ConfigProto:
        """What a session of the pass is made with.

        Raises:
            InputError: this runtime has no such pass.
        """

    @abstractmethod
    def _switches(self, rules: RuleSet) -> Mapping[str, str]:
        """The variables that the pass needs besides its lists."""

    @abstractmethod
    def _runs(self, dumps: Sequence[PassDump]) -> Optional[PassRuns]:
        """Whose dumps these are; None where one is missing."""

    def _why_silent(self, rules: RuleSet) -> str:
        """The cause where the pass left no dump although its lists are right."""
        del rules
        return "the pass did not run or failed at once: TensorFlow's log says why"

    def describe(self, rules: Sequence[str], batch_size: Optional[int]) -> dict[str, Any]:
        """Typed graphs as JSON, by rule set name: the graph that the pass was given.

        It is what a session with the default lists is optimised from: after TensorFlow's own
        earlier passes, with their node names. No 16-bit kernel is run.
        """
        return {name: self._typed_graph(rule_set(name), batch_size) for name in rules}

    def build(self, candidate: Candidate, feed: Optional[Feed]) -> Built:
        """A session that went through the pass, proven from the pass's dumps, and has run once.

        Raises:
            InputError: the runtime has not this data type.
            WorkerFailure: the pass did not run, failed, or converted nothing where painting says
                it must.
        """
        if candidate.data_type == FLOAT32:
            session = new_session(self._served, session_config(self._threads, self._device))
            first_run(session, feed)
            return Built(session, 0)
        rules = rule_set(candidate.rules)
        check_data_type(candidate, rules.data_type)
        session, runs = self._optimised(rules, candidate.environment, feed)
        try:
            return self._built(session, runs, rules, candidate)
        except BaseException:
            session.close()
            raise

    def save(self, candidate: Candidate, path: str, form: str, *, fold_weights: bool) -> None:
        """Not for these runtimes: what they deploy is variables.

        Raises:
            InputError: always.
        """
        del candidate, path, form, fold_weights
        message = f"{self.name} does not rewrite files: a baked model comes from runtime engine"
        raise InputError.one("$.target.runtime", message)

    def _typed_graph(self, rules: RuleSet, batch_size: Optional[int]) -> dict[str, Any]:
        session, runs = self._optimised(rules, {}, None)
        given = self._used(session) if runs is None else runs.main.before
        session.close()
        graph = describe(given, rules, self._preserved())
        if batch_size is not None:
            graph = with_shapes(graph, given, batch_size)
        lists = None if runs is None else runs.main.lists
        value: dict[str, Any] = replace(graph, lists=lists).to_json()
        return value

    def _built(
        self, session: ModelSession, runs: Optional[PassRuns], rules: RuleSet, candidate: Candidate
    ) -> Built:
        pairs: list[tuple[frozenset[TypeAttribute], frozenset[TypeAttribute]]] = []
        if runs is not None:
            # What a later run on the same graph converts is in no prediction.
            pairs += [(_changed(dump), frozenset()) for dump in runs.again]
            pairs += [
                (_changed(dump), self._predicted(dump, rules, candidate))
                for dump in (runs.main, *runs.functions)
            ]
        count = sum(len(real) for real, _ in pairs)
        if candidate.expects_16bit and not count:
            cause = f"the pass converted nothing; expected: {candidate.expects_16bit} types"
            raise WorkerFailure(cause, fatal=False)
        if runs is not None and is_lost(runs):
            cause = "a later pass failed, and what this one converted was given up with it"
            raise WorkerFailure(cause, fatal=False)
        differences = (differences_of(predicted, real) for real, predicted in pairs)
        return Built(session, count, tuple(text for found in differences for text in found))

    def _predicted(
        self, dump: PassDump, rules: RuleSet, candidate: Candidate
    ) -> frozenset[TypeAttribute]:
        """What our own rewrite converts in the graph that the pass was given."""
        rewritten = rewrite_graph(
            dump.before,
            rules,
            candidate.lists,
            candidate.level,
            self._preserved(),
            fold_weights=False,
        )
        return changed_type_attributes(dump.before, rewritten)

    def _used(self, session: ModelSession) -> graph_pb2.GraphDef:
        """The session's graph; exported Keras models hold variables that no signature reads."""
        return pruned(session.graph_def, self._preserved())

    def _preserved(self) -> frozenset[str]:
        tensors = (*self._served.feeds.values(), *self._served.fetches.values())
        return frozenset(map(node_name, tensors))

    def _optimised(
        self, rules: RuleSet, environment: Mapping[str, str], feed: Optional[Feed]
    ) -> tuple[ModelSession, Optional[PassRuns]]:
        """A session that the pass has seen and that has run ``feed``, if any.

        Returns:
            The session and the pass's runs; None where the pass leaves such a graph alone.
        """
        for _ in range(_ATTEMPTS):
            session, dumps = self._new_session(rules, environment, feed)
            runs = self._runs(dumps)
            if runs is not None or (not dumps and self._is_left_alone(rules)):
                return session, runs
            session.close()
            if not dumps:
                raise WorkerFailure(self._why_no_dump(rules, environment), fatal=False)
        cause = "the pass's dumps are not whole: its run on the model's own graph is not told"
        raise WorkerFailure(cause, fatal=False)

    def _new_session(
        self, rules: RuleSet, environment: Mapping[str, str], feed: Optional[Feed]
    ) -> tuple[ModelSession, tuple[PassDump, ...]]:
        session = new_session(self._served, self._session_config(rules))
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch, prefix="dumps-") as folder:
                log = {log_variable(rules.family): folder}
                with _variables({**self._switches(rules), **environment, **log}):
                    session.optimise()
                    # Functions that stay functions are optimised when they are first called.
                    first_run(session, feed)
                return session, read_dumps(Path(folder))
        except BaseException:
            session.close()
            raise

    def _is_left_alone(self, rules: RuleSet) -> bool:
        """Whether the pass does not even look at graphs of the model's op types."""
        return bool(rules.gate) and not any(
            part in op_type for op_type in self._op_types for part in rules.gate
        )

    def _why_no_dump(self, rules: RuleSet, environment: Mapping[str, str]) -> str:
        try:
            from_environment(rules, environment)
        except RewriteError as error:
            return f"the pass failed: {error}"
        return self._why_silent(rules)


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """The pass's variables, until a session has run for the first time."""
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            del os.environ[name]


def _changed(dump: PassDump) -> frozenset[TypeAttribute]:
    if dump.after is None:
        return frozenset()
    return changed_type_attributes(dump.before, dump.after)
