"""The modules of this package that travel in a bundle: they need NumPy and JAX, and no more."""

from __future__ import annotations

from pathlib import Path

import amp_tuner
from amp_tuner.bundle import run_bundle

SHIPPED = (
    "__init__.py",
    "errors.py",
    "files.py",
    "records.py",
    "text.py",
    "amp/__init__.py",
    "amp/lists.py",
    "bundle/__init__.py",
    "bundle/archive.py",
    "bundle/device.py",
    "bundle/device_bench.py",
    "bundle/manifest.py",
    "bundle/progress.py",
    "bundle/run_bundle.py",
    "graph/__init__.py",
    "graph/traced_run.py",
    "graph/typed_graph.py",
    "measure/__init__.py",
    "measure/blocks.py",
    "measure/cores.py",
    "measure/hardware.py",
    "measure/noise.py",
    "measure/same_machine.py",
    "measure/stats.py",
    "measure/timing.py",
    "runner/__init__.py",
    "runner/xla_runner.py",
    "target/__init__.py",
    "target/tf32.py",
    "worker/__init__.py",
    "worker/client.py",
    "worker/conversation.py",
    "worker/environment.py",
    "worker/launch.py",
    "worker/lowering_client.py",
    "worker/process_client.py",
    "worker/protocol.py",
    "worker/runner_client.py",
    "worker/supervisor.py",
    "worker/xla_client.py",
)


def shipped() -> dict[str, bytes]:
    """Members of a part: the command, and the package that it imports."""
    package = Path(amp_tuner.__file__).parent
    modules = {
        f"{run_bundle.PACKAGE}amp_tuner/{name}": (package / name).read_bytes() for name in SHIPPED
    }
    return {"run_bundle.py": script(), **modules}


def script() -> bytes:
    """The command of a device machine."""
    return Path(run_bundle.__file__).read_bytes()
