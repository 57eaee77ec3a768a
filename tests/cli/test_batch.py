"""``amp-tune batch``: what is refused, what a night leaves, and what ends it on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests import small_study
from tests.cli.conftest import Command
from tests.cli.processes import (
    LIMIT_S,
    await_event,
    command,
    events,
    is_gone,
    workers,
)
from tests.cli.processes import (
    finished as ended_of,
)
from tests.cli.screens import Screen, pseudo_terminal, set_environment
from tests.conftest import Files
from tests.report.html_text import Page

Put = Callable[..., Path]


@dataclass(frozen=True)
class Night:
    """A batch that ran.

    Attributes:
        folder: holds study files, their output folders and the summary, ``batch``.
        code: its exit code.
        said: what it and its studies printed.
    """

    folder: Path
    code: int
    said: str

    @property
    def told(self) -> dict[str, Any]:
        """What ``summary.json`` says."""
        told: dict[str, Any] = json.loads((self.folder / "batch" / "summary.json").read_text())
        return told

    def states(self) -> dict[str, str]:
        """The state of each study, by name."""
        return {one["name"]: one["state"] for one in self.told["studies"]}


@pytest.fixture
def put(small: Files, tmp_path: Path) -> Put:
    """Writes a study file NAME.yaml, whose output is NAME."""

    def write(name: str, **changes: Any) -> Path:
        return written(tmp_path, small, name, **changes)

    return write


def written(folder: Path, small: Files, name: str, **changes: Any) -> Path:
    plain = small_study.study(small.model, small.data, **changes)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**plain, "name": name, "output": name}))
    return path


def files_below(folder: Path) -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_problem_of_every_file_is_told_at_once_and_nothing_is_written(
    amp_tune: Command, put: Put, tmp_path: Path
) -> None:
    good = put("good")
    wrong = put("wrong", target={"device": "abacus"}, search={"trials": -1})
    twin = tmp_path / "twin.yaml"
    twin.write_text(good.read_text())
    inner = tmp_path / "inner.yaml"
    inner.write_text(good.read_text().replace("output: good", "output: good/inner"))
    before, output = files_below(tmp_path), tmp_path / "good"
    ended = amp_tune(
        *("batch", good, wrong, good, twin, inner, tmp_path / "none.yaml"),
        *("--summary", output / "summary"),
    )
    assert ended.code == 2
    assert ended.err.startswith("amp-tune: 9 problems\n")
    for problem in (
        f"{wrong}: $.target.device: found 'abacus'",
        f"{wrong}: $.search.trials: found -1",
        f"{good}: this study file is named twice",
        f"{twin}: $.output: {output} is, holds or is in the output folder of {good}",
        f"{inner}: $.output: {output / 'inner'} is, holds or is in the output folder of {good}",
        f"{inner}: $.output: {output / 'inner'} is, holds or is in the output folder of {twin}",
        f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory",
        f"--summary: {output / 'summary'} is in the output folder of {good}",
    ):
        assert problem in ended.err
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 2, "studies": []}', "format 2 is newer than this amp-tune reads (1)"),
        ('{"mine": 1}', "broken, or not written by amp-tune"),
    ],
)
def test_a_file_that_is_no_summary_of_a_batch_is_not_written_over(
    amp_tune: Command, put: Put, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text(content)
    ended = amp_tune("batch", put("good"), "--summary", tmp_path / "other", "--fresh")
    assert ended.code == 2
    assert message in ended.err
    assert (tmp_path / "other" / "summary.json").read_text() == content


def test_a_summary_is_a_folder_and_a_time_has_units(
    amp_tune: Command, put: Put, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = put("good")
    ended = amp_tune("batch", study, "--summary", study)
    assert (ended.code, "is a file; name a folder" in ended.err) == (2, True)
    with pytest.raises(SystemExit, match="2"):
        amp_tune("batch", study, "--time-budget", "8")
    assert "'8' is no time; allowed: numbers with units" in capsys.readouterr().err


def test_an_output_folder_with_another_study_is_told_before_anything_starts(
    amp_tune: Command, finished: Path, tmp_path: Path
) -> None:
    path = finished / "study.yaml"
    path.write_text(path.read_text().replace("90%", "91%"))
    ended = amp_tune("batch", path, "--summary", tmp_path / "batch")
    assert ended.code == 2
    assert f"{path}: $.output: holds another study" in ended.err
    assert not (tmp_path / "batch").exists()


@pytest.fixture(scope="module")
def night(first_run: Path, small: Files, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A study that cannot run, and one that goes on with what an earlier run left."""
    folder = tmp_path_factory.mktemp("batch")
    broken = written(folder, small, "broken", target={"python": "/usr/bin/false"})
    small_run = shutil.copytree(first_run, folder / "first", symlinks=True)
    return ran(folder, broken, small_run / "study.yaml", "--time-budget", "20m")


def ran(folder: Path, *words: str | Path) -> Night:
    """Runs a batch to its end."""
    with command("batch", *words, "--summary", folder / "batch") as tuner:
        code, said = ended_of(tuner)
    return Night(folder, code, said)


@pytest.mark.all_only
def test_a_study_that_fails_does_not_stop_the_rest(night: Night) -> None:
    assert night.code == 3
    assert night.states() == {"broken": "failed", "small": "ended"}
    told = night.told
    assert (told["format"], told["exit_code"], told["time_budget_s"]) == (1, 3, 1200.0)
    broken, small = told["studies"]
    cause = "the worker under /usr/bin/false does not start (exit status 1)"
    assert (broken["cause"], broken["exit_code"], broken["best"]) == (cause, 3, None)
    assert small["exit_code"] == 0
    assert small["best"]["accuracy"]["verdict"] == "meets"
    assert small["best"]["speedup"]["low"] <= small["best"]["speedup"]["value"]
    assert small["conclusion"] in night.said


@pytest.mark.all_only
def test_what_is_printed_is_plain_and_ends_with_a_table(night: Night) -> None:
    assert "\x1b" not in night.said
    assert "Study 1 of 2: broken, for 10 min 00 s at most" in night.said
    assert "Study 2 of 2: small, for 19 min" in night.said
    _, table = night.said.split("study   outcome")
    broken, small = table.splitlines()[1:3]
    assert broken.split()[:2] == ["broken", "failed"]
    assert small.split()[:2] == ["small", "ended"]
    assert "agreement" in small
    assert "meets" in small
    assert " s of 19 min " in small
    assert "broken: the worker under /usr/bin/false does not start" in table
    assert table.splitlines()[-1] == f"The summary is in {night.folder / 'batch/summary.html'}"


@pytest.mark.all_only
def test_a_studys_share_is_its_time_budget(night: Night) -> None:
    (resumed,) = events(night.folder / "first" / "run", "resumed")
    assert resumed["config"]["search"]["time_budget"].startswith("19m")
    share_s = night.told["studies"][1]["share_s"]
    assert 1140 <= share_s < 1200


@pytest.mark.all_only
def test_the_page_holds_every_study_and_leads_to_their_reports(night: Night) -> None:
    page = Page((night.folder / "batch" / "summary.html").read_text(encoding="utf-8"))
    assert "A batch of 2 studies: 1 failed, 1 ended" in page.text
    assert "does not start (exit status 1)" in page.text
    assert len(page.data["charts"]) == 1
    links = [facts["href"] for tag, facts in page.tags if tag == "a"]
    assert links == ["../first/run/report.html"]
    assert (night.folder / "batch" / str(links[0])).exists()


@pytest.mark.all_only
def test_what_ended_is_not_run_again(amp_tune: Command, night: Night, tmp_path: Path) -> None:
    run = night.folder / "first"
    before = files_below(run)
    summary = shutil.copytree(night.folder / "batch", tmp_path / "batch")
    words = ["--time-budget", "20m", "--summary", summary, "--quiet"]
    ended = amp_tune("batch", run / "study.yaml", *words)
    assert ended.code == 0
    assert files_below(run) == before
    # Quiet, the summary is all there is.
    assert ended.out.strip().startswith("study  outcome")
    assert Night(tmp_path, 0, "").states() == {"small": "ended"}


@pytest.mark.all_only
def test_a_summary_that_cannot_be_written_is_told_in_the_end(
    amp_tune: Command, night: Night, tmp_path: Path
) -> None:
    summary = shutil.copytree(night.folder / "batch", tmp_path / "batch")
    (summary / "summary.html").unlink()
    (summary / "summary.html").mkdir()
    study = night.folder / "first" / "study.yaml"
    ended = amp_tune("batch", study, "--time-budget", "20m", "--summary", summary)
    assert ended.code == 2
    assert f"--summary: cannot write to {summary}: Is a directory" in ended.err
    assert "small  ended" in ended.out


def test_a_study_that_nobody_reads_any_more_has_not_ended(put: Put) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [str(os.getpid()), "run", "--config", str(put("good"))]
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "amp_tuner.cli.one_study", *words],
            check=False,
            stdout=closed,
            stderr=subprocess.PIPE,
            # As it is unless somebody says otherwise: what is in the buffer is written at the end.
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            timeout=LIMIT_S,
        )
    assert (done.returncode, done.stderr) == (130, b"")


#: Long enough to be ended in the middle.
LONG = {
    "search": {"trials": 4},
    "measure": {"ci_half_width": 0.001, "max_seconds": 1.0},
}
SHORT = {"search": {"trials": 1}}


@contextlib.contextmanager
def under_way(folder: Path, *studies: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A batch whose first study has begun a trial; and that study's output folder."""
    run = folder / studies[0].stem
    with command("batch", *studies, "--summary", folder / "batch") as tuner:
        assert await_event(tuner, run, "measuring", 1), ended_of(tuner)
        yield tuner, run


def study_in_flight(tuner: subprocess.Popen[str]) -> psutil.Process:
    """The process of the study whose turn it is."""
    (found,) = psutil.Process(tuner.pid).children()
    return found


def goes_on(folder: Path, *studies: Path) -> Night:
    """Runs the batch again; no trial that had ended is lost or run again."""
    known = {path: path.read_bytes() for path in folder.glob("*/trials/*.json")}
    after = ran(folder, *studies)
    assert {path: path.read_bytes() for path in known} == known
    return after


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_stops_cleanly_and_the_same_command_goes_on(
    put: Put, tmp_path: Path, kind: signal.Signals
) -> None:
    studies = put("first", **LONG), put("second", **SHORT)
    with under_way(tmp_path, *studies) as (tuner, run):
        alive = [study_in_flight(tuner), *workers(tuner)]
        tuner.send_signal(kind)
        code, said = ended_of(tuner)
    night = Night(tmp_path, code, said)
    assert code == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert night.states() == {"first": "interrupted", "second": "waiting"}
    assert night.told["exit_code"] == 130
    assert events(run)[-1]["event"] == "published"
    assert all(is_gone(process, 2) for process in alive)
    after = goes_on(tmp_path, *studies)
    assert after.code == 0
    assert after.states() == {"first": "ended", "second": "ended"}
    assert len(events(run, "resumed")) == 1


@pytest.mark.all_only
def test_a_study_that_is_killed_costs_that_study_alone(put: Put, tmp_path: Path) -> None:
    studies = put("first", **LONG), put("second", **SHORT)
    with under_way(tmp_path, *studies) as (tuner, _):
        alive = workers(tuner)
        study_in_flight(tuner).kill()
        code, said = ended_of(tuner)
    night = Night(tmp_path, code, said)
    assert code == 3
    assert night.states() == {"first": "failed", "second": "ended"}
    assert "first: SIGKILL" in said
    assert all(is_gone(process, 2) for process in alive)
    after = goes_on(tmp_path, *studies)
    assert after.code == 0
    assert "Study 1 of 2: first" in after.said
    assert "Study 2 of 2" not in after.said


@pytest.mark.nightly
def test_a_batch_that_is_killed_takes_its_study_with_it(put: Put, tmp_path: Path) -> None:
    studies = put("first", **LONG), put("second", **SHORT)
    with under_way(tmp_path, *studies) as (tuner, run):
        alive = [study_in_flight(tuner), *workers(tuner)]
        tuner.kill()
        assert all(is_gone(process, 20) for process in alive)
        assert Night(tmp_path, 0, "").states() == {"first": "running", "second": "waiting"}
    # Its study was told to stop, and has published what it knew.
    assert events(run, "published")
    after = goes_on(tmp_path, *studies)
    assert (after.code, after.states()) == (0, {"first": "ended", "second": "ended"})


@pytest.mark.nightly
def test_what_is_wrong_when_a_studys_turn_comes_fails_that_study(
    put: Put, small: Files, tmp_path: Path
) -> None:
    model = shutil.copytree(small.model, tmp_path / "model")
    studies = put("first", **LONG), put("second", model={"path": str(model)})
    with under_way(tmp_path, *studies) as (tuner, _):
        shutil.rmtree(model)
        code, said = ended_of(tuner)
    night = Night(tmp_path, code, said)
    assert code == 2
    assert night.states() == {"first": "ended", "second": "failed"}
    assert f"second: $.model.path: no such file: {model}" in said


@pytest.mark.nightly
def test_a_second_batch_on_the_same_summary_is_refused(
    amp_tune: Command, put: Put, tmp_path: Path
) -> None:
    studies = put("first", **LONG), put("second")
    with under_way(tmp_path, *studies):
        ended = amp_tune("batch", studies[1], "--summary", tmp_path / "batch")
        fresh = amp_tune("batch", studies[0], "--summary", tmp_path / "other", "--fresh")
    assert (ended.code, fresh.code) == (2, 2)
    assert "another tuner is writing to this folder" in ended.err
    assert "another tuner is writing to this folder" in fresh.err


@pytest.mark.nightly
def test_fresh_moves_all_old_studies_aside(finished: Path, tmp_path: Path) -> None:
    path = finished / "study.yaml"
    path.write_text(path.read_text().replace("trials: 10", "trials: 1"))
    after = ran(tmp_path, path, "--fresh")
    assert after.code == 0
    assert (finished / "run.1" / "trials.csv").exists()
    assert [event["event"] for event in events(finished / "run", "started")] == ["started"]


@pytest.mark.nightly
def test_on_a_terminal_a_study_has_its_live_screen(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, rows = 100, 40
    set_environment(monkeypatch, COLUMNS=str(columns), LINES=str(rows))
    words = ["batch", str(finished / "study.yaml"), "--summary", str(tmp_path / "batch")]
    with pseudo_terminal(columns=columns, rows=rows) as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "amp_tuner", *words],
            check=False,
            stdout=terminal.end,
            timeout=LIMIT_S,
        )
    assert done.returncode == 0
    screen = Screen(columns).write(terminal.written)
    said = [row.strip() for row in screen.rows]
    assert "Study 1 of 1: small" in said
    assert any(row.startswith("small  10/10 trials") for frame in screen.frames for row in frame)
    assert said[-2 if not said[-1] else -1].endswith("summary.html")
