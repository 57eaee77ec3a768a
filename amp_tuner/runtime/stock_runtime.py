"""Runtime ``tensorflow``: the stock pass, on the model as it is served.

The pass is an option of a session, its lists are environment variables that it reads while the
session optimises its first run, and it tells of a failure only in TensorFlow's log: a session whose
pass failed runs pure FP32. So each setting has a session with a ConfigProto of its own (the
process-wide optimizer options would leak into others), the variables are set only while that
session runs for the first time, and what the pass did is read from its dumps.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from amp_tuner.amp.environment import from_environment
from amp_tuner.amp.pass_logs import MAIN_ITEM
from amp_tuner.amp.rules import TENSORFLOW, RuleSet, rule_set
from amp_tuner.errors import InputError, RewriteError, WorkerFailure
from amp_tuner.records import FLOAT32
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.engine_runtime import check_data_type, loaded_model
from amp_tuner.runtime.graph_changes import TypeAttribute, changed_type_attributes, differences_of
from amp_tuner.runtime.loader import served_model
from amp_tuner.runtime.loader_graph import node_name, pruned
from amp_tuner.runtime.pass_dumps import PassDump, read_dumps
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from amp_tuner.runtime.sessions import Built, ModelSession, first_run, session_config
from amp_tuner.runtime.shapes import with_shapes
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads

PREFIX = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
#: Option of RewriterConfig that switches the pass on, by device and data type.
OPTIONS = {
    "cpu": {
        "bfloat16": "auto_mixed_precision_onednn_bfloat16",
        "float16": "auto_mixed_precision_cpu",
    },
    "gpu": {"float16": "auto_mixed_precision"},
}


class StockRuntime:
    """The model as it is served; a candidate is a session with the pass switched on.

    Args:
        source: the model.
        device: ``cpu`` or ``gpu``.
        threads: of each session.
        scratch: an existing folder for the pass's dumps and for exported models.

    Raises:
        InputError: the model cannot be loaded.
    """

    def __init__(self, source: ModelSource, device: str, threads: Threads, scratch: str) -> None:
        self._device = device
        self._threads = threads
        self._scratch = scratch
        self._served = served_model(source, tempfile.mkdtemp(prefix="served-", dir=scratch))
        session = ModelSession(self._served, session_config(threads, device))
        # Exported Keras models hold copies of variables that no signature reads.
        used = pruned(session.graph_def, self._preserved())
        session.close()
        self.loaded = loaded_model(self._served, used)

    def describe(
        self, rules: Sequence[str], feed: Optional[Feed], batch_size: Optional[int]
    ) -> dict[str, Any]:
        """Typed graphs as JSON, by rule set name: the graph that the pass was given.

        It comes from a run with the default lists: after TensorFlow's own earlier passes, with
        their node names.
        """
        return {name: self._typed_graph(rule_set(name), feed, batch_size) for name in rules}

    def build(self, candidate: Candidate, feed: Optional[Feed]) -> Built:
        """A session whose first run went through the pass, proven from the pass's dumps.

        Raises:
            InputError: no data to run, or the runtime has not this data type.
            WorkerFailure: the pass did not run, failed, or converted nothing where painting says
                it must.
        """
        if candidate.data_type == FLOAT32:
            session = ModelSession(self._served, session_config(self._threads, self._device))
            first_run(session, feed)
            return Built(session, 0)
        rules = rule_set(candidate.rules)
        check_data_type(candidate, rules.data_type)
        session, dumps = self._first_run(rules, candidate.environment, feed)
        try:
            _check_pass_ran(dumps, rules, candidate.environment)
            changed = [_changed(dump) for dump in dumps]
            count = sum(map(len, changed))
            if candidate.expects_16bit and not count:
                cause = f"the pass converted nothing; expected: {candidate.expects_16bit} types"
                raise WorkerFailure(cause, fatal=False)
            differences = tuple(
                text
                for dump, real in zip(dumps, changed)
                for text in differences_of(self._predicted(dump, rules, candidate), real)
            )
        except BaseException:
            session.close()
            raise
        return Built(session, count, differences)

    def save(self, candidate: Candidate, path: str, form: str, *, fold_weights: bool) -> None:
        """Not for this runtime: what it deploys is variables and an option.

        Raises:
            InputError: always.
        """
        del candidate, path, form, fold_weights
        message = "tensorflow does not rewrite files: a baked model comes from runtime engine"
        raise InputError.one("$.target.runtime", message)

    def _typed_graph(
        self, rules: RuleSet, feed: Optional[Feed], batch_size: Optional[int]
    ) -> dict[str, Any]:
        session, dumps = self._first_run(rules, {}, feed)
        session.close()
        _check_pass_ran(dumps, rules, {})
        main = next(dump for dump in dumps if dump.item == MAIN_ITEM)
        graph = describe(main.before, rules, self._preserved(), rules.device_type)
        if batch_size is not None:
            graph = with_shapes(graph, main.before, batch_size)
        value: dict[str, Any] = replace(graph, lists=main.lists).to_json()
        return value

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
            rules.device_type,
            fold_weights=False,
        )
        return changed_type_attributes(dump.before, rewritten)

    def _preserved(self) -> frozenset[str]:
        tensors = (*self._served.feeds.values(), *self._served.fetches.values())
        return frozenset(map(node_name, tensors))

    def _first_run(
        self, rules: RuleSet, environment: Mapping[str, str], feed: Optional[Feed]
    ) -> tuple[ModelSession, tuple[PassDump, ...]]:
        if feed is None:
            raise InputError.one("$.data", "runtime tensorflow needs data: its pass runs with it")
        session = ModelSession(self._served, self._pass_config(rules))
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="dumps-") as folder:
            with _variables({**environment, f"{PREFIX}LOG_PATH": folder}):
                first_run(session, feed)
            return session, read_dumps(Path(folder))

    def _pass_config(self, rules: RuleSet) -> config_pb2.ConfigProto:
        options = OPTIONS[self._device]
        if rules.family != TENSORFLOW or rules.data_type not in options:
            message = f"tensorflow on {self._device} has no {rules.data_type} ({rules.identifier})"
            raise InputError.one("$.target.data_types", f"{message}; allowed: {', '.join(options)}")
        config = session_config(self._threads, self._device)
        rewrites = config.graph_options.rewrite_options
        setattr(rewrites, options[rules.data_type], rewriter_config_pb2.RewriterConfig.ON)
        # Grappler leaves graphs of less than four nodes alone.
        rewrites.min_graph_nodes = -1
        return config


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """The pass's variables, for as long as one session optimises its first run."""
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


def _check_pass_ran(
    dumps: Sequence[PassDump], rules: RuleSet, environment: Mapping[str, str]
) -> None:
    """Raises WorkerFailure with the reason why the pass left no dump."""
    if any(dump.item == MAIN_ITEM for dump in dumps):
        return
    cause = "the pass did not run or failed at once: TensorFlow's log says why"
    if rules.data_type == "bfloat16" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        cause = "the pass did not run: oneDNN is switched off; set TF_ENABLE_ONEDNN_OPTS=1"
    try:
        from_environment(rules, environment)
    except RewriteError as error:
        cause = f"the pass failed: {error}"
    raise WorkerFailure(cause, fatal=False)
