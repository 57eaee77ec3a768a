"""A study that goes on from op types to single nodes, from end to end.

Its model is several times faster with one product in BF16 and wrong with another of the same op
type, on any machine: how far it counts, and not how fast, decides.
"""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.cli.main import main
from amp_tuner.records import Point
from amp_tuner.results.points import read_front, read_lists, read_point
from tests import small_study
from tests.cli.processes import events

pytestmark = pytest.mark.all_only


@dataclass(frozen=True)
class Study:
    """A study of lists that ended, resumed node by node, interrupted and resumed again."""

    file: Path
    run: Path
    by_lists: Point
    codes: tuple[int, ...]
    said: str

    @property
    def trials(self) -> pd.DataFrame:
        return pd.read_csv(self.run / "trials.csv")


def best(run: Path) -> Point:
    front = read_front(run / "pareto" / "front.yaml")
    return read_point(run / "pareto" / f"{front.best:03d}.yaml")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, lent: Callable[[], Any]) -> Study:
    folder = tmp_path_factory.mktemp("nodes")
    model, data = small_study.make_two_products_model(folder), small_study.make_night_data(folder)

    def written(**search: Any) -> Path:
        plain = small_study.counting_study(
            model, data, search={"op_types": ["Mul"], **search}, measure={"max_seconds": 1.0}
        )
        return small_study.write_study(folder, plain)

    run, handler = folder / "run", signal.getsignal(signal.SIGTERM)
    said = io.StringIO()
    with lent():
        first = main(["--config", str(written(trials=6)), "--quiet"])
        by_lists = best(run)
        file = written(trials=10, granularity="node")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("amp_tuner.target.bench.Bench.measure", _interrupt)
            second = main(["--config", str(file), "--quiet"])
        with contextlib.redirect_stdout(said):
            third = main(["--config", str(file)])
    signal.signal(signal.SIGTERM, handler)
    return Study(file, run, by_lists, (first, second, third), said.getvalue())


def _interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_no_list_makes_the_model_fast_and_right(study: Study) -> None:
    assert study.codes == (0, 130, 0)
    assert study.by_lists.setting.data_type == "float32"


def test_a_node_level_point_certainly_dominates(study: Study) -> None:
    found = best(study.run)
    assert found.speedup is not None
    assert found.speedup.low > 1.5
    assert found.accuracy.verdict == "meets"


def test_the_point_says_which_nodes(study: Study) -> None:
    found = best(study.run)
    nodes = moves_of_nodes(found.setting.moves)
    assert nodes
    assert found.lists.nodes == nodes
    assert set(nodes.values()) == {"none"}
    assert any("cancelling" in subject for subject in nodes)
    assert not any("heavy" in subject for subject in nodes)
    (subject,) = (one for one in nodes if "cancelling" in one)
    assert f"{subject} to none" in study.said
    assert subject in (study.run / "report.html").read_text(encoding="utf-8")
    assert found.environment == {}
    assert not (study.run / "best.env").exists()
    assert "def load()" in (study.run / "best.py").read_text(encoding="utf-8")


def test_trials_with_nodes_are_ordinary_trials(study: Study) -> None:
    moved = study.trials[study.trials["moves"].str.contains("node:")]
    assert len(moved) >= 2
    assert moved["graph_id"].notna().all()
    assert moved["cached_from"].isna().all()
    ends = [event["why"] for event in events(study.run, "search_ended")]
    assert len(ends) == 2


def test_an_interrupted_trial_with_nodes_is_repeated_as_it_was(study: Study) -> None:
    swept = study.trials[study.trials["moves"].str.contains("node:")].iloc[0]
    measuring = [one["setting"]["moves"] for one in events(study.run, "measuring")]
    interrupted = next(moves for moves in measuring if moves_of_nodes(moves))
    assert moves_of_nodes(yaml.safe_load(swept["moves"])) == moves_of_nodes(interrupted)


def best_and_its_files(study: Study) -> tuple[Point, str, Path]:
    """The best point, the model that it is of, and the point's own file."""
    found = best(study.run)
    model = yaml.safe_load(study.file.read_text(encoding="utf-8"))["model"]["path"]
    return found, model, study.run / "pareto" / f"{found.number:03d}.yaml"


def test_rewrite_bakes_what_the_point_says(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, model, path = best_and_its_files(study)
    words = ["--rules", found.rules, "--lists", str(path)]
    assert main(["rewrite", model, *words, "--output", str(tmp_path / "baked")]) == 0
    told = capsys.readouterr().out
    assert f"{found.effective.nodes_16bit} of" in told
    assert f"{found.effective.casts} casts" in told
    assert main(["inspect", model, *words, "--nodes"]) == 0
    shown = capsys.readouterr().out
    assert "in no list" in shown
    assert read_lists(path).moves == dict(sorted(found.setting.moves.items()))


def test_the_baked_model_is_right(study: Study, tmp_path: Path) -> None:
    import tensorflow as tf  # the tuner itself never imports it

    output = tmp_path / "best"
    export = ["export", str(study.run), "--format", "savedmodel", "--output", str(output)]
    assert main(export) == 0
    x = np.load(study.file.parent / "night.npz")["x"]
    baked = tf.saved_model.load(str(output)).signatures["serving_default"]
    scores = baked(x=tf.constant(x))["score"].numpy()
    expected = 1 / (1 + np.exp(2 - x.sum(axis=1)))
    np.testing.assert_allclose(scores, expected, atol=5e-3)


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "env"],
        ["--format", "itex-python"],
        ["--format", "env", "--runtime", "tensorflow"],
    ],
)
def test_forms_that_hold_no_nodes_say_what_does(
    study: Study, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(study.run), *words]) == 2
    assert "allowed: --format savedmodel" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["python", "docker", "kubernetes", "yaml"])
def test_forms_around_the_baked_model_are_there(
    study: Study, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(study.run), "--format", form]) == 0
    assert capsys.readouterr().out


def test_wrong_nodes_in_a_file_are_told_at_once(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = yaml.safe_load(study.file.read_text(encoding="utf-8"))["model"]["path"]
    lists = tmp_path / "lists.yaml"
    moves = {"node:nowhere": "none", "node:*Mul*": "none", "node:*cancelling/Mul": "deny"}
    lists.write_text(yaml.safe_dump({"moves": moves}), encoding="utf-8")
    output = tmp_path / "baked"
    words = ["--rules", "tf-cpu-bfloat16", "--lists", str(lists), "--output", str(output)]
    assert main(["rewrite", model, *words]) == 2
    told = capsys.readouterr().err
    assert "the graph has no node:nowhere" in told
    assert "is in two entries: node:*Mul* and node:*cancelling/Mul" in told
    assert not output.exists()


def test_a_passs_log_of_moved_nodes_is_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, model, path = best_and_its_files(study)
    places = ["--output", str(tmp_path / "baked"), "--log-path", str(tmp_path / "log")]
    assert main(["rewrite", model, "--rules", found.rules, "--lists", str(path), *places]) == 2
    assert "--log-path: a pass's log knows op types only" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_verify_takes_the_point(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(study.run)]) in (0, 1)
    told = capsys.readouterr().out
    assert "predicted graph" in told
    assert "as predicted" in told
