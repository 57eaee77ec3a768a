"""A study whose best setting has moves that it can do without, from end to end.

One move makes the model several times faster; the margin is wide here, so that what is certain on a
busy machine does not depend on how busy it is.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from amp_tuner.cli.main import main
from amp_tuner.judge.front import Front
from amp_tuner.output.folder import RunFolder
from amp_tuner.results.environment_reader import read_environment
from amp_tuner.results.points import read_front, read_lists, read_point
from amp_tuner.study.minimal_settings import Minimal, read_minimal
from amp_tuner.target.bench import Bench
from amp_tuner.target.rival import Original
from tests import small_study
from tests.cli.conftest import Command
from tests.cli.processes import await_event, events, finished, started

#: Anchors only: FP32 twice, default AMP, everything in 16 bits.
ANCHORS = 4
MARGIN = "amp_tuner.judge.non_inferiority.SLOWEST"


@dataclass(frozen=True)
class Study:
    """A study that was interrupted twice while its settings were made minimal.

    Attributes:
        file: the study file.
        run: where its output goes.
        codes: the exit codes, of the last run too.
        published: the front after the first interruption.
        tried: comparisons that had ended by then.
    """

    file: Path
    run: Path
    codes: tuple[int, ...]
    published: Front
    tried: int

    @property
    def minimal(self) -> dict[int, Minimal]:
        return read_minimal(RunFolder(self.run))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, lent: Callable[[], Any]) -> Study:
    """Interrupted at the third comparison, then in the minimal setting's own trial."""
    folder = tmp_path_factory.mktemp("minimal")
    model, data = small_study.make_counting_model(folder), small_study.make_night_data(folder)
    plain = small_study.counting_study(
        model, data, search={"trials": ANCHORS}, measure={"max_seconds": 2.0}
    )
    file = small_study.write_study(folder, plain)
    run = folder / "run"
    real, handler = Original.against, signal.getsignal(signal.SIGTERM)
    with lent(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(MARGIN, 0.3)
        patch.setattr("amp_tuner.target.rival._HALF_WIDTH", 0.2)

        def interrupted(original: Original, smaller: Any) -> Any:
            if len(events(run, "minimal_tried")) == 2:
                raise KeyboardInterrupt
            return real(original, smaller)

        patch.setattr(Original, "against", interrupted)
        first = main(["--config", str(file), "--quiet"])
        published = read_front(run / "pareto" / "front.yaml")
        tried = len(events(run, "minimal_tried"))
        patch.setattr(Original, "against", real)
        with pytest.MonkeyPatch.context() as other:
            other.setattr(Bench, "measure", _interrupt)
            second = main(["--config", str(file), "--quiet"])
        third = main(["--config", str(file), "--quiet"])
    signal.signal(signal.SIGTERM, handler)
    return Study(file, run, (first, second, third), published, tried)


def _interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


@pytest.fixture
def best(study: Study) -> Any:
    front = read_front(study.run / "pareto" / "front.yaml")
    return read_point(study.run / "pareto" / f"{front.best:03d}.yaml")


def test_the_exported_setting_is_the_shortest_that_does_the_job(study: Study, best: Any) -> None:
    # Either op type brings the 256 + 1 into BF16; the other twelve moves are not needed.
    assert len(best.setting.moves) == 1
    assert best.setting.moves.items() <= {"Cast": "allow", "Sum": "allow"}.items()
    # No list holds Cast; Sum leaves one.
    exported = [name for name in read_environment(study.run / "best.env") if "LIST_" in name]
    assert len(exported) == (1 if "Cast" in best.setting.moves else 2)


def test_the_point_names_what_it_was_made_from_and_what_allowed_it(study: Study, best: Any) -> None:
    origin = best.minimised_from
    trial = study.minimal[origin.number]
    assert trial.replaced_by == best.number
    assert len(origin.moves) > 5
    assert origin.graph_id != best.effective.graph_id
    assert origin.speed is not None
    assert origin.speed.low > 0.3
    # Agreement has a paired test: not certainly worse.
    assert origin.p_worse is not None
    assert origin.p_worse >= 0.025


def test_the_minimal_setting_is_a_trial_of_its_own_and_takes_the_originals_place(
    study: Study, best: Any
) -> None:
    table = pd.read_csv(study.run / "trials.csv").set_index("number")
    row = table.loc[best.number]
    assert row["anchor"] == f"minimal of {best.minimised_from.number}"
    assert json.loads(row["moves"]) == best.setting.moves
    assert row["graph_id"] == best.effective.graph_id
    front = read_front(study.run / "pareto" / "front.yaml")
    assert best.minimised_from.number not in [entry.number for entry in front.entries]
    # What was confirmed is the minimal setting, not the one that it stands for.
    confirmed = {int(path.stem) for path in (study.run / "confirmed").iterdir()}
    assert best.number in confirmed
    assert best.minimised_from.number not in confirmed
    assert not any("not measured again" in notice for notice in best.notices)


def test_every_smaller_setting_was_held_against_the_original_itself(study: Study) -> None:
    (minimal,) = [one for one in study.minimal.values() if one.replaced_by is not None]
    assert minimal.ended
    graphs = [attempt.effective.graph_id for attempt in minimal.attempts]
    assert len(graphs) == len(set(graphs))
    for attempt in minimal.attempts:
        if attempt.measurement is not None and attempt.measurement.timing is not None:
            assert (attempt.refused is None) == (attempt.measurement.timing.speedup.low > 0.3)
    kept = [one for one in minimal.attempts if one.refused is None]
    assert minimal.accepted is not None
    assert minimal.accepted.moves == kept[-1].setting.moves
    # Several looks, so the last word is a fresh comparison.
    assert minimal.check is not None
    assert minimal.check.measurement != kept[-1].measurement


def test_an_interruption_loses_one_attempt_and_the_same_command_goes_on(study: Study) -> None:
    assert study.codes == (130, 130, 0)
    assert [event["why"] for event in events(study.run, "stopped")] == ["interrupted"] * 2
    assert events(study.run, "finished")[0]["exit_code"] == 0
    assert study.tried == 2
    # Until the original was replaced, it was what was published.
    assert study.published.best == 3
    (minimal,) = [one for one in study.minimal.values() if one.replaced_by is not None]
    tried = [event["moves"] for event in events(study.run, "minimal_tried")]
    assert tried == [
        dict(one.setting.moves) for one in (*minimal.attempts, minimal.check) if one is not None
    ]


def test_an_interrupted_trial_of_a_minimal_setting_is_run_again(study: Study, best: Any) -> None:
    interrupted = [event["trial"] for event in events(study.run, "interrupted")]
    table = pd.read_csv(study.run / "trials.csv")
    own = table[table["anchor"] == f"minimal of {best.minimised_from.number}"]
    assert list(own["number"]) == [best.number]
    assert [event["trial"] for event in events(study.run, "ended")] == list(table["number"])
    assert interrupted == [best.number - 1]


def test_the_record_says_what_the_machine_and_the_inputs_were_like(study: Study) -> None:
    for path in study.run.glob("trials/*.json"):
        measurement = json.loads(path.read_text())["trial"]["measurement"]
        assert {"governor", "turbo", "load_average", "cpu_flags"} <= measurement["machine"].keys()
        # 600 samples of four numbers are nine whole batches of 64.
        assert measurement["timing"]["inputs"] == {"batches": 9, "bytes": 9 * 64 * 4 * 4}
        assert measurement["timing"]["stop_reason"] in ("narrow", "dominated", "time")


def test_a_finished_study_tries_nothing_more(study: Study, quick: Command) -> None:
    before = {path: path.read_bytes() for path in study.run.glob("*/*.json")}
    ended = quick("--config", study.file)
    assert ended.code == 0
    assert f"all {ANCHORS} trials are measured" in ended.out
    assert {path: path.read_bytes() for path in study.run.glob("*/*.json")} == before


def test_a_minimal_point_is_accepted_as_lists_and_so_is_one_of_before(
    study: Study, best: Any, tmp_path: Path
) -> None:
    path = study.run / "pareto" / f"{best.number:03d}.yaml"
    assert read_lists(path).moves == best.setting.moves
    plain = yaml.safe_load(path.read_text())
    del plain["minimised_from"]
    older = tmp_path / "older.yaml"
    older.write_text(yaml.safe_dump(plain))
    assert read_lists(older).moves == best.setting.moves
    assert read_point(older).minimised_from is None


@pytest.mark.all_only
def test_a_kill_between_comparisons_loses_at_most_one(study: Study, tmp_path: Path) -> None:
    """With the real margin: what is kept depends on the machine, what is recorded does not."""
    model, data = study.file.parent / "counting", study.file.parent / "night.npz"
    plain = small_study.counting_study(model, data, search={"trials": ANCHORS})
    file, run = small_study.write_study(tmp_path, plain), tmp_path / "run"
    for kept in (1, 2):
        with started(file) as tuner:
            assert await_event(tuner, run, "minimal_tried", kept), finished(tuner)
            tuner.kill()
    before = {number: one.attempts for number, one in read_minimal(RunFolder(run)).items()}
    with started(file) as tuner:
        code, said = finished(tuner)
    assert code == 0, said
    for number, minimal in read_minimal(RunFolder(run)).items():
        known = before.get(number, ())
        assert minimal.attempts[: len(known)] == known
        graphs = [attempt.effective.graph_id for attempt in minimal.attempts]
        assert len(graphs) == len(set(graphs))
    assert len(before[3]) >= 2
    assert read_minimal(RunFolder(run))[3].ended
    assert (run / "best.env").exists()
