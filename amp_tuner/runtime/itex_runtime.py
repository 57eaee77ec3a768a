"""Runtime ``itex``: the pass of Intel Extension for TensorFlow, a plug-in of the target.

Importing TensorFlow loads the plug-in, which then rewrites every graph: FP32 is the plug-in's own
FP32, its pass switched off. The pass is driven by variables alone; its Python API, which would win
over them, is never called here.

The plug-in's kernels always use oneDNN. What ``TF_ENABLE_ONEDNN_OPTS`` decides under it is whose
allocator gives them memory, and which stock kernels run the op types that it leaves to TensorFlow:
enough to change times, so FP32 is measured in both states here, too. The pass does not depend on
it: BF16 runs in the state of the faster FP32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import ClassVar, Optional

from tensorflow.core.protobuf import config_pb2

from amp_tuner.amp.environment import itex_switches
from amp_tuner.amp.rules import ITEX, RuleSet
from amp_tuner.errors import InputError
from amp_tuner.runtime.pass_dumps import PassDump
from amp_tuner.runtime.pass_runs import PassRuns, itex_runs
from amp_tuner.runtime.pass_runtime import PassRuntime
from amp_tuner.runtime.sessions import session_config


class ItexRuntime(PassRuntime):
    """The model as it is served; a candidate is a session that ITEX's pass has rewritten."""

    name: ClassVar[str] = ITEX

    def _session_config(self, rules: RuleSet) -> config_pb2.ConfigProto:
        if rules.family != ITEX or rules.device != self._device:
            message = f"itex on {self._device} has no {rules.identifier}"
            raise InputError.one("$.target.data_types", message)
        return session_config(self._threads, self._device)

    def _switches(self, rules: RuleSet) -> Mapping[str, str]:
        return itex_switches(rules)

    def _runs(self, dumps: Sequence[PassDump]) -> Optional[PassRuns]:
        return itex_runs(dumps, self._preserved(), has_casts=self._has_casts)


def itex_version() -> Optional[str]:
    """The version of ITEX that this interpreter has; None where it has none."""
    try:
        return metadata.version("intel-extension-for-tensorflow")
    except metadata.PackageNotFoundError:
        return None
