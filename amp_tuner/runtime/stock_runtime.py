"""Runtime ``tensorflow``: the stock pass.

The pass is an option of a session. Each session has a ConfigProto of its own: the process-wide
optimizer options would leak into others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Optional

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from amp_tuner.amp.rules import TENSORFLOW, RuleSet
from amp_tuner.errors import InputError
from amp_tuner.runtime.pass_dumps import PassDump
from amp_tuner.runtime.pass_runs import PassRuns, stock_runs
from amp_tuner.runtime.pass_runtime import PassRuntime
from amp_tuner.runtime.sessions import session_config

#: Option of RewriterConfig that switches the pass on, by device and data type.
OPTIONS = {
    "cpu": {
        "bfloat16": "auto_mixed_precision_onednn_bfloat16",
        "float16": "auto_mixed_precision_cpu",
    },
    "gpu": {"float16": "auto_mixed_precision"},
}


class StockRuntime(PassRuntime):
    """The model as it is served; a candidate is a session with the stock pass switched on."""

    name: ClassVar[str] = TENSORFLOW

    def _session_config(self, rules: RuleSet) -> config_pb2.ConfigProto:
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

    def _switches(self, rules: RuleSet) -> Mapping[str, str]:
        # Those of the process are in the worker's environment: the pass reads them once.
        del rules
        return {}

    def _runs(self, dumps: Sequence[PassDump]) -> Optional[PassRuns]:
        return stock_runs(dumps)

    def _why_silent(self, rules: RuleSet) -> str:
        if rules.data_type == "bfloat16" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
            return "the pass did not run: oneDNN is switched off; set TF_ENABLE_ONEDNN_OPTS=1"
        return super()._why_silent(rules)
