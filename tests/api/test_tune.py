"""Studies from a program: in a thread, under a running event loop, followed, interrupted."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import amp_tuner
from amp_tuner import StudyConfig, StudyResult, load_study, read_result, tune
from amp_tuner.results.event_log import read_events
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import ModelSource
from tests import small_study
from tests.conftest import Files

HANDLED = (signal.SIGINT, signal.SIGTERM)


def interrupt(event: Mapping[str, Any]) -> None:
    """Ctrl-C once three trials have ended."""
    if event["event"] == "ended" and event["trial"] == 2:
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Ran:
    """A study that a thread ran, and what was seen of it."""

    config: StudyConfig
    result: StudyResult
    followed: list[Mapping[str, Any]]
    handlers: list[Any]


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, small: Files, lent: Callable[[], Any]) -> Ran:
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copy(small.data, folder / "data.npz")
    plain = small_study.study(small.model, Path("data.npz"))
    before = copy.deepcopy(plain)
    followed: list[Mapping[str, Any]] = []
    results: list[StudyResult] = []
    with pytest.MonkeyPatch.context() as patch, lent():
        patch.chdir(folder)
        config = load_study(plain, overrides={"search.trials": 6})
        thread = threading.Thread(
            target=lambda: results.append(tune(config, listener=followed.append))
        )
        handlers = [signal.getsignal(number) for number in HANDLED]
        thread.start()
        thread.join(240)
    assert plain == before, "the caller's mapping is as it was"
    return Ran(config, *results, followed, handlers)


def test_a_mappings_relative_paths_start_at_the_current_folder(ran: Ran) -> None:
    folder = ran.config.folder
    assert ran.config.data.path == folder / "data.npz"
    assert ran.config.output == ran.result.folder == folder / "run"
    assert ran.config.search.trials == 6


def test_a_mapping_gives_every_problem_at_once(in_folder: Path) -> None:
    with pytest.raises(amp_tuner.InputError) as raised:
        load_study({"name": "small", "target": {"device": "tqu"}, "model": {"path": "none"}})
    assert {problem.where for problem in raised.value.problems} == {
        "$.data",
        "$.model.path",
        "$.target.device",
    }
    assert str(in_folder / "none") in str(raised.value)


def test_a_study_file_is_named_by_its_path_or_by_text(small: Files, tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    assert load_study(str(path)) == load_study(path)


def test_a_thread_runs_a_whole_study(ran: Ran) -> None:
    folder = ran.result.folder
    assert {"best.env", "best.py", "report.html", "trials.csv"} <= {
        path.name for path in folder.iterdir()
    }
    assert ran.result.best is not None
    assert (folder / "best.env").read_text() == ran.result.best.text("env")
    assert (folder / "best.py").read_text() == ran.result.best.text("python")
    assert [signal.getsignal(number) for number in HANDLED] == ran.handlers


def test_a_listener_is_told_what_the_log_holds(ran: Ran) -> None:
    told = json.loads(json.dumps(ran.followed))
    assert told == list(read_events(ran.result.folder / "log.jsonl"))
    ended = [event["trial"] for event in told if event["event"] == "ended"]
    assert ended == [trial.number for trial in ran.result.trials]


def test_its_table_is_that_of_the_file(ran: Ran) -> None:
    written = pd.read_csv(ran.result.folder / "trials.csv")
    pd.testing.assert_frame_equal(ran.result.to_pandas(), written)


def test_a_point_is_baked_as_a_model_of_its_own(
    ran: Ran, small: Files, worker: WorkerClient, lent: Callable[[], Any], tmp_path: Path
) -> None:
    point = next(point for point in ran.result if point.data_type == "float16")
    with lent():
        ran.result.bake(tmp_path / "baked", point)
    given, baked = (
        worker.load(ModelSource(str(path)), None, "engine", "cpu")
        for path in (small.model, tmp_path / "baked")
    )
    assert baked.inputs == given.inputs
    assert baked.weight_bytes < given.weight_bytes, "weights are stored in 16 bits"


def test_the_same_call_goes_on_and_may_stand_in_a_coroutine(
    ran: Ran, lent: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    async def cell() -> StudyResult:
        return tune(ran.config)

    with lent():
        again = asyncio.run(cell())
    assert [trial.number for trial in again.trials] == [trial.number for trial in ran.result.trials]
    assert capfd.readouterr().out == ""


def test_an_interrupted_study_has_written_what_is_known(
    small: Files, lent: Callable[[], Any], in_folder: Path
) -> None:
    config = load_study(small_study.study(small.model, small.data))
    with lent(), pytest.raises(KeyboardInterrupt):
        tune(config, listener=interrupt)
    assert len(read_result(config.output).trials) == 3
    *_, last = read_events(config.output / "log.jsonl")
    assert last["event"] == "published"


def test_a_fresh_study_moves_the_old_one_aside(
    ran: Ran, lent: Callable[[], Any], tmp_path: Path
) -> None:
    shutil.copytree(ran.result.folder, tmp_path / "run")
    plain = {**ran.config.to_plain(), "output": str(tmp_path / "run")}
    config = load_study(plain, overrides={"search.seed": 9})
    with lent(), pytest.raises(KeyboardInterrupt):
        tune(config, listener=interrupt, fresh=True)
    assert len(read_result(tmp_path / "run.1").trials) == len(ran.result.trials)
    assert len(read_result(tmp_path / "run").trials) == 3


def test_a_target_that_cannot_run_is_an_error_and_ends_no_process(
    small: Files, in_folder: Path
) -> None:
    plain = small_study.study(small.model, small.data, target={"python": "/no/python"})
    with pytest.raises(amp_tuner.TargetError, match="no such interpreter: /no/python"):
        tune(load_study(plain))


def test_what_is_no_study_is_refused(small: Files) -> None:
    with pytest.raises(TypeError, match="tune takes a StudyConfig, not dict: load_study makes"):
        tune(small_study.study(small.model, small.data))  # type: ignore[arg-type]


def test_every_public_name_is_there_for_programs_and_for_type_checkers() -> None:
    assert sorted(amp_tuner.__all__) == amp_tuner.__all__ == dir(amp_tuner)
    stub = Path(amp_tuner.__file__).with_suffix(".pyi").read_text()
    for name in amp_tuner.__all__:
        assert getattr(amp_tuner, name) is not None
        assert f" as {name}\n" in stub or f"\n{name}: " in stub
    assert len(amp_tuner.__all__) == stub.count(" as ") + 1
    with pytest.raises(AttributeError, match="no attribute 'tone'"):
        amp_tuner.tone  # noqa: B018


def test_the_package_itself_imports_nothing() -> None:
    # An editable installation puts a finder of its own beside the package's modules.
    code = "import sys, amp_tuner; print([n for n in sys.modules if n.startswith('amp_tuner')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "['amp_tuner']"
