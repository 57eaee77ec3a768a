"""Whole studies, followed: on a pseudo-terminal, in a pipe, by a program. The log says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from amp_tuner.cli.followed import Followed
from amp_tuner.cli.front_plot import UNICODE
from amp_tuner.cli.live_screen import screen_lines
from tests.cli.conftest import Command, Watched
from tests.cli.processes import LIMIT_S, events
from tests.cli.screens import Screen, pseudo_terminal, set_environment


def log_lines(run: Path) -> list[str]:
    return (run / "log.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_live_screen_shows_what_the_log_says(watched: Watched) -> None:
    screen = Screen(watched.columns).write(watched.written)
    followed = Followed()
    for event in events(watched.folder / "run"):
        followed.take(event)
    told = screen_lines(followed, UNICODE, width=watched.columns, height=watched.rows)
    last = [line.plain.rstrip() for line in told]
    frames = [[line for line in frame if line] for frame in screen.frames]
    assert frames[-1][-len(last) :] == [line for line in last if line]
    assert last[0].startswith("small  10/10 trials ━")
    assert last[1].startswith("writing the report, since ")
    assert any("◆" in line for line in last)


def test_the_live_screen_leaves_notes_and_the_answer_behind(watched: Watched) -> None:
    rows = [row.strip() for row in Screen(watched.columns).write(watched.written).rows]
    assert "note: all 10 trials are measured" in rows
    said = " ".join(rows)
    assert "10/10 trials" not in said
    assert "Everything is in" in said
    assert "default bfloat16" in said


def test_a_log_tells_all_that_a_screen_shows(watched: Watched) -> None:
    run = watched.folder / "run"
    told = [event["event"] for event in events(run)]
    assert told[:2] == ["phase", "started"]
    assert told[-1] == "finished"
    steps = {(one["phase"], one.get("step")) for one in events(run, "phase")}
    assert {("trial", step) for step in ("building", "accuracy", "timing")} <= steps
    assert {("confirming", "timing"), ("fp32", "timing"), ("report", None)} <= steps
    ended = {one["trial"]: one for one in events(run, "ended")}
    progress = events(run, "progress")
    assert len(progress) == len(ended) + 1
    assert progress[0]["left_s"] is None
    assert progress[-1]["measured"] == progress[-1]["trials"] == 10
    assert progress[-1]["left_s"] >= 0
    best = progress[-1]["best"]
    assert progress[-1]["best_speedup"] == ended[best]["speedup"]
    assert set(progress[-1]["front"]) <= ended.keys()
    published = events(run, "published")[-1]
    assert published["best"] in [one["trial"] for one in published["front"]]
    assert published["conclusion"]


def test_a_program_follows_a_study_that_goes_on(quick: Command, finished: Path) -> None:
    before = log_lines(finished / "run")
    ended = quick("--config", finished / "study.yaml", "--trials", 12, "--json-progress")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert log_lines(finished / "run") == [*before, *lines]
    told = [json.loads(line) for line in lines]
    assert all(event["format"] == 1 for event in told)
    assert [event["event"] for event in told][:2] == ["phase", "resumed"]
    assert next(event for event in told if event["event"] == "progress")["measured"] == 10
    assert told[-1]["event"] == "finished"
    assert (told[-1]["exit_code"], told[-1]["output"]) == (0, str(finished / "run"))
    assert [event["event"] for event in told].count("published") == 1


def test_in_a_pipe_lines_are_plain(quick: Command, finished: Path) -> None:
    ended = quick("run", "--config", finished / "study.yaml")
    assert ended.code == 0
    assert ended.out.replace("\n", "").isprintable()
    lines = ended.out.splitlines()
    assert lines[0] == "starting a worker, loading the model"
    assert "note: all 10 trials are measured" in lines
    assert not any("building" in line for line in lines)


def test_quiet_and_json_exclude_each_other(
    amp_tune: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        amp_tune("--config", "study.yaml", "--quiet", "--json-progress")
    assert "not allowed with argument --quiet" in capsys.readouterr().err


def in_a_terminal(patch: pytest.MonkeyPatch, study_file: Path, **changes: str) -> str:
    """What the command prints in a pseudo-terminal of 40 columns, from a process of its own."""
    set_environment(patch, **changes)
    with pseudo_terminal(columns=40, rows=30) as terminal:
        command = [sys.executable, "-m", "amp_tuner", "--config", str(study_file)]
        ends = {"stdin": terminal.end, "stdout": terminal.end, "stderr": terminal.end}
        done = subprocess.run(command, timeout=LIMIT_S, check=False, **ends)
    assert done.returncode == 0, terminal.written
    return terminal.written


@pytest.mark.all_only
def test_a_narrow_terminal_without_unicode_has_a_picture_in_ascii(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(40).write(in_a_terminal(monkeypatch, finished / "study.yaml", LANG="C"))
    last = "\n".join(screen.frames[-1])
    assert "agreement: * front . other F FP32" in last
    assert last.isascii()


@pytest.mark.all_only
def test_a_dumb_terminal_gets_plain_lines(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = in_a_terminal(monkeypatch, finished / "study.yaml", TERM="dumb")
    assert "\x1b" not in written
    assert written.startswith("starting a worker, loading the model")
