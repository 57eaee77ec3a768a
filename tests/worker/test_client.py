"""The protocol with real workers: answers, errors as data, and deaths."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from amp_tuner.errors import InputError, TargetError, WorkerFailure
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, DataSource, ModelSource, Threads
from tests import tiny_models
from tests.conftest import Launcher, started

FLOAT32 = Candidate("float32")
FINE, HANGS, ASKS_FOR_TOO_MUCH, FILLS_MEMORY, ABORTS = range(5)


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSource, DataSource]:
    """Sample i of the data asks for trouble i."""
    folder = tmp_path_factory.mktemp("trouble")
    rows = np.zeros((5, 4), np.float32)
    rows[:, 0] = range(5)
    return (
        tiny_models.trouble(folder / "model"),
        tiny_models.data(folder / "data", {"x": rows}, batch=1, timing_batches=1),
    )


@pytest.fixture
def ask(
    fresh_worker: Launcher, trouble: tuple[ModelSource, DataSource], tmp_path: Path
) -> Callable[[int], Any]:
    """Runs one sample of the trouble model in a worker of the test's own."""
    client = fresh_worker()
    client.load(*trouble, "engine", "cpu")
    client.build("float32", FLOAT32)

    def run(sample: int) -> Any:
        client.outputs("float32", sample, sample + 1, tmp_path / "outputs.npz", ["y"])
        with np.load(tmp_path / "outputs.npz") as outputs:
            return outputs["y"]

    run.client = client  # type: ignore[attr-defined]
    return run


def test_all_threads_run_on_the_cores_that_a_worker_is_pinned_to(
    trouble: tuple[ModelSource, DataSource], tmp_path: Path
) -> None:
    own = os.sched_getaffinity(0)
    core = max(own)
    with started(tmp_path, threads=Threads(2, 1), cores=(core,)) as client:
        client.load(*trouble, "engine", "cpu")
        client.build("float32", FLOAT32)
        threads = [thread.id for thread in psutil.Process(client.pid).threads()]
        assert len(threads) > 2
        assert {tuple(os.sched_getaffinity(thread)) for thread in threads} == {(core,)}
    assert os.sched_getaffinity(0) == own


def test_a_model_that_hangs_is_killed_past_its_limit(ask: Any) -> None:
    ask.client.timeout_s = 0.5
    with pytest.raises(WorkerFailure, match=r"timeout after 0\.5 s") as failure:
        ask(HANGS)
    assert failure.value.fatal
    assert not ask.client.alive


def test_a_kernel_that_aborts_is_told_with_what_it_printed(ask: Any) -> None:
    with pytest.raises(WorkerFailure, match="SIGABRT") as failure:
        ask(ABORTS)
    assert failure.value.fatal
    assert "Check failed" in failure.value.last_words


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_signal_in_a_request_is_told_by_its_name(ask: Any, name: str) -> None:
    threading.Timer(0.5, os.kill, (ask.client.pid, signal.Signals[name])).start()
    with pytest.raises(WorkerFailure, match=name) as failure:
        ask(HANGS)
    assert failure.value.fatal


@pytest.mark.all_only
def test_a_huge_tensor_is_refused_and_the_worker_lives_on(ask: Any) -> None:
    with pytest.raises(WorkerFailure, match=r"ResourceExhaustedError: OOM when") as failure:
        ask(ASKS_FOR_TOO_MUCH)
    assert not failure.value.fatal
    np.testing.assert_array_equal(ask(FINE), np.zeros((1, 4)))


def test_memory_past_the_limit_kills_the_worker(ask: Any) -> None:
    with pytest.raises(WorkerFailure, match=r"memory above 1\.5 GiB") as failure:
        ask(FILLS_MEMORY)
    assert failure.value.fatal


def test_the_users_mistakes_come_back_with_their_places(worker: WorkerClient) -> None:
    with pytest.raises(InputError) as error:
        worker.load(ModelSource("/no/model"), None, "engine", "cpu")
    assert [problem.where for problem in error.value.problems] == ["/no/model"]


@pytest.mark.parametrize(
    ("runtime", "device", "message"),
    [
        ("nonesuch", "cpu", "runtime nonesuch is not"),
        ("engine", "xpu", "device xpu is not available for runtime engine"),
        ("itex", "cpu", r"has no ITEX: .* intel-extension-for-tensorflow 2\.15 .* target\.python"),
        ("itex", "gpu", "itex on gpu is not available"),
        ("engine", "tpu", "device tpu is not"),
    ],
)
def test_what_this_worker_has_not(
    worker: WorkerClient, runtime: str, device: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        worker.load(ModelSource("/no/model"), None, runtime, device)


def test_a_gpu_that_is_not_there(worker: WorkerClient) -> None:
    with pytest.raises(TargetError, match="sees no GPU"):
        worker.load(ModelSource("/no/model"), None, "engine", "gpu")


def test_a_failing_setting_has_tensorflows_first_line_as_its_cause(
    worker: WorkerClient, tmp_path: Path
) -> None:
    model = tiny_models.dense(tmp_path / "model")
    narrow = tiny_models.data(tmp_path / "data", {"x": np.ones((8, 3), np.float32)})
    worker.load(model, narrow, "engine", "cpu")
    with pytest.raises(WorkerFailure, match=r"^InvalidArgumentError: Matrix size-incom") as failure:
        worker.build("float32", FLOAT32)
    assert not failure.value.fatal
    assert "\n" not in failure.value.cause
    assert "Traceback" in failure.value.last_words


def test_a_setting_that_was_not_built_is_an_error(worker: WorkerClient, tmp_path: Path) -> None:
    model = tiny_models.dense(tmp_path / "model")
    source = tiny_models.data(tmp_path / "data", {"x": tiny_models.features()})
    worker.load(model, source, "engine", "cpu")
    with pytest.raises(TargetError, match="no setting 'candidate' is built"):
        worker.block("candidate", 0, 1)


def pool_sizes(client: WorkerClient) -> tuple[int, int]:
    """Threads of the inter-op pool, which has its own name, and all others."""
    names = [path.read_text().strip() for path in Path(f"/proc/{client.pid}/task").glob("*/comm")]
    inter_op = names.count("tf_Compute")
    return inter_op, len(names) - inter_op


def test_threads_are_those_of_the_study_file(
    trouble: tuple[ModelSource, DataSource], tmp_path: Path
) -> None:
    found = []
    for threads in (Threads(2, 1), Threads(5, 3)):
        scratch = tmp_path / f"threads{threads.intra_op}"
        scratch.mkdir()
        with started(scratch, threads=threads) as client:
            client.load(*trouble, "engine", "cpu")
            client.build("float32", FLOAT32)
            client.block("float32", 0, 1)
            found.append(pool_sizes(client))
    (few, others), (many, more) = found
    assert (few, many) == (1, 3)
    assert more - others == 3
