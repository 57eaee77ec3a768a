"""Whatever ends a tuner, the same command goes on: nothing that ended is lost or run again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from amp_tuner.cli.main import main
from amp_tuner.folder import RunFolder
from amp_tuner.records import Trial
from amp_tuner.ended import read_trials
from tests import small_study
from tests.cli.conftest import Command
from tests.cli.processes import await_event, events, finished, is_gone, started, workers
from tests.conftest import Files

SEED = 20
#: Exit codes of a tuner that ended by itself, of one that was killed, of one that was interrupted.
DONE, KILLED, INTERRUPTED = 0, -signal.SIGKILL, 130


@dataclass
class History:
    """A study that was ended again and again, and what was seen on the way.

    Attributes:
        run: the output folder.
        codes: exit code of each command, in order.
        said: what the last one printed.
        lost: finished trials whose file went or changed afterwards.
        unreadable: tables that could not be read whole.
        left_behind: workers that outlived their tuner.
        second: what a second tuner on the same folder said.
        unpublished: interruptions after which there was no front.
    """

    run: Path
    codes: list[int] = field(default_factory=list)
    said: str = ""
    lost: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    left_behind: list[int] = field(default_factory=list)
    second: Any = None
    unpublished: int = 0

    def look(self, known: dict[str, bytes]) -> None:
        """Compares the trials' files with those of before; reads the table."""
        now = {path.name: path.read_bytes() for path in (self.run / "trials").glob("*.json")}
        self.lost |= {name for name, content in known.items() if now.get(name) != content}
        known |= now
        table = self.run / "trials.csv"
        if table.exists():
            numbers = list(pd.read_csv(table)["number"])
            # The file of the trial that was being told may be ahead of the table.
            if not set(numbers) <= {int(name[:4]) for name in now} or len(now) - len(numbers) > 1:
                self.unreadable.append(f"{numbers} of {sorted(now)}")


def a_while(tuner: Any, run: Path, chance: random.Random, *, start: bool) -> None:
    """Waits for a random moment of one of the next trials, or (if allowed) of the start."""
    before = len(events(run, "asked"))
    if chance.random() < 0.25 and start:
        time.sleep(chance.uniform(0, 6))
    elif await_event(tuner, run, "asked", before + chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 0.5))


def ended_again_and_again(
    folder: Path, plain: Mapping[str, Any], signals: Sequence[signal.Signals]
) -> History:
    """Runs a study, ended by each of ``signals`` at a random moment; then to its own end."""
    path = small_study.write_study(folder, dict(plain))
    history, known, chance = History(folder / "run"), dict[str, bytes](), random.Random(SEED)
    for kind in signals:
        with started(path) as tuner:
            a_while(tuner, history.run, chance, start=kind == signal.SIGKILL)
            alive = workers(tuner)
            tuner.send_signal(kind)
            code, _ = finished(tuner)
            history.left_behind += [one.pid for one in alive if not is_gone(one, 2)]
        history.codes.append(code)
        history.look(known)
        published = (history.run / "pareto" / "front.yaml").exists()
        history.unpublished += code == INTERRUPTED and bool(known) and not published
    resumed = len(events(history.run, "resumed"))
    with started(path) as tuner:
        # From then on the tuner holds the lock.
        if await_event(tuner, history.run, "resumed", resumed + 1):
            handler = signal.getsignal(signal.SIGTERM)
            history.second = main(["--config", str(path)])
            signal.signal(signal.SIGTERM, handler)
        code, history.said = finished(tuner)
    history.codes.append(code)
    history.look(known)
    print(history.codes, history.said)
    return history


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, small: Files) -> History:
    """Killed three times, and once interrupted."""
    signals = [signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGKILL]
    folder = tmp_path_factory.mktemp("resumed")
    return ended_again_and_again(folder, small_study.study(small.model, small.data), signals)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, small: Files) -> History:
    """Killed twenty times, and between that interrupted in both ways."""
    folder = tmp_path_factory.mktemp("killed")
    plain = small_study.study(small.model, small.data, search={"trials": 30})
    signals = [signal.SIGKILL] * 22
    signals[7], signals[14] = signal.SIGTERM, signal.SIGINT
    return ended_again_and_again(folder, plain, signals)


@pytest.fixture(params=["short", pytest.param("long", marks=pytest.mark.all_only)])
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    return request.getfixturevalue(request.param)


def trials_of(run: Path) -> list[Trial]:
    return read_trials(RunFolder(run))


def proposals(run: Path) -> tuple[set[str], list[str]]:
    """Parameters of the anchors, and those of the sampler in their order, repetitions left out."""
    asked = events(run, "asked")
    anchors = {trial.number for trial in trials_of(run) if trial.anchor is not None}
    enqueued = {str(event["parameters"]) for event in asked if event["trial"] in anchors}
    drawn = [str(event["parameters"]) for event in asked]
    return enqueued, [key for key, _ in groupby(key for key in drawn if key not in enqueued)]


def test_every_run_ends_as_it_was_ended_and_the_last_by_itself(history: History) -> None:
    assert set(history.codes[:-1]) <= {DONE, KILLED, INTERRUPTED}
    assert history.codes.count(KILLED) >= 2
    assert history.codes[-1] == DONE
    assert "Traceback" not in history.said


def test_finished_trials_are_never_lost_nor_run_again(history: History) -> None:
    assert history.lost == set()
    ended = [event["trial"] for event in events(history.run, "ended")]
    assert len(ended) == len(set(ended))
    measuring = [event["trial"] for event in events(history.run, "measuring")]
    assert len(measuring) == len(set(measuring))


def test_no_graph_is_measured_twice_but_the_one_in_flight(history: History) -> None:
    own = [trial for trial in trials_of(history.run) if trial.cached_from is None]
    graphs = [(trial.effective, trial.setting.onednn) for trial in own]
    assert len(graphs) == len(set(graphs))
    interrupted = {event["trial"] for event in events(history.run, "swept")}
    interrupted |= {event["trial"] for event in events(history.run, "interrupted")}
    measured = {event["trial"] for event in events(history.run, "measuring")}
    assert measured <= {trial.number for trial in own} | interrupted


def test_the_table_is_always_readable_and_whole_in_the_end(history: History) -> None:
    assert history.unreadable == []
    table = pd.read_csv(history.run / "trials.csv")
    assert list(table["number"]) == [trial.number for trial in trials_of(history.run)]


def test_no_worker_outlives_its_tuner(history: History) -> None:
    assert history.left_behind == []


def test_an_answer_is_published_whenever_a_run_is_interrupted_and_in_the_end(
    history: History,
) -> None:
    assert history.unpublished == 0
    front = yaml.safe_load((history.run / "pareto" / "front.yaml").read_text())
    assert front["best"] is not None
    references = {trial.anchor for trial in trials_of(history.run)}
    assert {"FP32, oneDNN on", "default bfloat16", "default float16"} <= references
    assert (history.run / "best.env").exists()


def test_a_second_tuner_on_the_same_folder_is_refused(history: History) -> None:
    assert history.second == 2


def test_proposals_are_those_of_an_uninterrupted_study(short: History, first_run: Path) -> None:
    anchors, drawn = proposals(short.run)
    same_anchors, same_drawn = proposals(first_run / "run")
    assert anchors == same_anchors
    # A trial that was interrupted twice is not measured, so one more may be drawn for it.
    common = min(len(drawn), len(same_drawn))
    assert common >= 2
    assert drawn[:common] == same_drawn[:common]
    assert len(drawn) >= 3


def test_a_finished_study_is_not_run_again(quick: Command, finished: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    ended = quick("--config", finished / "study.yaml")
    assert ended.code == 0
    assert "all 10 trials are measured" in ended.out
    assert {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()} == before


def test_totals_are_totals(quick: Command, finished: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    ended = quick("--config", finished / "study.yaml", "--trials", 12)
    assert ended.code == 0
    now = {path: path.read_bytes() for path in (finished / "run" / "trials").iterdir()}
    assert {path: now[path] for path in before} == before
    own = [trial for trial in trials_of(finished / "run") if trial.cached_from is None]
    assert len([trial for trial in own if trial.cause is None]) == 12


def test_fresh_moves_the_old_study_aside(quick: Command, finished: Path) -> None:
    old = {path.name for path in (finished / "run").iterdir()}
    (finished / "run.1").mkdir()
    ended = quick("--config", finished / "study.yaml", "--fresh", "--trials", 2)
    assert ended.code == 0
    assert {path.name for path in (finished / "run.2").iterdir()} == old
    assert len(trials_of(finished / "run.2")) > 7
    numbers = [trial.number for trial in trials_of(finished / "run")]
    assert numbers == list(range(len(numbers)))
    assert events(finished / "run")[0]["event"] == "started"


def test_a_table_that_a_kill_left_behind_is_made_whole(quick: Command, finished: Path) -> None:
    table = finished / "run" / "trials.csv"
    whole = table.read_text()
    table.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert quick("--config", finished / "study.yaml").code == 0
    assert table.read_text() == whole


def test_a_kill_while_the_folder_was_claimed_is_no_strangers_file(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    (tmp_path / "run" / "work").mkdir(parents=True)
    (tmp_path / "run" / ".study.json.x7_b2k9q").write_text('{"format": 1, "ident')
    assert quick("--config", path, "--trials", 2).code == 0


def test_a_stop_by_the_service_manager_is_an_interruption(small: Files, tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    with started(path) as tuner:
        while not (tmp_path / "run" / "lock").exists():
            time.sleep(0.01)
        tuner.send_signal(signal.SIGTERM)
        code, said = finished(tuner)
    assert code == INTERRUPTED
    assert said.splitlines()[-1] == "interrupted"
