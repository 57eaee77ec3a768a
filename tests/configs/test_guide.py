"""What Intel's guide to tuning advanced AMP does by hand, done here: its figure, its MobileNet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from amp_tuner.cli.main import main
from amp_tuner.results.points import read_front, read_point
from tests.configs.ready import ROOT, made, run, smaller
from tests.environments import interpreter
from tests.instructions import convolves_in_16_bits
from tests.itex import runs_bfloat16
from tests.packaged import script
from tests.rewrite.painted import painted

ITEX = "itex-cpu-bfloat16"
#: The guide moves AvgPool and Softmax; Keras's MobileNet has a Mean in place of the AvgPool.
MOVES = {"Mean": "allow", "Softmax": "allow"}
DENIED, LAST = {"Mean": "DENY"}, {"Softmax": "no ALLOW op downstream"}
#: As the guide prints them.
VARIABLES = """\
export ITEX_AUTO_MIXED_PRECISION=1
export ITEX_AUTO_MIXED_PRECISION_INFERLIST_REMOVE=Softmax,AvgPool
export ITEX_AUTO_MIXED_PRECISION_ALLOWLIST_ADD=Softmax,AvgPool
"""
SERVE = """
import numpy, tensorflow as tf
serve = tf.saved_model.load("models/mobilenet").signatures["serving_default"]
serve(image=tf.constant(numpy.load("data/mobilenet.npz")["images"][:1]))
"""


Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def inspected(lent: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> Inspect:
    """What ``inspect`` says of one of the guide's models."""

    def inspect(model: str, *options: object) -> dict[str, Any]:
        before = signal.getsignal(signal.SIGTERM)
        with lent():
            assert main(["inspect", str(made(model)), "--json", "-", *map(str, options)]) == 0
        signal.signal(signal.SIGTERM, before)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return inspect


def stayed(found: dict[str, Any]) -> dict[str, str]:
    """Op types that stayed FP32 though they could be 16-bit, with the reason."""
    return {one["op"]: one["reason"] for one in found["stayed"]}


@pytest.fixture
def moves(tmp_path: Path) -> Path:
    """The guide's moves."""
    path = tmp_path / "moves.yaml"
    path.write_text(yaml.safe_dump({"moves": MOVES}))
    return path


@pytest.mark.parametrize("rules", [ITEX, "tf-cpu-bfloat16", "tf-cpu-float16"])
def test_the_eleven_nodes_of_the_figure_get_its_colours(rules: str) -> None:
    graph_def = script("guide_lists").graph_def()
    in_16bit = painted(graph_def, rules, fetches=("output",))
    assert in_16bit == {f"node{number}" for number in range(5, 11)}


@pytest.mark.all_only
@pytest.mark.parametrize(
    ("rules", "left"),
    [(ITEX, DENIED | LAST), ("tf-cpu-float16", DENIED | LAST), ("tf-cpu-bfloat16", LAST)],
)
def test_pooling_and_softmax_stay_and_the_moves_convert_them(
    rules: str, left: dict[str, str], moves: Path, inspected: Inspect
) -> None:
    default = inspected("mobilenet", "--rules", rules)
    assert stayed(default) == left
    moved = inspected("mobilenet", "--rules", rules, "--lists", moves)
    assert stayed(moved) == {}
    more = moved["effective"]["nodes_16bit"] - default["effective"]["nodes_16bit"]
    assert more == len(left)
    # A Mean between 16-bit nodes needs no casts any more; Softmax's only changes its place.
    fewer = default["effective"]["casts"] - moved["effective"]["casts"]
    assert fewer == (2 if "Mean" in left else 0)


@pytest.mark.all_only
def test_the_guides_own_last_layers_keep_softmax_alone(tmp_path: Path, inspected: Inspect) -> None:
    assert stayed(inspected("guide_mobilenet", "--rules", ITEX)) == LAST
    variables = tmp_path / "guide.env"
    variables.write_text(VARIABLES)
    assert stayed(inspected("guide_mobilenet", "--rules", ITEX, "--lists", variables)) == {}


@pytest.mark.all_only
@runs_bfloat16
def test_what_itex_logs_of_a_served_model_is_what_is_predicted(tmp_path: Path) -> None:
    python = interpreter("itex")
    made("mobilenet")
    variables = {
        "ITEX_AUTO_MIXED_PRECISION": "1",
        "ITEX_AUTO_MIXED_PRECISION_LOG_PATH": str(tmp_path),
    }
    command = [python, "-c", SERVE]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **variables})
    found = run("-m", "amp_tuner", "inspect", str(tmp_path), "--python", python, "--json", "-")
    left = stayed(json.loads(found))
    assert {op: left[op] for op in MOVES} == DENIED | LAST


@pytest.mark.all_only
@pytest.mark.timeout(900)
@convolves_in_16_bits
@pytest.mark.parametrize("study", ["mobilenet", "mobilenet_itex"])
def test_a_study_finds_the_moves(study: str, tmp_path: Path) -> None:
    made("mobilenet")
    path = smaller(study, tmp_path, samples=48)
    run("-m", "amp_tuner", "--config", str(path), "--time-budget", "4m")
    trials = pd.read_csv(tmp_path / "run" / "trials.csv")
    ran = trials[trials.state.eq("COMPLETE") & trials.cached_from.isna()]
    found = [moves for moves in map(json.loads, ran.moves) if MOVES.items() <= moves.items()]
    assert found, "both moves, in a setting that was run"
    if study == "mobilenet":
        assert MOVES in found, "and nothing else"
        return
    # Modelled times are exact: what the moves gain is certain, and is published.
    front = read_front(tmp_path / "run" / "pareto" / "front.yaml")
    assert front.best is not None
    best = read_point(tmp_path / "run" / "pareto" / f"{front.best:03d}.yaml")
    assert best.modelled_for is not None
    # One graph, whichever of the three it is.
    assert best.setting.moves["Mean"] in ("allow", "infer", "clear")
