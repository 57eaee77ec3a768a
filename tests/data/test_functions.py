"""A user's functions run apart, and whatever they do is one clear problem."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from amp_tuner.data.functions import FunctionRunner, score_function, write_function_data
from amp_tuner.errors import InputError

ONES = np.ones((40, 2), np.float32)


def runner(folder: Path, time_limit_s: float = 60, memory_bytes: int = 4 << 30) -> FunctionRunner:
    return FunctionRunner(folder, folder, time_limit_s, memory_bytes)


def metric(folder: Path, body: str, **limits: float) -> str:
    """The problem with a metric function of this body."""
    (folder / "mine.py").write_text(f"def f(outputs, labels, reference):\n    {body}\n")
    with pytest.raises(InputError) as caught:
        score_function(runner(folder, **limits), "mine:f", ONES, ONES, None)
    (problem,) = caught.value.problems
    assert problem.where == "$.accuracy.metric"
    return problem.message


def data(folder: Path, source: str) -> str:
    """The problem with a data function of this source."""
    (folder / "mine.py").write_text(source)
    with pytest.raises(InputError) as caught:
        write_function_data(runner(folder), "mine:f", folder / "data.npz")
    (problem,) = caught.value.problems
    assert problem.where == "$.data.function"
    assert not (folder / "data.npz").exists()
    return problem.message


def test_a_metric_sees_outputs_labels_and_reference(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("SCALE = 2\n")
    (tmp_path / "mine.py").write_text(
        "import helper\n"
        "def f(outputs, labels, reference):\n"
        "    return helper.SCALE * (outputs - reference).sum() + len(labels)\n"
    )
    found = score_function(runner(tmp_path), "mine:f", ONES, ONES + 1, np.arange(40))
    assert (found.reference, found.candidate) == (40, 200)
    assert len(found.without_group) == 20
    assert found.without_group[0] == (38, 190)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "mine:f raised: ZeroDivisionError: division by zero (mine.py, line 2)"),
        ("raise SystemExit(3)", "mine:f raised: SystemExit: 3 (mine.py, line 2)"),
        ("return 'good'", "mine:f gave str; allowed: one number"),
        ("return True", "mine:f gave bool; allowed: one number"),
        ("return outputs", "mine:f gave ndarray; allowed: one number"),
        ("return float('nan')", "mine:f gave nan; allowed: a finite number"),
        ("import os; os._exit(7)", "mine:f failed: it exited with status 7"),
        ("import os; os.abort()", "mine:f failed: it was ended by SIGABRT"),
        ("import os; os._exit(0)", "mine:f failed: it ended without an answer"),
        ("print('bye', flush=True); import os; os._exit(7)", "status 7; its last words: bye"),
    ],
)
def test_what_a_metric_does_wrong_is_told(tmp_path: Path, body: str, message: str) -> None:
    assert message in metric(tmp_path, body)


def test_a_metric_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    body = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '60']); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    assert metric(tmp_path, body, time_limit_s=3) == "mine:f failed: it took longer than 3 s"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_metric_that_takes_all_memory_is_told(tmp_path: Path) -> None:
    message = metric(tmp_path, "return bytearray(1 << 33)", memory_bytes=3 << 30)
    assert message == "mine:f raised: more memory than the limit"


def test_a_module_or_function_that_does_not_exist_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score():\n    return 1\nX = 3\n")
    for name, message in [
        ("nowhere:f", "cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("mine:scor", "mine:scor does not exist: mine has no 'scor'; it has score"),
        ("mine:X", "mine:X is not a function but int"),
    ]:
        with pytest.raises(InputError) as caught:
            score_function(runner(tmp_path), name, ONES, ONES, None)
        assert message in str(caught.value)


def test_a_module_with_a_mistake_in_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(:\n")
    with pytest.raises(InputError, match="cannot be imported: SyntaxError"):
        score_function(runner(tmp_path), "mine:f", ONES, ONES, None)


def test_the_tuner_s_variables_do_not_reach_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    (tmp_path / "mine.py").write_text(
        "import os\n"
        "def f(outputs, labels, reference):\n"
        "    return int('AWS_SECRET_ACCESS_KEY' in os.environ)\n"
    )
    assert score_function(runner(tmp_path), "mine:f", ONES, ONES, None).candidate == 0


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(outputs, labels, reference):\n    return 1\n")
    score_function(runner(tmp_path), "mine:f", ONES, ONES, None)
    assert list(tmp_path.glob("function-*")) == []


ONE_MAPPING = """
import numpy as np
def f():
    return {"file": np.arange(6.0), "y": list("abcdef")}
"""
BATCHES = """
import numpy as np
def f():
    for i in (0, 4):
        yield {"file": np.arange(i, min(i + 4, 6.0)), "y": list("abcdef")[i : i + 4]}
"""


@pytest.mark.parametrize("source", [ONE_MAPPING, BATCHES])
def test_data_is_a_mapping_or_batches(tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    write_function_data(runner(tmp_path), "mine:f", tmp_path / "work.npz")
    with np.load(tmp_path / "work.npz", allow_pickle=False) as file:
        assert file["file"].tolist() == [0, 1, 2, 3, 4, 5]
        assert "".join(file["y"]) == "abcdef"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f():\n    return 3\n", "gave int; allowed: a mapping of names to arrays"),
        ("def f():\n    yield [1, 2]\n", "gave a batch that is list"),
        ("def f():\n    return []\n", "gave no batches"),
        (
            "def f():\n    yield {'x': [1]}\n    raise OSError('no disk')\n",
            "raised: OSError: no disk",
        ),
        ("def f():\n    return {'x': [object()]}\n", "gave Python objects as 'x'"),
        ("def f():\n    return {'x': [[1], [2, 3]]}\n", "gave no array: ValueError"),
        ("def f():\n    return {'x': 3}\n", "gave a single value as 'x'"),
        ("def f():\n    return {'x': [1, 2], 'y': [1]}\n", "different lengths: {'x': 2, 'y': 1}"),
        ("def f():\n    yield {'x': [1]}\n    yield {'y': [1]}\n", "batches with different names"),
        ("def f():\n    yield {'x': [1]}\n    yield {'x': [[1]]}\n", "gave arrays that do not fit"),
        ("def f(a):\n    return {}\n", "raised: TypeError: f() missing 1 required"),
    ],
)
def test_what_a_data_function_does_wrong_is_told(tmp_path: Path, source: str, message: str) -> None:
    assert message in data(tmp_path, source)
