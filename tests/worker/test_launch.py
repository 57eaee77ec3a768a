from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from amp_tuner.errors import TargetError
from amp_tuner.worker.client import WorkerClient
from tests.conftest import Launcher, started


def make_environment(folder: Path) -> Path:
    """An interpreter without any package; its site-packages folder can be filled."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def test_the_worker_says_what_it_runs_on(worker: WorkerClient) -> None:
    facts = worker.hello()
    assert facts["executable"] == sys.executable
    assert facts["devices"] == ["CPU"]
    assert {"python", "tensorflow", "numpy"} <= facts.keys()


def test_an_interpreter_that_does_not_exist(fresh_worker: Launcher) -> None:
    with pytest.raises(TargetError, match=r"no such interpreter: /no/python"):
        fresh_worker(python="/no/python")


def test_a_file_that_is_no_program(fresh_worker: Launcher, tmp_path: Path) -> None:
    text = tmp_path / "python"
    text.write_bytes(b"\x00\x01 not a program")
    text.chmod(0o755)
    with pytest.raises(TargetError, match="cannot be started: Exec format error"):
        fresh_worker(python=str(text))


def test_a_program_that_is_no_python_is_quoted(fresh_worker: Launcher) -> None:
    with pytest.raises(TargetError, match=r"does not start \(exit status 2\)(.|\n)*ls: ") as error:
        fresh_worker(python="/bin/ls")
    assert "amp_tuner.worker.main" in str(error.value)


def test_an_interpreter_without_tensorflow(fresh_worker: Launcher, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "bare")
    with pytest.raises(TargetError, match=r"bare/bin/python has no TensorFlow .*2\.15 or newer"):
        fresh_worker(python=str(python))


def test_an_interpreter_whose_tensorflow_is_too_old(fresh_worker: Launcher, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "old")
    (packages,) = (tmp_path / "old").glob("lib/python*/site-packages")
    (packages / "tensorflow").mkdir()
    (packages / "tensorflow" / "__init__.py").write_text("__version__ = '2.9.1'\n")
    with pytest.raises(TargetError, match=r"has TensorFlow 2\.9\.1; allowed: 2\.15 or newer"):
        fresh_worker(python=str(python))


def test_nothing_of_the_tuner_but_the_package_reaches_the_target(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "bare")
    (packages,) = (tmp_path / "bare").glob("lib/python*/site-packages")
    (packages / "tensorflow.py").write_text(
        "import importlib.util, sys\n"
        "found = [name for name in ('psutil', 'optuna', 'pytest', 'tests') "
        "if importlib.util.find_spec(name)]\n"
        "raise ImportError(f'found {found} beside {sorted(sys.modules[\"amp_tuner\"].__path__)}')\n"
    )
    with pytest.raises(TargetError, match=r"found \[\] beside \['.*/import/amp_tuner'\]"):
        started(tmp_path, python=str(python))


def test_ambient_variables_do_not_reach_a_worker(
    fresh_worker: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD"
    monkeypatch.setenv(name, "MatMul")
    monkeypatch.setenv("KMP_AFFINITY", "none")
    client = fresh_worker(onednn=False)
    assert {name, "KMP_AFFINITY"} <= set(client.dropped_variables)
    environment = psutil.Process(client.pid).environ()
    assert not {name, "KMP_AFFINITY"} & environment.keys()
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_the_worker_is_gone_a_second_after_the_tuner_was_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.conftest import started
        print(started(Path(sys.argv[1])).pid, flush=True)
        sys.stdin.read()
        """
    )
    root = Path(__file__).parents[2]
    tuner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert tuner.stdin is not None
    assert tuner.stdout is not None
    with tuner.stdin, tuner.stdout:
        worker_process = psutil.Process(int(tuner.stdout.readline()))
        os.kill(tuner.pid, signal.SIGKILL)
        tuner.wait()
        deadline = time.monotonic() + 1
        while worker_process.is_running() and time.monotonic() < deadline:
            if worker_process.status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(0.02)
        assert not worker_process.is_running()
