"""The real passes as test oracles, and the comparison of graphs node for node."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional

from tensorflow.core.framework import graph_pb2, types_pb2

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import RuleSet

ROOT = Path(__file__).parent.parent
PREFIX = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"
OPTIMIZERS = {
    "tf-cpu-bfloat16": "auto_mixed_precision_onednn_bfloat16",
    "tf-cpu-float16": "auto_mixed_precision_cpu",
    "tf-cuda-float16": "auto_mixed_precision",
}


def with_new_norms(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """What the passes have done before they find nothing on the allow list, which ITEX dumps not.

    Old batch norms become those whose scale has a type of its own.
    """
    made = graph_pb2.GraphDef()
    made.CopyFrom(graph_def)
    for node in made.node:
        if node.op in ("FusedBatchNorm", "FusedBatchNormGrad"):
            node.op += "V2"
            node.attr["U"].type = types_pb2.DT_FLOAT
    return made


class Oracle:
    """A live process with a TensorFlow whose passes can be asked."""

    def __init__(self, python: str = sys.executable, *, cuda: bool = False) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": tempfile.gettempdir(),
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "0",
            "TF_ENABLE_ONEDNN_OPTS": "0" if cuda else "1",
            PREFIX + "EMULATE_FP16": "0",
        }
        if cuda:
            environment[PREFIX + "SIMULATE_GPU"] = "1"
        self._cuda = cuda
        child_requests, requests = os.pipe()
        replies, child_replies = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        script = Path(__file__).with_name("oracle_process.py")
        self._process = subprocess.Popen(
            [python, str(script), str(child_requests), str(child_replies)],
            env=environment,
            pass_fds=(child_requests, child_replies),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        os.close(child_requests)
        os.close(child_replies)
        self._requests = os.fdopen(requests, "w")
        self._replies = os.fdopen(replies, "r")
        hello = self._read()
        self.tensorflow: str = hello["tensorflow"]
        self.tuner_packages: list[str] = hello["tuner_packages"]
        self._older = python != sys.executable

    def _read(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"oracle died ({self._process.returncode}): {self.log()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _ask(self, graph_def: graph_pb2.GraphDef, **request: Any) -> dict[str, graph_pb2.GraphDef]:
        encoded = base64.b64encode(graph_def.SerializeToString()).decode()
        request = {"graph": encoded, "drop_new_attributes": self._older, **request}
        with contextlib.suppress(BrokenPipeError):  # reading tells how the process died
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        return {
            name: graph_pb2.GraphDef.FromString(base64.b64decode(graph))
            for name, graph in self._read().items()
        }

    def real_pass(
        self,
        graph_def: graph_pb2.GraphDef,
        rules: RuleSet,
        lists: AmpLists,
        level: str,
        fetches: list[str],
    ) -> graph_pb2.GraphDef:
        """What the real pass makes of the graph."""
        return self.real_pass_with(graph_def, rules, to_environment(rules, lists, level), fetches)

    def real_pass_with(
        self,
        graph_def: graph_pb2.GraphDef,
        rules: RuleSet,
        environment: dict[str, str],
        fetches: list[str],
    ) -> graph_pb2.GraphDef:
        """What the real pass makes of the graph under these variables."""
        return self._ask(
            graph_def,
            action="pass",
            fetches=fetches,
            optimizer=OPTIMIZERS[rules.name],
            environment=environment,
            gpu=self._cuda,
        )["graph"]

    def itex_pass(
        self, graph_def: graph_pb2.GraphDef, environment: dict[str, str], fetches: list[str]
    ) -> Optional[tuple[graph_pb2.GraphDef, graph_pb2.GraphDef]]:
        """What ITEX's pass was handed and what it made of it; None if it did not run."""
        dumps = self._ask(graph_def, action="itex", fetches=fetches, environment=environment)
        if "preop" not in dumps:
            return None
        made = dumps.get("AutoMixedPrecision")
        return dumps["preop"], with_new_norms(dumps["preop"]) if made is None else made

    def engine(self, graph_def: graph_pb2.GraphDef, **arguments: Any) -> graph_pb2.GraphDef:
        """What ``amp_tuner.tf.rewrite`` makes of the graph there; as it was on a RewriteError."""
        return self._ask(graph_def, action="engine", arguments=arguments)["graph"]

    def close(self) -> None:
        self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=20)
        self._process.kill()
        self._process.wait()
        self._replies.close()
        self._log.close()


def differences(ours: graph_pb2.GraphDef, theirs: graph_pb2.GraphDef) -> list[str]:
    """How two graphs differ, node for node: op, inputs, device, attributes.

    Left out are the values of constants, which TensorFlow compresses, and colocation, which
    Grappler drops before the passes run.
    """
    left, right = _by_name(ours), _by_name(theirs)
    found = [f"only ours: {name}" for name in sorted(left.keys() - right.keys())]
    found += [f"only theirs: {name}" for name in sorted(right.keys() - left.keys())]
    for name in sorted(left.keys() & right.keys()):
        found += [
            f"{name}: {part}: ours {left[name][part]}, theirs {right[name].get(part)}"
            for part in left[name]
            if left[name][part] != right[name].get(part)
        ]
        found += [f"{name}: theirs has {part}" for part in right[name].keys() - left[name].keys()]
    return found


def _by_name(graph_def: graph_pb2.GraphDef) -> dict[str, dict[str, Any]]:
    return {
        node.name: {
            "op": node.op,
            "device": node.device,
            "input": [name.removesuffix(":0") for name in node.input],
            **{
                f"attr {key}": str(value)
                for key, value in node.attr.items()
                if (node.op, key) != ("Const", "value") and key != "_class"
            },
        }
        for node in graph_def.node
    }
